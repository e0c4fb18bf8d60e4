#include "net/api/replays.hpp"

namespace skyengine::net::api {

namespace {

bool is_same_request(const idempotency_claim& one, const idempotency_claim& other) {
  return one.method == other.method && one.path == other.path && one.body_hash == other.body_hash;
}

} // namespace

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

awaited_answer::awaited_answer(edge_state& edge, const std::optional<idempotency_claim>& claim)
    : edge_(edge) {
  if (!claim)
    return;
  answer_ = std::make_shared<answer_under_way>();
  answer_->claim = *claim;
  edge_.answers_under_way[{claim->caller, claim->key}] = answer_;
}

awaited_answer::~awaited_answer() {
  if (!answer_)
    return;
  edge_.answers_under_way.erase({answer_->claim.caller, answer_->claim.key});
  for (const auto& one : answer_->waiting)
    one->notify();
}

void awaited_answer::refuse(const error& why) {
  if (answer_)
    answer_->refusal = why;
}

asio::awaitable<std::optional<error>> join_answer(edge_state& edge, std::optional<idempotency_claim> claim) {
  if (!claim)
    co_return std::nullopt;
  for (;;) {
    const auto found = edge.answers_under_way.find({claim->caller, claim->key});
    if (found == edge.answers_under_way.end())
      co_return std::nullopt;
    // It may be gone by the time that this one goes on.
    const auto first = found->second;
    const auto wake = std::make_shared<actors::runtime::nudge>(edge.services.timers);
    first->waiting.push_back(wake);
    while (!co_await wake->wait_until(actors::runtime::steady_time::max())) {
    }
    if (first->refusal && is_same_request(first->claim, *claim))
      co_return first->refusal;
  }
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
