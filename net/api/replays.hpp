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

/// Whether another request than the caller's own `first_answer` may yet give the first answer.
bool has_first_answer(const edge_state& edge, const idempotency_claim& claim);

/// Adds `Idempotent-Replayed: true`.
void mark_replayed(http::response& answer);

} // namespace skyengine::net::api
