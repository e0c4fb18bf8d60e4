#pragma once

#include <string>
#include <string_view>

namespace skyengine {

/// Who suspends the servers of a user whose month has come to `suspendAt`.
inline constexpr std::string_view spending_limit_name = "spending_limit";

/// Who asked for an action, as its row keeps it.
struct requester {
  /// `operator`, `user:<id>` or `spending_limit`.
  std::string name;
  std::string request_id;
};

/// What makes a repeated request the same request.
struct idempotency_claim {
  /// `operator` or `user:<id>`.
  std::string caller;
  std::string key;
  std::string method;
  std::string path;
  /// SHA-256 of the body, in hex.
  std::string body_hash;
};

} // namespace skyengine
