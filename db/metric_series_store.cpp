#include "db/metric_series_store.hpp"

#include <chrono>
#include <utility>

namespace skyengine::db {

namespace {

#define SKYENGINE_LAST(column)                                                                               \
  "(array_agg(" column " ORDER BY observed_at DESC) FILTER (WHERE " column " IS NOT NULL))[1] AS " column

// In the order of the roll-ups' columns, behind server and time.
#define SKYENGINE_AGGREGATES                                                                                 \
  R"sql(
         count(is_on) AS looks, count(*) FILTER (WHERE is_on) AS looks_on, )sql" SKYENGINE_LAST("is_on")     \
    R"sql(,
         avg(cpu_percent)::real AS cpu, min(cpu_percent) AS cpu_min, max(cpu_percent) AS cpu_max,
         max(memory_total) AS memory_total, avg(memory_used)::bigint AS memory_used,
         min(memory_used) AS memory_used_min, max(memory_used) AS memory_used_max,
         max(disk_total) AS disk_total, avg(disk_used)::bigint AS disk_used, min(disk_used) AS disk_used_min,
         max(disk_used) AS disk_used_max, )sql" SKYENGINE_LAST("traffic_in") ", " SKYENGINE_LAST(            \
      "traffic_out") ", " SKYENGINE_LAST("traffic_period_at")

#define SKYENGINE_COLUMNS                                                                                    \
  R"sql(looks, looks_on, is_on, cpu, cpu_min, cpu_max, memory_total, memory_used, memory_used_min,
         memory_used_max, disk_total, disk_used, disk_used_min, disk_used_max, traffic_in, traffic_out,
         traffic_period_at)sql"

constexpr statement raw_points{"metric_points_raw", R"sql(
  SELECT observed_at AS at, (is_on IS NOT NULL)::integer AS looks, coalesce(is_on, false)::integer AS looks_on, is_on,
         cpu_percent AS cpu, cpu_percent AS cpu_min, cpu_percent AS cpu_max, memory_total, memory_used,
         memory_used AS memory_used_min, memory_used AS memory_used_max, disk_total, disk_used,
         disk_used AS disk_used_min, disk_used AS disk_used_max, traffic_in, traffic_out, traffic_period_at
    FROM server_metrics
   WHERE server_id = $1::bigint AND observed_at >= $2::timestamptz AND observed_at < $3::timestamptz
   ORDER BY observed_at LIMIT $4::bigint)sql"};

// What is not rolled up yet is summed up as it is asked for.
#define SKYENGINE_STEP_POINTS(table, step)                                                                   \
  R"sql(
  WITH rolled AS (SELECT coalesce((SELECT day FROM metrics_rollup), '-infinity') AS until)
  SELECT at, )sql" SKYENGINE_COLUMNS " FROM " table R"sql(
   WHERE server_id = $1::bigint AND at >= $2::timestamptz AND at < $3::timestamptz AND at < (SELECT until FROM rolled)
   UNION ALL
  SELECT date_trunc(')sql" step R"sql(', observed_at, 'UTC') AS at, )sql" SKYENGINE_AGGREGATES R"sql(
    FROM server_metrics
   WHERE server_id = $1::bigint AND observed_at >= $2::timestamptz AND observed_at < $3::timestamptz
     AND observed_at >= (SELECT until FROM rolled)
   GROUP BY date_trunc(')sql" step R"sql(', observed_at, 'UTC')
   ORDER BY at LIMIT $4::bigint)sql"

constexpr statement hour_points{"metric_points_hour", SKYENGINE_STEP_POINTS("server_metrics_hours", "hour")};
constexpr statement day_points{"metric_points_day", SKYENGINE_STEP_POINTS("server_metrics_days", "day")};

constexpr statement begin_rollup{"metrics_rollup_begin", R"sql(
  INSERT INTO metrics_rollup (day, server_id)
  SELECT date_trunc('day', min(observed_at), 'UTC'), 0 FROM server_metrics HAVING min(observed_at) IS NOT NULL
  ON CONFLICT DO NOTHING)sql"};

constexpr statement find_rollup{"metrics_rollup_find", "SELECT day, server_id FROM metrics_rollup"};

constexpr statement ensure_months{"metrics_rollup_months", R"sql(
  SELECT ensure_month_partition('server_metrics_hours', $1::timestamptz),
         ensure_month_partition('server_metrics_days', $1::timestamptz))sql"};

constexpr statement roll_up_day{"metrics_rollup_day", R"sql(
  WITH batch AS MATERIALIZED (
    SELECT id FROM servers WHERE id > $3::bigint ORDER BY id LIMIT $4::bigint),
  detail AS MATERIALIZED (
    SELECT m.* FROM batch b
      JOIN server_metrics m ON m.server_id = b.id AND m.observed_at >= $1::timestamptz
                           AND m.observed_at < $2::timestamptz),
  hours AS (
    INSERT INTO server_metrics_hours (server_id, at, )sql" SKYENGINE_COLUMNS R"sql()
    SELECT server_id, date_trunc('hour', observed_at, 'UTC'), )sql" SKYENGINE_AGGREGATES R"sql(
      FROM detail GROUP BY server_id, date_trunc('hour', observed_at, 'UTC')
    ON CONFLICT DO NOTHING),
  days AS (
    INSERT INTO server_metrics_days (server_id, at, )sql" SKYENGINE_COLUMNS R"sql()
    SELECT server_id, $1::timestamptz, )sql" SKYENGINE_AGGREGATES R"sql(
      FROM detail GROUP BY server_id
    ON CONFLICT DO NOTHING)
  UPDATE metrics_rollup r
     SET day = CASE WHEN b.count < $4::bigint THEN $2::timestamptz ELSE r.day END,
         server_id = CASE WHEN b.count < $4::bigint THEN 0 ELSE b.last END
    FROM (SELECT count(*) AS count, max(id) AS last FROM batch) AS b
   WHERE r.day = $1::timestamptz AND r.server_id = $3::bigint)sql"};

constexpr statement drop_detail_months{"metrics_drop_detail", R"sql(
  SELECT drop_month_partitions('server_metrics', least($1::timestamptz, day)) AS dropped FROM metrics_rollup)sql"};

constexpr statement drop_hour_months{"metrics_drop_hours", R"sql(
  SELECT drop_month_partitions('server_metrics_hours', $1::timestamptz) AS dropped)sql"};

metric_point to_point(const row& r) {
  metric_point one;
  one.at = r.get<instant>("at");
  one.looks = r.get<std::int64_t>("looks");
  one.looks_on = r.get<std::int64_t>("looks_on");
  one.is_on = r.find<bool>("is_on");
  one.cpu = r.find<std::string>("cpu");
  one.cpu_min = r.find<std::string>("cpu_min");
  one.cpu_max = r.find<std::string>("cpu_max");
  one.memory_total = r.find<std::int64_t>("memory_total");
  one.memory_used = r.find<std::int64_t>("memory_used");
  one.memory_used_min = r.find<std::int64_t>("memory_used_min");
  one.memory_used_max = r.find<std::int64_t>("memory_used_max");
  one.disk_total = r.find<std::int64_t>("disk_total");
  one.disk_used = r.find<std::int64_t>("disk_used");
  one.disk_used_min = r.find<std::int64_t>("disk_used_min");
  one.disk_used_max = r.find<std::int64_t>("disk_used_max");
  one.traffic_in = r.find<std::int64_t>("traffic_in");
  one.traffic_out = r.find<std::int64_t>("traffic_out");
  one.traffic_period_at = r.find<instant>("traffic_period_at");
  return one;
}

const statement& statement_of(metric_step step) {
  switch (step) {
  case metric_step::hour:
    return hour_points;
  case metric_step::day:
    return day_points;
  case metric_step::raw:
    break;
  }
  return raw_points;
}

result<std::int64_t> dropped_in(const result<rows>& done) {
  if (!done)
    return done.error();
  return done->empty() ? 0 : done->front().get<std::int64_t>("dropped");
}

} // namespace

asio::awaitable<result<std::vector<metric_point>>>
metric_series_store::points(server_id server, metric_step step, instant from, instant to, std::int64_t most) {
  const auto found = co_await db_.run(statement_of(step), server, from, to, most);
  if (!found)
    co_return found.error();
  std::vector<metric_point> all;
  all.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i)
    all.push_back(to_point((*found)[i]));
  co_return all;
}

asio::awaitable<result<bool>> metric_series_store::roll_up(instant until, std::int64_t servers_at_once) {
  auto stands = co_await db_.run(find_rollup);
  if (stands && stands->empty()) {
    if (const auto begun = co_await db_.run(begin_rollup); !begun)
      co_return begun.error();
    stands = co_await db_.run(find_rollup);
  }
  if (!stands)
    co_return stands.error();
  if (stands->empty())
    co_return false;
  const auto day = stands->front().get<instant>("day");
  const auto next_day = day + std::chrono::days{1};
  if (next_day > until)
    co_return false;
  if (const auto ensured = co_await db_.run(ensure_months, day); !ensured)
    co_return ensured.error();
  const auto rolled = co_await db_.run(roll_up_day, day, next_day,
                                       stands->front().get<std::int64_t>("server_id"), servers_at_once);
  if (!rolled)
    co_return rolled.error();
  co_return true;
}

asio::awaitable<result<std::int64_t>> metric_series_store::drop_detail(instant before) {
  const auto done = co_await db_.run(drop_detail_months, before);
  co_return dropped_in(done);
}

asio::awaitable<result<std::int64_t>> metric_series_store::drop_hours(instant before) {
  const auto done = co_await db_.run(drop_hour_months, before);
  co_return dropped_in(done);
}

} // namespace skyengine::db
