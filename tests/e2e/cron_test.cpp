#include "tests/support/postgres.hpp"
#include "tests/support/seed.hpp"
#include "tests/torture/world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <string>

namespace skyengine::torture {

namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

int kills() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in a test changes the environment.
  const char* wanted = std::getenv("SKYENGINE_TEST_CRON_KILLS");
  return wanted != nullptr ? std::atoi(wanted) : 5;
}

} // namespace

TEST(Cron, EverySecondHasOneRunInOrderThoughTheEngineIsKilled) {
  world_options how;
  how.users = 1;
  world on{how};
  const auto sql = [&](const std::string& question) { return test::run_sql(on.database_url(), question); };
  sql("INSERT INTO schedules (name, handler, expression, catch_up, catch_up_window, overlap, timeout) "
      "VALUES ('each-second', 'daily-clean-up', '* * * * * *', 'all', 86400, 'queue', 60); "
      "CREATE VIEW each_second AS SELECT r.* FROM runs r JOIN schedules s ON s.id = r.schedule_id "
      "WHERE s.name = 'each-second'");
  const auto seed = test::seed();
  SCOPED_TRACE("SKYENGINE_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random{seed};
  auto& engine = on.engine();
  const auto runs = [&] {
    return std::stoi(sql("SELECT count(*) FROM each_second WHERE state = 'succeeded'"));
  };
  for (int i = 0; i < kills(); ++i) {
    const auto before = runs();
    ASSERT_TRUE(engine.eventually([&] { return runs() > before; })) << engine.log();
    engine.child().wait(std::chrono::milliseconds{std::uniform_int_distribution<int>{0, 1'500}(random)});
    engine.kill();
    engine.child().wait(10s);
    engine.start();
  }
  const auto last = runs();
  ASSERT_TRUE(engine.eventually([&] { return runs() > last + 1; })) << engine.log();
  const auto metrics = engine.call("GET", "/metrics", "", {}, {{"Accept", "*/*"}}).body;
  EXPECT_THAT(metrics,
              HasSubstr(R"(skyengine_cron_runs_total{schedule="each-second",outcome="succeeded"} )"));
  EXPECT_THAT(metrics, HasSubstr("skyengine_cron_lateness_seconds_count "));
  EXPECT_THAT(metrics,
              HasSubstr(R"(skyengine_cron_last_success_timestamp_seconds{schedule="each-second"} )"));
  EXPECT_EQ(engine.terminate(), 0);
  EXPECT_EQ(
    sql(
      "SELECT count(*) - extract(epoch FROM max(scheduled_at) - min(scheduled_at))::bigint FROM each_second"),
    "1")
    << "a second has no run";
  EXPECT_EQ(sql("SELECT count(*) FROM (SELECT scheduled_at < lag(scheduled_at) OVER (ORDER BY id) AS is_back "
                "FROM each_second) "
                "AS r WHERE is_back"),
            "0");
  EXPECT_EQ(sql("SELECT count(*) FROM each_second WHERE state NOT IN ('succeeded', 'queued', 'running')"),
            "0");
  EXPECT_EQ(
    sql("SELECT count(*) FROM (SELECT started_at < lag(started_at) OVER (ORDER BY scheduled_at) AS is_back "
        "FROM each_second WHERE state = 'succeeded' AND interruptions = 0) AS r WHERE is_back"),
    "0");
}

} // namespace skyengine::torture
