#include "db/cron_store.hpp"

#include "db/schedule_rows.hpp"

#include <limits>

namespace skyengine::db {

namespace {

constexpr auto never = std::numeric_limits<std::int64_t>::min();

constexpr statement take_cron{"cron_take", R"sql(
  INSERT INTO singletons AS l (name, node, token) VALUES ('cron', $1, $2::bigint)
  ON CONFLICT (name) DO UPDATE SET node = excluded.node, token = excluded.token
   WHERE l.token = excluded.token
      OR NOT EXISTS (SELECT FROM nodes n WHERE n.token = l.token AND n.lease_until > clock_timestamp())
  RETURNING l.token)sql"};

constexpr statement list_changes{"cron_changes", "SELECT" SKYENGINE_SCHEDULE_COLUMNS R"sql(, s.change
    FROM schedules s WHERE s.change > $1::bigint ORDER BY s.change)sql"};

// Who may write is locked, so that a successor waits for what is being written.
#define SKYENGINE_CRON_HOLDER                                                                                \
  R"sql(
  WITH holder AS (
    SELECT l.node, l.token FROM singletons l JOIN nodes n ON n.token = l.token
     WHERE l.name = 'cron' AND l.token = $1::bigint AND n.lease_until > clock_timestamp()
       FOR SHARE OF l))sql"

// What a node that is gone was running waits again; one that shut down in order did not end by it.
constexpr statement take_runs{"cron_open_runs", SKYENGINE_CRON_HOLDER R"sql(,
  lost AS (
    SELECT r.id, CASE WHEN r.cancel_requested THEN 'cancelled'
                      WHEN NOT r.let_go AND r.interruptions >= $3::integer THEN 'failed' ELSE 'queued' END AS state
      FROM runs r, holder h WHERE r.state = 'running' AND r.token <> h.token
       FOR UPDATE OF r),
  orphans AS (
    UPDATE runs r
       SET state = l.state, ended_at = CASE WHEN l.state <> 'queued' THEN $2::timestamptz END,
           error_code = CASE WHEN l.state = 'failed' THEN 'internal' END,
           error_detail = CASE WHEN l.state = 'failed' THEN 'the node ended each time while it ran' END,
           interruptions = r.interruptions + (NOT r.let_go)::integer, tries = greatest(r.tries - 1, 0), let_go = false,
           deadline = NULL, node = NULL, token = NULL
      FROM lost l WHERE r.id = l.id
    RETURNING r.*),
  counted AS (
    UPDATE schedules s SET failures = s.failures + f.runs
      FROM (SELECT schedule_id, count(*) AS runs FROM orphans WHERE state = 'failed' GROUP BY schedule_id) AS f
     WHERE s.id = f.schedule_id
    RETURNING s.name, s.failures),
  told AS (
    INSERT INTO outbox (kind, subject, body, created_at)
    SELECT 'alert', 'cron_failing ' || name,
           jsonb_build_object('alert', 'cron_failing', 'schedule', name, 'failures', failures,
                              'error', 'the node ended each time while it ran'),
           $2::timestamptz
      FROM counted),
  still_open AS (
    SELECT * FROM orphans WHERE state IN ('queued', 'failed')
    UNION ALL
    SELECT r.* FROM runs r, holder h WHERE r.state = 'queued' OR (r.state = 'running' AND r.token = h.token)),
  ranked AS (
    SELECT *, row_number() OVER (PARTITION BY schedule_id, state ORDER BY scheduled_at, id) AS place FROM still_open
     WHERE $5::bigint IS NULL OR id = $5::bigint)
  SELECT)sql" SKYENGINE_RUN_COLUMNS R"sql(, r.tries, r.cancel_requested
    FROM ranked r WHERE r.state <> 'queued' OR r.place <= $4::bigint ORDER BY r.scheduled_at, r.id)sql"};

constexpr statement fire_schedules{"cron_fire", SKYENGINE_CRON_HOLDER R"sql(,
  clocks AS (
    SELECT coalesce(abs(extract(epoch FROM clock_timestamp() - $3::timestamptz)) <= 60, true) AS agree),
  moved AS (
    UPDATE schedules s SET next_at = to_timestamp(nullif(d.next_at, $4::bigint))
      FROM unnest($5::bigint[], $6::bigint[], $7::bigint[]) AS d (id, version, next_at), holder, clocks
     WHERE s.id = d.id AND s.version = d.version AND NOT s.paused AND clocks.agree
    RETURNING s.id, s.timeout),
  added AS (
    INSERT INTO runs (schedule_id, scheduled_at, state, attempts, tries, deadline, not_before, node, token, started_at,
                      ended_at, error_code, error_detail)
    SELECT r.schedule, to_timestamp(r.scheduled_at), r.state, (r.state = 'running')::integer,
           (r.state = 'running')::integer,
           CASE WHEN r.state = 'running' THEN clock_timestamp() + make_interval(secs => m.timeout) END,
           to_timestamp(nullif(r.not_before, $4::bigint) / 1000000.0),
           CASE WHEN r.state = 'running' THEN h.node END, CASE WHEN r.state = 'running' THEN h.token END,
           CASE WHEN r.state = 'running' THEN $2::timestamptz END, CASE WHEN r.state = 'skipped' THEN $2::timestamptz END,
           CASE WHEN r.state = 'skipped' THEN 'conflict' END, nullif(r.reason, '')
      FROM unnest($8::bigint[], $9::bigint[], $10::text[], $11::bigint[], $12::text[])
             AS r (schedule, scheduled_at, state, not_before, reason)
      JOIN moved m ON m.id = r.schedule, holder h
    ON CONFLICT (schedule_id, scheduled_at) DO NOTHING
    RETURNING id, schedule_id, scheduled_at)
  SELECT c.agree, m.id AS schedule_id, NULL::bigint AS id, NULL::bigint AS scheduled_at
    FROM holder CROSS JOIN clocks c LEFT JOIN moved m ON true
   UNION ALL
  SELECT true, schedule_id, id, extract(epoch FROM scheduled_at)::bigint FROM added)sql"};

// Begun again by the same holder, it has begun: the first answer may have been lost.
constexpr statement begin_run{"cron_begin", SKYENGINE_CRON_HOLDER R"sql(,
  clocks AS (
    SELECT coalesce(abs(extract(epoch FROM clock_timestamp() - $4::timestamptz)) <= 60, true) AS agree),
  begun AS (
    UPDATE runs r
       SET state = 'running', attempts = r.attempts + (r.state = 'queued')::integer,
           tries = r.tries + (r.state = 'queued')::integer, not_before = NULL, node = h.node, token = h.token,
           deadline = clock_timestamp() + make_interval(secs => s.timeout), started_at = $3::timestamptz,
           error_code = NULL, error_detail = NULL
      FROM holder h, schedules s, clocks c
     WHERE r.id = $2::bigint AND s.id = r.schedule_id AND c.agree
       AND ((r.state = 'queued' AND NOT r.cancel_requested) OR (r.state = 'running' AND r.token = h.token))
    RETURNING 1)
  SELECT c.agree, (SELECT count(*) FROM begun) AS moved FROM clocks c)sql"};

// No more is let go of than what this node runs.
constexpr statement let_runs_go{"cron_let_go", SKYENGINE_CRON_HOLDER R"sql(
  UPDATE runs r SET let_go = true FROM holder h WHERE r.state = 'running' AND r.token = h.token)sql"};

constexpr statement list_successes{"cron_last_successes", R"sql(
  SELECT s.name, extract(epoch FROM r.ended_at)::bigint AS at
    FROM schedules s
   CROSS JOIN LATERAL (SELECT ended_at FROM runs WHERE schedule_id = s.id AND state = 'succeeded'
                        ORDER BY scheduled_at DESC LIMIT 1) AS r)sql"};

constexpr statement end_runs{"cron_end", SKYENGINE_CRON_HOLDER R"sql(,
  -- What was cancelled meanwhile, or is of a schedule that was paused, is not tried again.
  wanted AS (
    SELECT r.id,
           CASE WHEN d.state = 'queued' AND r.cancel_requested THEN 'cancelled'
                WHEN d.state = 'queued' AND s.paused AND NOT r.manual THEN 'failed' ELSE d.state END AS state,
           d.not_before, d.figures, d.code, d.detail
      FROM unnest($4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[])
             AS d (id, state, not_before, figures, code, detail)
      JOIN runs r ON r.id = d.id JOIN schedules s ON s.id = r.schedule_id, holder h
     WHERE r.state = 'running' AND r.token = h.token
       FOR UPDATE OF r),
  ended AS (
    UPDATE runs r
       SET state = d.state, ended_at = CASE WHEN d.state <> 'queued' THEN $2::timestamptz END,
           not_before = CASE WHEN d.state = 'queued'
                             THEN to_timestamp(nullif(d.not_before, $3::bigint) / 1000000.0) END,
           figures = d.figures::jsonb, error_code = nullif(d.code, ''), error_detail = nullif(d.detail, ''),
           deadline = NULL,
           node = CASE WHEN d.state <> 'queued' THEN r.node END,
           token = CASE WHEN d.state <> 'queued' THEN r.token END
      FROM wanted d WHERE r.id = d.id
    RETURNING r.id, r.schedule_id, r.state, r.error_detail),
  counts AS (
    SELECT s.id, e.error_detail, f.has_failed, f.failures,
           coalesce(NOT s.paused AND f.has_failed AND f.failures >= s.pause_after, false) AS pauses
      FROM ended e
      JOIN schedules s ON s.id = e.schedule_id
     CROSS JOIN LATERAL (
        SELECT e.state IN ('failed', 'timed_out') AS has_failed,
               CASE WHEN e.state = 'succeeded' THEN 0 WHEN e.state IN ('failed', 'timed_out') THEN s.failures + 1
                    ELSE s.failures END AS failures) AS f),
  -- Changes are numbered in the order in which they are seen: before any row is locked.
  numbering AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtext('schedule_changes')) FROM counts WHERE pauses LIMIT 1),
  counted AS (
    UPDATE schedules s
       SET failures = c.failures, paused = s.paused OR c.pauses,
           note = CASE WHEN c.pauses THEN 'paused after ' || c.failures || ' failed runs in a row' ELSE s.note END,
           next_at = CASE WHEN c.pauses THEN NULL ELSE s.next_at END,
           version = s.version + c.pauses::integer,
           change = CASE WHEN c.pauses THEN nextval('schedule_changes') ELSE s.change END
      FROM counts c LEFT JOIN numbering ON true WHERE s.id = c.id AND c.failures <> s.failures
    RETURNING s.id, s.name, s.failures, s.alert_after, c.has_failed, c.pauses, c.error_detail),
  stopped AS (
    UPDATE runs r
       SET state = CASE WHEN r.error_code IS NULL THEN 'skipped' ELSE 'failed' END, ended_at = $2::timestamptz,
           error_code = coalesce(r.error_code, 'conflict'),
           error_detail = coalesce(r.error_detail, 'the schedule was paused before it began')
      FROM counts c WHERE c.pauses AND r.schedule_id = c.id AND r.state = 'queued'),
  logged AS (
    INSERT INTO audit_log (at, actor, action, target, detail)
    SELECT $2::timestamptz, 'engine', 'paused', 'schedule ' || c.name, jsonb_build_object('failures', c.failures)
      FROM counted c WHERE c.pauses),
  told AS (
    INSERT INTO outbox (kind, subject, body, created_at)
    SELECT 'alert', a.kind || ' ' || c.name,
           jsonb_build_object('alert', a.kind, 'schedule', c.name, 'failures', c.failures, 'error', c.error_detail),
           $2::timestamptz
      FROM counted c CROSS JOIN (VALUES ('cron_failing'), ('cron_paused')) AS a (kind)
     WHERE CASE a.kind WHEN 'cron_paused' THEN c.pauses ELSE c.has_failed AND c.failures % c.alert_after = 0 END)
  SELECT e.id, e.state, coalesce(c.failures, 0) AS failures, coalesce(c.pauses, false) AS paused
    FROM ended e LEFT JOIN counted c ON c.id = e.schedule_id)sql"};

} // namespace

asio::awaitable<result<bool>> postgres_cron_store::take_timer(timer_holder who) {
  const auto taken = co_await db_.run(take_cron, who.node, who.token);
  if (!taken)
    co_return taken.error();
  co_return !taken->empty();
}

asio::awaitable<result<cron_store::changes>> postgres_cron_store::changed_after(std::int64_t last) {
  const auto found = co_await db_.run(list_changes, last);
  if (!found)
    co_return found.error();
  changes all;
  all.last = last;
  all.schedules.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i) {
    all.schedules.push_back(to_schedule((*found)[i]));
    all.last = (*found)[i].get<std::int64_t>("change");
  }
  co_return all;
}

asio::awaitable<result<std::vector<open_run>>>
postgres_cron_store::open_runs(timer_holder who, instant now, std::optional<run_id> only) {
  const auto found = co_await db_.run(take_runs, who.token, now, most_interruptions, most_waiting_runs, only);
  if (!found)
    co_return found.error();
  std::vector<open_run> all;
  all.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto r = (*found)[i];
    all.push_back(
      {to_run(r), static_cast<int>(r.get<std::int64_t>("tries")), r.get<bool>("cancel_requested")});
  }
  co_return all;
}

asio::awaitable<result<std::optional<fired>>> postgres_cron_store::fire(timer_holder who,
                                                                        std::vector<firing> wanted,
                                                                        instant now,
                                                                        std::optional<real_time> system_now) {
  std::vector<std::int64_t> schedules;
  std::vector<std::int64_t> versions;
  std::vector<std::int64_t> next;
  std::vector<std::int64_t> owners;
  std::vector<std::int64_t> times;
  std::vector<std::string> states;
  std::vector<std::int64_t> starts;
  std::vector<std::string> reasons;
  for (const auto& one : wanted) {
    schedules.push_back(one.schedule.value);
    versions.push_back(one.version);
    next.push_back(one.next_at ? one.next_at->time_since_epoch().count() : never);
    for (const auto& due : one.runs) {
      owners.push_back(one.schedule.value);
      times.push_back(due.scheduled_at.time_since_epoch().count());
      states.emplace_back(to_string(due.state));
      starts.push_back(due.not_before ? due.not_before->time_since_epoch().count() : never);
      reasons.emplace_back(due.reason);
    }
  }
  const auto written = co_await db_.run(fire_schedules, who.token, now, system_now, never, schedules,
                                        versions, next, owners, times, states, starts, reasons);
  if (!written)
    co_return written.error();
  if (written->empty())
    co_return std::optional<fired>{};
  if (!written->front().get<bool>("agree"))
    co_return error{errc::conflict, std::string{clocks_differ}};
  fired all;
  for (std::size_t i = 0; i < written->size(); ++i) {
    const auto r = (*written)[i];
    const auto owner = r.find<schedule_id>("schedule_id");
    if (!owner)
      continue;
    if (const auto added = r.find<run_id>("id"))
      all.runs.push_back({*added, *owner, seconds_in(r.get<std::int64_t>("scheduled_at"))});
    else
      all.moved.push_back(*owner);
  }
  co_return all;
}

asio::awaitable<result<bool>>
postgres_cron_store::begin(timer_holder who, run_id run, instant now, std::optional<real_time> system_now) {
  const auto begun = co_await db_.run(begin_run, who.token, run, now, system_now);
  if (!begun)
    co_return begun.error();
  if (!begun->front().get<bool>("agree"))
    co_return error{errc::conflict, std::string{clocks_differ}};
  co_return begun->front().get<std::int64_t>("moved") > 0;
}

asio::awaitable<result<>> postgres_cron_store::let_go(timer_holder who) {
  const auto done = co_await db_.run(let_runs_go, who.token);
  if (!done)
    co_return done.error();
  co_return result<>{};
}

asio::awaitable<result<std::map<std::string, std::chrono::sys_seconds>>>
postgres_cron_store::last_successes() {
  const auto found = co_await db_.run(list_successes);
  if (!found)
    co_return found.error();
  std::map<std::string, std::chrono::sys_seconds> all;
  for (std::size_t i = 0; i < found->size(); ++i)
    all.emplace((*found)[i].get<std::string>("name"), seconds_in((*found)[i].get<std::int64_t>("at")));
  co_return all;
}

asio::awaitable<result<std::vector<cron_store::ended>>>
postgres_cron_store::end(timer_holder who, std::vector<run_end> attempts, instant now) {
  std::vector<std::int64_t> runs;
  std::vector<std::string> states;
  std::vector<std::int64_t> starts;
  std::vector<std::string> figures;
  std::vector<std::string> codes;
  std::vector<std::string> details;
  for (auto& one : attempts) {
    runs.push_back(one.run.value);
    states.emplace_back(to_string(one.state));
    starts.push_back(one.not_before ? one.not_before->time_since_epoch().count() : never);
    figures.push_back(std::move(one.figures));
    codes.emplace_back(one.failure ? to_string(one.failure->code) : "");
    details.push_back(one.failure ? std::move(one.failure->detail) : "");
  }
  const auto written =
    co_await db_.run(end_runs, who.token, now, never, runs, states, starts, figures, codes, details);
  if (!written)
    co_return written.error();
  std::vector<ended> all;
  all.reserve(written->size());
  for (std::size_t i = 0; i < written->size(); ++i) {
    const auto r = (*written)[i];
    all.push_back({r.get<run_id>("id"), parse_run_state(r.get<std::string_view>("state")).value(),
                   static_cast<int>(r.get<std::int64_t>("failures")), r.get<bool>("paused")});
  }
  co_return all;
}

} // namespace skyengine::db
