#include "db/hold_store.hpp"
#include "tests/support/engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace skyengine::net::api {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

/// Holds of billing, as operators set and end them.
class ApiHolds : public testing::Test {
protected:
  std::string sql(const std::string& text) const { return test::run_sql(database.url(), text); }
  static std::string path_of(const test::api_answer& hold) {
    return "/v1/holds/" + std::to_string(hold.at("/id").as_int64());
  }

  test::test_database database;
  test::simulated_panel panel{{"--build-time", "0", "--seed", "7"}};
  test::engine engine{database, panel};
};

TEST_F(ApiHolds, AServerIsHeldAndReleased) {
  const auto server = engine.make_server();
  const auto made = engine.call("POST", "/v1/holds",
                                R"({"serverId":)" + std::to_string(server) + R"(,"reason":"a dispute"})");
  ASSERT_EQ(made.status, 201u) << made.body;
  EXPECT_EQ(made.header("Location"), path_of(made));
  EXPECT_EQ(made.at("/serverId").as_int64(), server);
  EXPECT_EQ(made.at("/userId").as_int64(), 1);
  EXPECT_EQ(made.at("/kind").as_string(), "operator");
  EXPECT_EQ(made.at("/reason").as_string(), "a dispute");
  EXPECT_TRUE(made.at("/outcome").is_null());
  EXPECT_EQ(engine.call("GET", path_of(made)).body, made.body);

  const auto released = engine.call("POST", path_of(made) + "/release");
  ASSERT_EQ(released.status, 200u) << released.body;
  EXPECT_EQ(released.at("/outcome").as_string(), "released");
  EXPECT_EQ(released.at("/endedBy").as_string(), "operator");
  EXPECT_TRUE(released.at("/until").is_string());
  EXPECT_EQ(
    sql("SELECT string_agg(action || ' ' || target, ', ' ORDER BY id) FROM audit_log WHERE target LIKE "
        "'hold %'"),
    "held hold 1, released hold 1");
  EXPECT_EQ(sql("SELECT detail->'outcome'->>'to' FROM audit_log WHERE action = 'released'"), "released");
}

TEST_F(ApiHolds, AnEndedHoldIsNotEndedAgain) {
  const auto made = engine.call("POST", "/v1/holds", R"({"userId":2,"reason":"fraud?"})");
  ASSERT_EQ(made.status, 201u) << made.body;
  EXPECT_TRUE(made.at("/serverId").is_null());
  const auto written_off = engine.call("POST", path_of(made) + "/write-off");
  EXPECT_EQ(written_off.at("/outcome").as_string(), "written_off");
  for (const auto* end : {"/release", "/write-off"}) {
    const auto again = engine.call("POST", path_of(made) + end);
    EXPECT_EQ(again.status, 409u) << again.body;
    EXPECT_THAT(again.body, HasSubstr("written_off"));
  }
}

TEST_F(ApiHolds, WhatCannotBeHeldIsRefused) {
  const struct {
    const char* body;
    unsigned status;
    const char* field;
  } cases[] = {{R"({"serverId":999,"reason":"r"})", 422, "serverId"},
               {R"({"userId":999,"reason":"r"})", 422, "userId"},
               {R"({"reason":"r"})", 422, "serverId"},
               {R"({"serverId":1,"userId":1,"reason":"r"})", 422, "serverId"},
               {R"({"userId":1})", 422, "reason"},
               {R"({"userId":1,"reason":""})", 422, "reason"},
               {R"({"userId":1,"reason":"r","until":1})", 422, "until"}};
  for (const auto& one : cases) {
    const auto answer = engine.call("POST", "/v1/holds", one.body);
    EXPECT_EQ(answer.status, one.status) << one.body;
    EXPECT_EQ(answer.at("/errors/0/field").as_string(), one.field) << one.body;
  }
  for (const auto* path : {"/v1/holds/999/release", "/v1/holds/999/write-off", "/v1/holds/0/release"})
    EXPECT_EQ(engine.call("POST", path).status, 404u) << path;
  EXPECT_EQ(engine.call("GET", "/v1/holds/999").status, 404u);
  EXPECT_EQ(sql("SELECT count(*) FROM holds"), "0");
}

TEST_F(ApiHolds, ADeletedServerIsNotHeldAndARepeatIsAnsweredAsBefore) {
  const auto server = engine.make_server();
  const auto body = R"({"serverId":)" + std::to_string(server) + R"(,"reason":"a dispute"})";
  const test::engine::headers key{{"Idempotency-Key", "h1"}};
  const auto made = engine.call("POST", "/v1/holds", body, key);
  ASSERT_EQ(made.status, 201u) << made.body;
  sql("UPDATE servers SET state = 'deleted', deleted_at = now() WHERE id = " + std::to_string(server));
  const auto refused = engine.call("POST", "/v1/holds", body);
  EXPECT_EQ(refused.status, 409u) << refused.body;
  EXPECT_EQ(refused.at("/detail").as_string(), "the server is deleted: there is nothing to hold");
  const auto again = engine.call("POST", "/v1/holds", body, key);
  EXPECT_EQ(again.status, 201u) << again.body;
  EXPECT_EQ(again.body, made.body);
  EXPECT_EQ(sql("SELECT count(*) FROM holds"), "1");
}

TEST_F(ApiHolds, ARepeatWithItsKeyDoesNothingAgain) {
  const test::engine::headers key{{"Idempotency-Key", "h1"}};
  const auto made = engine.call("POST", "/v1/holds", R"({"userId":1,"reason":"r"})", key);
  const auto again = engine.call("POST", "/v1/holds", R"({"userId":1,"reason":"r"})", key);
  EXPECT_EQ(again.status, 201u);
  EXPECT_EQ(again.body, made.body);
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  EXPECT_EQ(made.header("Idempotent-Replayed"), "");
  EXPECT_EQ(engine.call("POST", "/v1/holds", R"({"userId":2,"reason":"r"})", key).status, 409u);
  const test::engine::headers end_key{{"Idempotency-Key", "h2"}};
  const auto ended = engine.call("POST", path_of(made) + "/release", {}, end_key);
  const auto ended_again = engine.call("POST", path_of(made) + "/release", {}, end_key);
  EXPECT_EQ(ended_again.status, 200u);
  EXPECT_EQ(ended_again.body, ended.body);
  EXPECT_EQ(ended_again.header("Idempotent-Replayed"), "true");
  EXPECT_EQ(sql("SELECT count(*) FROM holds"), "1");
}

TEST_F(ApiHolds, TheyAreListedNewestFirst) {
  for (const auto* reason : {"one", "two", "three"})
    engine.call("POST", "/v1/holds", R"({"userId":1,"reason":")" + std::string{reason} + "\"}");
  engine.call("POST", "/v1/holds/2/release");
  const auto page = engine.call("GET", "/v1/holds?limit=2");
  EXPECT_EQ(page.at("/items/0/reason").as_string(), "three");
  EXPECT_EQ(page.at("/items/1/reason").as_string(), "two");
  const auto next =
    engine.call("GET", "/v1/holds?limit=2&cursor=" + std::string{page.at("/nextCursor").as_string()});
  EXPECT_EQ(next.at("/items/0/reason").as_string(), "one");
  EXPECT_EQ(engine.call("GET", "/v1/holds?state=ended").at("/items").as_array().size(), 1u);
  EXPECT_EQ(engine.call("GET", "/v1/holds?state=open").at("/items").as_array().size(), 2u);
  EXPECT_EQ(engine.call("GET", "/v1/holds?state=other").status, 400u);
}

TEST_F(ApiHolds, TheyAreOperatorsBusiness) {
  EXPECT_EQ(engine.call_as(engine.user_1_key, "GET", "/v1/holds").status, 403u);
  const auto reader = engine.make_key(std::nullopt, {"billing:read"});
  EXPECT_EQ(engine.call_as(reader, "GET", "/v1/holds").status, 200u);
  EXPECT_EQ(engine.call_as(reader, "POST", "/v1/holds", R"({"userId":1,"reason":"r"})").status, 403u);
}

TEST_F(ApiHolds, EachOpenOneIsToldOfOnceADay) {
  engine.call("POST", "/v1/holds", R"({"userId":1,"reason":"r"})");
  engine.call("POST", "/v1/holds", R"({"userId":2,"reason":"s"})");
  engine.call("POST", "/v1/holds/2/release");
  db::hold_store store{engine.rig.db};
  const auto told = [&](std::chrono::hours later) {
    return test::run(engine.rig.runtime.loop(), store.alert_holds(engine.rig.business.now() + later, 10))
      .value()
      .size();
  };
  EXPECT_EQ(told(0h), 0u);
  EXPECT_EQ(told(24h), 1u);
  EXPECT_EQ(told(24h), 0u);
  EXPECT_EQ(told(48h), 1u);
  EXPECT_EQ(sql("SELECT count(*) || ' ' || min(body->>'alert') || ' ' || min(body->>'hold') FROM outbox"),
            "2 hold_open 1");
}

TEST_F(ApiHolds, ManyAtOnceWithOneKeyEndAHoldOnceAndAreAnsweredAlike) {
  const auto made = engine.call("POST", "/v1/holds", R"({"userId":1,"reason":"r"})");
  std::vector<test::raw_connection> connections;
  connections.reserve(8);
  for (int i = 0; i < 8; ++i)
    connections.push_back(engine.begin(engine.operator_key, "POST", path_of(made) + "/release", {},
                                       {{"Idempotency-Key", "once"}}));
  for (auto& connection : connections) {
    auto answered = connection.answer();
    ASSERT_TRUE(answered);
    EXPECT_EQ(answered->status, 200u) << answered->body;
  }
  EXPECT_EQ(sql("SELECT count(*) FROM audit_log WHERE action = 'released'"), "1");
}

} // namespace
} // namespace skyengine::net::api
