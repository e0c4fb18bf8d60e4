#pragma once

#include "db/database.hpp"
#include "domain/schedule.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine::db {

/// Waits that outlive a restart are told by the system's clock.
using real_time = std::chrono::sys_time<std::chrono::microseconds>;

/// A run that is not over, or that a node which is gone has ended once too often.
struct open_run {
  schedule_run run;
  /// How often it was begun since it was last asked for, but for the times when its node was gone.
  int tries = 0;
  bool is_cancel_requested = false;
};

/// What a schedule's timer wants written: its runs, and when it is due next.
struct firing {
  struct due_run {
    std::chrono::sys_seconds scheduled_at;
    /// queued, running (begun with this) or skipped.
    run_state state = run_state::queued;
    std::optional<real_time> not_before;
    /// For the timer alone: it waits in line for those before it, whatever the overlap.
    bool is_backlog = false;
    /// Why it is skipped.
    std::string_view reason = {};
  };
  schedule_id schedule;
  /// Nothing is written when the schedule was changed since.
  std::int64_t version = 1;
  std::optional<std::chrono::sys_seconds> next_at;
  std::vector<due_run> runs;
};

/// The runs that were written: of a time that has its run already there is none.
struct fired {
  struct added_run {
    run_id run;
    schedule_id schedule;
    std::chrono::sys_seconds scheduled_at;
  };
  std::vector<added_run> runs;
  /// The schedules whose version was still that one.
  std::vector<schedule_id> moved;
};

/// What became of one attempt.
struct run_end {
  run_id run;
  /// queued: it is tried again, at `not_before`.
  run_state state = run_state::succeeded;
  std::optional<real_time> not_before;
  std::string figures = "{}";
  std::optional<error> failure;
};

/// Who writes: the node that holds the timer. What it wants is refused once it does not hold it any more.
struct timer_holder {
  std::string node;
  std::int64_t token = 0;
};

/// Schedules and runs, for the one timer that fires them.
/// Where a method of the holder answers nullopt or false, the timer is another's, or the run has moved on.
class cron_store {
public:
  virtual ~cron_store() = default;

  /// Makes the node the one that fires; false while another node that lives does.
  virtual asio::awaitable<result<bool>> take_timer(timer_holder who) = 0;

  struct changes {
    std::vector<schedule> schedules;
    /// Where to go on from.
    std::int64_t last = 0;
  };
  /// Schedules that were made or changed after `last`; 0: all.
  virtual asio::awaitable<result<changes>> changed_after(std::int64_t last) = 0;

  /// What is queued (of each schedule at most the first `most_waiting_runs`) and what the holder is running,
  /// in the order in which it was due. What a node that is gone was running is queued again, or has failed by
  /// that once too often, with an alert in the outbox: then it is among them this once. With `only`, that run
  /// alone.
  static constexpr std::int64_t most_waiting_runs = 1'000;
  virtual asio::awaitable<result<std::vector<open_run>>>
  open_runs(timer_holder who, instant now, std::optional<run_id> only) = 0;

  /// One transaction: the runs, and the next times. `system_now` (nullopt: not compared) and the database's
  /// clock must agree within a minute: errc::conflict with `clocks_differ` as its detail.
  virtual asio::awaitable<result<std::optional<fired>>>
  fire(timer_holder who, std::vector<firing> wanted, instant now, std::optional<real_time> system_now) = 0;
  static constexpr std::string_view clocks_differ = "the clocks of this node and of the database differ";

  /// Begins a queued run. Clocks as with fire.
  virtual asio::awaitable<result<bool>>
  begin(timer_holder who, run_id run, instant now, std::optional<real_time> system_now) = 0;

  /// The holder shuts down in order: that its runs are begun anew elsewhere is no sign against them.
  virtual asio::awaitable<result<>> let_go(timer_holder who) = 0;

  /// When the latest time that succeeded did so, by schedule.
  virtual asio::awaitable<result<std::map<std::string, std::chrono::sys_seconds>>> last_successes() = 0;

  struct ended {
    run_id run;
    /// What it was ended with; cancelled where it was to be tried again, and somebody cancelled it.
    run_state state = run_state::succeeded;
    /// Failed runs of its schedule in a row.
    int failures = 0;
    /// The schedule was paused by this.
    bool is_paused = false;
  };
  /// Ends attempts, at most one of each schedule, and counts them with their schedules; the alerts that
  /// follow go to the outbox. Runs that have moved on are not in the answer.
  virtual asio::awaitable<result<std::vector<ended>>>
  end(timer_holder who, std::vector<run_end> attempts, instant now) = 0;
};

/// In PostgreSQL.
class postgres_cron_store final : public cron_store {
public:
  explicit postgres_cron_store(database& db) : db_(db) {}

  asio::awaitable<result<bool>> take_timer(timer_holder who) override;
  asio::awaitable<result<changes>> changed_after(std::int64_t last) override;
  asio::awaitable<result<std::vector<open_run>>>
  open_runs(timer_holder who, instant now, std::optional<run_id> only) override;
  asio::awaitable<result<std::optional<fired>>> fire(timer_holder who,
                                                     std::vector<firing> wanted,
                                                     instant now,
                                                     std::optional<real_time> system_now) override;
  asio::awaitable<result<bool>>
  begin(timer_holder who, run_id run, instant now, std::optional<real_time> system_now) override;
  asio::awaitable<result<>> let_go(timer_holder who) override;
  asio::awaitable<result<std::map<std::string, std::chrono::sys_seconds>>> last_successes() override;
  asio::awaitable<result<std::vector<ended>>>
  end(timer_holder who, std::vector<run_end> attempts, instant now) override;

private:
  database& db_;
};

} // namespace skyengine::db
