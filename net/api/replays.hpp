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

/// Does once for each key what `record` stores with the claim (`awaitable<result<T>>(claim)`), and answers
/// with what `render` makes of it, whose status is kept. A repeat is answered with what `load` finds for its
/// binding (`awaitable<result<T>>(binding)`); where nobody was ever answered it counts as the first.
template <class Record, class Load, class Render>
asio::awaitable<result<http::response>> answer_once(
  edge_state& edge, std::optional<idempotency_claim> claim, Record record, Load load, Render render) {
  const first_answer pending{edge, claim};
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
    if (!is_key_taken(stored.error()))
      co_return stored.error();
    // Somebody else was first with this key.
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
  const auto is_replay = (*earlier)->first_status || has_first_answer(edge, *claim, 1);
  if (const auto kept = co_await keep_status(edge, claim, answer.status); !kept)
    co_return kept.error();
  if (is_replay)
    mark_replayed(answer);
  co_return answer;
}

} // namespace skyengine::net::api
