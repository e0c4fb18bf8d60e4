#pragma once

#include <string>

namespace skyengine {

/// Who asked for an action, as its row keeps it.
struct requester {
  /// `operator` or `user:<id>`.
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
