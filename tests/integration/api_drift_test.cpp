#include "actors/drift_watcher.hpp"
#include "db/adoption_store.hpp"
#include "db/audit.hpp"
#include "net/virtfusion/calls.hpp"
#include "tests/support/engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace skyengine::net::api {
namespace {

namespace vf = net::virtfusion;
using namespace std::chrono_literals;
using testing::HasSubstr;

/// What operators can do about drift.
class ApiDrift : public testing::Test {
protected:
  void TearDown() override {
    const auto invariants = test::run(engine.rig.runtime.loop(), db::audit(engine.rig.db));
    EXPECT_TRUE(invariants);
    for (const auto& one : *invariants)
      EXPECT_EQ(one.violations, 0) << one.name;
  }

  std::int64_t virtfusion_id(std::int64_t server) {
    return engine.rig.load_server({server}).virtfusion_id.value().value;
  }
  void read_list() {
    const auto begun_at = engine.rig.business.now();
    const auto page = ask(vf::list_servers()).value();
    std::vector<actors::drift_watcher::listed_server> servers;
    servers.reserve(page.items.size());
    for (const auto& one : page.items)
      servers.push_back({one.id, one.owner, one.is_suspended});
    EXPECT_TRUE(test::run(engine.rig.runtime.loop(), watcher.on_page(servers, begun_at, page.total)));
    EXPECT_TRUE(test::run(engine.rig.runtime.loop(), watcher.on_list_end(begun_at, true)));
  }
  void read_record(std::int64_t server) {
    const auto asked_at = engine.rig.business.now();
    auto record = ask(vf::get_server({virtfusion_id(server)}, true)).value();
    EXPECT_TRUE(test::run(engine.rig.runtime.loop(), watcher.on_record(std::move(record), asked_at)));
  }
  template <class T>
  vf::call_result<T> ask(vf::call<T> wanted) {
    const actors::call_options how{
      call_class::background, engine.rig.runtime.timers().now() + 20s, {}, "test"};
    return test::run(engine.rig.runtime.loop(), engine.rig.caller.call(how, std::move(wanted)));
  }

  test::api_answer resolve(const std::string& how, int id = 1, test::engine::headers more = {}) {
    return engine.call("POST", "/v1/drift/" + std::to_string(id) + "/resolve", R"({"how":")" + how + "\"}",
                       std::move(more));
  }
  /// So many requests at once with one key; their answers.
  std::vector<test::http_answer> resolve_at_once(const std::string& how, int times) {
    std::vector<test::raw_connection> connections;
    connections.reserve(static_cast<std::size_t>(times));
    for (int i = 0; i < times; ++i)
      connections.push_back(engine.begin(engine.operator_key, "POST", "/v1/drift/1/resolve",
                                         R"({"how":")" + how + "\"}", {{"Idempotency-Key", "once"}}));
    std::vector<test::http_answer> answers;
    for (auto& connection : connections) {
      auto answered = connection.answer();
      EXPECT_TRUE(answered);
      answers.push_back(answered.value());
    }
    return answers;
  }
  std::string sql(const std::string& text) const { return test::run_sql(database.url(), text); }
  std::string server_row(std::int64_t id, const std::string& columns) const {
    return sql("SELECT " + columns + " FROM servers WHERE id = " + std::to_string(id));
  }
  std::string hold() const { return sql("SELECT coalesce(outcome, 'open') FROM holds"); }
  std::string last_event(std::int64_t server) const {
    return sql("SELECT type || ' ' || from_state || ' ' || to_state FROM server_events WHERE server_id = " +
               std::to_string(server) + " ORDER BY id DESC LIMIT 1");
  }
  std::int64_t make_stranger(std::int64_t users = 1) {
    panel.make_servers(1, users);
    const auto state = panel.state();
    const auto id = state.at("servers").as_array().back().at("id").to_number<std::int64_t>();
    read_list();
    return id;
  }
  void suspend_here(std::int64_t server) const {
    sql("WITH s AS (UPDATE servers SET state = 'suspended' WHERE id = " + std::to_string(server) +
        " RETURNING id, last_event_at) INSERT INTO server_events (server_id, at, type, from_state, to_state) "
        "SELECT id, last_event_at, 'suspended', 'active', 'suspended' FROM s");
  }

  test::test_database database;
  test::simulated_panel panel{{"--build-time", "0", "--seed", "7"}};
  test::engine engine{database, panel};
  db::drift_store store{engine.rig.db};
  actors::drift_watcher watcher{engine.rig.caller, store, engine.rig.business};
};

TEST_F(ApiDrift, ItIsListedAndShown) {
  const auto server = engine.make_server();
  EXPECT_EQ(engine.call("GET", "/v1/drift").at("/items").as_array().size(), 0u);
  panel.patch_server(virtfusion_id(server), {{"suspended", true}});
  make_stranger();
  const auto all = engine.call("GET", "/v1/drift?state=open");
  ASSERT_EQ(all.at("/items").as_array().size(), 2u) << all.body;
  const auto one = engine.call("GET", "/v1/drift/1");
  EXPECT_EQ(one.status, 200u);
  EXPECT_EQ(engine.call("GET", "/v1/drift?state=vanished").at("/items").as_array().size(), 0u);
  EXPECT_EQ(engine.call("GET", "/v1/drift?state=gone").status, 400u);
  for (const auto* kind : {"suspended", "unknown"}) {
    const auto some = engine.call("GET", "/v1/drift?state=open&kind=" + std::string{kind});
    ASSERT_EQ(some.at("/items").as_array().size(), 1u) << some.body;
    EXPECT_EQ(some.at("/items/0/kind").as_string(), kind);
  }
  for (const auto* kind : {"gone", "owner", "package", "running"})
    EXPECT_TRUE(engine.call("GET", "/v1/drift?kind=" + std::string{kind}).at("/items").as_array().empty())
      << kind;
  const auto no_kind = engine.call("GET", "/v1/drift?kind=open");
  EXPECT_EQ(no_kind.status, 400u);
  EXPECT_EQ(no_kind.at("/detail").as_string(),
            "query parameter kind: is not one of gone, owner, package, suspended, running, unknown");
  EXPECT_EQ(engine.call("GET", "/v1/drift/99").status, 404u);
  const auto page = engine.call("GET", "/v1/drift?limit=1");
  EXPECT_EQ(page.at("/items/0/id").as_int64(), 2);
  const auto metrics = engine.call_as("", "GET", "/metrics");
  EXPECT_THAT(metrics.body, HasSubstr("skyengine_drift{kind=\"suspended\"} 1"));
  EXPECT_THAT(metrics.body, HasSubstr("skyengine_drift{kind=\"gone\"} 0"));
  EXPECT_EQ(engine.call_as(engine.user_1_key, "GET", "/v1/drift").status, 403u);
  EXPECT_EQ(engine.call_as(engine.user_1_key, "POST", "/v1/drift/1/resolve", R"({"how":"ignore"})").status,
            403u);
}

TEST_F(ApiDrift, WhatIsNoResolutionIsRefused) {
  make_stranger();
  EXPECT_EQ(resolve("forget").status, 422u);
  EXPECT_EQ(engine.call("POST", "/v1/drift/1/resolve", "{}").status, 422u);
  EXPECT_EQ(resolve("ignore", 99).status, 404u);
  EXPECT_EQ(resolve("take_over").status, 409u);
}

TEST_F(ApiDrift, WhatIsIgnoredIsChargedAndNotToldAgainUntilItIsWrongInAnotherWay) {
  const auto server = engine.make_server();
  read_record(server);
  panel.patch_server(virtfusion_id(server), {{"memory", 123}});
  read_record(server);
  ASSERT_EQ(hold(), "open");
  const auto ignored = resolve("ignore");
  ASSERT_EQ(ignored.status, 200u) << ignored.body;
  EXPECT_EQ(ignored.at("/state").as_string(), "resolved");
  EXPECT_EQ(ignored.at("/resolution").as_string(), "ignore");
  EXPECT_EQ(ignored.at("/endedBy").as_string(), "operator");
  EXPECT_EQ(hold(), "released");
  EXPECT_EQ(last_event(server), "drift_resolved active active");
  read_record(server);
  EXPECT_EQ(sql("SELECT count(*) FROM drift"), "1");
  panel.patch_server(virtfusion_id(server), {{"memory", 124}});
  read_record(server);
  EXPECT_EQ(sql("SELECT count(*) || ' ' || count(*) FILTER (WHERE state = 'open') FROM drift"), "2 1");
  EXPECT_EQ(resolve("ignore").status, 409u);
  EXPECT_EQ(sql("SELECT action || ' ' || (detail->>'how') FROM audit_log WHERE target = 'drift 1'"),
            "resolved ignore");
}

TEST_F(ApiDrift, WhatWasIgnoredAndIsRightAgainIsToldWhenItIsWrongOnceMore) {
  const auto server = engine.make_server();
  const auto id = virtfusion_id(server);
  panel.patch_server(id, {{"suspended", true}});
  read_list();
  ASSERT_EQ(resolve("ignore").status, 200u);
  panel.patch_server(id, {{"suspended", false}});
  read_list();
  panel.patch_server(id, {{"suspended", true}});
  read_list();
  EXPECT_EQ(sql("SELECT string_agg(state, ' ' ORDER BY id) FROM drift"), "resolved open");
}

TEST_F(ApiDrift, AnOwnerIsNeverTakenOver) {
  const auto server = engine.make_server();
  engine.make_server(R"({"planId":"small","region":"north","userId":2})");
  panel.patch_server(virtfusion_id(server), {{"extRelationId", 2}});
  read_list();
  const auto refused = resolve("take_over");
  EXPECT_EQ(refused.status, 409u);
  EXPECT_THAT(refused.body, HasSubstr("VirtFusion"));
  EXPECT_EQ(resolve("delete").status, 409u);
  EXPECT_EQ(hold(), "open");
}

TEST_F(ApiDrift, AServerThatIsGoneEndsWhenItWasLastSeenAndWhatWasHeldIsWrittenOff) {
  const auto server = engine.make_server();
  read_list();
  panel.erase_server(virtfusion_id(server));
  read_list();
  read_list();
  const test::engine::headers key{{"Idempotency-Key", "d1"}};
  const auto deleted = resolve("delete", 1, key);
  ASSERT_EQ(deleted.status, 200u) << deleted.body;
  EXPECT_EQ(server_row(server, "state"), "deleted");
  EXPECT_EQ(last_event(server), "deleted active deleted");
  EXPECT_EQ(sql("SELECT s.deleted_at = h.from_at AND h.until_at = s.last_event_at FROM servers s, holds h"),
            "t");
  EXPECT_EQ(hold(), "written_off");
  EXPECT_EQ(sql("SELECT detail->'changes'->'state' FROM audit_log WHERE action = 'resolved'"),
            R"({"to": "deleted", "from": "active"})");
  const auto again = resolve("delete", 1, key);
  EXPECT_EQ(again.status, 200u);
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  EXPECT_EQ(sql("SELECT count(*) FROM drift WHERE standing"), "0");
}

TEST_F(ApiDrift, AServerThatVirtFusionHasIsNotTakenForGone) {
  const auto server = engine.make_server();
  read_list();
  test::run_sql(
    database.url(),
    "INSERT INTO drift (kind, server_id, virtfusion_id, first_seen, last_seen, seen) SELECT 'gone', id, "
    "virtfusion_id, now(), now(), 'server not found' FROM servers");
  const auto refused = resolve("delete");
  EXPECT_EQ(refused.status, 409u) << refused.body;
  EXPECT_EQ(server_row(server, "state"), "active");
  read_list();
  EXPECT_EQ(sql("SELECT state FROM drift"), "vanished");
}

TEST_F(ApiDrift, ASuspensionIsTakenOverFromWhenItWasSeen) {
  const auto server = engine.make_server();
  panel.patch_server(virtfusion_id(server), {{"suspended", true}});
  read_list();
  const auto taken = resolve("take_over");
  ASSERT_EQ(taken.status, 200u) << taken.body;
  EXPECT_EQ(server_row(server, "state"), "suspended");
  EXPECT_EQ(last_event(server), "suspended active suspended");
  EXPECT_EQ(
    sql("SELECT e.at = h.from_at AND h.until_at = h.from_at FROM server_events e, holds h WHERE e.type = "
        "'suspended'"),
    "t");
  EXPECT_EQ(hold(), "written_off");
  read_list();
  EXPECT_EQ(sql("SELECT count(*) FROM drift"), "1");
}

TEST_F(ApiDrift, WhatIsOverInVirtFusionIsNotTakenOver) {
  const auto server = engine.make_server();
  panel.patch_server(virtfusion_id(server), {{"suspended", true}});
  read_list();
  panel.patch_server(virtfusion_id(server), {{"suspended", false}});
  EXPECT_EQ(resolve("take_over").status, 409u);
  EXPECT_EQ(server_row(server, "state"), "active");
}

TEST_F(ApiDrift, NothingIsDecidedOfAServerThatIsBusy) {
  const auto server = engine.make_server();
  suspend_here(server);
  read_list();
  sql("INSERT INTO actions (kind, server_id, state, step, requested_by, request_id, created_at) SELECT "
      "'delete', id, "
      "'pending', 'begin', 'operator', 'r', now() FROM servers");
  for (const auto* how : {"take_over", "ignore"}) {
    const auto refused = resolve(how);
    EXPECT_EQ(refused.status, 409u) << how;
    EXPECT_THAT(refused.body, HasSubstr("action under way"));
  }
  sql("DELETE FROM actions WHERE state = 'pending'");
  EXPECT_EQ(resolve("ignore").status, 200u);
}

TEST_F(ApiDrift, NothingIsTakenOverOfAServerThatHasEnded) {
  const auto server = engine.make_server();
  suspend_here(server);
  read_list();
  sql(
    "WITH s AS (UPDATE servers SET state = 'deleted' RETURNING id, last_event_at) INSERT INTO server_events "
    "(server_id, at, type, from_state, to_state) SELECT id, last_event_at, 'deleted', 'suspended', 'deleted' "
    "FROM s");
  const auto refused = resolve("take_over");
  EXPECT_EQ(refused.status, 409u);
  EXPECT_THAT(refused.body, HasSubstr("deleted meanwhile"));
  EXPECT_EQ(resolve("ignore").status, 200u);
}

TEST_F(ApiDrift, AServerThatRunsIsTakenOverFromNow) {
  const auto server = engine.make_server();
  suspend_here(server);
  read_list();
  const auto taken = resolve("take_over");
  ASSERT_EQ(taken.status, 200u) << taken.body;
  EXPECT_EQ(last_event(server), "unsuspended suspended active");
}

TEST_F(ApiDrift, AMachineThatRunsWhileItIsSuspendedIsNotTakenOver) {
  const auto server = engine.make_server();
  suspend_here(server);
  panel.patch_server(virtfusion_id(server), {{"suspended", true}, {"power", "running"}});
  read_record(server);
  const auto refused = resolve("take_over");
  EXPECT_EQ(refused.status, 409u) << refused.body;
  EXPECT_THAT(refused.body, HasSubstr("unsuspend it there"));
}

TEST_F(ApiDrift, AnotherPackageIsTakenOverAsThePlanThatMapsToIt) {
  const auto plan_body = [](int package, const char* currency) {
    return R"({"name":"Large","price":{"amount":"9.00","currency":")" + std::string{currency} +
           R"("},"virtfusionPackageId":)" + std::to_string(package) + "}";
  };
  const auto server = engine.make_server();
  read_record(server);
  // Its resources are those of package 2 now.
  panel.make_servers(2, 1);
  const auto packages = ask(vf::list_packages()).value();
  const auto& has = packages.at(1).resources;
  panel.patch_server(virtfusion_id(server), {{"memory", has.memory_mb},
                                             {"storage", has.storage_gb},
                                             {"traffic", has.traffic_gb},
                                             {"cpuCores", has.cpu_cores}});
  read_record(server);
  EXPECT_EQ(resolve("take_over").status, 409u);
  ASSERT_EQ(engine.call("PUT", "/v1/plans/euros", plan_body(2, "EUR")).status / 100, 2u);
  EXPECT_EQ(resolve("take_over").status, 409u);
  ASSERT_EQ(engine.call("PUT", "/v1/plans/large", plan_body(2, "USD")).status / 100, 2u);
  const auto taken = resolve("take_over");
  ASSERT_EQ(taken.status, 200u) << taken.body;
  EXPECT_EQ(server_row(server, "plan_id"), "large");
  EXPECT_EQ(sql("SELECT from_plan || ' ' || to_plan FROM server_events WHERE type = 'plan_changed'"),
            "small large");
  EXPECT_EQ(sql("SELECT e.at = h.from_at FROM server_events e, holds h WHERE e.type = 'plan_changed'"), "t");
  EXPECT_EQ(hold(), "released");
  read_record(server);
  EXPECT_EQ(sql("SELECT count(*) FROM drift WHERE standing"), "0");
}

TEST_F(ApiDrift, AStrangerIsAdopted) {
  const auto stranger = make_stranger(9);
  const auto owner = sql("SELECT seen FROM drift");
  const auto test_state = panel.server(stranger);
  const auto user = test_state.at("extRelationId").to_number<std::int64_t>();
  sql("UPDATE plans SET virtfusion_package_id = " +
      std::to_string(test_state.at("packageId").to_number<std::int64_t>()));
  const test::engine::headers key{{"Idempotency-Key", "a1"}};
  const auto adopted = resolve("adopt", 1, key);
  ASSERT_EQ(adopted.status, 200u) << adopted.body << owner;
  const auto id = adopted.at("/serverId").as_int64();
  EXPECT_EQ(adopted.at("/resolution").as_string(), "adopt");
  const auto record = engine.call("GET", "/v1/servers/" + std::to_string(id));
  EXPECT_EQ(record.at("/state").as_string(), "active");
  EXPECT_EQ(record.at("/virtfusionId").as_int64(), stranger);
  EXPECT_EQ(record.at("/userId").as_int64(), user);
  EXPECT_EQ(record.at("/planId").as_string(), "small");
  EXPECT_EQ(record.at("/activeAt"), record.at("/createdAt"));
  EXPECT_EQ(sql("SELECT type || ' ' || to_state FROM server_events WHERE server_id = " + std::to_string(id)),
            "adopted active");
  EXPECT_EQ(sql("SELECT count(*) FROM billing_accounts WHERE user_id = " + std::to_string(user)), "1");
  const auto again = resolve("adopt", 1, key);
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  EXPECT_EQ(again.at("/serverId").as_int64(), id);
  read_list();
  read_record(id);
  EXPECT_EQ(sql("SELECT count(*) FROM drift WHERE standing"), "0");
}

TEST_F(ApiDrift, AStrangerThatFitsNothingIsNotAdopted) {
  const auto stranger = make_stranger();
  panel.patch_server(stranger, {{"memory", 77}});
  const auto refused = resolve("adopt");
  EXPECT_EQ(refused.status, 409u);
  EXPECT_THAT(refused.body, HasSubstr("no plan maps to"));
  EXPECT_EQ(engine.call("GET", "/v1/drift/1").at("/state").as_string(), "open");
}

TEST_F(ApiDrift, AStrangerIsDeletedInVirtFusion) {
  const auto stranger = make_stranger();
  const auto deleted = resolve("delete");
  ASSERT_EQ(deleted.status, 200u) << deleted.body;
  EXPECT_TRUE(panel.wait_for_state(
    [&](const auto& state) { return !state.at("servers").as_array().back().at("deletedAt").is_null(); }))
    << stranger;
  read_list();
  EXPECT_EQ(sql("SELECT state || ' ' || resolution || ' ' || standing FROM drift"), "resolved delete false");
}

TEST_F(ApiDrift, AStrangerThatVirtFusionDoesNotDeleteIsOpenAgain) {
  make_stranger();
  panel.add_fault(
    {{"operation", "DELETE /servers/{serverId}"}, {"kind", "status"}, {"status", 422}, {"count", 1}});
  const test::engine::headers key{{"Idempotency-Key", "x1"}};
  EXPECT_EQ(resolve("delete", 1, key).status, 422u);
  EXPECT_EQ(engine.call("GET", "/v1/drift/1").at("/state").as_string(), "open");
  EXPECT_EQ(resolve("delete", 1, key).status, 200u);
}

TEST_F(ApiDrift, OnlyTheStrangerThatWasSeenIsDeleted) {
  const auto stranger = make_stranger();
  panel.patch_server(stranger, {{"protected", true}});
  EXPECT_EQ(resolve("delete").status, 409u);
  panel.patch_server(stranger, {{"protected", false}});
  engine.make_server(R"({"planId":"small","region":"north","userId":2})");
  panel.patch_server(stranger, {{"extRelationId", 2}});
  EXPECT_EQ(resolve("delete").status, 409u);
  sql("UPDATE servers SET virtfusion_id = " + std::to_string(stranger));
  EXPECT_EQ(resolve("delete").status, 409u);
  EXPECT_TRUE(panel.server(stranger).at("deletedAt").is_null());
}

TEST_F(ApiDrift, TwoAtOnceWithOneKeyResolveOnceAndAreAnsweredAlike) {
  const auto server = engine.make_server();
  panel.patch_server(virtfusion_id(server), {{"suspended", true}});
  read_list();
  for (const auto& one : resolve_at_once("take_over", 4))
    EXPECT_EQ(one.status, 200u) << one.body;
  EXPECT_EQ(sql("SELECT count(*) FROM audit_log WHERE action = 'resolved'"), "1");
}

TEST_F(ApiDrift, TwoAtOnceWithOneKeyHearAlikeThatVirtFusionDeletesNoStranger) {
  make_stranger();
  panel.add_fault({{"operation", "DELETE /servers/{serverId}"}, {"kind", "status"}, {"status", 422}});
  for (const auto& one : resolve_at_once("delete", 3))
    EXPECT_EQ(one.status, 422u) << one.body;
  EXPECT_EQ(engine.call("GET", "/v1/drift/1").at("/state").as_string(), "open");
}

TEST_F(ApiDrift, ARepeatAtAnotherNodeIsAnsweredAsTheFirst) {
  const auto server = engine.make_server();
  panel.patch_server(virtfusion_id(server), {{"suspended", true}});
  read_list();
  test::engine other{database, panel, {}, {.node = "node-2"}};
  const test::engine::headers key{{"Idempotency-Key", "once"}};
  panel.reset_requests();
  auto repeat = other.begin(other.operator_key, "POST", "/v1/drift/1/resolve", R"({"how":"take_over"})", key);
  // It has seen that the key is free, and asks VirtFusion.
  ASSERT_TRUE(test::run_until(other.rig.runtime.loop(), [&] {
    return panel.requests().at("byOperation").as_object().contains("GET /servers/{serverId}");
  }));
  EXPECT_EQ(resolve("take_over", 1, key).status, 200u);
  const auto answered = repeat.answer();
  ASSERT_TRUE(answered);
  EXPECT_EQ(answered->status, 200u) << answered->body;
  EXPECT_EQ(answered->header("Idempotent-Replayed"), "true");
}

TEST_F(ApiDrift, AStrangerThatIsToGoDoesNotBecomeOurs) {
  const auto stranger = make_stranger();
  sql("UPDATE drift SET state = 'resolved', resolution = 'delete', ended_at = now(), ended_by = 'operator'");
  // Who adopts has looked before that was decided.
  db::adoption_store adoptions{engine.rig.db};
  db::adoption taking;
  taking.id = {stranger};
  taking.place = {user_id{1}, plan_id{"small"}, region_id{"north"}};
  const auto taken = test::run(engine.rig.runtime.loop(), adoptions.insert(taking, {"command line", "adopt"},
                                                                           {}, engine.rig.business.now()));
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, errc::conflict);
  EXPECT_THAT(taken.error().detail, HasSubstr("decided to delete it (drift 1)"));
  EXPECT_EQ(sql("SELECT state || ' ' || resolution || ' ' || standing FROM drift"), "resolved delete true");
  EXPECT_EQ(sql("SELECT count(*) FROM servers WHERE virtfusion_id = " + std::to_string(stranger)), "0");
}

} // namespace
} // namespace skyengine::net::api
