#include "tests/support/engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace skyengine::net::api {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr auto small = R"({"planId":"small","region":"north","userId":1})";

class ApiServers : public testing::Test {
protected:
  /// How many servers VirtFusion was asked to make.
  std::int64_t servers_made() const {
    return static_cast<std::int64_t>(panel.state().at("servers").as_array().size());
  }

  test::test_database database;
  test::simulated_panel panel{{"--build-time", "0", "--seed", "7"}};
  test::engine engine{database, panel, {.patience = 3s}};
};

// -- create ------------------------------------------------------------------------

TEST_F(ApiServers, ACreateAnswersTheRecordWithItsPasswordAndLocation) {
  const auto created = engine.call("POST", "/v1/servers", small);
  ASSERT_EQ(created.status, 201u) << created.body;
  EXPECT_EQ(created.at("/state").as_string(), "building");
  EXPECT_FALSE(created.at("/initialPassword").is_null());
  EXPECT_EQ(created.header("Location"), "/v1/servers/" + std::to_string(created.at("/id").as_int64()));
  EXPECT_EQ(created.header("Cache-Control"), "no-store");

  engine.rig.wait_for({created.at("/actionId").as_int64()});
  const auto found = engine.call("GET", created.header("Location"));
  EXPECT_EQ(found.status, 200u);
  EXPECT_EQ(found.at("/state").as_string(), "active");
  EXPECT_TRUE(found.at("/initialPassword").is_null());
}

TEST_F(ApiServers, AnUndecidedCreateIsAcceptedWithItsLocation) {
  panel.add_fault({{"operation", "POST /servers"}, {"kind", "delay"}, {"delayMs", 5'000}, {"count", 1}});
  const auto accepted = engine.call("POST", "/v1/servers", small);
  EXPECT_EQ(accepted.status, 202u) << accepted.body;
  EXPECT_EQ(accepted.at("/state").as_string(), "creating");
  EXPECT_EQ(accepted.header("Location"), "/v1/servers/" + std::to_string(accepted.at("/id").as_int64()));
  engine.rig.wait_for({accepted.at("/actionId").as_int64()});
}

TEST_F(ApiServers, WhatVirtFusionRejectsNamesTheFailedServer) {
  panel.add_fault({{"operation", "POST /servers"}, {"kind", "status"}, {"status", 422}, {"count", 1}});
  const auto refused = engine.call("POST", "/v1/servers", small, {{"Idempotency-Key", "rejected"}});
  ASSERT_EQ(refused.status, 422u) << refused.body;
  EXPECT_EQ(refused.at("/code").as_string(), "virtfusion_rejected");
  const auto id = std::to_string(refused.at("/serverId").as_int64());
  EXPECT_EQ(engine.call("GET", "/v1/servers/" + id).at("/state").as_string(), "failed");
  EXPECT_EQ(engine.call("GET", "/v1/actions/" + std::to_string(refused.at("/actionId").as_int64()))
              .at("/state")
              .as_string(),
            "failed");

  // The key stays bound: a repeat tells the same and makes nothing.
  const auto again = engine.call("POST", "/v1/servers", small, {{"Idempotency-Key", "rejected"}});
  EXPECT_EQ(again.status, 422u);
  EXPECT_EQ(again.at("/serverId"), refused.at("/serverId"));
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
}

TEST_F(ApiServers, AFullRegionIsNamedAsSuch) {
  const auto order = [&](int user) {
    return engine.call("POST", "/v1/servers",
                       R"({"planId":"small","region":"tiny","userId":)" + std::to_string(user) + "}");
  };
  for (int i = 0; i < 10; ++i)
    ASSERT_EQ(order(i % 3 + 1).status, 201u);
  const auto full = order(1);
  EXPECT_EQ(full.status, 409u) << full.body;
  EXPECT_EQ(full.at("/code").as_string(), "capacity_exhausted");
  EXPECT_FALSE(full.at("/serverId").is_null());
}

TEST_F(ApiServers, AUserOrdersForItselfAlone) {
  const auto own =
    engine.call_as(engine.user_1_key, "POST", "/v1/servers", R"({"planId":"small","region":"north"})");
  EXPECT_EQ(own.status, 201u) << own.body;
  EXPECT_EQ(own.at("/userId").as_int64(), 1);
  EXPECT_EQ(engine.call_as(engine.user_1_key, "POST", "/v1/servers", small).status, 403u);
}

TEST_F(ApiServers, EveryFaultOfAnOrderIsNamedAtOnce) {
  const auto refused = engine.call("POST", "/v1/servers", R"({"planId":"none","region":"nowhere","userId":99,
      "hostname":"-a..b","sshKeys":["ssh-rsa nonsense",7],"ipv6":"yes","osTemplateId":0,"labels":{"a b":"c"},
      "externalReference":"","planID":"small"})");
  ASSERT_EQ(refused.status, 422u);
  EXPECT_EQ(refused.at("/code").as_string(), "invalid_request");
  std::vector<std::string> fields;
  const auto errors = refused.at("/errors");
  for (const auto& each : errors.as_array())
    fields.emplace_back(each.at("field").as_string());
  EXPECT_THAT(fields, testing::UnorderedElementsAre("planId", "region", "userId", "hostname", "sshKeys[0]",
                                                    "sshKeys[1]", "ipv6", "osTemplateId", "labels.a b",
                                                    "externalReference", "planID"));
  EXPECT_EQ(servers_made(), 0);
}

TEST_F(ApiServers, AnOperatorsOrderNamesAKnownUser) {
  const auto without = engine.call("POST", "/v1/servers", R"({"planId":"small","region":"north"})");
  EXPECT_EQ(without.status, 422u);
  EXPECT_THAT(without.body, HasSubstr("PUT /v1/users/"));
  const auto unknown =
    engine.call("POST", "/v1/servers", R"({"planId":"small","region":"north","userId":99})");
  EXPECT_EQ(unknown.status, 422u);
  EXPECT_THAT(unknown.body, HasSubstr("PUT /v1/users/99"));
}

TEST_F(ApiServers, ADryRunStoresNothing) {
  constexpr auto dry = R"({"planId":"small","region":"north","userId":1,"dryRun":true})";
  const auto unknown_user = engine.call("POST", "/v1/servers", dry);
  ASSERT_EQ(unknown_user.status, 200u) << unknown_user.body;
  EXPECT_TRUE(unknown_user.at("/valid").as_bool());
  EXPECT_EQ(servers_made(), 0);
  EXPECT_TRUE(panel.state().at("users").as_array().empty());

  engine.make_server();
  EXPECT_TRUE(engine.call("POST", "/v1/servers", dry).at("/valid").as_bool());
  panel.add_fault({{"operation", "POST /servers"}, {"kind", "status"}, {"status", 422}, {"count", 1}});
  const auto refused = engine.call("POST", "/v1/servers", dry);
  EXPECT_EQ(refused.status, 200u);
  EXPECT_FALSE(refused.at("/valid").as_bool());
  EXPECT_EQ(refused.at("/problems/0/code").as_string(), "virtfusion_rejected");
  EXPECT_EQ(servers_made(), 1);
  const auto unbuildable =
    engine.call("POST", "/v1/servers",
                R"({"planId":"small","region":"north","userId":1,"osTemplateId":9999,"dryRun":true})");
  EXPECT_FALSE(unbuildable.at("/valid").as_bool());
  EXPECT_EQ(unbuildable.at("/problems/0/detail").as_string(),
            "osTemplateId: VirtFusion does not offer this template for the plan");
  EXPECT_EQ(
    engine.call("POST", "/v1/servers", R"({"planId":"x","region":"north","userId":1,"dryRun":true})").status,
    422u);
}

// -- idempotency ---------------------------------------------------------------------

TEST_F(ApiServers, ARepeatGetsTheFirstAnswerWithoutThePassword) {
  const auto first = engine.call("POST", "/v1/servers", small, {{"Idempotency-Key", "one"}});
  ASSERT_EQ(first.status, 201u);
  EXPECT_EQ(first.header("Idempotent-Replayed"), "");
  engine.rig.wait_for({first.at("/actionId").as_int64()});
  const auto again = engine.call("POST", "/v1/servers", small, {{"Idempotency-Key", "one"}});
  EXPECT_EQ(again.status, 201u);
  EXPECT_EQ(again.at("/id"), first.at("/id"));
  EXPECT_EQ(again.at("/state").as_string(), "active");
  EXPECT_TRUE(again.at("/initialPassword").is_null());
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  EXPECT_EQ(servers_made(), 1);
}

TEST_F(ApiServers, AKeyIsBoundToItsRequestAndItsCaller) {
  const test::engine::headers key{{"Idempotency-Key", "bound"}};
  ASSERT_EQ(engine.call("POST", "/v1/servers", small, key).status, 201u);
  const auto other =
    engine.call("POST", "/v1/servers", R"({"planId":"small","region":"south","userId":1})", key);
  EXPECT_EQ(other.status, 409u);
  EXPECT_EQ(other.at("/code").as_string(), "idempotency_mismatch");
  EXPECT_EQ(engine.call("POST", "/servers/create", small, key).status, 409u);
  EXPECT_EQ(engine.call("DELETE", "/v1/servers/1", {}, key).status, 409u);
  EXPECT_EQ(servers_made(), 1);
  const auto users =
    engine.call_as(engine.user_1_key, "POST", "/v1/servers", R"({"planId":"small","region":"north"})", key);
  EXPECT_EQ(users.status, 201u);
  EXPECT_EQ(users.header("Idempotent-Replayed"), "");
}

TEST_F(ApiServers, ARefusedRequestLeavesItsKeyFree) {
  const test::engine::headers key{{"Idempotency-Key", "again"}};
  EXPECT_EQ(
    engine.call("POST", "/v1/servers", R"({"planId":"none","region":"north","userId":1})", key).status, 422u);
  EXPECT_EQ(engine.call("POST", "/v1/servers", small, key).status, 201u);
}

TEST_F(ApiServers, AKeyBindsForADay) {
  const test::engine::headers key{{"Idempotency-Key", "old"}};
  const auto other = R"({"planId":"small","region":"north","userId":2})";
  const auto first = engine.call("POST", "/v1/servers", small, key);
  ASSERT_EQ(first.status, 201u);
  const auto age = [&](const std::string& span) {
    test::run_sql(database.url(),
                  "UPDATE idempotency_keys SET created_at = created_at - interval '" + span + "'");
  };
  engine.rig.wait_for({first.at("/actionId").as_int64()});
  age("23 hours");
  EXPECT_EQ(engine.call("POST", "/v1/servers", other, key).status, 409u);
  age("1 hour");
  const auto second = engine.call("POST", "/v1/servers", other, key);
  EXPECT_EQ(second.status, 201u) << second.body;
  EXPECT_EQ(second.header("Idempotent-Replayed"), "");
  EXPECT_NE(second.at("/id"), first.at("/id"));
  EXPECT_EQ(engine.call("POST", "/v1/servers", other, key).at("/id"), second.at("/id"));
  engine.rig.wait_for({second.at("/actionId").as_int64()});
  age("24 hours");
  const auto gone =
    engine.call("DELETE", "/v1/servers/" + std::to_string(second.at("/id").as_int64()), {}, key);
  EXPECT_EQ(gone.status, 202u) << gone.body;
}

TEST_F(ApiServers, AKeyBindsForAsLongAsItsOrderIsUnderWay) {
  const test::engine::headers key{{"Idempotency-Key", "slow"}};
  panel.add_fault({{"operation", "POST /servers"},
                   {"kind", "status"},
                   {"status", 503},
                   {"retryAfter", 3'000},
                   {"count", 1}});
  const auto first = engine.call("POST", "/v1/servers", small, key);
  ASSERT_EQ(first.status, 202u) << first.body;
  test::run_sql(database.url(), "UPDATE idempotency_keys SET created_at = created_at - interval '30 hours'");
  EXPECT_EQ(engine.call("POST", "/v1/servers", small, key).at("/id"), first.at("/id"));
}

TEST_F(ApiServers, FiftyAtOnceMakeOneServerAndTellOnePassword) {
  std::vector<test::raw_connection> connections;
  connections.reserve(50);
  for (int i = 0; i < 50; ++i)
    connections.push_back(
      engine.begin(engine.operator_key, "POST", "/v1/servers", small, {{"Idempotency-Key", "fifty"}}));
  auto passwords = 0;
  auto replayed = 0;
  std::int64_t id = 0;
  for (auto& connection : connections) {
    auto answered = connection.answer();
    ASSERT_TRUE(answered);
    const test::api_answer answer{std::move(*answered)};
    ASSERT_EQ(answer.status, 201u) << answer.body;
    EXPECT_TRUE(id == 0 || id == answer.at("/id").as_int64());
    id = answer.at("/id").as_int64();
    passwords += answer.at("/initialPassword").is_null() ? 0 : 1;
    replayed += answer.header("Idempotent-Replayed") == "true" ? 1 : 0;
  }
  EXPECT_EQ(passwords, 1);
  EXPECT_EQ(replayed, 49);
  EXPECT_EQ(servers_made(), 1);
}

TEST_F(ApiServers, WhereNobodyWasAnsweredARepeatCountsAsTheFirst) {
  auto left = engine.begin(engine.operator_key, "POST", "/v1/servers", small, {{"Idempotency-Key", "left"}});
  ASSERT_TRUE(test::run_until(engine.rig.runtime.loop(), [&] { return servers_made() == 1; }));
  ASSERT_TRUE(left.answer());
  // As after a crash between the commit and the answer.
  test::run_sql(database.url(), "UPDATE idempotency_keys SET first_status = NULL");
  const auto repeat = engine.call("POST", "/v1/servers", small, {{"Idempotency-Key", "left"}});
  EXPECT_EQ(repeat.status, 201u);
  EXPECT_EQ(repeat.header("Idempotent-Replayed"), "");
  EXPECT_EQ(
    engine.call("POST", "/v1/servers", small, {{"Idempotency-Key", "left"}}).header("Idempotent-Replayed"),
    "true");
}

TEST_F(ApiServers, AnAnswerThatIsTheFirstIsNoReplayAlsoWhenItsProvisionerFell) {
  panel.add_fault({{"operation", "POST /servers"}, {"kind", "delay"}, {"delayMs", 1'000}, {"count", 1}});
  auto waiting =
    engine.begin(engine.operator_key, "POST", "/v1/servers", small, {{"Idempotency-Key", "fell"}});
  ASSERT_TRUE(test::run_until(engine.rig.runtime.loop(), [&] {
    return panel.requests().at("byOperation").as_object().contains("POST /servers");
  }));
  engine.replace_provisioner();
  auto answered = waiting.answer();
  ASSERT_TRUE(answered);
  const test::api_answer answer{std::move(*answered)};
  EXPECT_LT(answer.status, 300u) << answer.body;
  EXPECT_EQ(answer.header("Idempotent-Replayed"), "");
  EXPECT_EQ(
    engine.call("POST", "/v1/servers", small, {{"Idempotency-Key", "fell"}}).header("Idempotent-Replayed"),
    "true");
}

// -- delete --------------------------------------------------------------------------

TEST_F(ApiServers, ADeleteIsAcceptedAndDone) {
  const auto path = "/v1/servers/" + std::to_string(engine.make_server());
  const test::engine::headers key{{"Idempotency-Key", "gone"}};
  const auto deleted = engine.call("DELETE", path, {}, key);
  ASSERT_EQ(deleted.status, 202u) << deleted.body;
  EXPECT_EQ(deleted.at("/kind").as_string(), "delete");
  engine.rig.wait_for({deleted.at("/id").as_int64()});
  EXPECT_EQ(engine.call("GET", path).at("/state").as_string(), "deleted");
  const auto again = engine.call("DELETE", path, {}, key);
  EXPECT_EQ(again.status, 202u);
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  EXPECT_EQ(again.at("/state").as_string(), "succeeded");
  EXPECT_EQ(engine.call("DELETE", path).status, 409u);
}

TEST_F(ApiServers, AnotherUsersServerIsNotThere) {
  const auto path = "/v1/servers/" + std::to_string(engine.make_server());
  EXPECT_EQ(engine.call_as(engine.user_1_key, "GET", path).status, 200u);
  const auto nothing = engine.call_as(engine.user_2_key, "GET", "/v1/servers/999");
  for (const auto* target : {"", "/events", "/actions"})
    EXPECT_EQ(engine.call_as(engine.user_2_key, "GET", path + target).status, 404u);
  const auto hidden = engine.call_as(engine.user_2_key, "GET", path);
  EXPECT_EQ(hidden.at("/detail"), nothing.at("/detail"));
  EXPECT_EQ(engine.call_as(engine.user_2_key, "DELETE", path).status, 404u);
  EXPECT_EQ(engine.call_as(engine.user_2_key, "GET", "/v1/actions/1").status, 404u);
  EXPECT_TRUE(engine.call_as(engine.user_2_key, "GET", "/v1/servers").at("/items").as_array().empty());
}

// -- lists ---------------------------------------------------------------------------

TEST_F(ApiServers, AListIsPagedAndFiltered) {
  for (int i = 0; i < 3; ++i)
    engine.make_server(R"({"planId":"small","region":"north","userId":)" + std::to_string(i % 2 + 1) +
                       R"(,"labels":{"tier":")" + (i == 1 ? "gold" : "tin") +
                       R"("},"externalReference":"order-)" + std::to_string(i) + R"("})");
  const auto first = engine.call("GET", "/v1/servers?limit=2");
  ASSERT_EQ(first.at("/items").as_array().size(), 2u);
  const std::string cursor{first.at("/nextCursor").as_string()};
  const auto second = engine.call("GET", "/v1/servers?limit=2&cursor=" + cursor);
  ASSERT_EQ(second.at("/items").as_array().size(), 1u);
  EXPECT_TRUE(second.at("/nextCursor").is_null());
  EXPECT_GT(second.at("/items/0/id").as_int64(), first.at("/items/1/id").as_int64());

  const auto count = [&](const std::string& query) {
    return engine.call("GET", "/v1/servers?" + query).at("/items").as_array().size();
  };
  EXPECT_EQ(count("state=active"), 3u);
  EXPECT_EQ(count("state=failed,deleted"), 0u);
  EXPECT_EQ(count("label=tier:tin"), 2u);
  EXPECT_EQ(count("externalReference=order-1"), 1u);
  EXPECT_EQ(count("userId=1"), 2u);
  EXPECT_EQ(count("userId=2"), 1u);
  EXPECT_EQ(count("userId=1&label=tier:gold"), 0u);
  EXPECT_EQ(count("userId=999"), 0u);
  EXPECT_EQ(engine.call_as(engine.user_2_key, "GET", "/v1/servers").at("/items").as_array().size(), 1u);
  for (const auto* own_or_not : {"1", "2"})
    EXPECT_EQ(
      engine.call_as(engine.user_2_key, "GET", "/v1/servers?userId=" + std::string{own_or_not}).status, 403u);

  for (const auto& query : std::initializer_list<std::string>{
         "limit=0", "limit=201", "limit=-1", "limit=x", "limit=", "limit=5&limit=6", "cursor=made-up",
         "cursor=", "cursor=" + cursor + "A", "state=gone", "state=", "label=x", "stat=active", "a=%zz",
         "userId=x", "userId=1&userId=2"})
    EXPECT_EQ(engine.call("GET", "/v1/servers?" + query).status, 400u) << query;
  EXPECT_EQ(engine.call("GET", "/v1/users?cursor=" + cursor).status, 400u);
}

// -- events and actions ----------------------------------------------------------------

TEST_F(ApiServers, HistoryIsListedAndStreamed) {
  const auto path = "/v1/servers/" + std::to_string(engine.make_server());
  const auto listed = engine.call("GET", path + "/events");
  ASSERT_EQ(listed.status, 200u);
  EXPECT_EQ(listed.at("/items/0/type").as_string(), "requested");
  const auto count = listed.at("/items").as_array().size();
  const auto last = listed.at("/items/" + std::to_string(count - 1));
  EXPECT_EQ(last.at("to").as_string(), "active");
  const auto page = engine.call("GET", path + "/events?limit=1");
  EXPECT_EQ(engine.call("GET", path + "/events?cursor=" + std::string{page.at("/nextCursor").as_string()})
              .at("/items")
              .as_array()
              .size(),
            count - 1);

  auto stream =
    engine.begin(engine.user_1_key, "GET", path + "/events", {}, {{"Accept", "text/event-stream"}});
  ASSERT_TRUE(stream.wait_for("\"to\":\"active\""));
  EXPECT_THAT(stream.received(), HasSubstr("Content-Type: text/event-stream"));
  EXPECT_THAT(stream.received(), HasSubstr("event: server_event\ndata: " +
                                           boost::json::serialize(listed.at("/items/0")).substr(0, 8)));

  // What happens later comes by itself, and a client that comes back goes on where it was.
  auto resumed = engine.begin(
    engine.operator_key, "GET", path + "/events", {},
    {{"Accept", "text/event-stream"}, {"Last-Event-ID", std::to_string(last.at("id").as_int64())}});
  engine.call("DELETE", path);
  ASSERT_TRUE(stream.wait_for("\"to\":\"deleted\""));
  ASSERT_TRUE(resumed.wait_for("\"to\":\"deleted\""));
  EXPECT_THAT(resumed.received(), testing::Not(HasSubstr("\"to\":\"active\"")));
  EXPECT_EQ(
    engine.call("GET", path + "/events", {}, {{"Accept", "text/event-stream"}, {"Last-Event-ID", "x"}})
      .status,
    400u);
}

TEST_F(ApiServers, ActionsAreListedNewestFirst) {
  const auto path = "/v1/servers/" + std::to_string(engine.make_server());
  const auto deleted = engine.call("DELETE", path);
  engine.rig.wait_for({deleted.at("/id").as_int64()});
  const auto listed = engine.call("GET", path + "/actions");
  ASSERT_EQ(listed.at("/items").as_array().size(), 2u);
  EXPECT_EQ(listed.at("/items/0/kind").as_string(), "delete");
  const auto next = engine.call("GET", path + "/actions?limit=1");
  const auto older =
    engine.call("GET", path + "/actions?limit=1&cursor=" + std::string{next.at("/nextCursor").as_string()});
  EXPECT_EQ(older.at("/items/0/kind").as_string(), "create");
}

TEST_F(ApiServers, AWaitingActionGoesOnAtOnceWhenAnOperatorSaysSo) {
  panel.add_fault({{"operation", "POST /servers"},
                   {"kind", "status"},
                   {"status", 503},
                   {"retryAfter", 3'000},
                   {"count", 1}});
  const auto accepted = engine.call("POST", "/v1/servers", small);
  ASSERT_EQ(accepted.status, 202u) << accepted.body;
  const auto path = "/v1/actions/" + std::to_string(accepted.at("/actionId").as_int64());
  EXPECT_EQ(engine.call_as(engine.user_1_key, "POST", path + "/retry").status, 403u);
  const auto retried = engine.call("POST", path + "/retry", {}, {{"Idempotency-Key", "lever"}});
  EXPECT_EQ(retried.status, 202u) << retried.body;
  EXPECT_EQ(
    engine.call("POST", path + "/retry", {}, {{"Idempotency-Key", "lever"}}).header("Idempotent-Replayed"),
    "true");
  EXPECT_EQ(engine.call("GET", "/v1/audit-log").at("/items/0/action").as_string(), "retried");
  EXPECT_EQ(engine.call("GET", "/v1/audit-log?limit=2").at("/items/1/action").as_string() == "retried",
            false);
}

TEST_F(ApiServers, AnActionThatIsOverCannotBeRetried) {
  const auto created = engine.call("POST", "/v1/servers", small);
  const auto action = created.at("/actionId").as_int64();
  engine.rig.wait_for({action});
  EXPECT_EQ(engine.call("POST", "/v1/actions/" + std::to_string(action) + "/retry").status, 409u);
  EXPECT_EQ(engine.call("POST", "/v1/actions/999/retry").status, 404u);
}

// -- the old route -----------------------------------------------------------------------

TEST_F(ApiServers, TheOldRouteKeepsItsPromises) {
  const auto put =
    engine.call("PUT", "/v1/plans/7",
                R"({"name":"Seven","price":{"amount":"7.00","currency":"USD"},"virtfusionPackageId":1})");
  ASSERT_EQ(put.status, 201u) << put.body;
  const auto created =
    engine.call("POST", "/servers/create",
                R"({"planId":7,"region":"north","userId":1,"hostname":null,"panelVersion":"2.1"})");
  ASSERT_EQ(created.status, 201u) << created.body;
  EXPECT_TRUE(created.at("/virtfusionId").is_string());
  EXPECT_EQ(created.at("/planId").as_string(), "7");
  EXPECT_EQ(created.header("Link"), "</v1/servers>; rel=\"successor-version\"");
  EXPECT_EQ(created.header("Deprecation").substr(0, 1), "@");

  panel.add_fault({{"operation", "POST /servers"}, {"kind", "status"}, {"status", 422}, {"count", 1}});
  const auto failed = engine.call("POST", "/servers/create", R"({"planId":7,"region":"north","userId":2})");
  EXPECT_EQ(failed.status, 201u);
  EXPECT_EQ(failed.at("/state").as_string(), "failed");
  EXPECT_TRUE(failed.at("/virtfusionId").is_null());

  const auto refused = engine.call("POST", "/servers/create", R"({"planId":8,"region":"north","userId":1})");
  EXPECT_EQ(refused.status, 422u);
  EXPECT_EQ(refused.at("/error"), refused.at("/title"));
  EXPECT_NE(refused.header("Deprecation"), "");
}

TEST_F(ApiServers, TheOldRouteAnswers201OnceTheRowIsStored) {
  test::engine hurried{database, panel, {.patience = 200ms}, {.node = "node-2"}};
  panel.add_fault({{"operation", "POST /servers"}, {"kind", "delay"}, {"delayMs", 3'000}, {"count", 1}});
  const auto created = hurried.call("POST", "/servers/create", small, {{"Idempotency-Key", "old"}});
  ASSERT_EQ(created.status, 201u) << created.body;
  EXPECT_THAT(created.at("/state").as_string(), testing::AnyOf("requested", "creating"));
  EXPECT_TRUE(created.json().as_object().contains("virtfusionId"));
  EXPECT_TRUE(created.at("/virtfusionId").is_null());
  EXPECT_NE(created.header("Deprecation"), "");
  hurried.rig.wait_for({created.at("/actionId").as_int64()});
  const auto again = hurried.call("POST", "/servers/create", small, {{"Idempotency-Key", "old"}});
  EXPECT_EQ(again.status, 201u);
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  EXPECT_TRUE(again.at("/virtfusionId").is_string());
}

TEST_F(ApiServers, FailuresOfTheOldRouteCarryTheErrorThatOlderClientsRead) {
  engine.edge.set_provisioner({});
  const auto shed = engine.call("POST", "/servers/create", small);
  EXPECT_EQ(shed.status, 503u);
  EXPECT_EQ(shed.at("/error"), shed.at("/title"));
  EXPECT_EQ(shed.header("Link"), "</v1/servers>; rel=\"successor-version\"");
  engine.edge.set_provisioner(engine.rig.provisioner);
  test::run(engine.rig.runtime.loop(), engine.rig.db.close(1s));
  const auto away = engine.call("POST", "/servers/create", small);
  EXPECT_EQ(away.status, 503u);
  EXPECT_TRUE(away.at("/error").is_string());
}

} // namespace
} // namespace skyengine::net::api
