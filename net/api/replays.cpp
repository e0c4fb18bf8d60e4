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

bool has_first_answer(const edge_state& edge, const idempotency_claim& claim, int own) {
  const auto found = edge.first_answers.find({claim.caller, claim.key});
  return found != edge.first_answers.end() && found->second > own;
}

asio::awaitable<result<std::optional<db::idempotency_binding>>>
find_earlier(edge_state& edge, std::optional<idempotency_claim> claim) {
  if (!claim)
    co_return std::optional<db::idempotency_binding>{};
  auto bound = co_await edge.servers.find_key(claim->caller, claim->key,
                                              edge.services.business.now() - edge.options.keep_keys);
  if (bound && *bound &&
      ((*bound)->method != claim->method || (*bound)->path != claim->path ||
       (*bound)->body_hash != claim->body_hash))
    co_return error{errc::idempotency_mismatch, "this Idempotency-Key was used for another request"};
  co_return bound;
}

asio::awaitable<result<>>
keep_status(edge_state& edge, std::optional<idempotency_claim> claim, http::status status) {
  if (!claim)
    co_return result<>{};
  const auto kept =
    co_await edge.servers.set_first_status(claim->caller, claim->key, static_cast<int>(status));
  if (!kept)
    co_return kept.error();
  co_return result<>{};
}

bool is_key_taken(const error& refused) {
  return refused.code == errc::conflict && refused.detail == "idempotency_keys_pkey";
}

void mark_replayed(http::response& answer) {
  answer.headers.set("Idempotent-Replayed", "true");
}

} // namespace skyengine::net::api
