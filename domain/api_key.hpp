#pragma once

#include "domain/clock.hpp"
#include "domain/ids.hpp"

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine {

/// What a key may do; an operator's key without scopes may do everything.
inline constexpr std::array<std::string_view, 9> known_scopes{
  "servers:read", "servers:write", "billing:read",    "billing:write", "cron:read",
  "cron:write",   "keys:write",    "catalogue:write", "audit:read"};
/// All of them, for people: `servers:read, servers:write, …`
std::string all_scopes();

/// One API key without its secret.
struct api_key {
  api_key_id id;
  std::string name;
  /// nullopt: the operator's.
  std::optional<user_id> user;
  std::vector<std::string> scopes;
  instant created_at;
  std::optional<instant> revoked_at;

  bool is_operator() const noexcept { return !user; }
  bool allows(std::string_view scope) const noexcept;
  /// `operator` or `user:<id>`: who stands behind it, in actions, audit log and idempotency keys.
  std::string caller() const;
};

} // namespace skyengine
