#include "db/billing_store.hpp"
#include "tests/support/engine.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace skyengine::net::api {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_seconds;

test::rig_options often_swept() {
  test::rig_options options;
  options.provisioner.sweep = 20ms;
  return options;
}

/// Server 1 of user 1 is active since the beginning of `hour`, which is the last one that is over, and is not
/// closed yet. An hour costs 6,849 micros.
class ApiLimits : public testing::Test {
protected:
  void SetUp() override {
    ASSERT_EQ(engine.make_server(), 1);
    hour = std::chrono::floor<std::chrono::hours>(engine.rig.business.now()) - 1h;
    sql("UPDATE plan_prices SET valid_from = '2000-01-01'; "
        "UPDATE server_events SET at = " +
        quoted(hour) +
        "; "
        "UPDATE servers SET created_at = " +
        quoted(hour) + ", last_event_at = " + quoted(hour) +
        "; "
        "UPDATE billing_accounts SET closed_until = " +
        quoted(hour));
  }

  static std::string quoted(sys_seconds when) {
    return "to_timestamp(" + std::to_string(when.time_since_epoch().count()) + ")";
  }
  std::string sql(const std::string& text) const { return test::run_sql(database.url(), text); }
  void limit_to(const std::string& amount) {
    const auto put = engine.call("PUT", "/v1/users/1",
                                 R"({"name":"Ada","email":"ada@example.com","spendingLimits":{"suspendAt":)"
                                 R"({"amount":")" +
                                   amount + R"(","currency":"USD"}}})");
    ASSERT_EQ(put.status, 200u) << put.body;
  }
  void close(sys_seconds which) {
    auto& loop = engine.rig.runtime.loop();
    ASSERT_TRUE(test::run(loop, hours.ensure_month(which)));
    const auto closed = test::run(loop, hours.close(engine.rig.lease.token(), which, {1}));
    ASSERT_TRUE(closed) << closed.error().detail;
    ASSERT_EQ(closed->users, 1);
  }
  bool until(const std::string& holds) {
    return test::run_until(engine.rig.runtime.loop(), [&] { return sql("SELECT " + holds) == "t"; });
  }
  std::string state() { return std::string{engine.call("GET", "/v1/servers/1").at("/state").as_string()}; }

  sys_seconds hour;
  test::test_database database;
  test::simulated_panel panel{{"--build-time", "0", "--seed", "7"}};
  test::engine engine{database, panel, {.patience = 20s}, often_swept()};
  db::billing_store hours{engine.rig.db};
};

TEST_F(ApiLimits, AMonthThatComesToSuspendAtSuspendsTheUsersServersAndTheyCostNothingMore) {
  limit_to("0.006");
  close(hour);
  ASSERT_TRUE(until("EXISTS (SELECT FROM actions WHERE kind = 'suspend' AND state = 'succeeded')"));

  const auto record = engine.call_as(engine.user_1_key, "GET", "/v1/servers/1");
  EXPECT_EQ(record.at("/state").as_string(), "suspended");
  EXPECT_EQ(record.at("/power").as_string(), "off");
  const auto machine = panel.state().at("servers").at(0);
  EXPECT_TRUE(machine.at("suspended").as_bool());
  EXPECT_EQ(machine.at("power").as_string(), "stopped");
  const auto events =
    engine.call_as(engine.user_1_key, "GET", "/v1/servers/1/events?limit=200").at("/items").as_array();
  const auto& asked = events.at(events.size() - 2);
  EXPECT_EQ(asked.at("type").as_string(), "suspend_requested");
  EXPECT_EQ(asked.at("detail").at("requestedBy").as_string(), "spending_limit");
  EXPECT_EQ(events.back().at("type").as_string(), "suspended");
  const auto action = engine.call("GET", "/v1/servers/1/actions?limit=1");
  EXPECT_EQ(action.at("/items/0/requestedBy").as_string(), "spending_limit");
  const auto log = engine.call("GET", "/v1/audit-log?limit=1");
  EXPECT_EQ(log.at("/items/0/actor").as_string(), "spending_limit");
  EXPECT_EQ(log.at("/items/0/action").as_string(), "suspend");

  // The hour of the suspension may be the next one by now.
  for (int i = 1; i <= 3; ++i)
    close(hour + i * 1h);
  EXPECT_EQ(sql("SELECT sum(seconds) = (SELECT extract(epoch FROM e.at - " + quoted(hour + 1h) +
                ") FROM server_events e WHERE e.type = 'suspended') FROM charges WHERE hour > " +
                quoted(hour)),
            "t");
  EXPECT_EQ(sql("SELECT count(*) FROM outbox WHERE subject LIKE 'spending_suspend%' AND body->>'month' = "
                "to_char(" +
                quoted(hour) + " AT TIME ZONE 'UTC', 'YYYY-MM')"),
            "1");
}

TEST_F(ApiLimits, WhatAnOperatorUnsuspendsStaysOn) {
  limit_to("0.006");
  close(hour);
  ASSERT_TRUE(until("EXISTS (SELECT FROM actions WHERE kind = 'suspend' AND state = 'succeeded')"));
  ASSERT_EQ(engine.call("POST", "/v1/servers/1/unsuspend").status, 200u);
  sql("UPDATE passed_limits SET begun_at = NULL");
  ASSERT_TRUE(until("NOT EXISTS (SELECT FROM passed_limits WHERE begun_at IS NULL)"));
  EXPECT_EQ(state(), "active");
  EXPECT_EQ(sql("SELECT count(*) FROM actions WHERE kind = 'suspend'"), "1");
}

TEST_F(ApiLimits, BelowTheLimitNothingHappens) {
  limit_to("0.007");
  close(hour);
  EXPECT_EQ(state(), "active");
  EXPECT_EQ(sql("SELECT count(*) FROM passed_limits"), "0");
}

TEST_F(ApiLimits, WhatVirtFusionRefusesIsNotAskedForAgain) {
  panel.add_fault({{"operation", "POST /servers/{serverId}/suspend"}, {"kind", "status"}, {"status", 422}});
  limit_to("0.006");
  close(hour);
  ASSERT_TRUE(until("EXISTS (SELECT FROM actions WHERE kind = 'suspend' AND state = 'failed')"));
  sql("UPDATE passed_limits SET begun_at = NULL");
  ASSERT_TRUE(until("NOT EXISTS (SELECT FROM passed_limits WHERE begun_at IS NULL)"));
  EXPECT_EQ(state(), "active");
  EXPECT_EQ(sql("SELECT count(*) FROM actions WHERE kind = 'suspend'"), "1");
}

} // namespace
} // namespace skyengine::net::api
