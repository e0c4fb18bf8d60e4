#pragma once

#include "db/cron_store.hpp"
#include "domain/cron_expression.hpp"
#include "domain/schedule.hpp"
#include "domain/time_zone.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>

namespace skyengine::actors {

/// The runs of one schedule that wait, and those that are under way. `cron_runs` alone changes them.
class cron_line {
public:
  struct counts {
    /// All of them.
    std::size_t active = 0;
    /// Those that wait, but for the backlog.
    std::size_t queued = 0;
    /// The backlog, waiting or under way.
    std::size_t backlog = 0;
  };
  counts count() const;

private:
  friend class cron_runs;

  struct waiting_run {
    run_id run;
    std::chrono::sys_seconds scheduled_at;
    std::optional<db::real_time> not_before;
    int tries = 0;
    /// Missed, asked for later, tried again, or left by a node that is gone: one after the other, whatever
    /// the overlap.
    bool is_backlog = false;
  };

  /// In the order of their times.
  std::deque<waiting_run> queue_;
  int running_ = 0;
  /// Of these, those that were backlog.
  int running_backlog_ = 0;
};

/// A schedule as the node that fires knows it.
struct cron_schedule {
  schedule what;
  std::optional<cron_expression> expression;
  std::shared_ptr<const time_zone> zone;
  cron_line line = {};
  /// Items of the heap with another one are outdated.
  std::uint32_t generation = 0;
  bool is_firing = false;
  /// What it was changed to while its times were being written.
  std::optional<schedule> changed = std::nullopt;
};

using cron_schedules = std::unordered_map<schedule_id, cron_schedule>;

} // namespace skyengine::actors
