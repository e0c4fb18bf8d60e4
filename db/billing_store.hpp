#pragma once

#include "db/database.hpp"
#include "domain/billing.hpp"
#include "domain/clock.hpp"
#include "domain/ids.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace skyengine::db {

/// Whether hours may be closed now; each reason against it stands alone.
struct billing_permission {
  bool is_lease_held = false;
  /// `hourly-sync-and-billing` is paused.
  bool is_paused = false;
  /// This machine's clock and the database's differ by more than a minute.
  bool do_clocks_differ = false;
  /// Until when every user's hours are closed; nullopt without a user.
  std::optional<std::chrono::sys_seconds> closed_until;
  /// Users whose hours are closed beyond now: their first server was stored under a clock that was ahead.
  std::int64_t users_ahead = 0;
};

/// The oldest hour that can be closed, and for whom.
struct closable_hour {
  struct load {
    user_id user;
    /// Servers that there is something to look at of.
    std::int64_t servers = 0;
  };
  std::chrono::sys_seconds hour;
  std::vector<load> users;
};

/// A limit that a user's month has come to, with an hour that was closed.
struct passed_limit {
  user_id user;
  /// `alert` or `suspend`.
  std::string kind;
  currency_code currency;
  money limit;
  money so_far;
};

/// What one batch has written.
struct closed_batch {
  std::int64_t users = 0;
  std::int64_t charges = 0;
  std::int64_t corrections = 0;
  /// Told to the outbox, each once a month.
  std::vector<passed_limit> passed = {};
};

/// Closes hours: exactly once for each user, whoever else tries at the same time.
///
/// It keeps what it has read of a user in memory, as long as the user's account says that nothing has
/// changed. Batches of different users may be closed at the same time.
class billing_store {
public:
  /// `passed` is told the name of each step that was done, inside its transaction too: for tests that kill
  /// the process there.
  explicit billing_store(
    database& db, std::function<void(std::string_view)> passed = [](std::string_view) {})
      : db_(db), passed_(std::move(passed)) {}

  /// `token` is that of this node's lease. `system_now` is nothing where business time is not the system's.
  asio::awaitable<result<billing_permission>>
  permission(std::int64_t token, instant now, std::optional<instant> system_now);

  /// The oldest hour that begins before `until`, of those users whose hours are closed up to it, without the
  /// users `but`; nullopt when there is none. Users with servers on `uptime` terms wait while the sync of
  /// that hour is open, but not for one that was due before `syncs_since`.
  asio::awaitable<result<std::optional<closable_hour>>> next_hour(std::chrono::sys_seconds until,
                                                                  std::chrono::sys_seconds syncs_since,
                                                                  std::vector<std::int64_t> but = {});

  /// In one transaction. Users whose hour is closed meanwhile are left out, all of them when the lease is
  /// lost. The month's tables must be there.
  asio::awaitable<result<closed_batch>>
  close(std::int64_t token, std::chrono::sys_seconds hour, std::vector<std::int64_t> users);

  /// The table for the charges of the month of `hour`.
  asio::awaitable<result<>> ensure_month(std::chrono::sys_seconds hour);

private:
  /// As the user was when `closed_until` was written.
  struct known_user {
    std::int64_t facts = 0;
    std::chrono::sys_seconds closed_until;
    std::vector<billed_server> servers;
  };
  using known_users = std::unordered_map<std::int64_t, known_user>;

  asio::awaitable<result<>> count_loads(closable_hour& one);
  known_users take(const std::vector<std::int64_t>& users);

  database& db_;
  std::function<void(std::string_view)> passed_;
  known_users known_;
};

} // namespace skyengine::db
