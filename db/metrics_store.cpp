#include "db/metrics_store.hpp"

#include <algorithm>
#include <limits>

namespace skyengine::db {

namespace {

// Arrays hold no NULL: a number that is told by nobody.
constexpr auto nothing = std::numeric_limits<std::int64_t>::min();

#define SKYENGINE_MICROS(column) "coalesce((extract(epoch FROM " column ") * 1000000)::bigint, 0)"
// What is due: never looked at stands first, then the oldest look or try.
#define SKYENGINE_DUE(depth)                                                                                 \
  R"sql(
  WITH basis AS (
    SELECT DISTINCT ON (plan_id) plan_id, basis FROM plan_prices WHERE valid_from <= $4::timestamptz
     ORDER BY plan_id, valid_from DESC),
  due AS (
    SELECT s.id, s.virtfusion_id, coalesce(o.hypervisor_id, 0) AS hypervisor,
           greatest()sql" SKYENGINE_MICROS("o." depth "_at") ", " SKYENGINE_MICROS(                          \
    "o." depth "_tried_at") R"sql() AS age
      FROM servers s
      LEFT JOIN server_observations o ON o.server_id = s.id
      LEFT JOIN basis b ON b.plan_id = s.plan_id
     WHERE s.state IN ('active', 'suspended') AND s.virtfusion_id IS NOT NULL
       AND coalesce(o.)sql" depth R"sql(_at, '-infinity')
             < CASE WHEN b.basis = 'uptime' THEN $2::timestamptz ELSE $1::timestamptz END
       AND coalesce(o.)sql" depth R"sql(_tried_at, '-infinity') < $3::timestamptz))sql"

#define SKYENGINE_DUE_PAGE                                                                                   \
  R"sql(
  SELECT id, virtfusion_id, hypervisor, age FROM due
   WHERE (age, id) > ($5::bigint, $6::bigint) AND NOT hypervisor = ANY ($7::bigint[])
   ORDER BY age, id LIMIT $8::bigint)sql"
#define SKYENGINE_DUE_REST                                                                                   \
  R"sql(
  SELECT count(*) AS count, (array_agg(id ORDER BY age, id))[1:$5::integer] AS first FROM due)sql"

constexpr statement traffic_due{"metrics_traffic_due", SKYENGINE_DUE("traffic") SKYENGINE_DUE_PAGE};
constexpr statement live_due{"metrics_live_due", SKYENGINE_DUE("live") SKYENGINE_DUE_PAGE};
constexpr statement traffic_rest{"metrics_traffic_rest", SKYENGINE_DUE("traffic") SKYENGINE_DUE_REST};
constexpr statement live_rest{"metrics_live_rest", SKYENGINE_DUE("live") SKYENGINE_DUE_REST};

constexpr statement insert_list{"metrics_write_list", R"sql(
  INSERT INTO server_observations AS o (server_id, hypervisor_id, listed_at)
  SELECT s.id, max(d.hypervisor), $3::timestamptz
    FROM unnest($1::bigint[], $2::bigint[]) AS d (id, hypervisor)
    JOIN servers s ON s.virtfusion_id = d.id AND s.state NOT IN ('failed', 'deleted')
   GROUP BY s.id ORDER BY s.id
  ON CONFLICT (server_id) DO UPDATE
     SET hypervisor_id = excluded.hypervisor_id, listed_at = greatest(o.listed_at, excluded.listed_at))sql"};

constexpr statement look_up_list{"metrics_list", R"sql(
  SELECT EXISTS (SELECT FROM server_lists WHERE tick >= to_timestamp($1::bigint)) AS is_read,
         (SELECT count(*) FROM servers WHERE state IN ('active', 'suspended') AND virtfusion_id IS NOT NULL)
           AS servers)sql"};

constexpr statement note_list{"metrics_note_list", R"sql(
  INSERT INTO server_lists AS l (tick, begun_at, ended_at)
  VALUES (to_timestamp($1::bigint), $2::timestamptz, $3::timestamptz)
  ON CONFLICT (one) DO UPDATE SET tick = excluded.tick, begun_at = excluded.begun_at, ended_at = excluded.ended_at
   WHERE l.tick <= excluded.tick)sql"};

constexpr statement ensure_month{"metrics_ensure_month",
                                 "SELECT ensure_month_partition('server_metrics', to_timestamp($1::bigint))"};

#define SKYENGINE_AT(column) "'epoch'::timestamptz + " column " * interval '1 microsecond'"

// Rows are taken in the order of their ids, so that two writers wait for each other and never lock up.
constexpr statement insert_traffic{"metrics_write_traffic", R"sql(
  WITH seen AS (
    SELECT DISTINCT ON (server) server, )sql" SKYENGINE_AT("at") R"sql( AS at, traffic_in, traffic_out,
           )sql" SKYENGINE_AT("nullif(period, $6::bigint)") R"sql( AS period_at
      FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
             AS d (server, at, traffic_in, traffic_out, period)
     ORDER BY server, at DESC),
  tried AS (
    SELECT server, max()sql" SKYENGINE_AT("at") R"sql() AS at
      FROM unnest($7::bigint[], $8::bigint[]) AS d (server, at) GROUP BY server),
  noted AS (
    INSERT INTO server_observations AS o (server_id, traffic_at, traffic_tried_at)
    SELECT server, s.at, t.at FROM seen s FULL JOIN tried t USING (server) ORDER BY server
    ON CONFLICT (server_id) DO UPDATE
       SET traffic_at = greatest(o.traffic_at, excluded.traffic_at),
           traffic_tried_at = greatest(o.traffic_tried_at, excluded.traffic_tried_at))
  INSERT INTO server_metrics AS m (server_id, observed_at, traffic_in, traffic_out, traffic_period_at)
  SELECT server, at, traffic_in, traffic_out, period_at FROM seen ORDER BY server
  ON CONFLICT (server_id, observed_at) DO UPDATE
     SET traffic_in = excluded.traffic_in, traffic_out = excluded.traffic_out,
         traffic_period_at = excluded.traffic_period_at)sql"};

// A row that a saga holds is left to the next look; what has happened to a server since it was asked is
// newer. Each span tells its user's account: those are locked first, in the order in which everybody locks
// several.
constexpr statement insert_live{"metrics_write_live", R"sql(
  WITH seen AS (
    SELECT DISTINCT ON (server) server, )sql" SKYENGINE_AT("at") R"sql( AS at,
           nullif(is_on, $12::bigint) <> 0 AS is_on,
           nullif(cpu, '')::real AS cpu, nullif(memory, $12::bigint) AS memory,
           nullif(memory_used, $12::bigint) AS memory_used, nullif(disk, $12::bigint) AS disk,
           nullif(disk_used, $12::bigint) AS disk_used
      FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
                  $8::bigint[])
             AS d (server, at, is_on, cpu, memory, memory_used, disk, disk_used)
     ORDER BY server, at DESC),
  tried AS (
    SELECT server, max()sql" SKYENGINE_AT("at") R"sql() AS at
      FROM unnest($9::bigint[], $10::bigint[]) AS d (server, at) GROUP BY server),
  noted AS (
    INSERT INTO server_observations AS o (server_id, live_at, live_tried_at, is_on)
    SELECT server, s.at, t.at, s.is_on FROM seen s FULL JOIN tried t USING (server) ORDER BY server
    ON CONFLICT (server_id) DO UPDATE
       SET live_at = greatest(o.live_at, excluded.live_at),
           live_tried_at = greatest(o.live_tried_at, excluded.live_tried_at),
           is_on = coalesce(excluded.is_on, o.is_on)),
  differing AS (
    SELECT s.id, CASE WHEN d.is_on THEN 'on' ELSE 'off' END AS power
      FROM seen d JOIN servers s ON s.id = d.server
     WHERE d.is_on IS NOT NULL AND s.power <> CASE WHEN d.is_on THEN 'on' ELSE 'off' END
       AND s.state IN ('active', 'suspended') AND s.last_event_at <= d.at
     ORDER BY s.id FOR NO KEY UPDATE OF s SKIP LOCKED),
  powered AS (
    UPDATE servers s SET power = d.power FROM differing d WHERE s.id = d.id),
  latest AS (
    SELECT d.server, date_trunc('second', d.at) AS at, d.is_on, p.first_seen, p.last_seen, p.is_on AS was_on,
           p.is_on IS NOT DISTINCT FROM d.is_on
             AND date_trunc('hour', d.at, 'UTC') <= date_trunc('hour', p.last_seen, 'UTC') + interval '1 hour' AS extends
      FROM seen d
      JOIN servers s ON s.id = d.server
     CROSS JOIN LATERAL (
        SELECT basis FROM plan_prices WHERE plan_id = s.plan_id AND valid_from <= $11::timestamptz
         ORDER BY valid_from DESC LIMIT 1) AS price
      LEFT JOIN LATERAL (
        SELECT first_seen, last_seen, is_on FROM power_spans WHERE server_id = d.server
         ORDER BY first_seen DESC LIMIT 1) AS p ON true
     WHERE price.basis = 'uptime' AND d.is_on IS NOT NULL
       AND (p.last_seen IS NULL OR date_trunc('second', d.at) >= p.last_seen)),
  accounts AS MATERIALIZED (
    SELECT a.user_id FROM billing_accounts a
     WHERE a.user_id IN (SELECT s.user_id FROM servers s JOIN latest l ON l.server = s.id)
     ORDER BY a.user_id FOR NO KEY UPDATE),
  extended AS (
    UPDATE power_spans p SET last_seen = l.at FROM latest l
     WHERE (SELECT count(*) FROM accounts) >= 0 AND l.extends AND p.server_id = l.server
       AND p.first_seen = l.first_seen AND p.last_seen < l.at),
  begun AS (
    INSERT INTO power_spans (server_id, first_seen, last_seen, is_on)
    SELECT server, at, at, is_on FROM latest
     WHERE (SELECT count(*) FROM accounts) >= 0 AND NOT extends ORDER BY server
    ON CONFLICT DO NOTHING)
  INSERT INTO server_metrics AS m (server_id, observed_at, is_on, cpu_percent, memory_total, memory_used, disk_total,
                                   disk_used)
  SELECT server, at, is_on, cpu, memory, memory_used, disk, disk_used FROM seen ORDER BY server
  ON CONFLICT (server_id, observed_at) DO UPDATE
     SET is_on = excluded.is_on, cpu_percent = excluded.cpu_percent, memory_total = excluded.memory_total,
         memory_used = excluded.memory_used, disk_total = excluded.disk_total, disk_used = excluded.disk_used)sql"};

std::int64_t micros(instant at) {
  return at.time_since_epoch().count();
}

std::chrono::sys_days month_of(instant at) {
  const std::chrono::year_month_day day{std::chrono::floor<std::chrono::days>(at)};
  return std::chrono::sys_days{day.year() / day.month() / 1};
}

template <class Observation>
std::set<std::chrono::sys_days> months_in(const std::vector<Observation>& seen) {
  std::set<std::chrono::sys_days> months;
  for (const auto& one : seen)
    months.insert(month_of(one.at));
  return months;
}

struct tried_arrays {
  explicit tried_arrays(const std::vector<failed_observation>& failed) {
    for (const auto& one : failed) {
      servers.push_back(one.server.value);
      times.push_back(micros(one.at));
    }
  }
  std::vector<std::int64_t> servers;
  std::vector<std::int64_t> times;
};

result<> done(const result<rows>& written) {
  if (!written)
    return written.error();
  return {};
}

/// Servers that are charged by uptime have a limit of their own where they are looked at live.
std::pair<std::optional<instant>, std::optional<instant>> limits_of(sync_depth depth,
                                                                    const due_limits& limits) {
  if (depth == sync_depth::traffic)
    return {limits.traffic_before, limits.traffic_before};
  return {limits.live_before, limits.uptime_before};
}

} // namespace

asio::awaitable<result<due_page>> metrics_store::due(
  sync_depth depth, due_limits limits, due_cursor after, std::set<std::int64_t> skip, std::int64_t most) {
  const auto [usual, uptime] = limits_of(depth, limits);
  const std::vector<std::int64_t> skipped(skip.begin(), skip.end());
  const auto found =
    co_await db_.run(depth == sync_depth::traffic ? traffic_due : live_due, usual, uptime,
                     limits.tried_before, limits.now, after.age, after.server, skipped, most);
  if (!found)
    co_return found.error();
  due_page page;
  page.next = after;
  page.is_last = found->size() < static_cast<std::size_t>(most);
  page.servers.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto r = (*found)[i];
    page.servers.push_back({r.get<server_id>("id"), r.get<virtfusion_server_id>("virtfusion_id"),
                            r.get<std::int64_t>("hypervisor")});
    page.next = {r.get<std::int64_t>("age"), r.get<std::int64_t>("id")};
  }
  co_return page;
}

asio::awaitable<result<due_rest>>
metrics_store::rest(sync_depth depth, due_limits limits, std::int64_t most) {
  const auto [usual, uptime] = limits_of(depth, limits);
  const auto found = co_await db_.run(depth == sync_depth::traffic ? traffic_rest : live_rest, usual, uptime,
                                      limits.tried_before, limits.now, most);
  if (!found)
    co_return found.error();
  due_rest all;
  all.count = found->front().get<std::int64_t>("count");
  for (const auto id :
       found->front().find<std::vector<std::int64_t>>("first").value_or(std::vector<std::int64_t>{}))
    all.first.push_back({id});
  co_return all;
}

asio::awaitable<result<std::int64_t>> metrics_store::write_list(std::vector<listed_observation> seen,
                                                                instant at) {
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> hypervisors;
  for (const auto& one : seen) {
    ids.push_back(one.id.value);
    hypervisors.push_back(one.hypervisor);
  }
  const auto written = co_await db_.run(insert_list, ids, hypervisors, at);
  if (!written)
    co_return written.error();
  co_return written->affected();
}

asio::awaitable<result<list_standing>> metrics_store::find_list(std::chrono::sys_seconds tick) {
  const auto found = co_await db_.run(look_up_list, tick.time_since_epoch().count());
  if (!found)
    co_return found.error();
  const auto r = found->front();
  co_return list_standing{r.get<bool>("is_read"), r.get<std::int64_t>("servers")};
}

asio::awaitable<result<>>
metrics_store::note_list_read(std::chrono::sys_seconds tick, instant begun, instant ended) {
  const auto noted = co_await db_.run(note_list, tick.time_since_epoch().count(), begun, ended);
  co_return done(noted);
}

asio::awaitable<result<>> metrics_store::ensure_months(std::set<std::chrono::sys_days> months) {
  for (const auto month : months) {
    if (months_.contains(month))
      continue;
    const auto made =
      co_await db_.run(ensure_month, std::chrono::sys_seconds{month}.time_since_epoch().count());
    if (!made)
      co_return made.error();
    months_.insert(month);
  }
  co_return result<>{};
}

asio::awaitable<result<>> metrics_store::write_traffic(observation_batch<traffic_observation> batch) {
  if (auto ensured = co_await ensure_months(months_in(batch.seen)); !ensured)
    co_return ensured;
  std::vector<std::int64_t> servers;
  std::vector<std::int64_t> times;
  std::vector<std::int64_t> received;
  std::vector<std::int64_t> sent;
  std::vector<std::int64_t> periods;
  for (const auto& one : batch.seen) {
    servers.push_back(one.server.value);
    times.push_back(micros(one.at));
    received.push_back(one.received);
    sent.push_back(one.sent);
    periods.push_back(one.period_begins_at ? micros(*one.period_begins_at) : nothing);
  }
  const tried_arrays tried{batch.failed};
  const auto written = co_await db_.run(insert_traffic, servers, times, received, sent, periods, nothing,
                                        tried.servers, tried.times);
  co_return done(written);
}

asio::awaitable<result<>> metrics_store::write_live(observation_batch<live_observation> batch, instant now) {
  if (auto ensured = co_await ensure_months(months_in(batch.seen)); !ensured)
    co_return ensured;
  std::vector<std::int64_t> servers;
  std::vector<std::int64_t> times;
  std::vector<std::int64_t> powers;
  std::vector<std::string> cpus;
  std::vector<std::int64_t> memory;
  std::vector<std::int64_t> memory_used;
  std::vector<std::int64_t> disk;
  std::vector<std::int64_t> disk_used;
  for (const auto& one : batch.seen) {
    servers.push_back(one.server.value);
    times.push_back(micros(one.at));
    powers.push_back(one.is_on ? std::int64_t{*one.is_on} : nothing);
    cpus.push_back(one.cpu_percent ? std::to_string(*one.cpu_percent) : "");
    memory.push_back(one.memory_total.value_or(nothing));
    memory_used.push_back(one.memory_used.value_or(nothing));
    disk.push_back(one.disk_total.value_or(nothing));
    disk_used.push_back(one.disk_used.value_or(nothing));
  }
  const tried_arrays tried{batch.failed};
  const auto written = co_await db_.run(insert_live, servers, times, powers, cpus, memory, memory_used, disk,
                                        disk_used, tried.servers, tried.times, now, nothing);
  co_return done(written);
}

} // namespace skyengine::db
