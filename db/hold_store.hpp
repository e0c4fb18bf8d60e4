#pragma once

#include "db/database.hpp"
#include "domain/clock.hpp"
#include "domain/ids.hpp"
#include "domain/requester.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine::db {

/// What became of the time that was held.
enum class hold_outcome : std::uint8_t {
  /// It is charged after all.
  released,
  /// It never is.
  written_off,
};
std::string_view to_string(hold_outcome outcome) noexcept;

/// A time that is not charged for now: of one server, or of all of a user.
struct hold_record {
  std::int64_t id = 0;
  std::optional<server_id> server;
  user_id user;
  /// `operator` or `drift`
  std::string kind;
  std::string reason;
  instant from;
  instant created_at;
  std::string created_by;
  std::optional<instant> until;
  std::optional<hold_outcome> outcome;
  std::optional<std::string> ended_by;
};

/// Holds of billing, as operators see and set them. Every change is in the audit log.
class hold_store {
public:
  explicit hold_store(database& db) : db_(db) {}

  /// Newest first, those before `before` (nullopt: from the newest), at most `limit`; `is_open` nullopt:
  /// both.
  asio::awaitable<result<std::vector<hold_record>>>
  list(std::optional<bool> is_open, std::optional<std::int64_t> before, int limit);
  /// errc::not_found
  asio::awaitable<result<hold_record>> find(std::int64_t id);
  /// What a line of the audit log says was made. errc::not_found
  asio::awaitable<result<hold_record>> find_made(std::int64_t audit_line);

  struct wanted {
    /// Exactly one of the two.
    std::optional<server_id> server;
    std::optional<user_id> user;
    std::string reason;
  };
  /// From now on. errc::invalid_request when there is no such server or user; errc::conflict with detail
  /// `idempotency_keys_pkey` when the key is taken.
  asio::awaitable<result<hold_record>>
  insert(wanted what, std::string actor, std::optional<idempotency_claim> claim, instant now);
  /// errc::not_found; errc::conflict when it has ended, or the key is taken.
  asio::awaitable<result<hold_record>> end(std::int64_t id,
                                           hold_outcome outcome,
                                           std::string actor,
                                           std::optional<idempotency_claim> claim,
                                           instant now);

  /// Those that are open and of which nobody was told on the (UTC) day of `now`, at most `limit`: an alert of
  /// each is in the outbox.
  asio::awaitable<result<std::vector<hold_record>>> alert_holds(instant now, std::int64_t limit);

private:
  database& db_;
};

} // namespace skyengine::db
