#include "db/schedule_store.hpp"

#include "db/claim_parts.hpp"
#include "db/schedule_rows.hpp"
#include "domain/time_format.hpp"

namespace skyengine::db {

namespace {

// What tells the timer, whichever node it is on.
#define SKYENGINE_TELL_TIMER " pg_notify('schedules_changed', '') "

#define SKYENGINE_LAST_RUN                                                                                   \
  " LEFT JOIN LATERAL (SELECT * FROM runs WHERE schedule_id = s.id ORDER BY scheduled_at DESC LIMIT 1) AS r" \
  " ON true "

constexpr statement find_schedule{"schedule_find",
                                  "SELECT" SKYENGINE_SCHEDULE_COLUMNS "," SKYENGINE_RUN_COLUMNS
                                  "FROM schedules s" SKYENGINE_LAST_RUN "WHERE s.name = $1"};
constexpr statement list_schedules{"schedule_list",
                                   "SELECT" SKYENGINE_SCHEDULE_COLUMNS "," SKYENGINE_RUN_COLUMNS
                                   "FROM schedules s" SKYENGINE_LAST_RUN
                                   "WHERE s.name > $1 ORDER BY s.name LIMIT $2::integer"};

constexpr statement change_schedule{"schedule_change", R"sql(
  WITH numbering AS MATERIALIZED (
    -- Changes are numbered in the order in which they are seen.
    SELECT pg_advisory_xact_lock(hashtext('schedule_changes'))),
  changed AS (
    UPDATE schedules
       SET expression = $3, timezone = $4, paused = $5::boolean, note = $6, catch_up = $7,
           catch_up_window = $8::bigint, overlap = $9, timeout = $10::bigint, jitter = $11::bigint,
           retries = $12::integer, alert_after = $13::integer, pause_after = $14::integer,
           next_at = CASE WHEN $15::boolean THEN to_timestamp($16::bigint) ELSE next_at END,
           failures = CASE WHEN paused AND NOT $5::boolean THEN 0 ELSE failures END,
           version = version + 1, change = nextval('schedule_changes')
      FROM numbering
     WHERE id = $1::bigint AND version = $2::bigint
    RETURNING id, name, paused),
  -- A pause ends what waits; a try that has failed stays failed.
  stopped AS (
    UPDATE runs r
       SET state = CASE WHEN r.error_code IS NULL THEN 'skipped' ELSE 'failed' END, ended_at = $18::timestamptz,
           error_code = coalesce(r.error_code, 'conflict'),
           error_detail = coalesce(r.error_detail, 'the schedule was paused before it began')
      FROM changed c WHERE c.paused AND $15::boolean AND r.schedule_id = c.id AND r.state = 'queued'),
  left_behind AS (
    INSERT INTO runs (schedule_id, scheduled_at, state, ended_at, error_code, error_detail)
    SELECT c.id, to_timestamp(t.at), 'skipped', $18::timestamptz, 'conflict', 'the schedule was changed before it began'
      FROM changed c, unnest($17::bigint[]) AS t (at)
    ON CONFLICT (schedule_id, scheduled_at) DO NOTHING),
  logged AS (
    INSERT INTO audit_log (at, actor, action, target, detail)
    SELECT $18::timestamptz, $19, 'changed', 'schedule ' || name, $20::jsonb FROM changed)
  SELECT)sql" SKYENGINE_TELL_TIMER "FROM changed"};

constexpr statement list_runs{"run_list", "SELECT" SKYENGINE_RUN_COLUMNS R"sql(FROM runs r
   WHERE r.schedule_id = $1::bigint AND r.scheduled_at < coalesce(to_timestamp($2::bigint), 'infinity')
     AND ($4::text IS NULL OR r.state = $4)
   ORDER BY r.scheduled_at DESC LIMIT $3::integer)sql"};
constexpr statement find_one_run{"run_find", "SELECT" SKYENGINE_RUN_COLUMNS R"sql(FROM runs r
   WHERE r.id = $1::bigint AND r.schedule_id = $2::bigint)sql"};

// A run that is over waits for its turn again, as if it were new; its attempts go on being counted.
#define SKYENGINE_QUEUE_AGAIN                                                                                \
  "state = 'queued', manual = true, interruptions = 0, not_before = NULL, cancel_requested = false, "        \
  "tries = 0, let_go = false, node = NULL, token = NULL, started_at = NULL, ended_at = NULL, figures = "     \
  "'{}', error_code = NULL, "                                                                                \
  "error_detail = NULL "

constexpr statement request_one_run{"run_request", R"sql(
  WITH put AS (
    INSERT INTO runs AS r (schedule_id, scheduled_at, state, manual)
    VALUES ($1::bigint, to_timestamp($2::bigint), 'queued', true)
    ON CONFLICT (schedule_id, scheduled_at) DO UPDATE SET )sql" SKYENGINE_QUEUE_AGAIN R"sql(
     WHERE r.state <> 'running' AND NOT (r.state = 'succeeded' AND $3::boolean)
    RETURNING r.*),
  there AS (
    SELECT * FROM put
    UNION ALL
    SELECT * FROM runs WHERE schedule_id = $1::bigint AND scheduled_at = to_timestamp($2::bigint)
                         AND NOT EXISTS (SELECT FROM put)),
  bound AS (
    INSERT INTO idempotency_keys (caller, key, method, path, body_hash, run_id, created_at)
    SELECT $6, $7, $8, $9, decode($10, 'hex'), id, $5::timestamptz FROM there WHERE $7::text IS NOT NULL),
  logged AS (
    INSERT INTO audit_log (at, actor, action, target, detail)
    SELECT $5::timestamptz, $4, 'run', 'schedule ' || s.name, jsonb_build_object('run', p.id, 'at', $11::text)
      FROM put p JOIN schedules s ON s.id = p.schedule_id)
  SELECT)sql" SKYENGINE_RUN_COLUMNS ", EXISTS (SELECT FROM put) AS is_put," SKYENGINE_TELL_TIMER
                                                   "FROM there r"};

// The rows that a backfill runs again, by which it is.
#define SKYENGINE_BACKFILLED_STATES                                                                          \
  "(CASE $4 WHEN 'missing' THEN ARRAY['skipped'] WHEN 'failed' THEN ARRAY['failed', 'timed_out'] "           \
  "ELSE ARRAY['succeeded', 'failed', 'timed_out', 'cancelled', 'skipped'] END) "

constexpr statement find_backfill{"run_backfill_times", R"sql(
  SELECT extract(epoch FROM at)::bigint AS at
    FROM (SELECT to_timestamp(d.at) AS at FROM unnest($5::bigint[]) AS d (at)
           WHERE $4 <> 'failed'
             AND NOT EXISTS (SELECT FROM runs
                              WHERE schedule_id = $1::bigint AND scheduled_at = to_timestamp(d.at)
                                AND state <> ALL )sql" SKYENGINE_BACKFILLED_STATES R"sql()
           UNION
          SELECT scheduled_at FROM runs
           WHERE schedule_id = $1::bigint
             AND scheduled_at BETWEEN to_timestamp($2::bigint) AND to_timestamp($3::bigint)
             AND state = ANY )sql" SKYENGINE_BACKFILLED_STATES R"sql() AS times
   ORDER BY 1 LIMIT $6::integer)sql"};

constexpr statement backfill_runs{"run_backfill", R"sql(
  WITH put AS (
    INSERT INTO runs AS r (schedule_id, scheduled_at, state, manual)
    SELECT $1::bigint, to_timestamp(t.at), 'queued', true FROM unnest($5::bigint[]) AS t (at) ORDER BY t.at
    ON CONFLICT (schedule_id, scheduled_at) DO UPDATE SET )sql" SKYENGINE_QUEUE_AGAIN R"sql(
     WHERE r.state = ANY )sql" SKYENGINE_BACKFILLED_STATES R"sql(
    RETURNING 1),
  counted AS (SELECT count(*) AS runs FROM put),
  logged AS (
    INSERT INTO audit_log (at, actor, action, target, detail)
    SELECT $7::timestamptz, $6, 'backfilled', 'schedule ' || s.name,
           jsonb_build_object('from', $2::text, 'to', $3::text, 'which', $4::text, 'runs', c.runs)
      FROM schedules s, counted c WHERE s.id = $1::bigint
    RETURNING id),
  bound AS (
    INSERT INTO idempotency_keys (caller, key, method, path, body_hash, audit_id, created_at)
    SELECT $8, $9, $10, $11, decode($12, 'hex'), id, $7::timestamptz FROM logged WHERE $9::text IS NOT NULL)
  SELECT runs,)sql" SKYENGINE_TELL_TIMER "FROM counted"};

constexpr statement find_backfilled{
  "run_backfilled", "SELECT (detail->>'runs')::bigint AS runs FROM audit_log WHERE id = $1::bigint"};

// A try that has failed meanwhile is not tried again: who ends it looks at the request.
constexpr statement cancel_run{"run_cancel", R"sql(
  WITH cancelled AS (
    UPDATE runs r
       SET state = CASE WHEN r.state = 'queued' THEN 'cancelled' ELSE r.state END,
           ended_at = CASE WHEN r.state = 'queued' THEN $3::timestamptz END, not_before = NULL,
           cancel_requested = true
     WHERE r.id = $1::bigint AND r.schedule_id = $2::bigint AND r.state IN ('queued', 'running')
    RETURNING r.*),
  bound AS (
    INSERT INTO idempotency_keys (caller, key, method, path, body_hash, run_id, created_at)
    SELECT $5, $6, $7, $8, decode($9, 'hex'), id, $3::timestamptz FROM cancelled WHERE $6::text IS NOT NULL),
  logged AS (
    INSERT INTO audit_log (at, actor, action, target, detail)
    SELECT $3::timestamptz, $4, 'cancelled', 'schedule ' || s.name, jsonb_build_object('run', c.id)
      FROM cancelled c JOIN schedules s ON s.id = c.schedule_id)
  SELECT)sql" SKYENGINE_RUN_COLUMNS "," SKYENGINE_TELL_TIMER "FROM cancelled r"};

std::int64_t seconds_of(std::chrono::sys_seconds at) {
  return at.time_since_epoch().count();
}

std::vector<std::int64_t> seconds_of(const std::vector<std::chrono::sys_seconds>& times) {
  std::vector<std::int64_t> all;
  all.reserve(times.size());
  for (const auto at : times)
    all.push_back(seconds_of(at));
  return all;
}

schedule_standing to_standing(const row& r) {
  schedule_standing one{to_schedule(r), std::nullopt};
  if (r.find<run_id>("run_id"))
    one.last_run = to_run(r);
  return one;
}

} // namespace

asio::awaitable<result<schedule_standing>> schedule_store::find(std::string name) {
  const auto found = co_await db_.run(find_schedule, name);
  if (!found)
    co_return found.error();
  if (found->empty())
    co_return error{errc::not_found, "no such schedule"};
  co_return to_standing(found->front());
}

asio::awaitable<result<std::vector<schedule_standing>>> schedule_store::list(std::string after, int limit) {
  const auto found = co_await db_.run(list_schedules, after, limit);
  if (!found)
    co_return found.error();
  std::vector<schedule_standing> all;
  all.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i)
    all.push_back(to_standing((*found)[i]));
  co_return all;
}

asio::awaitable<result<bool>> schedule_store::apply(change what, std::string actor, instant now) {
  const auto& s = what.wanted;
  const auto next = s.next_at ? std::optional{seconds_of(*s.next_at)} : std::nullopt;
  const auto changed =
    co_await db_.run(change_schedule, s.id, s.version, s.expression, s.timezone, s.is_paused, s.note,
                     to_string(s.catch_up), s.catch_up_window.count(), to_string(s.overlap),
                     s.timeout.count(), s.jitter.count(), s.retries, s.alert_after, s.pause_after,
                     what.is_retimed, next, seconds_of(what.left_behind), now, actor, what.detail);
  if (!changed)
    co_return changed.error();
  co_return !changed->empty();
}

asio::awaitable<result<std::vector<schedule_run>>> schedule_store::runs(
  schedule_id id, std::optional<run_state> state, std::optional<std::chrono::sys_seconds> before, int limit) {
  const auto end = before ? std::optional{seconds_of(*before)} : std::nullopt;
  const auto found =
    co_await db_.run(list_runs, id, end, limit, state ? std::optional{to_string(*state)} : std::nullopt);
  if (!found)
    co_return found.error();
  std::vector<schedule_run> all;
  all.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i)
    all.push_back(to_run((*found)[i]));
  co_return all;
}

asio::awaitable<result<schedule_run>> schedule_store::find_run(schedule_id id, run_id run) {
  const auto found = co_await db_.run(find_one_run, run, id);
  if (!found)
    co_return found.error();
  if (found->empty())
    co_return error{errc::not_found, "no such run"};
  co_return to_run(found->front());
}

asio::awaitable<result<schedule_run>> schedule_store::request_run(schedule_id id,
                                                                  std::chrono::sys_seconds at,
                                                                  std::string actor,
                                                                  std::optional<idempotency_claim> claim,
                                                                  instant now,
                                                                  bool unless_succeeded) {
  const claim_parts part{claim};
  // A row that has changed between the statement's look and its write is seen by the next look.
  for (int tries = 0; tries < 3; ++tries) {
    const auto put =
      co_await db_.run(request_one_run, id, seconds_of(at), unless_succeeded, actor, now, part.caller,
                       part.key, part.method, part.path, part.body_hash, format_time(instant{at}));
    if (!put)
      co_return put.error();
    if (put->empty())
      continue;
    auto run = to_run(put->front());
    const auto stands =
      run.state == run_state::running || (unless_succeeded && run.state == run_state::succeeded);
    if (stands || put->front().get<bool>("is_put"))
      co_return run;
  }
  co_return error{errc::overloaded, "the run is being changed by others"};
}

asio::awaitable<result<std::vector<std::chrono::sys_seconds>>> schedule_store::backfill_times(
  schedule_id id, range where, std::vector<std::chrono::sys_seconds> due, int limit) {
  const auto found = co_await db_.run(find_backfill, id, seconds_of(where.from), seconds_of(where.to),
                                      to_string(where.which), seconds_of(due), limit);
  if (!found)
    co_return found.error();
  std::vector<std::chrono::sys_seconds> times;
  times.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i)
    times.push_back(seconds_in((*found)[i].get<std::int64_t>("at")));
  co_return times;
}

asio::awaitable<result<std::int64_t>> schedule_store::backfill(schedule_id id,
                                                               range where,
                                                               std::vector<std::chrono::sys_seconds> times,
                                                               std::string actor,
                                                               std::optional<idempotency_claim> claim,
                                                               instant now) {
  const claim_parts part{claim};
  const auto put =
    co_await db_.run(backfill_runs, id, format_time(instant{where.from}), format_time(instant{where.to}),
                     to_string(where.which), seconds_of(times), actor, now, part.caller, part.key,
                     part.method, part.path, part.body_hash);
  if (!put)
    co_return put.error();
  co_return put->front().get<std::int64_t>("runs");
}

asio::awaitable<result<std::int64_t>> schedule_store::backfilled(std::int64_t audit_id) {
  const auto found = co_await db_.run(find_backfilled, audit_id);
  if (!found)
    co_return found.error();
  co_return found->front().get<std::int64_t>("runs");
}

asio::awaitable<result<schedule_run>> schedule_store::cancel(
  schedule_id id, run_id run, std::string actor, std::optional<idempotency_claim> claim, instant now) {
  const claim_parts part{claim};
  const auto done = co_await db_.run(cancel_run, run, id, now, actor, part.caller, part.key, part.method,
                                     part.path, part.body_hash);
  if (!done)
    co_return done.error();
  if (!done->empty())
    co_return to_run(done->front());
  const auto found = co_await find_run(id, run);
  if (!found)
    co_return found.error();
  co_return error{errc::conflict, "the run is over"};
}

} // namespace skyengine::db
