#pragma once

#include "db/database.hpp"
#include "domain/requester.hpp"
#include "domain/schedule.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace skyengine::db {

/// A schedule, and its run of the latest time.
struct schedule_standing {
  schedule what;
  std::optional<schedule_run> last_run;
};

/// Schedules and runs as operators see and change them; what fires them is in `cron_store`, and hears of each
/// change. Every change is a line of the audit log.
class schedule_store {
public:
  explicit schedule_store(database& db) : db_(db) {}

  /// errc::not_found.
  asio::awaitable<result<schedule_standing>> find(std::string name);
  /// By name, those after `after`, at most `limit`.
  asio::awaitable<result<std::vector<schedule_standing>>> list(std::string after, int limit);

  struct change {
    /// As it is to be; `version` is the one that was read.
    schedule wanted;
    /// It fires at other times than before: `wanted.next_at` holds.
    bool is_retimed = false;
    /// Times that were due and not begun by then: they are skipped.
    std::vector<std::chrono::sys_seconds> left_behind;
    /// For the audit log: a JSON object.
    std::string detail;
  };
  /// False: it was changed since.
  asio::awaitable<result<bool>> apply(change what, std::string actor, instant now);

  /// Newest time first, those before `before` (nullopt: from the newest) in this state (nullopt: in any), at
  /// most `limit`.
  asio::awaitable<result<std::vector<schedule_run>>> runs(schedule_id id,
                                                          std::optional<run_state> state,
                                                          std::optional<std::chrono::sys_seconds> before,
                                                          int limit);
  /// errc::not_found when there is none, or it is another schedule's.
  asio::awaitable<result<schedule_run>> find_run(schedule_id id, run_id run);

  /// Asks for a run of a time: a new one, or the next attempt of the one that there is. One that is running
  /// is answered as it is, and so is one that has succeeded, with `unless_succeeded`. errc::conflict with
  /// detail `idempotency_keys_pkey` when the key is taken.
  asio::awaitable<result<schedule_run>> request_run(schedule_id id,
                                                    std::chrono::sys_seconds at,
                                                    std::string actor,
                                                    std::optional<idempotency_claim> claim,
                                                    instant now,
                                                    bool unless_succeeded = false);

  struct range {
    /// Both are in it.
    std::chrono::sys_seconds from;
    std::chrono::sys_seconds to;
    backfill_rule which = backfill_rule::missing;
  };
  /// What a backfill would run, in order, at most `limit`: of the `due` times, and of those that have a row
  /// in the range.
  asio::awaitable<result<std::vector<std::chrono::sys_seconds>>>
  backfill_times(schedule_id id, range where, std::vector<std::chrono::sys_seconds> due, int limit);
  /// Asks for a run of each of the times, unless that has changed since they were looked for. Answers how
  /// many there are. errc::conflict as request_run.
  asio::awaitable<result<std::int64_t>> backfill(schedule_id id,
                                                 range where,
                                                 std::vector<std::chrono::sys_seconds> times,
                                                 std::string actor,
                                                 std::optional<idempotency_claim> claim,
                                                 instant now);
  /// How many runs the backfill of this line of the audit log asked for.
  asio::awaitable<result<std::int64_t>> backfilled(std::int64_t audit_id);

  /// Ends a run that waits, and asks the one that is running to end. errc::not_found; errc::conflict when it
  /// is over, or as request_run.
  asio::awaitable<result<schedule_run>>
  cancel(schedule_id id, run_id run, std::string actor, std::optional<idempotency_claim> claim, instant now);

private:
  database& db_;
};

} // namespace skyengine::db
