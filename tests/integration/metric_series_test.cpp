#include "actors/cleaner.hpp"
#include "db/clean_up_store.hpp"
#include "db/hold_store.hpp"
#include "db/metric_series_store.hpp"
#include "tests/support/at_end.hpp"
#include "tests/support/engine.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/postgres.hpp"

#include <caf/send.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

namespace skyengine {
namespace {

using namespace std::chrono_literals;
using db::metric_step;
using std::chrono::sys_days;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr sys_days first_day = std::chrono::year{2026} / 3 / 30;

/// What was observed of servers 1 to 3, on two days at the turn of a month.
class MetricSeries : public testing::Test {
protected:
  MetricSeries() {
    EXPECT_TRUE(test::run(loop, database.connect()));
    sql(R"(
      INSERT INTO users (id, name, email, created_at, updated_at) VALUES (1, 'u', 'u@example.com', now(), now());
      INSERT INTO plans (id, name, currency, virtfusion_package_id, created_at, updated_at)
      VALUES ('small', 's', 'USD', 1, now(), now());
      INSERT INTO regions VALUES ('r', 'r', 1, true, now(), now());
      INSERT INTO servers (user_id, plan_id, region_id, wants_ipv6, state, virtfusion_id, created_at, last_event_at)
      SELECT 1, 'small', 'r', false, 'active', n, '2026-01-01Z', '2026-01-01Z' FROM generate_series(1, 3) AS n;
      SELECT ensure_month_partition('server_metrics', '2026-03-01Z'), ensure_month_partition('server_metrics', '2026-04-01Z');
      INSERT INTO server_metrics (server_id, observed_at, is_on, cpu_percent, memory_total, memory_used)
      VALUES (1, '2026-03-30 10:10Z', true, 10, 1000, 100), (1, '2026-03-30 10:40Z', true, 20, 1000, 300),
             (1, '2026-03-30 23:59:59Z', false, NULL, NULL, NULL), (1, '2026-03-31 00:00Z', true, 30, 1000, 500),
             (1, '2026-04-01 12:00Z', true, 40, 1000, 700), (2, '2026-03-30 10:10Z', true, 99, 1000, 900);
      INSERT INTO server_metrics (server_id, observed_at, traffic_in, traffic_out, traffic_period_at)
      VALUES (1, '2026-03-30 10:05Z', 5, 6, '2026-03-12Z'), (1, '2026-03-30 10:55Z', 7, 8, '2026-03-12Z'),
             (3, '2026-03-30 10:55Z', 1, 2, NULL))");
  }
  std::string sql(const std::string& text) const { return test::run_sql(base.url(), text); }
  std::vector<db::metric_point> points(metric_step step, std::int64_t most = 100) {
    return test::run(loop, store.points({1}, step, first_day, first_day + 72h, most)).value();
  }
  void roll_up(instant until) {
    while (test::run(loop, store.roll_up(until, 2)).value()) {
    }
  }
  static std::string text(const std::vector<db::metric_point>& all) {
    std::string out;
    const auto number = [](const auto& maybe) { return maybe ? std::to_string(*maybe) : std::string{"-"}; };
    for (const auto& one : all)
      out += number(std::optional{
               std::chrono::duration_cast<std::chrono::hours>(one.at - instant{first_day}).count()}) +
             "h " + std::to_string(one.looks) + '/' + std::to_string(one.looks_on) + ' ' + number(one.is_on) +
             " cpu " + one.cpu.value_or("-") + ' ' + one.cpu_min.value_or("-") + ' ' +
             one.cpu_max.value_or("-") + " mem " + number(one.memory_used) + ' ' +
             number(one.memory_used_min) + ' ' + number(one.memory_used_max) + " io " +
             number(one.traffic_in) + ' ' + number(one.traffic_out) + "; ";
    return out;
  }

  static constexpr const char* by_hour = "10h 2/2 1 cpu 15 10 20 mem 200 100 300 io 7 8; "
                                         "23h 1/0 0 cpu - - - mem - - - io - -; "
                                         "24h 1/1 1 cpu 30 30 30 mem 500 500 500 io - -; "
                                         "60h 1/1 1 cpu 40 40 40 mem 700 700 700 io - -; ";
  static constexpr const char* by_day = "0h 3/2 0 cpu 15 10 20 mem 200 100 300 io 7 8; "
                                        "24h 1/1 1 cpu 30 30 30 mem 500 500 500 io - -; "
                                        "48h 1/1 1 cpu 40 40 40 mem 700 700 700 io - -; ";

  test::test_database base;
  boost::asio::io_context loop{1};
  db::database database{loop.get_executor(), base.options()};
  db::metric_series_store store{database};
};

TEST_F(MetricSeries, EachObservationIsAPoint) {
  const auto all = points(metric_step::raw);
  ASSERT_THAT(all, SizeIs(7));
  EXPECT_EQ(all[0].traffic_in, 5);
  EXPECT_FALSE(all[0].is_on);
  EXPECT_EQ(all[1].cpu, "10");
  EXPECT_EQ(all[1].memory_used, 100);
  EXPECT_THAT(points(metric_step::raw, 3), SizeIs(3));
}

TEST_F(MetricSeries, HoursAndDaysAreSummedUp) {
  EXPECT_EQ(text(points(metric_step::hour)), by_hour);
  EXPECT_EQ(text(points(metric_step::day)), by_day);
}

TEST_F(MetricSeries, WhatIsRolledUpReadsTheSame) {
  for (const auto until : {first_day + 24h, first_day + 47h, first_day + 48h, first_day + 100h}) {
    roll_up(until);
    EXPECT_EQ(text(points(metric_step::hour)), by_hour);
    EXPECT_EQ(text(points(metric_step::day)), by_day);
  }
}

TEST_F(MetricSeries, ADayThatIsRolledUpInPartReadsTheSame) {
  ASSERT_TRUE(test::run(loop, store.roll_up(first_day + 24h, 2)).value());
  EXPECT_EQ(sql("SELECT count(DISTINCT server_id) FROM server_metrics_hours"), "2");
  EXPECT_EQ(text(points(metric_step::hour)), by_hour);
}

TEST_F(MetricSeries, OnlyDaysThatAreOverAreRolledUp) {
  EXPECT_FALSE(test::run(loop, store.roll_up(first_day + 24h - 1s, 2)).value());
  roll_up(first_day + 24h);
  EXPECT_EQ(sql("SELECT string_agg(DISTINCT at::date::text, ' ') FROM server_metrics_days"), "2026-03-30");
  EXPECT_EQ(sql("SELECT count(*) FROM server_metrics_days"), "3");
}

TEST_F(MetricSeries, OldMonthsGoAndHoursAndDaysStay) {
  roll_up(first_day + 72h);
  EXPECT_EQ(test::run(loop, store.drop_detail(first_day + 47h)).value(), 0) << "March is not over by then";
  EXPECT_EQ(test::run(loop, store.drop_detail(first_day + 48h)).value(), 1);
  EXPECT_EQ(sql("SELECT count(*) FROM server_metrics"), "1");
  EXPECT_EQ(text(points(metric_step::hour)), by_hour);
  EXPECT_EQ(test::run(loop, store.drop_hours(first_day + 48h)).value(), 1);
  EXPECT_EQ(text(points(metric_step::day)), by_day);
}

TEST_F(MetricSeries, WhatIsNotRolledUpIsNotDropped) {
  EXPECT_EQ(test::run(loop, store.drop_detail(first_day + 9'000h)).value(), 0);
  roll_up(first_day + 24h);
  EXPECT_EQ(test::run(loop, store.drop_detail(first_day + 9'000h)).value(), 0);
  EXPECT_EQ(sql("SELECT count(*) FROM server_metrics WHERE server_id = 1"), "7");
}

TEST_F(MetricSeries, WithoutMetricsThereIsNothingToDo) {
  sql("TRUNCATE server_metrics");
  EXPECT_FALSE(test::run(loop, store.roll_up(first_day + 9'000h, 2)).value());
  EXPECT_EQ(test::run(loop, store.drop_detail(first_day + 9'000h)).value(), 0);
  EXPECT_THAT(points(metric_step::day), IsEmpty());
}

TEST_F(MetricSeries, TheDailyCleanUpRollsUpAndDrops) {
  actors::runtime::actor_runtime runtime;
  db::database own{runtime.loop().get_executor(), base.options()};
  ASSERT_TRUE(test::run(runtime.loop(), own.connect()));
  db::clean_up_store clean_up{own};
  db::hold_store holds{own};
  actors::cleaner_options options;
  options.keep_detail = 72h;
  options.servers_at_once = 2;
  auto cleaner =
    actors::spawn_cleaner(runtime.system(), runtime.loop().get_executor(), clean_up, holds, options);
  const actors::cron_tick tick{{1}, {1}, first_day + 48h + 72h};
  const auto outcome =
    test::run(runtime.loop(), runtime.asker().ask<actors::cron_outcome>(cleaner, 20s, tick));
  ASSERT_TRUE(outcome) << outcome.error().detail;
  EXPECT_THAT(outcome->figures, HasSubstr(R"("partitions":1)"));
  EXPECT_EQ(sql("SELECT count(*) FROM server_metrics"), "1");
  EXPECT_EQ(text(points(metric_step::hour)), by_hour);
  caf::anon_send_exit(cleaner, caf::exit_reason::user_shutdown);
  cleaner = nullptr;
  test::run(runtime.loop(), own.close(1s));
}

// -- over HTTP --------------------------------------------------------------------------------------------

class ApiServerMetrics : public testing::Test {
protected:
  ApiServerMetrics() {
    test::run_sql(base.url(), R"(
      INSERT INTO servers (user_id, plan_id, region_id, wants_ipv6, state, virtfusion_id, created_at, last_event_at)
      VALUES (1, 'small', 'north', false, 'active', 1, '2026-01-01Z', '2026-01-01Z');
      SELECT ensure_month_partition('server_metrics', '2026-03-01Z');
      INSERT INTO server_metrics (server_id, observed_at, is_on, cpu_percent, memory_total, memory_used, disk_total,
                                  disk_used)
      VALUES (1, '2026-03-30 10:10Z', true, 12.5, 1000, 100, 9000, 800),
             (1, '2026-03-30 10:40Z', false, 0.25, 1000, 300, 9000, 800);
      INSERT INTO server_metrics (server_id, observed_at, traffic_in, traffic_out, traffic_period_at)
      VALUES (1, '2026-03-30 10:05Z', 5, 6, '2026-03-12Z'))");
  }
  test::api_answer ask(const std::string& query) {
    return engine.call("GET", "/v1/servers/1/metrics" + query);
  }

  test::test_database base;
  test::simulated_panel panel;
  test::engine engine{base, panel};
};

TEST_F(ApiServerMetrics, EachObservationAsItIs) {
  const auto answer = ask("?step=raw&from=2026-03-30T10:06:00Z&to=2026-03-30T10:20:00Z");
  ASSERT_EQ(answer.status, 200u) << answer.body;
  EXPECT_EQ(
    answer.body,
    R"({"serverId":1,"step":"raw","from":"2026-03-30T10:06:00Z","to":"2026-03-30T10:20:00Z","points":[)"
    R"({"time":"2026-03-30T10:10:00Z","power":"on","cpuPercent":12.5,"memoryUsedBytes":100,)"
    R"("memoryTotalBytes":1000,"diskUsedBytes":800,"diskTotalBytes":9000,"trafficInBytes":null,)"
    R"("trafficOutBytes":null,"trafficPeriodStart":null}]})");
}

TEST_F(ApiServerMetrics, ByTheHourWithMeansAndExtremes) {
  const auto answer = ask("?from=2026-03-30T10:30:00Z&to=2026-03-30T10:31:00Z");
  ASSERT_EQ(answer.status, 200u) << answer.body;
  EXPECT_EQ(
    answer.body,
    R"({"serverId":1,"step":"hour","from":"2026-03-30T10:00:00Z","to":"2026-03-30T11:00:00Z","points":[)"
    R"({"time":"2026-03-30T10:00:00Z","power":"off","cpuPercent":6.375,"memoryUsedBytes":200,)"
    R"("memoryTotalBytes":1000,"diskUsedBytes":800,"diskTotalBytes":9000,"trafficInBytes":5,"trafficOutBytes":6,)"
    R"("trafficPeriodStart":"2026-03-12T00:00:00Z","looks":2,"looksOn":1,"cpuPercentMin":0.25,)"
    R"("cpuPercentMax":12.5,"memoryUsedBytesMin":100,"memoryUsedBytesMax":300,"diskUsedBytesMin":800,)"
    R"("diskUsedBytesMax":800}]})");
}

TEST_F(ApiServerMetrics, WithoutAQueryTheLastWeekByTheHour) {
  const auto answer = ask("");
  EXPECT_EQ(answer.status, 200u) << answer.body;
  EXPECT_EQ(answer.at("/step").as_string(), "hour");
  EXPECT_TRUE(answer.at("/points").as_array().empty());
}

TEST_F(ApiServerMetrics, AUserSeesOnlyItsOwn) {
  EXPECT_EQ(engine.call_as(engine.user_1_key, "GET", "/v1/servers/1/metrics").status, 200u);
  EXPECT_EQ(engine.call_as(engine.user_2_key, "GET", "/v1/servers/1/metrics").status, 404u);
  EXPECT_EQ(engine.call("GET", "/v1/servers/2/metrics").status, 404u);
  EXPECT_EQ(engine.call("GET", "/v1/servers/x/metrics").status, 404u);
  const auto narrow = engine.make_key(user_id{1}, {"servers:write"});
  EXPECT_EQ(engine.call_as(narrow, "GET", "/v1/servers/1/metrics").status, 403u);
}

TEST_F(ApiServerMetrics, WhatCannotBeReadIsRefusedByName) {
  const auto answer = ask("?from=yesterday&step=week&limit=5");
  EXPECT_EQ(answer.status, 400u) << answer.body;
  for (const auto* field : {"from", "step", "limit"})
    EXPECT_THAT(answer.body, HasSubstr("\"field\":\"" + std::string{field}));
  EXPECT_EQ(ask("?step=raw&step=day").status, 400u);
}

TEST_F(ApiServerMetrics, ARefusalHasTheWordsOfTheOtherLists) {
  const auto detail = [this](const std::string& query) {
    const auto answer = ask(query);
    EXPECT_EQ(answer.status, 400u) << answer.body;
    return std::string{answer.at("/detail").as_string()};
  };
  EXPECT_EQ(detail("?limit=3"), "query parameter limit: is unknown");
  EXPECT_EQ(detail("?step=week"), "query parameter step: is not one of raw, hour, day");
  EXPECT_EQ(detail("?to=2026-03-30T00:00:00Z&to=2026-03-31T00:00:00Z"), "query parameter to: is given twice");
  EXPECT_EQ(detail("?from=2026-03-31T00:00:00Z&to=2026-03-30T00:00:00Z"),
            "query parameter to: is before from");
  for (const auto* query : {"?from=2026-03-31T00:00:00Z&to=2026-03-30T00:00:00Z", "?from=2026-03-31T00:00:00",
                            "?colour=red", "?to=now"})
    EXPECT_EQ(engine.call("GET", "/v1/servers/1/charges" + std::string{query}).at("/detail"),
              ask(query).at("/detail"))
      << query;
}

TEST_F(ApiServerMetrics, ATimeThatIsYetToComeHasNoPoints) {
  for (const auto* step : {"raw", "hour", "day"}) {
    const auto from = std::string{"?step="} + step + "&from=9998-12-05T00:00:00Z";
    for (const auto& query : {from, from + "&to=9998-12-06T00:00:00Z", from + "&to=9998-12-05T00:00:00Z"}) {
      const auto answer = ask(query);
      ASSERT_EQ(answer.status, 200u) << answer.body;
      EXPECT_EQ(answer.at("/from").as_string(), "9998-12-05T00:00:00Z") << query;
      EXPECT_EQ(answer.at("/to").as_string(), "9998-12-05T00:00:00Z") << query;
      EXPECT_TRUE(answer.at("/points").as_array().empty()) << query;
    }
  }
}

TEST_F(ApiServerMetrics, TooManyPointsAreRefusedWithTheWayOut) {
  const auto hours = ask("?step=hour&from=2026-01-01T00:00:00Z&to=2026-03-30T00:00:00Z");
  EXPECT_EQ(hours.status, 422u) << hours.body;
  EXPECT_THAT(hours.body, HasSubstr("step=day"));
  EXPECT_EQ(ask("?step=day&from=2026-01-01T00:00:00Z&to=2026-03-30T00:00:00Z").status, 200u);
  EXPECT_EQ(ask("?step=day&from=0000-01-01T00:00:00Z").status, 422u);
  EXPECT_EQ(ask("?step=hour&from=2026-03-30T00:00:00Z&to=9999-12-31T23:59:59Z").status, 422u);
  EXPECT_EQ(ask("?from=2026-03-30T00:00:00Z&to=2026-03-30T00:00:00Z").status, 200u);
  test::run_sql(
    base.url(),
    "INSERT INTO server_metrics (server_id, observed_at, is_on) SELECT 1, '2026-03-10Z'::timestamptz "
    "+ n * interval '1 minute', true FROM generate_series(0, 1000) AS n");
  const auto raw = ask("?step=raw&from=2026-03-10T00:00:00Z&to=2026-03-11T00:00:00Z");
  EXPECT_EQ(raw.status, 422u) << raw.body;
  EXPECT_THAT(raw.body, HasSubstr("step=hour"));
  EXPECT_EQ(
    ask("?step=raw&from=2026-03-10T00:01:00Z&to=2026-03-11T00:00:00Z").at("/points").as_array().size(),
    1000u);
}

} // namespace
} // namespace skyengine
