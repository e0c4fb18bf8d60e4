#pragma once

#include "domain/clock.hpp"
#include "domain/cron_expression.hpp"
#include "domain/schedule.hpp"
#include "domain/time_zone.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <vector>

namespace skyengine {

/// A time that is due.
struct due_time {
  std::chrono::sys_seconds at;
  /// It was due so long ago that the engine cannot have been there.
  bool is_missed = false;
  /// As the schedule's catch-up has it: to be run, or skipped.
  bool is_run = true;
};

struct due_times {
  /// In order.
  std::vector<due_time> times;
  /// The first time that is not among them; nullopt when there is none any more.
  std::optional<std::chrono::sys_seconds> next;
};

/// What falls due from `next_at` up to `now`, at most `most` times of it; the rest begins at `next`. A time
/// is missed when it is longer than `punctuality` ago; missed times beyond the catch-up window are left out.
due_times plan_due(const schedule& what,
                   const cron_expression& expression,
                   const time_zone& zone,
                   std::chrono::sys_seconds next_at,
                   instant now,
                   std::chrono::microseconds punctuality,
                   std::size_t most);

/// The last time at or before `at`, looked for over the ten years before; nullopt when there is none.
std::optional<std::chrono::sys_seconds>
last_due(const cron_expression& expression, const time_zone& zone, std::chrono::sys_seconds at);

} // namespace skyengine
