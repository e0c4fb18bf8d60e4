#pragma once

#include "domain/histogram.hpp"
#include "domain/ids.hpp"
#include "domain/schedule.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

/// What CronTimer and those that its ticks are for tell each other. The messages stay on their node.
namespace skyengine::actors {

/// One firing of a schedule. `scheduled_at` is when it was due, not when it arrives. The same one may come
/// again: after a failure, or when the node was gone before its end.
struct cron_tick {
  run_id run;
  schedule_id schedule;
  std::chrono::sys_seconds scheduled_at;
};

/// What a tick came to; a failure is an error in its place.
struct cron_outcome {
  /// What was counted: a JSON object.
  std::string figures = "{}";
};

/// The run's outcome is not wanted any more: end it soon.
struct cron_cancel {
  run_id run;
};

/// Whom a schedule's ticks are for.
using cron_handler_actor =
  caf::typed_actor<caf::replies_to<cron_tick>::with<cron_outcome>, caf::reacts_to<cron_cancel>>;

/// The node holds a lease under a new token: fire, where no other node does.
struct timer_lease_acquired {};
/// The lease is lost, or the node is shutting down: begin nothing more. Answered at once; runs that are under
/// way end as they may, and are begun anew by whoever fires next.
struct stop_firing {};
/// Schedules or runs were changed by somebody else.
struct schedules_changed {};

struct cron_figures_query {};

/// Upper bounds, in seconds, of the buckets of `cron_lateness_seconds`; one more bucket has the rest.
inline constexpr std::array<double, 10> lateness_buckets{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 60};

struct cron_figures {
  /// This node fires.
  bool is_firing = false;
  /// Those that are not paused, and those that are.
  std::uint64_t schedules = 0;
  std::uint64_t paused = 0;
  /// By schedule and outcome (a run_state), since the start.
  std::map<std::pair<std::string, run_state>, std::uint64_t> runs;
  /// Of runs that began without waiting for another: how much later than due, in real time.
  histogram<lateness_buckets> lateness;
  std::map<std::string, std::chrono::sys_seconds> last_success;
};

using cron_timer_actor = caf::typed_actor<caf::reacts_to<timer_lease_acquired>,
                                          caf::replies_to<stop_firing>::with<void>,
                                          caf::reacts_to<schedules_changed>,
                                          caf::replies_to<cron_figures_query>::with<cron_figures>>;

} // namespace skyengine::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::cron_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::cron_outcome)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::cron_cancel)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::timer_lease_acquired)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::stop_firing)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::schedules_changed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::cron_figures_query)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::cron_figures)
