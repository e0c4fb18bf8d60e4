#pragma once

#include "domain/requester.hpp"

#include <optional>
#include <string_view>

namespace skyengine::db {

/// The parts of an Idempotency-Key's claim as a statement's parameters: NULL where there is no claim. They
/// refer to `claim`, which outlives them.
struct claim_parts {
  explicit claim_parts(const std::optional<idempotency_claim>& claim) {
    if (!claim)
      return;
    caller = claim->caller;
    key = claim->key;
    method = claim->method;
    path = claim->path;
    body_hash = claim->body_hash;
  }

  std::optional<std::string_view> caller;
  std::optional<std::string_view> key;
  std::optional<std::string_view> method;
  std::optional<std::string_view> path;
  std::optional<std::string_view> body_hash;
};

} // namespace skyengine::db
