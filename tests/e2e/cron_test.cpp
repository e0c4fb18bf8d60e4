#include "tests/support/postgres.hpp"
#include "tests/support/seed.hpp"
#include "tests/torture/world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>

namespace skyengine::torture {

namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class Cron : public testing::Test {
protected:
  static world_options one_user(int engines) {
    world_options how;
    how.users = 1;
    how.engines = engines;
    return how;
  }
  void begin(int engines) {
    on.emplace(one_user(engines));
    sql("INSERT INTO schedules (name, handler, expression, catch_up, catch_up_window, overlap, timeout) "
        "VALUES ('each-second', 'daily-clean-up', '* * * * * *', 'all', 86400, 'queue', 60); "
        "CREATE VIEW each_second AS SELECT r.* FROM runs r JOIN schedules s ON s.id = r.schedule_id "
        "WHERE s.name = 'each-second'");
  }
  std::string sql(const std::string& question) const { return test::run_sql(on->database_url(), question); }
  int succeeded() const {
    return std::stoi(sql("SELECT count(*) FROM each_second WHERE state = 'succeeded'"));
  }
  void kill_and_start(test::engine_process& engine) {
    const auto before = succeeded();
    ASSERT_TRUE(engine.eventually([&] { return succeeded() > before; })) << engine.log();
    engine.child().wait(std::chrono::milliseconds{std::uniform_int_distribution<int>{0, 1'500}(random)});
    engine.kill();
    engine.child().wait(10s);
    engine.start();
  }
  /// Every second from the first to the last has its run, which began in its turn and has succeeded unless it
  /// is under way.
  void expect_each_second_in_order() const {
    EXPECT_EQ(sql("SELECT count(*) - extract(epoch FROM max(scheduled_at) - min(scheduled_at))::bigint FROM "
                  "each_second"),
              "1")
      << "a second has no run";
    EXPECT_EQ(
      sql("SELECT count(*) FROM (SELECT scheduled_at < lag(scheduled_at) OVER (ORDER BY id) AS is_back "
          "FROM each_second) AS r WHERE is_back"),
      "0");
    EXPECT_EQ(sql("SELECT count(*) FROM each_second WHERE state NOT IN ('succeeded', 'queued', 'running')"),
              "0");
    EXPECT_EQ(
      sql("SELECT count(*) FROM (SELECT started_at < lag(started_at) OVER (ORDER BY scheduled_at) AS "
          "is_back FROM each_second WHERE state = 'succeeded' AND interruptions = 0) AS r WHERE is_back"),
      "0");
  }

  std::optional<world> on;
  std::uint64_t seed = test::seed();
  std::mt19937_64 random{seed};
};

int kills() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in a test changes the environment.
  const char* wanted = std::getenv("SKYENGINE_TEST_CRON_KILLS");
  return wanted != nullptr ? std::atoi(wanted) : 5;
}

} // namespace

TEST_F(Cron, EverySecondHasOneRunInOrderThoughTheEngineIsKilled) {
  begin(1);
  SCOPED_TRACE("SKYENGINE_TEST_SEED=" + std::to_string(seed));
  auto& engine = on->engine();
  for (int i = 0; i < kills(); ++i)
    kill_and_start(engine);
  const auto last = succeeded();
  ASSERT_TRUE(engine.eventually([&] { return succeeded() > last + 1; })) << engine.log();
  const auto metrics = engine.call("GET", "/metrics", "", {}, {{"Accept", "*/*"}}).body;
  EXPECT_THAT(metrics,
              HasSubstr(R"(skyengine_cron_runs_total{schedule="each-second",outcome="succeeded"} )"));
  EXPECT_THAT(metrics, HasSubstr("skyengine_cron_lateness_seconds_count "));
  EXPECT_THAT(metrics,
              HasSubstr(R"(skyengine_cron_last_success_timestamp_seconds{schedule="each-second"} )"));
  EXPECT_EQ(engine.terminate(), 0);
  expect_each_second_in_order();
}

TEST_F(Cron, TwoEnginesFireEachSecondOnceThoughOneOrTheOtherIsKilled) {
  begin(2);
  SCOPED_TRACE("SKYENGINE_TEST_SEED=" + std::to_string(seed));
  for (int i = 0; i < std::max(2, kills() / 2); ++i)
    kill_and_start(on->engine(random() % 2));
  const auto last = succeeded();
  ASSERT_TRUE(on->engine().eventually([&] { return succeeded() > last + 1; })) << on->engine().log();
  EXPECT_EQ(on->engine(0).terminate(), 0);
  EXPECT_EQ(on->engine(1).terminate(), 0);
  expect_each_second_in_order();
}

TEST_F(Cron, WhatAnOperatorAsksForIsDoneByTheEngineThatFires) {
  begin(2);
  ASSERT_TRUE(on->engine().eventually([&] { return succeeded() > 0; }));
  const auto firing = sql("SELECT node FROM singletons WHERE name = 'cron'");
  auto& other = on->engine(firing == "node-1" ? 1 : 0);
  const auto asked =
    other.call("POST", "/v1/cron/daily-clean-up/run", on->key(), R"({"at":"2026-03-01T00:00:00Z"})");
  ASSERT_EQ(asked.status, 202) << asked.body;
  EXPECT_TRUE(other.eventually(
    [&] { return sql("SELECT node || ' ' || state FROM runs WHERE manual") == firing + " succeeded"; }));
  EXPECT_EQ(other.call("PATCH", "/v1/cron/each-second", on->key(), R"({"paused":true})").status, 200);
  ASSERT_TRUE(other.eventually(
    [&] { return sql("SELECT count(*) FROM each_second WHERE state IN ('queued', 'running')") == "0"; }));
  const auto paused_at = sql("SELECT max(scheduled_at) FROM each_second");
  EXPECT_EQ(other.call("PATCH", "/v1/cron/each-second", on->key(), R"({"paused":false})").status, 200);
  EXPECT_TRUE(
    other.eventually([&] { return sql("SELECT max(scheduled_at) FROM each_second") != paused_at; }));
}

} // namespace skyengine::torture
