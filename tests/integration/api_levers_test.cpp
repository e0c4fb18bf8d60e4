#include "tests/support/engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace skyengine::net::api {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr auto small = R"({"planId":"small","region":"north","userId":1})";

/// What an operator can do to an action that is stuck.
class ApiLevers : public testing::Test {
protected:
  /// A create that VirtFusion has refused for so long that nothing but a lever moves it.
  test::api_answer make_stuck_create(test::engine& at, std::string_view key = {}) const {
    panel.add_fault({{"operation", "POST /servers"},
                     {"kind", "status"},
                     {"status", 503},
                     {"retryAfter", 3'000},
                     {"count", 1}});
    test::engine::headers more;
    if (!key.empty())
      more.emplace_back("Idempotency-Key", key);
    auto stuck = at.call("POST", "/v1/servers", small, more);
    EXPECT_TRUE(test::run_until(at.rig.runtime.loop(), [&] { return count_asked("POST /servers") == 1; }));
    return stuck;
  }

  std::string action_path(const test::api_answer& server) const {
    return "/v1/actions/" + std::to_string(server.at("/actionId").as_int64());
  }
  std::string server_path(const test::api_answer& server) const {
    return "/v1/servers/" + std::to_string(server.at("/id").as_int64());
  }

  std::size_t living() const {
    std::size_t count = 0;
    const auto state = panel.state();
    for (const auto& server : state.at("servers").as_array())
      count += server.as_object().at("deletedAt").is_null() ? 1 : 0;
    return count;
  }

  std::vector<std::string> events_of(const std::string& server) {
    std::vector<std::string> types;
    const auto listed = engine.call("GET", server + "/events");
    const auto items = listed.at("/items");
    for (const auto& each : items.as_array())
      types.emplace_back(each.at("type").as_string());
    return types;
  }

  int count_asked(const char* operation) const {
    const auto asked = panel.requests().at("byOperation").as_object();
    const auto* const found = asked.if_contains(operation);
    return found == nullptr ? 0 : found->to_number<int>();
  }

  /// Longer than any of the simulator's delays here, also on a busy machine.
  static test::rig_options with_long_settle() {
    test::rig_options options{.node = "node-2"};
    options.sagas.settle = 10s;
    return options;
  }

  test::test_database database;
  test::simulated_panel panel{{"--build-time", "0", "--seed", "7"}};
  test::engine engine{database, panel, {.patience = 500ms}};
};

// -- retry ---------------------------------------------------------------------------

TEST_F(ApiLevers, ARetryReachesASagaOfAnotherNode) {
  test::engine other{database, panel, {.patience = 500ms}, {.node = "node-2"}};
  const auto stuck = make_stuck_create(engine);
  ASSERT_EQ(stuck.status, 202u) << stuck.body;
  const auto retried = other.call("POST", action_path(stuck) + "/retry");
  ASSERT_EQ(retried.status, 202u) << retried.body;
  EXPECT_EQ(retried.header("Location"), action_path(stuck));
  EXPECT_EQ(engine.rig.wait_for({stuck.at("/actionId").as_int64()}).state, action_state::succeeded);
}

TEST_F(ApiLevers, ARetryThatTheDatabaseDoesNotTellIsFoundByTheSweep) {
  const auto stuck = make_stuck_create(engine);
  ASSERT_EQ(stuck.status, 202u);
  // As another node writes it, while this one's connection that listens is away.
  test::run_sql(database.url(), "UPDATE actions SET calls = calls + 1");
  EXPECT_EQ(engine.rig.wait_for({stuck.at("/actionId").as_int64()}).state, action_state::succeeded);
}

TEST_F(ApiLevers, ADeleteAtAnotherNodeIsSeenByTheCreateThatItWaitsFor) {
  test::engine other{database, panel, {.patience = 500ms}, {.node = "node-2"}};
  const auto stuck = make_stuck_create(engine);
  const auto deleted = other.call("DELETE", server_path(stuck));
  ASSERT_EQ(deleted.at("/state").as_string(), "pending");
  EXPECT_EQ(engine.rig.wait_for({deleted.at("/id").as_int64()}).state, action_state::succeeded);
  EXPECT_EQ(living(), 0u);
}

TEST_F(ApiLevers, TwoAtOnceWithOneKeyPullALeverOnce) {
  const auto stuck = make_stuck_create(engine);
  const auto path = action_path(stuck) + "/retry";
  std::vector<test::raw_connection> connections;
  connections.reserve(8);
  for (int i = 0; i < 8; ++i)
    connections.push_back(engine.begin(engine.operator_key, "POST", path, {}, {{"Idempotency-Key", "once"}}));
  for (auto& connection : connections) {
    auto answered = connection.answer();
    ASSERT_TRUE(answered);
    EXPECT_EQ(answered->status, 202u) << answered->body;
  }
  EXPECT_EQ(test::run_sql(database.url(), "SELECT count(*) FROM audit_log WHERE action = 'retried'"), "1");
}

TEST_F(ApiLevers, WhoJoinsACreateOfAnotherNodeTakesNoRoomFromANewOne) {
  test::rig_options narrow{.node = "node-2"};
  narrow.provisioner.max_open = 1;
  test::engine other{database, panel, {.patience = 5s}, narrow};
  const auto stuck = make_stuck_create(engine, "stuck");
  ASSERT_EQ(stuck.status, 202u);
  test::run_sql(database.url(), "UPDATE idempotency_keys SET first_status = NULL");
  auto joined = other.begin(other.operator_key, "POST", "/v1/servers", small, {{"Idempotency-Key", "stuck"}});
  // Meanwhile it comes to the provisioner.
  ASSERT_EQ(other.call("GET", "/v1/servers").status, 200u);
  EXPECT_EQ(other.call("POST", "/v1/servers", R"({"planId":"small","region":"north","userId":2})").status,
            201u);
  EXPECT_EQ(engine.call("POST", action_path(stuck) + "/abandon").status, 202u);
  ASSERT_TRUE(joined.answer());
}

TEST_F(ApiLevers, TwoAtOnceWithOneKeyRevokeTheKeyThatTheyAnswerFor) {
  std::vector<std::int64_t> ids;
  std::vector<test::raw_connection> connections;
  ids.reserve(2);
  connections.reserve(2);
  for (int i = 0; i < 2; ++i)
    ids.push_back(
      engine.call("POST", "/v1/api-keys", R"({"operator":true,"name":"x"})").at("/id").as_int64());
  for (const auto id : ids)
    connections.push_back(engine.begin(engine.operator_key, "DELETE", "/v1/api-keys/" + std::to_string(id),
                                       {}, {{"Idempotency-Key", "once"}}));
  auto refused = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    auto answered = connections[i].answer();
    ASSERT_TRUE(answered);
    refused += answered->status == 409 ? 1 : 0;
    EXPECT_EQ(test::run_sql(database.url(), "SELECT revoked_at IS NOT NULL FROM api_keys WHERE id = " +
                                              std::to_string(ids[i])),
              answered->status == 204 ? "t" : "f");
  }
  EXPECT_EQ(refused, 1);
}

// -- abandon: creates -----------------------------------------------------------------

TEST_F(ApiLevers, AnAbandonedCreateThatMadeNothingHasFailed) {
  const auto stuck = make_stuck_create(engine, "order");
  ASSERT_EQ(stuck.status, 202u);
  const auto path = action_path(stuck) + "/abandon";
  EXPECT_EQ(engine.call_as(engine.user_1_key, "POST", path).status, 403u);
  const auto abandoned = engine.call("POST", path, {}, {{"Idempotency-Key", "lever"}});
  ASSERT_EQ(abandoned.status, 202u) << abandoned.body;
  EXPECT_EQ(abandoned.header("Location"), action_path(stuck));
  const auto ended = engine.rig.wait_for({stuck.at("/actionId").as_int64()});
  EXPECT_EQ(ended.state, action_state::failed);
  EXPECT_EQ(ended.failure->code, errc::conflict);
  EXPECT_EQ(engine.call("GET", server_path(stuck)).at("/state").as_string(), "failed");
  EXPECT_EQ(living(), 0u);
  EXPECT_EQ(count_asked("POST /servers"), 1);
  EXPECT_THAT(events_of(server_path(stuck)), testing::Contains("abandon_requested"));

  const auto log = engine.call("GET", "/v1/audit-log?limit=1");
  EXPECT_EQ(log.at("/items/0/action").as_string(), "abandoned");
  EXPECT_EQ(log.at("/items/0/actor").as_string(), "operator");
  const auto again = engine.call("POST", path, {}, {{"Idempotency-Key", "lever"}});
  EXPECT_EQ(again.status, 202u);
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  EXPECT_EQ(again.at("/state").as_string(), "failed");
  EXPECT_EQ(engine.call("POST", path).status, 409u);
  EXPECT_EQ(engine.call("POST", "/v1/actions/999/abandon").status, 404u);
}

TEST_F(ApiLevers, AnAbandonedCreateWhoseAnswerWasLostRemovesWhatItMade) {
  test::engine patient{database, panel, {.patience = 500ms}, with_long_settle()};
  panel.add_fault({{"operation", "POST /servers"}, {"kind", "late_effect"}, {"count", 1}, {"delayMs", 900}});
  const auto lost = patient.call("POST", "/v1/servers", small);
  ASSERT_EQ(lost.status, 202u);
  ASSERT_TRUE(test::run_until(patient.rig.runtime.loop(), [&] { return count_asked("POST /servers") == 1; }));
  ASSERT_EQ(patient.call("POST", action_path(lost) + "/abandon").status, 202u);
  EXPECT_EQ(patient.rig.wait_for({lost.at("/actionId").as_int64()}).state, action_state::failed);
  EXPECT_EQ(patient.call("GET", server_path(lost)).at("/state").as_string(), "failed");
  EXPECT_EQ(panel.state().at("servers").as_array().size(), 1u);
  EXPECT_EQ(living(), 0u);
  EXPECT_EQ(count_asked("POST /servers"), 1);
  EXPECT_EQ(count_asked("POST /servers/{serverId}/build"), 0);
}

TEST_F(ApiLevers, AnAbandonedBuildIsRemovedAgain) {
  test::simulated_panel slow{{"--build-time", "2.5"}};
  test::engine builder{database, slow, {.patience = 5s}, {.node = "node-2"}};
  const auto building = builder.call("POST", "/v1/servers", small);
  ASSERT_EQ(building.at("/state").as_string(), "building");
  ASSERT_EQ(builder.call("POST", action_path(building) + "/abandon").status, 202u);
  EXPECT_EQ(builder.rig.wait_for({building.at("/actionId").as_int64()}).state, action_state::failed);
  EXPECT_EQ(builder.call("GET", server_path(building)).at("/state").as_string(), "failed");
  EXPECT_FALSE(slow.state().at("servers").at(0).at("deletedAt").is_null());
}

TEST_F(ApiLevers, ACreateIsAbandonedWhileVirtFusionIsAway) {
  panel.add_fault({{"operation", "GET /users/{extRelationId}/byExtRelation"}, {"kind", "reset"}});
  const auto waiting = engine.call("POST", "/v1/servers", small);
  ASSERT_EQ(waiting.status, 202u);
  ASSERT_EQ(engine.call("POST", action_path(waiting) + "/abandon").status, 202u);
  EXPECT_EQ(engine.rig.wait_for({waiting.at("/actionId").as_int64()}).state, action_state::failed);
  EXPECT_EQ(count_asked("POST /servers"), 0);
}

TEST_F(ApiLevers, AnAbandonAtAnotherNodeReachesTheSaga) {
  test::engine other{database, panel, {.patience = 500ms}, {.node = "node-2"}};
  const auto stuck = make_stuck_create(engine);
  ASSERT_EQ(other.call("POST", action_path(stuck) + "/abandon").status, 202u);
  EXPECT_EQ(engine.rig.wait_for({stuck.at("/actionId").as_int64()}).state, action_state::failed);
}

TEST_F(ApiLevers, WhoStillWaitsForAnAbandonedCreateHearsOfIt) {
  test::engine patient{database, panel, {.patience = 20s}, {.node = "node-2"}};
  panel.add_fault(
    {{"operation", "POST /servers"}, {"kind", "status"}, {"status", 503}, {"retryAfter", 3'000}});
  auto waiting = patient.begin(patient.operator_key, "POST", "/v1/servers", small);
  ASSERT_TRUE(test::run_until(patient.rig.runtime.loop(), [&] { return count_asked("POST /servers") == 1; }));
  ASSERT_EQ(patient.call("POST", "/v1/actions/1/abandon").status, 202u);
  auto answered = waiting.answer();
  ASSERT_TRUE(answered);
  const test::api_answer answer{std::move(*answered)};
  EXPECT_EQ(answer.status, 409u);
  EXPECT_THAT(answer.body, HasSubstr("abandoned"));
  EXPECT_EQ(answer.at("/serverId").as_int64(), 1);
}

// -- abandon: deletes -----------------------------------------------------------------

TEST_F(ApiLevers, AnAbandonedDeleteThatVirtFusionRefusesLeavesTheServerAsItWas) {
  const auto id = engine.make_server();
  const auto path = "/v1/servers/" + std::to_string(id);
  panel.add_fault({{"operation", "DELETE /servers/{serverId}"}, {"kind", "status"}, {"status", 403}});
  const auto deleted = engine.call("DELETE", path);
  ASSERT_EQ(deleted.status, 202u);
  const auto action = deleted.at("/id").as_int64();
  ASSERT_TRUE(test::run_until(engine.rig.runtime.loop(),
                              [&] { return count_asked("DELETE /servers/{serverId}") > 0; }));
  ASSERT_EQ(engine.call("POST", "/v1/actions/" + std::to_string(action) + "/abandon").status, 202u);
  const auto ended = engine.rig.wait_for({action});
  EXPECT_EQ(ended.state, action_state::failed);
  EXPECT_EQ(ended.failure->code, errc::virtfusion_rejected);
  const auto kept = engine.call("GET", path);
  EXPECT_EQ(kept.at("/state").as_string(), "active");
  EXPECT_FALSE(kept.at("/deleteRequested").as_bool());
  EXPECT_EQ(living(), 1u);
  EXPECT_THAT(events_of(path), testing::Contains("delete_abandoned"));
  EXPECT_EQ(test::run_sql(database.url(), "SELECT count(*) FROM servers WHERE virtfusion_id IS NOT NULL"),
            "1");

  // It can be deleted again, once VirtFusion lets it.
  panel.clear_faults();
  const auto again = engine.call("DELETE", path);
  ASSERT_EQ(again.status, 202u) << again.body;
  EXPECT_NE(again.at("/id").as_int64(), action);
  EXPECT_EQ(engine.rig.wait_for({again.at("/id").as_int64()}).state, action_state::succeeded);
  EXPECT_EQ(living(), 0u);
}

TEST_F(ApiLevers, ADeleteThatVirtFusionCarriesOutEndsAsDeletedAlsoWhenAbandoned) {
  test::engine patient{database, panel, {.patience = 5s}, with_long_settle()};
  const auto path = "/v1/servers/" + std::to_string(patient.make_server());
  // The answer to the first is lost and its work is done later; every further one is refused.
  panel.add_fault(
    {{"operation", "DELETE /servers/{serverId}"}, {"kind", "late_effect"}, {"count", 1}, {"delayMs", 900}});
  panel.add_fault({{"operation", "DELETE /servers/{serverId}"}, {"kind", "status"}, {"status", 403}});
  const auto deleted = patient.call("DELETE", path);
  const auto action = deleted.at("/id").as_int64();
  ASSERT_TRUE(test::run_until(patient.rig.runtime.loop(),
                              [&] { return count_asked("DELETE /servers/{serverId}") > 0; }));
  ASSERT_EQ(patient.call("POST", "/v1/actions/" + std::to_string(action) + "/abandon").status, 202u);
  EXPECT_EQ(patient.rig.wait_for({action}).state, action_state::succeeded);
  EXPECT_EQ(patient.call("GET", path).at("/state").as_string(), "deleted");
  EXPECT_EQ(living(), 0u);
}

TEST_F(ApiLevers, ADeleteThatOnlyWaitsIsTakenBack) {
  // The create's POST is on its way, so that nothing gives way yet.
  panel.add_fault({{"operation", "POST /servers"}, {"kind", "delay"}, {"delayMs", 4'000}, {"count", 1}});
  const auto created = engine.call("POST", "/v1/servers", small);
  ASSERT_EQ(created.status, 202u);
  ASSERT_TRUE(test::run_until(engine.rig.runtime.loop(), [&] { return count_asked("POST /servers") == 1; }));
  const auto path = server_path(created);
  const auto deleted = engine.call("DELETE", path);
  ASSERT_EQ(deleted.at("/state").as_string(), "pending");
  const auto lever = "/v1/actions/" + std::to_string(deleted.at("/id").as_int64()) + "/abandon";
  const auto abandoned = engine.call("POST", lever);
  ASSERT_EQ(abandoned.status, 202u) << abandoned.body;
  EXPECT_EQ(abandoned.at("/state").as_string(), "failed");
  EXPECT_FALSE(engine.call("GET", path).at("/deleteRequested").as_bool());
  EXPECT_EQ(engine.rig.wait_for({created.at("/actionId").as_int64()}).state, action_state::succeeded);
  EXPECT_EQ(living(), 1u);
}

TEST_F(ApiLevers, ADeleteOfWhatWasNeverFinishedCannotBeAbandoned) {
  test::simulated_panel slow{{"--build-time", "600"}};
  test::engine builder{database, slow, {.patience = 5s}, {.node = "node-2"}};
  const auto building = builder.call("POST", "/v1/servers", small);
  slow.add_fault({{"operation", "DELETE /servers/{serverId}"}, {"kind", "status"}, {"status", 403}});
  const auto deleted = builder.call("DELETE", server_path(building));
  const auto action = "/v1/actions/" + std::to_string(deleted.at("/id").as_int64());
  ASSERT_TRUE(test::run_until(builder.rig.runtime.loop(), [&] {
    return builder.call("GET", action).at("/state").as_string() == "running";
  }));
  const auto refused = builder.call("POST", action + "/abandon");
  EXPECT_EQ(refused.status, 409u);
  EXPECT_THAT(refused.body, HasSubstr("never finished"));
  EXPECT_EQ(test::run_sql(database.url(), "SELECT count(*) FROM audit_log WHERE action = 'abandoned'"), "0");
}

} // namespace
} // namespace skyengine::net::api
