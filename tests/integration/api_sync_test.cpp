#include "actors/metrics_sync.hpp"
#include "tests/support/at_end.hpp"
#include "tests/support/engine.hpp"

#include <boost/asio/co_spawn.hpp>
#include <caf/send.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>

namespace skyengine::net::api {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr auto runs_path = "/v1/cron/hourly-sync-and-billing/runs";

/// A node with a sync, over the real gateway and a simulator that takes its time.
class ApiSync : public testing::Test {
protected:
  ApiSync() {
    const auto seed = [&](const std::string& text) { return test::run_sql(database.url(), text); };
    seed("INSERT INTO servers (user_id, plan_id, region_id, wants_ipv6, state, virtfusion_id, created_at, "
         "last_event_at) SELECT 1, 'small', 'north', false, 'active', n, '2026-01-01Z', '2026-01-01Z' FROM "
         "generate_series(1, 60) AS n");
    tick.run = {std::stoll(
      seed("INSERT INTO runs (schedule_id, scheduled_at, state, attempts, token, started_at) SELECT "
           "id, date_trunc('second', now()), 'running', 1, 1, now() FROM schedules WHERE name = "
           "'hourly-sync-and-billing' RETURNING id"))};
    tick.scheduled_at = std::chrono::floor<std::chrono::seconds>(engine.rig.business.now());
    sync = actors::spawn_metrics_sync(engine.rig.runtime.system(), engine.rig.runtime.loop().get_executor(),
                                      {engine.rig.caller, store, progress, engine.rig.business}, {});
    engine.edge.set_metrics_sync(sync);
  }
  ~ApiSync() override {
    test::at_end([this] {
      engine.edge.set_metrics_sync({});
      caf::anon_send_exit(sync, caf::exit_reason::user_shutdown);
      sync = nullptr;
    });
  }

  test::test_database database;
  test::simulated_panel panel{{"--servers", "60", "--latency", "300"}};
  test::engine engine{database, panel};
  db::metrics_store store{engine.rig.db};
  db::run_progress_store progress{engine.rig.db};
  actors::metrics_sync_actor sync;
  actors::cron_tick tick;
};

TEST_F(ApiSync, ItsProgressIsSeenInTheRunAndInTheMetrics) {
  const auto metrics = [this] { return engine.call_as("", "GET", "/metrics").body; };
  EXPECT_THAT(metrics(), HasSubstr("skyengine_sync_running 0"));
  std::optional<result<actors::cron_outcome>> outcome;
  boost::asio::co_spawn(
    engine.rig.runtime.loop(), engine.rig.runtime.asker().ask<actors::cron_outcome>(sync, 1h, tick),
    [&](std::exception_ptr, result<actors::cron_outcome> came) { outcome = std::move(came); });
  auto was_running = false;
  auto was_half_told = false;
  while (!outcome) {
    engine.rig.runtime.loop().run_one_for(50ms);
    const auto told = metrics();
    was_running = was_running || (told.find("skyengine_sync_running 1") != std::string::npos &&
                                  told.find("sync_servers_left{depth=\"live\"} 0") == std::string::npos);
    const auto seen = engine.call("GET", runs_path).at("/items/0/figures/live/seen");
    was_half_told = was_half_told || (seen.is_int64() && seen.as_int64() > 0 && seen.as_int64() < 60);
  }
  ASSERT_TRUE(*outcome) << outcome->error().detail;
  EXPECT_TRUE(was_running);
  EXPECT_TRUE(was_half_told);
  EXPECT_THAT((*outcome)->figures, HasSubstr(R"("complete":true)"));
  EXPECT_THAT(metrics(), HasSubstr("skyengine_sync_servers_seen{depth=\"live\"} 0"));
}

} // namespace
} // namespace skyengine::net::api
