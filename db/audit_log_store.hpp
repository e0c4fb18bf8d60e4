#pragma once

#include "db/database.hpp"
#include "domain/clock.hpp"
#include "domain/ids.hpp"
#include "domain/requester.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace skyengine::db {

/// One line of the audit log: who did what to what.
struct audit_entry {
  std::int64_t id = 0;
  instant at;
  /// `operator`, `user:<id>`, or what the command line says of itself.
  std::string actor;
  /// `created`, `changed`, `revoked`, `retried`, …
  std::string action;
  /// `plan small`, `api key 7`, …
  std::string target;
  /// A JSON object.
  std::string detail;
};

/// The audit log. Other stores write their own lines within their statements.
class audit_log_store {
public:
  explicit audit_log_store(database& db) : db_(db) {}

  /// Newest first, those before `before` (nullopt: from the newest), at most `limit`.
  asio::awaitable<result<std::vector<audit_entry>>> list(std::optional<std::int64_t> before, int limit);

  /// Writes down that an operator wants `action` tried again, tells the node that runs it, and binds the key
  /// to it. errc::conflict with
  /// detail `idempotency_keys_pkey` when the key is taken.
  asio::awaitable<result<>>
  record_retry(action_id action, std::string actor, std::optional<idempotency_claim> claim, instant now);

private:
  database& db_;
};

} // namespace skyengine::db
