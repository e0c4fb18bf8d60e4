#pragma once

#include "db/whole_seconds.hpp"
#include "domain/schedule.hpp"

#include <chrono>
#include <cstdint>

/// The columns of `schedules s` and `runs r` that their readers below expect, for the stores' statements.
#define SKYENGINE_SCHEDULE_COLUMNS                                                                           \
  " s.id, s.name, s.handler, s.expression, s.timezone, s.paused, s.note, s.catch_up, s.catch_up_window, "    \
  "s.overlap, s.timeout, s.jitter, s.retries, s.alert_after, s.pause_after, s.failures, "                    \
  "extract(epoch FROM s.next_at)::bigint AS next_at, s.version "
#define SKYENGINE_RUN_COLUMNS                                                                                \
  " r.id AS run_id, r.schedule_id, extract(epoch FROM r.scheduled_at)::bigint AS scheduled_at, r.state, "    \
  "r.manual, r.attempts, r.interruptions, r.node, r.started_at, r.ended_at, r.figures, r.error_code, "       \
  "r.error_detail, r.not_before "

namespace skyengine::db {

schedule to_schedule(const row& r);
schedule_run to_run(const row& r);

} // namespace skyengine::db
