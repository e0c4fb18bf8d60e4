#include "tests/support/engine.hpp"

#include <boost/json/serialize.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace skyengine::net::api {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr auto medium = R"({"planId":"medium"})";

/// Suspend, unsuspend and change of plan over HTTP: server 1 of user 1 is active.
class ApiControl : public testing::Test {
protected:
  void SetUp() override {
    put_plan("medium", 3, "USD", true);
    ASSERT_EQ(engine.make_server(), 1);
  }

  void put_plan(const std::string& id, int package, const std::string& currency, bool is_active) {
    const boost::json::object body{{"name", id},
                                   {"price", {{"amount", "9.00"}, {"currency", currency}}},
                                   {"virtfusionPackageId", package},
                                   {"active", is_active}};
    ASSERT_EQ(engine.call("PUT", "/v1/plans/" + id, boost::json::serialize(body)).status, 201u);
  }
  boost::json::object machine() const { return panel.state().at("servers").at(0).as_object(); }
  int count_asked(const char* operation) const {
    const auto asked = panel.requests().at("byOperation").as_object();
    const auto* const found = asked.if_contains(operation);
    return found == nullptr ? 0 : found->to_number<int>();
  }
  std::string sql(const std::string& question) const { return test::run_sql(database.url(), question); }
  void keep_suspending(std::int64_t count = 1'000) const {
    panel.add_fault({{"operation", "POST /servers/{serverId}/suspend"},
                     {"kind", "status"},
                     {"status", 503},
                     {"count", count}});
  }

  const std::string server = "/v1/servers/1";
  test::test_database database;
  test::simulated_panel panel{{"--build-time", "0", "--seed", "7"}};
  test::engine engine{database, panel, {.patience = 20s}};
};

TEST_F(ApiControl, AnOperatorSuspendsAndUnsuspends) {
  const auto suspended = engine.call("POST", server + "/suspend", R"({"reason":"invoice 12 is unpaid"})");
  ASSERT_EQ(suspended.status, 200u) << suspended.body;
  EXPECT_EQ(suspended.at("/state").as_string(), "suspended");
  EXPECT_EQ(suspended.at("/power").as_string(), "off");
  EXPECT_TRUE(machine().at("suspended").as_bool());
  EXPECT_EQ(machine().at("power").as_string(), "stopped");

  const auto events = engine.call_as(engine.user_1_key, "GET", server + "/events?limit=200");
  const auto items = events.at("/items").as_array();
  const auto& asked = items.at(items.size() - 2);
  EXPECT_EQ(asked.at("type").as_string(), "suspend_requested");
  EXPECT_EQ(asked.at("detail").at("reason").as_string(), "invoice 12 is unpaid");
  EXPECT_EQ(items.back().at("type").as_string(), "suspended");
  EXPECT_EQ(items.back().at("from").as_string(), "active");
  const auto log = engine.call("GET", "/v1/audit-log?limit=1");
  EXPECT_EQ(log.at("/items/0/action").as_string(), "suspend");
  EXPECT_EQ(log.at("/items/0/target").as_string(), "server 1");
  EXPECT_EQ(log.at("/items/0/detail/reason").as_string(), "invoice 12 is unpaid");
  const auto action = engine.call("GET", "/v1/servers/1/actions?limit=1");
  EXPECT_EQ(action.at("/items/0/kind").as_string(), "suspend");
  EXPECT_EQ(action.at("/items/0/progress").as_int64(), 100);

  const auto active = engine.call("POST", server + "/unsuspend");
  ASSERT_EQ(active.status, 200u) << active.body;
  EXPECT_EQ(active.at("/state").as_string(), "active");
  EXPECT_EQ(active.at("/power").as_string(), "on");
  EXPECT_FALSE(machine().at("suspended").as_bool());
  EXPECT_EQ(machine().at("power").as_string(), "running");
}

TEST_F(ApiControl, OnlyOperatorsSuspend) {
  for (const auto* what : {"/suspend", "/unsuspend"}) {
    EXPECT_EQ(engine.call_as(engine.user_1_key, "POST", server + what).status, 403u);
    const auto reader = engine.make_key(std::nullopt, {"servers:read"});
    EXPECT_EQ(engine.call_as(reader, "POST", server + what).status, 403u);
    EXPECT_EQ(engine.call("POST", std::string{"/v1/servers/99"} + what).status, 404u);
    EXPECT_EQ(engine.call("POST", std::string{"/v1/servers/x"} + what).status, 404u);
    EXPECT_EQ(engine.call("POST", server + what, R"({"why":"?"})").status, 422u);
    EXPECT_EQ(engine.call("POST", server + what, "{").status, 400u);
  }
  EXPECT_EQ(engine.call("POST", server + "/suspend", R"({"reason":""})").status, 422u);
  EXPECT_EQ(sql("SELECT count(*) FROM actions"), "1");
}

TEST_F(ApiControl, WhatIsSoAlreadyIsAnsweredAtOnce) {
  EXPECT_EQ(engine.call("POST", server + "/unsuspend").status, 200u);
  ASSERT_EQ(engine.call("POST", server + "/suspend").status, 200u);
  const auto again = engine.call("POST", server + "/suspend");
  EXPECT_EQ(again.status, 200u);
  EXPECT_EQ(again.at("/state").as_string(), "suspended");
  EXPECT_EQ(sql("SELECT count(*) FROM actions"), "2");
}

TEST_F(ApiControl, WhatTakesLongerThanThePatienceIsAnsweredWithItsAction) {
  test::engine hasty{database, panel, {.patience = 300ms}, {.node = "node-2"}};
  keep_suspending();
  const auto stored = hasty.call("POST", server + "/suspend", {}, {{"Idempotency-Key", "slow"}});
  ASSERT_EQ(stored.status, 202u) << stored.body;
  EXPECT_EQ(stored.at("/kind").as_string(), "suspend");
  EXPECT_EQ(stored.header("Location"), "/v1/actions/2");
  const auto busy = engine.call("PUT", server + "/plan", medium);
  EXPECT_EQ(busy.status, 409u);
  EXPECT_THAT(busy.body, HasSubstr("action 2 (suspend)"));
  panel.clear_faults();
  ASSERT_EQ(hasty.call("POST", "/v1/actions/2/retry").status, 202u);
  EXPECT_EQ(hasty.rig.wait_for({2}).state, action_state::succeeded);
  const auto repeated = hasty.call("POST", server + "/suspend", {}, {{"Idempotency-Key", "slow"}});
  EXPECT_EQ(repeated.status, 202u);
  EXPECT_EQ(repeated.header("Idempotent-Replayed"), "true");
  EXPECT_EQ(repeated.at("/state").as_string(), "succeeded");
}

TEST_F(ApiControl, ARepeatGetsTheFirstAnswerAndDoesNothing) {
  const test::engine::headers key{{"Idempotency-Key", "once"}};
  const auto first = engine.call("POST", server + "/suspend", R"({"reason":"x"})", key);
  ASSERT_EQ(first.status, 200u);
  EXPECT_EQ(engine.call("POST", server + "/unsuspend").status, 200u);
  const auto again = engine.call("POST", server + "/suspend", R"({"reason":"x"})", key);
  EXPECT_EQ(again.status, 200u);
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  EXPECT_EQ(again.at("/state").as_string(), "active");
  const auto other = engine.call("POST", server + "/suspend", R"({"reason":"y"})", key);
  EXPECT_EQ(other.status, 409u);
  EXPECT_EQ(other.at("/code").as_string(), "idempotency_mismatch");
  EXPECT_EQ(count_asked("POST /servers/{serverId}/suspend"), 1);
}

TEST_F(ApiControl, TwoAtOnceWithOneKeySuspendOnce) {
  std::vector<test::raw_connection> connections;
  connections.reserve(6);
  for (int i = 0; i < 6; ++i)
    connections.push_back(
      engine.begin(engine.operator_key, "POST", server + "/suspend", {}, {{"Idempotency-Key", "once"}}));
  for (auto& connection : connections) {
    auto answered = connection.answer();
    ASSERT_TRUE(answered);
    EXPECT_EQ(answered->status, 200u) << answered->body;
  }
  EXPECT_EQ(sql("SELECT count(*) FROM actions"), "2");
}

TEST_F(ApiControl, AFailureIsAnsweredAsTheProblemThatItIs) {
  panel.add_fault({{"operation", "POST /servers/{serverId}/suspend"}, {"kind", "status"}, {"status", 422}});
  const test::engine::headers key{{"Idempotency-Key", "refused"}};
  for (int i = 0; i < 2; ++i) {
    const auto refused = engine.call("POST", server + "/suspend", {}, key);
    EXPECT_EQ(refused.status, 422u) << refused.body;
    EXPECT_EQ(refused.at("/code").as_string(), "virtfusion_rejected");
    EXPECT_EQ(refused.at("/serverId").as_int64(), 1);
    EXPECT_EQ(refused.at("/actionId").as_int64(), 2);
  }
  EXPECT_EQ(engine.call("GET", server).at("/state").as_string(), "active");
  EXPECT_EQ(machine().at("power").as_string(), "running");
}

TEST_F(ApiControl, AUserChangesThePlanOfItsServer) {
  EXPECT_EQ(engine.call_as(engine.user_2_key, "PUT", server + "/plan", medium).status, 404u);
  const auto changed = engine.call_as(engine.user_1_key, "PUT", server + "/plan", medium);
  ASSERT_EQ(changed.status, 200u) << changed.body;
  EXPECT_EQ(changed.at("/planId").as_string(), "medium");
  EXPECT_EQ(machine().at("packageId").to_number<int>(), 3);
  const auto events = engine.call("GET", server + "/events?limit=200").at("/items").as_array();
  EXPECT_EQ(events.back().at("type").as_string(), "plan_changed");
  EXPECT_EQ(events.back().at("detail").at("fromPlan").as_string(), "small");
  EXPECT_EQ(events.back().at("detail").at("toPlan").as_string(), "medium");
  EXPECT_EQ(sql("SELECT actor || ' ' || action FROM audit_log ORDER BY id DESC LIMIT 1"), "user:1 resize");

  const auto same = engine.call_as(engine.user_1_key, "PUT", server + "/plan", medium);
  EXPECT_EQ(same.status, 200u);
  EXPECT_EQ(count_asked("PUT /servers/{serverId}/package/{packageId}"), 1);
  const auto smaller = engine.call("PUT", server + "/plan", R"({"planId":"small"})");
  EXPECT_EQ(smaller.status, 409u);
  EXPECT_THAT(smaller.body, HasSubstr("a disk only grows"));
  EXPECT_EQ(smaller.at("/actionId").as_int64(), 3);
  EXPECT_EQ(engine.call("GET", server).at("/planId").as_string(), "medium");
}

TEST_F(ApiControl, APlanThatCannotBeTheServersIsRefusedBeforeAnythingIsStored) {
  put_plan("euro", 3, "EUR", true);
  put_plan("old", 3, "USD", false);
  for (const auto& [plan, reason] : std::vector<std::pair<std::string, std::string>>{
         {"euro", "is paid in EUR"}, {"old", "not sold any more"}, {"none", "there is no plan"}}) {
    const auto refused = engine.call("PUT", server + "/plan", R"({"planId":")" + plan + R"("})");
    EXPECT_EQ(refused.status, 422u) << refused.body;
    EXPECT_EQ(refused.at("/errors/0/field").as_string(), "planId");
    EXPECT_THAT(refused.body, HasSubstr(reason));
  }
  for (const auto* body : {"{}", R"({"planId":3})", R"({"planId":"medium","x":1})"})
    EXPECT_EQ(engine.call("PUT", server + "/plan", body).status, 422u) << body;
  EXPECT_EQ(engine.call("PUT", server + "/plan").status, 415u);
  EXPECT_EQ(engine.call("PUT", "/v1/servers/9/plan", medium).status, 404u);
  EXPECT_EQ(sql("SELECT count(*) FROM actions"), "1");
}

TEST_F(ApiControl, AServerInTheWrongStateIsAConflict) {
  ASSERT_EQ(engine.call("POST", server + "/suspend").status, 200u);
  const auto refused = engine.call("PUT", server + "/plan", medium);
  EXPECT_EQ(refused.status, 409u);
  EXPECT_THAT(refused.body, HasSubstr("the server is suspended: only one that is active"));
  const auto deleted = engine.call("DELETE", server);
  ASSERT_EQ(deleted.status, 202u);
  EXPECT_EQ(engine.rig.wait_for({deleted.at("/id").as_int64()}).state, action_state::succeeded);
  for (const auto* what : {"/suspend", "/unsuspend"}) {
    const auto gone = engine.call("POST", server + what);
    EXPECT_EQ(gone.status, 409u);
    EXPECT_THAT(gone.body, HasSubstr("the server is deleted"));
  }
}

TEST_F(ApiControl, ADeleteOvertakesAndWhoWaitsHearsOfIt) {
  keep_suspending();
  auto waiting = engine.begin(engine.operator_key, "POST", server + "/suspend");
  ASSERT_TRUE(test::run_until(engine.rig.runtime.loop(),
                              [&] { return count_asked("POST /servers/{serverId}/suspend") > 0; }));
  const auto deleted = engine.call("DELETE", server);
  ASSERT_EQ(deleted.status, 202u);
  EXPECT_EQ(deleted.at("/state").as_string(), "pending");
  auto answered = waiting.answer();
  ASSERT_TRUE(answered);
  EXPECT_EQ(answered->status, 409u) << answered->body;
  EXPECT_THAT(answered->body, HasSubstr("deleted meanwhile"));
  EXPECT_EQ(engine.rig.wait_for({deleted.at("/id").as_int64()}).state, action_state::succeeded);
  EXPECT_EQ(engine.call("GET", server).at("/state").as_string(), "deleted");
}

TEST_F(ApiControl, AnOperatorAbandonsAtAnotherNode) {
  test::engine other{database, panel, {.patience = 500ms}, {.node = "node-2"}};
  keep_suspending();
  ASSERT_EQ(other.call("POST", server + "/suspend").status, 202u);
  const auto abandoned = engine.call("POST", "/v1/actions/2/abandon");
  ASSERT_EQ(abandoned.status, 202u) << abandoned.body;
  const auto ended = other.rig.wait_for({2});
  EXPECT_EQ(ended.state, action_state::failed);
  EXPECT_EQ(ended.failure->code, errc::conflict);
  EXPECT_EQ(engine.call("GET", server).at("/state").as_string(), "active");
  EXPECT_EQ(engine.call("PUT", server + "/plan", medium).status, 200u);
}

} // namespace
} // namespace skyengine::net::api
