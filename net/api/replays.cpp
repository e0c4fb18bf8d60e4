#include "net/api/replays.hpp"

namespace skyengine::net::api {

first_answer::first_answer(edge_state& edge, const std::optional<idempotency_claim>& claim) : edge_(edge) {
  if (!claim)
    return;
  key_.emplace(claim->caller, claim->key);
  ++edge_.first_answers[*key_];
}

first_answer::~first_answer() {
  if (!key_)
    return;
  const auto found = edge_.first_answers.find(*key_);
  if (--found->second == 0)
    edge_.first_answers.erase(found);
}

bool has_first_answer(const edge_state& edge, const idempotency_claim& claim) {
  return edge.first_answers.contains({claim.caller, claim.key});
}

void mark_replayed(http::response& answer) {
  answer.headers.set("Idempotent-Replayed", "true");
}

} // namespace skyengine::net::api
