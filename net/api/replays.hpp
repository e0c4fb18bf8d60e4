#pragma once

#include "net/api/edge_state.hpp"

namespace skyengine::net::api {

/// While it lives, its request may yet give the first answer to its key; nothing without a claim.
class first_answer {
public:
  first_answer(edge_state& edge, const std::optional<idempotency_claim>& claim);
  ~first_answer();
  first_answer(const first_answer&) = delete;
  first_answer& operator=(const first_answer&) = delete;

private:
  edge_state& edge_;
  std::optional<std::pair<std::string, std::string>> key_;
};

/// While it lives, others of this node with the same key wait for its answer; nothing without a claim.
class awaited_answer {
public:
  awaited_answer(edge_state& edge, const std::optional<idempotency_claim>& claim);
  ~awaited_answer();
  awaited_answer(const awaited_answer&) = delete;
  awaited_answer& operator=(const awaited_answer&) = delete;

  /// Those who wait hear the same.
  void refuse(const error& why);

private:
  edge_state& edge_;
  std::shared_ptr<answer_under_way> answer_;
};

/// Waits until no `awaited_answer` of the key is there. Why the last one that was waited for came to nothing,
/// where that was the same request; nullopt without a claim, too.
asio::awaitable<std::optional<error>> join_answer(edge_state& edge, std::optional<idempotency_claim> claim);

/// Whether a request of this node may yet give the first answer to the key, besides the `own` that the caller
/// has of it.
bool has_first_answer(const edge_state& edge, const idempotency_claim& claim, int own = 0);

/// What the key is bound to already; nullopt without a claim, or when the key is free.
/// errc::idempotency_mismatch when it was used for another request.
asio::awaitable<result<std::optional<db::idempotency_binding>>>
find_earlier(edge_state& edge, std::optional<idempotency_claim> claim);

/// Remembers the status of an answer before it is given; nothing without a claim.
asio::awaitable<result<>>
keep_status(edge_state& edge, std::optional<idempotency_claim> claim, http::status status);

/// Whether `refused` says that somebody else has taken the key since it was looked for.
bool is_key_taken(const error& refused);

/// Adds `Idempotent-Replayed: true`.
void mark_replayed(http::response& answer);

/// `answer_once`, where nobody else of this node is at work with the key.
template <class Record, class Load, class Render>
asio::awaitable<result<http::response>> answer_alone(
  edge_state& edge, std::optional<idempotency_claim> claim, Record record, Load load, Render render) {
  auto earlier = co_await find_earlier(edge, claim);
  if (!earlier)
    co_return earlier.error();
  if (!*earlier) {
    const auto stored = co_await record(claim);
    if (stored) {
      http::response answer = render(*stored);
      if (const auto kept = co_await keep_status(edge, claim, answer.status); !kept)
        co_return kept.error();
      co_return answer;
    }
    // Another node may have been first with this key: what it did is done, and may be why this cannot be.
    earlier = co_await find_earlier(edge, claim);
    if (!earlier)
      co_return earlier.error();
    if (!*earlier)
      co_return stored.error();
  }
  const auto found = co_await load(**earlier);
  if (!found)
    co_return found.error();
  http::response answer = render(*found);
  if (const auto kept = co_await keep_status(edge, claim, answer.status); !kept)
    co_return kept.error();
  if ((*earlier)->first_status)
    mark_replayed(answer);
  co_return answer;
}

/// Does once for each key what `record` stores with the claim (`awaitable<result<T>>(claim)`), and answers
/// with what `render` makes of it, whose status is kept. A repeat is answered with what `load` finds for its
/// binding (`awaitable<result<T>>(binding)`); where nobody was ever answered it counts as the first. One that
/// comes while this node is at work on the first waits for it, and hears the same.
template <class Record, class Load, class Render>
asio::awaitable<result<http::response>> answer_once(
  edge_state& edge, std::optional<idempotency_claim> claim, Record record, Load load, Render render) {
  if (auto refusal = co_await join_answer(edge, claim))
    co_return std::move(*refusal);
  awaited_answer awaited{edge, claim};
  auto answer = co_await answer_alone(edge, claim, std::move(record), std::move(load), std::move(render));
  if (!answer)
    awaited.refuse(answer.error());
  co_return answer;
}

} // namespace skyengine::net::api
