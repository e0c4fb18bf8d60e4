#include "actors/drift_watcher.hpp"
#include "net/virtfusion/calls.hpp"
#include "tests/support/provisioning_rig.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace skyengine::actors {
namespace {

namespace vf = net::virtfusion;
using namespace std::chrono_literals;
using testing::HasSubstr;

/// A panel, a node that has made servers in it, and a watcher that is told what a sync's lists say.
class DriftWatcher : public testing::Test {
protected:
  /// A server of `user` that is active; its id here.
  std::int64_t make_server(std::int64_t user = 1) {
    const auto made = rig.create(rig.order(user));
    EXPECT_TRUE(made);
    return rig.wait_for(made->action).server.value;
  }
  std::int64_t virtfusion_id(std::int64_t server) {
    return rig.load_server({server}).virtfusion_id.value().value;
  }

  /// As the sync reads it.
  void read_list(bool is_complete = true, std::int64_t page_size = 2, std::int64_t miscounted = 0) {
    const auto begun_at = rig.business.now();
    for (std::int64_t number = 1, last = 1; number <= last; ++number) {
      const auto asked_at = rig.business.now();
      const auto page = run(vf::list_servers(number, page_size)).value();
      last = page.last_page;
      std::vector<drift_watcher::listed_server> servers;
      servers.reserve(page.items.size());
      for (const auto& one : page.items)
        servers.push_back({one.id, one.owner, one.is_suspended});
      const auto told =
        test::run(rig.runtime.loop(),
                  watcher.on_page(servers, asked_at, page.total.value() + (number == last ? miscounted : 0)));
      EXPECT_TRUE(told) << told.error().detail;
    }
    const auto ended = test::run(rig.runtime.loop(), watcher.on_list_end(begun_at, is_complete));
    EXPECT_TRUE(ended) << ended.error().detail;
  }
  void read_record(std::int64_t server, bool is_live = false) {
    const auto asked_at = rig.business.now();
    auto record = run(vf::get_server({virtfusion_id(server)}, is_live)).value();
    const auto told = test::run(rig.runtime.loop(), watcher.on_record(std::move(record), asked_at));
    EXPECT_TRUE(told) << told.error().detail;
  }

  /// One page, as an answer that was asked for at `asked_at` has it.
  void compare(const vf::page<vf::server_list_item>& page, instant asked_at) {
    std::vector<drift_watcher::listed_server> servers;
    servers.reserve(page.items.size());
    for (const auto& one : page.items)
      servers.push_back({one.id, one.owner, one.is_suspended});
    const auto told =
      test::run(rig.runtime.loop(), watcher.on_page(std::move(servers), asked_at, page.total));
    EXPECT_TRUE(told) << told.error().detail;
  }

  template <class T>
  vf::call_result<T> run(vf::call<T> wanted) {
    const call_options how{call_class::background, rig.runtime.timers().now() + 20s, {}, "test"};
    return test::run(rig.runtime.loop(), rig.caller.call(how, std::move(wanted)));
  }

  std::string sql(const std::string& text) const { return test::run_sql(database.url(), text); }
  /// `kind state seen`, of all rows.
  std::string drift() const {
    return sql("SELECT string_agg(kind || ' ' || state || ' ' || seen, ', ' ORDER BY id) FROM drift");
  }
  std::string holds() const {
    return sql("SELECT string_agg(reason || ' ' || coalesce(outcome, 'open'), ', ' ORDER BY id) FROM holds");
  }
  std::string events(std::int64_t server) const {
    return sql("SELECT string_agg(type, ' ' ORDER BY id) FROM server_events WHERE type LIKE 'drift%' AND "
               "server_id = " +
               std::to_string(server));
  }
  std::string alerts() const {
    return sql(
      "SELECT string_agg(coalesce(body->>'alert', 'cleared ' || (body->>'alert_cleared')), ' ' ORDER BY "
      "id) FROM outbox");
  }
  /// As a suspension by us would leave it.
  void suspend_here(std::int64_t server) const {
    sql("WITH s AS (UPDATE servers SET state = 'suspended' WHERE id = " + std::to_string(server) +
        " RETURNING id, last_event_at) INSERT INTO server_events (server_id, at, type, from_state, to_state) "
        "SELECT id, last_event_at, 'suspended', 'active', 'suspended' FROM s");
  }

  test::test_database database;
  test::simulated_panel panel{{"--build-time", "0", "--seed", "7"}};
  test::provisioning_rig rig{database, panel};
  db::drift_store store{rig.db};
  drift_watcher watcher{rig.caller, store, rig.business};
};

TEST_F(DriftWatcher, WhatAgreesLeavesNoTraceButThatItWasSeen) {
  const auto first = make_server(1);
  make_server(2);
  make_server(3);
  read_list();
  read_record(first, true);
  EXPECT_EQ(drift(), "");
  EXPECT_EQ(alerts(), "");
  EXPECT_EQ(sql("SELECT count(*) FROM server_sightings WHERE seen_at IS NOT NULL AND absences = 0"), "3");
}

TEST_F(DriftWatcher, ASuspensionInVirtFusionHoldsBillingFromWhenItWasSeenUntilItIsOver) {
  const auto server = make_server();
  panel.patch_server(virtfusion_id(server), {{"suspended", true}});
  read_list();
  EXPECT_EQ(drift(), "suspended open suspended");
  EXPECT_EQ(holds(), "drift: suspended open");
  EXPECT_EQ(
    sql("SELECT date_trunc('second', d.first_seen) = h.from_at AND h.kind = 'drift' AND h.server_id = "
        "d.server_id AND h.user_id = 1 FROM drift d JOIN holds h ON h.id = d.hold_id"),
    "t");
  read_list();
  EXPECT_EQ(drift(), "suspended open suspended");
  EXPECT_EQ(events(server), "drift_suspended");
  EXPECT_EQ(sql("SELECT from_state || ' ' || to_state FROM server_events WHERE type = 'drift_suspended'"),
            "active active");
  EXPECT_EQ(alerts(), "drift_suspended");

  panel.patch_server(virtfusion_id(server), {{"suspended", false}});
  read_list();
  EXPECT_EQ(drift(), "suspended vanished suspended");
  EXPECT_EQ(holds(), "drift: suspended released");
  EXPECT_EQ(events(server), "drift_suspended drift_vanished");
  EXPECT_EQ(alerts(), "drift_suspended cleared drift_suspended");
  EXPECT_EQ(sql("SELECT count(*) FROM drift WHERE standing"), "0");
  EXPECT_EQ(test::run(rig.runtime.loop(), store.count_open()).value().size(), 0u);
}

TEST_F(DriftWatcher, ASuspensionIsNotOverWhereItIsNotTold) {
  const auto server = make_server();
  panel.patch_server(virtfusion_id(server), {{"suspended", true}});
  read_list();
  ASSERT_EQ(drift(), "suspended open suspended");
  const auto asked_at = rig.business.now();
  auto record = run(vf::get_server({virtfusion_id(server)})).value();
  const std::vector<drift_watcher::listed_server> listed{{record.id, record.owner->id, std::nullopt}};
  record.is_suspended.reset();
  EXPECT_TRUE(test::run(rig.runtime.loop(), watcher.on_page(listed, asked_at)));
  EXPECT_TRUE(test::run(rig.runtime.loop(), watcher.on_record(std::move(record), asked_at)));
  EXPECT_EQ(drift(), "suspended open suspended");
  EXPECT_EQ(holds(), "drift: suspended open");
}

TEST_F(DriftWatcher, WhatAnOperatorHasEndedIsNotEndedAgain) {
  const auto server = make_server();
  panel.patch_server(virtfusion_id(server), {{"suspended", true}});
  read_list();
  sql("UPDATE holds SET outcome = 'written_off', until_at = from_at, ended_by = 'operator'");
  panel.patch_server(virtfusion_id(server), {{"suspended", false}});
  read_list();
  EXPECT_EQ(drift(), "suspended vanished suspended");
  EXPECT_EQ(holds(), "drift: suspended written_off");
}

TEST_F(DriftWatcher, AnotherOwnerIsBelievedWhenTheServersRecordSaysSo) {
  const auto server = make_server(1);
  make_server(2);
  const auto owner = sql("SELECT virtfusion_user_id FROM users WHERE id = 2");
  panel.patch_server(virtfusion_id(server), {{"extRelationId", 2}});
  read_list();
  EXPECT_EQ(drift(), "owner open user " + owner);
  EXPECT_EQ(holds(), "drift: owner open");
  EXPECT_EQ(sql("SELECT detail->>'extRelationId' FROM drift"), "2");
  panel.reset_requests();
  read_list();
  // What is known is not looked at again.
  EXPECT_EQ(panel.requests().at("byOperation").as_object().count("GET /servers/{serverId}"), 0u);
  EXPECT_EQ(drift(), "owner open user " + owner);
}

TEST_F(DriftWatcher, AUserThatVirtFusionCallsAnotherNameNowIsLearned) {
  make_server(1);
  const auto owner = sql("SELECT virtfusion_user_id FROM users WHERE id = 1");
  sql("UPDATE users SET virtfusion_user_id = 9999 WHERE id = 1");
  read_list();
  EXPECT_EQ(drift(), "");
  EXPECT_EQ(sql("SELECT virtfusion_user_id FROM users WHERE id = 1"), owner);
}

TEST_F(DriftWatcher, AnOwnerWithoutAnIdThereIsNotLearned) {
  const auto server = make_server(1);
  const auto owner = sql("SELECT virtfusion_user_id FROM users WHERE id = 1");
  const auto body = R"({"data":{"id":)" + std::to_string(virtfusion_id(server)) +
                    R"(,"state":"complete","owner":{"extRelationId":1}}})";
  auto record = vf::read_server({200, body, {}}).value();
  EXPECT_TRUE(test::run(rig.runtime.loop(), watcher.on_record(std::move(record), rig.business.now())));
  EXPECT_EQ(sql("SELECT virtfusion_user_id FROM users WHERE id = 1"), owner);
  EXPECT_EQ(drift(), "");
}

TEST_F(DriftWatcher, AListThatDoesNotTellOwnersCostsNoLooksAndKnowsNoStrangers) {
  const auto server = make_server(1);
  const auto body =
    R"({"total":2,"data":[{"id":)" + std::to_string(virtfusion_id(server)) + R"(},{"id":99}]})";
  const auto page = vf::read_server_page({200, body, {}}).value();
  std::vector<drift_watcher::listed_server> servers;
  servers.reserve(page.items.size());
  for (const auto& one : page.items)
    servers.push_back({one.id, one.owner, one.is_suspended});
  panel.reset_requests();
  EXPECT_TRUE(test::run(rig.runtime.loop(), watcher.on_page(servers, rig.business.now())));
  EXPECT_EQ(panel.requests().at("byOperation").as_object().count("GET /servers/{serverId}"), 0u);
  EXPECT_EQ(drift(), "");
}

TEST_F(DriftWatcher, GoneIsWhatTwoFullListsMissAndVirtFusionDoesNotKnow) {
  const auto server = make_server();
  make_server(2);
  read_list();
  const auto seen_at = sql("SELECT date_trunc('second', seen_at) FROM server_sightings WHERE server_id = " +
                           std::to_string(server));
  panel.erase_server(virtfusion_id(server));
  read_list();
  EXPECT_EQ(drift(), "");
  read_list();
  EXPECT_EQ(drift(), "gone open server not found");
  EXPECT_EQ(holds(), "drift: gone open");
  EXPECT_EQ(sql("SELECT from_at FROM holds"), seen_at);
  EXPECT_EQ(events(server), "drift_gone");
  read_list();
  EXPECT_EQ(alerts(), "drift_gone");
  EXPECT_EQ(sql("SELECT state FROM servers WHERE id = " + std::to_string(server)), "active");
}

TEST_F(DriftWatcher, AListThatIsNotWholeOrChangesMeanwhileProvesNothing) {
  const auto server = make_server();
  make_server(2);
  make_server(3);
  read_list();
  panel.erase_server(virtfusion_id(server));
  read_list(false);
  read_list(false);
  read_list(true, 1, 1);
  read_list(true, 2, -1);
  EXPECT_EQ(sql("SELECT max(absences) FROM server_sightings"), "0");
  read_list();
  EXPECT_EQ(drift(), "");
}

TEST_F(DriftWatcher, AListWithoutATotalProvesWhatItDoesNotShow) {
  const auto server = make_server(1);
  const auto other = make_server(2);
  panel.erase_server(virtfusion_id(server));
  const auto body = R"({"data":[{"id":)" + std::to_string(virtfusion_id(other)) + "}]}";
  const auto page = vf::read_server_page({200, body, {}}).value();
  for (int i = 0; i < 2; ++i) {
    const auto begun_at = rig.business.now();
    const std::vector<drift_watcher::listed_server> listed{{page.items.at(0).id, std::nullopt, std::nullopt}};
    EXPECT_TRUE(test::run(rig.runtime.loop(), watcher.on_page(listed, begun_at, page.total)));
    EXPECT_TRUE(test::run(rig.runtime.loop(), watcher.on_list_end(begun_at, true)));
  }
  EXPECT_EQ(drift(), "gone open server not found");
}

TEST_F(DriftWatcher, AServerThatListsDoNotShowButVirtFusionHasIsNotGone) {
  make_server();
  panel.add_fault({{"operation", "GET /servers"}, {"kind", "stale_list"}, {"delayMs", 3'600'000}});
  read_list();
  read_list();
  EXPECT_EQ(drift(), "");
  EXPECT_EQ(sql("SELECT absences FROM server_sightings"), "0");
}

TEST_F(DriftWatcher, ALookThatFailsProvesNothing) {
  const auto server = make_server();
  panel.erase_server(virtfusion_id(server));
  panel.add_fault(
    {{"operation", "GET /servers/{serverId}"}, {"kind", "status"}, {"status", 404}, {"count", 9}});
  read_list();
  read_list();
  EXPECT_EQ(drift(), "");
  panel.clear_faults();
  read_list();
  EXPECT_EQ(drift(), "gone open server not found");
}

TEST_F(DriftWatcher, OneListLooksForABoundedNumberAndTheNextGoesOn) {
  drift_watcher sparing{rig.caller, store, rig.business, {.most_looks = 1, .rows_at_once = 1}};
  for (std::int64_t user = 1; user <= 3; ++user)
    make_server(user);
  const auto state = panel.state();
  for (const auto& one : state.at("servers").as_array())
    panel.erase_server(one.at("id").to_number<std::int64_t>());
  const auto end_list = [&] {
    const auto begun_at = rig.business.now();
    EXPECT_TRUE(test::run(rig.runtime.loop(), sparing.on_list_end(begun_at, true)));
    return sql("SELECT count(*) FROM drift WHERE kind = 'gone'");
  };
  EXPECT_EQ(end_list(), "0");
  EXPECT_EQ(end_list(), "1");
  EXPECT_EQ(end_list(), "2");
  EXPECT_EQ(end_list(), "3");
}

TEST_F(DriftWatcher, AStrangerIsToldOnceAndVanishesWithItsServer) {
  make_server();
  panel.make_servers(1, 1);
  const auto stranger = panel.state().at("servers").as_array().back().at("id").to_number<std::int64_t>();
  read_list();
  read_list();
  EXPECT_THAT(drift(), HasSubstr("unknown open user "));
  EXPECT_EQ(sql("SELECT count(*) || ' ' || max(virtfusion_id) FROM drift"), "1 " + std::to_string(stranger));
  EXPECT_EQ(holds(), "");
  EXPECT_EQ(alerts(), "drift_unknown");
  panel.erase_server(stranger);
  read_list();
  EXPECT_EQ(sql("SELECT state FROM drift"), "vanished");
  EXPECT_EQ(alerts(), "drift_unknown cleared drift_unknown");
}

TEST_F(DriftWatcher, AServerThatACreateMayBeAboutToTakeIsNoStranger) {
  const auto server = make_server();
  panel.make_servers(1, 1);
  sql("UPDATE create_attempts SET second_look_at = now()");
  read_list();
  EXPECT_EQ(drift(), "");
  sql("UPDATE create_attempts SET second_look_at = NULL");
  sql("UPDATE servers SET virtfusion_id = NULL, state = 'creating' WHERE id = " + std::to_string(server));
  sql("UPDATE create_attempts SET state = 'open'");
  read_list();
  EXPECT_EQ(drift(), "");
}

TEST_F(DriftWatcher, AServerWithAnActionUnderWayIsNotJudged) {
  const auto server = make_server();
  panel.patch_server(virtfusion_id(server), {{"suspended", true}});
  sql("INSERT INTO actions (kind, server_id, state, step, requested_by, request_id, created_at) VALUES "
      "('delete', " +
      std::to_string(server) + ", 'pending', 'begin', 'operator', 'r', now())");
  read_list();
  EXPECT_EQ(drift(), "");
  // It ended after the list was asked for: what that said is of the time before.
  sql("UPDATE actions SET state = 'failed', finished_at = now() + interval '1 hour' WHERE kind = 'delete'");
  read_list();
  EXPECT_EQ(drift(), "");
  sql("UPDATE actions SET finished_at = now() WHERE kind = 'delete'");
  read_list();
  EXPECT_EQ(drift(), "suspended open suspended");
}

TEST_F(DriftWatcher, AMachineThatRunsWhileItIsSuspendedIsWrongUntilItsPowerIsToldToBeOff) {
  const auto server = make_server();
  suspend_here(server);
  panel.patch_server(virtfusion_id(server), {{"suspended", true}, {"power", "running"}});
  read_record(server, true);
  ASSERT_EQ(drift(), "running open suspended, but its machine runs");
  const auto asked_at = rig.business.now();
  auto record = run(vf::get_server({virtfusion_id(server)}, true)).value();
  record.remote->is_running.reset();
  EXPECT_TRUE(test::run(rig.runtime.loop(), watcher.on_record(std::move(record), asked_at)));
  EXPECT_EQ(drift(), "running open suspended, but its machine runs");
  panel.patch_server(virtfusion_id(server), {{"power", "stopped"}});
  read_record(server, true);
  EXPECT_EQ(drift(), "running vanished suspended, but its machine runs");
}

TEST_F(DriftWatcher, ARecordThatDoesNotTellAllOfItsResourcesIsNoOtherPackage) {
  const auto server = make_server(1);
  const auto has = run(vf::get_server({virtfusion_id(server)})).value().resources;
  for (const auto* untold : {"memory", "storage", "traffic", "cpuCores"}) {
    boost::json::object resources{{"memory", has.memory_mb},
                                  {"storage", has.storage_gb},
                                  {"traffic", has.traffic_gb},
                                  {"cpuCores", has.cpu_cores}};
    resources.erase(untold);
    const boost::json::object record{
      {"id", virtfusion_id(server)}, {"state", "complete"}, {"settings", {{"resources", resources}}}};
    const auto body = boost::json::serialize(boost::json::object{{"data", record}});
    auto read = vf::read_server({200, body, {}}).value();
    EXPECT_TRUE(test::run(rig.runtime.loop(), watcher.on_record(std::move(read), rig.business.now())));
    EXPECT_EQ(drift(), "") << untold;
  }
}

TEST_F(DriftWatcher, OtherResourcesAreSeenInARecord) {
  const auto server = make_server();
  read_record(server);
  panel.patch_server(virtfusion_id(server), {{"memory", 123}});
  read_list();
  EXPECT_EQ(drift(), "");
  read_record(server);
  EXPECT_THAT(drift(), HasSubstr("package open 123 MB, "));
  EXPECT_EQ(sql("SELECT detail->>'memoryMb' FROM drift"), "123");
  EXPECT_EQ(holds(), "drift: package open");
  // A list does not tell, so it ends nothing.
  read_list();
  EXPECT_THAT(drift(), HasSubstr("package open"));
  const auto had = sql("SELECT memory_mb FROM create_attempts");
  panel.patch_server(virtfusion_id(server), {{"memory", std::stoll(had)}});
  read_record(server);
  EXPECT_THAT(drift(), HasSubstr("package vanished"));
  EXPECT_EQ(holds(), "drift: package released");
}

TEST_F(DriftWatcher, AChangeOfPlanOfOursIsNoDriftAndASmallerPlanKeepsItsDisk) {
  const auto server = make_server();
  const auto packages = run(vf::list_packages()).value();
  const auto& large = packages.at(1).resources;
  const auto change_to = [&](int package, const server_resources& has) {
    sql("UPDATE plans SET virtfusion_package_id = " + std::to_string(package));
    panel.patch_server(virtfusion_id(server), {{"memory", has.memory_mb},
                                               {"storage", has.storage_gb},
                                               {"traffic", has.traffic_gb},
                                               {"cpuCores", has.cpu_cores}});
    read_record(server);
  };
  change_to(2, large);
  EXPECT_EQ(drift(), "");
  auto small_with_large_disk = packages.at(0).resources;
  ASSERT_LT(small_with_large_disk.storage_gb, large.storage_gb);
  small_with_large_disk.storage_gb = large.storage_gb;
  change_to(1, small_with_large_disk);
  EXPECT_EQ(drift(), "");
  EXPECT_EQ(sql("SELECT memory_mb || ' ' || storage_gb FROM server_sightings"),
            std::to_string(small_with_large_disk.memory_mb) + " " + std::to_string(large.storage_gb));
}

TEST_F(DriftWatcher, AServerThatRunsThoughSuspendedHereChangesNoBill) {
  const auto server = make_server();
  suspend_here(server);
  read_list();
  EXPECT_EQ(drift(), "running open not suspended");
  EXPECT_EQ(holds(), "");
  EXPECT_EQ(events(server), "drift_running");
  panel.patch_server(virtfusion_id(server), {{"suspended", true}, {"power", "running"}});
  read_record(server, true);
  EXPECT_EQ(drift(), "running open suspended, but its machine runs");
  // A list sees no machine.
  read_list();
  EXPECT_EQ(drift(), "running open suspended, but its machine runs");
  panel.patch_server(virtfusion_id(server), {{"power", "stopped"}});
  read_record(server, true);
  EXPECT_EQ(drift(), "running vanished suspended, but its machine runs");
}

TEST_F(DriftWatcher, DriftEndsWithItsServer) {
  const auto server = make_server();
  panel.patch_server(virtfusion_id(server), {{"suspended", true}});
  read_list();
  ASSERT_TRUE(rig.remove({server}));
  EXPECT_TRUE(test::run_until(rig.runtime.loop(), [&] {
    return sql("SELECT state FROM servers WHERE id = " + std::to_string(server)) == "deleted";
  }));
  read_list();
  EXPECT_EQ(drift(), "suspended vanished suspended");
  EXPECT_EQ(holds(), "drift: suspended released");
  EXPECT_EQ(alerts(), "drift_suspended cleared drift_suspended");
}

TEST_F(DriftWatcher, AnotherOwnerAndASuspensionAtOnceHoldOnceEach) {
  const auto server = make_server(1);
  make_server(2);
  panel.patch_server(virtfusion_id(server), {{"extRelationId", 2}, {"suspended", true}});
  read_list();
  EXPECT_EQ(sql("SELECT string_agg(reason, ', ' ORDER BY reason) FROM holds"),
            "drift: owner, drift: suspended");
  panel.patch_server(virtfusion_id(server), {{"extRelationId", 1}, {"suspended", false}});
  read_list();
  read_list();
  EXPECT_EQ(sql("SELECT count(*) FROM drift WHERE state = 'open'"), "0");
  EXPECT_EQ(sql("SELECT count(*) FROM holds WHERE outcome IS NULL"), "0") << "billing stays held for ever";
}

TEST_F(DriftWatcher, ASuspensionOfAServerWhoseUserHasANewIdThereHoldsOnce) {
  const auto server = make_server(1);
  sql("UPDATE users SET virtfusion_user_id = 9999 WHERE id = 1");
  panel.patch_server(virtfusion_id(server), {{"suspended", true}});
  read_list();
  panel.patch_server(virtfusion_id(server), {{"suspended", false}});
  read_list();
  EXPECT_EQ(drift(), "suspended vanished suspended");
  EXPECT_EQ(sql("SELECT count(*) FROM holds WHERE outcome IS NULL"), "0");
}

TEST_F(DriftWatcher, ASuspensionIsSeenAlsoWhereWhoseTheServerIsCannotBeAsked) {
  const auto server = make_server(1);
  sql("UPDATE users SET virtfusion_user_id = 9999 WHERE id = 1");
  panel.patch_server(virtfusion_id(server), {{"suspended", true}});
  drift_watcher blind{rig.caller, store, rig.business, {.most_looks = 0}};
  const auto asked_at = rig.business.now();
  const auto told = test::run(
    rig.runtime.loop(), blind.on_page({{{virtfusion_id(server)}, virtfusion_user_id{5}, true}}, asked_at, 1));
  EXPECT_TRUE(told) << told.error().detail;
  EXPECT_EQ(drift(), "suspended open suspended");
}

TEST_F(DriftWatcher, AServerThatAPageNamesTwiceIsHeldOnce) {
  const auto server = make_server();
  panel.patch_server(virtfusion_id(server), {{"suspended", true}});
  const auto asked_at = rig.business.now();
  auto page = run(vf::list_servers(1)).value();
  page.items.push_back(page.items.front());
  compare(page, asked_at);
  EXPECT_EQ(drift(), "suspended open suspended");
  EXPECT_EQ(holds(), "drift: suspended open");
}

TEST_F(DriftWatcher, AnOlderLookDoesNotEndWhatANewerOneHasFound) {
  const auto server = make_server(1);
  const auto asked_at = rig.business.now();
  const auto page = run(vf::list_servers(1)).value();
  panel.patch_server(virtfusion_id(server), {{"suspended", true}});
  read_record(server);
  ASSERT_EQ(drift(), "suspended open suspended");
  compare(page, asked_at);
  EXPECT_EQ(drift(), "suspended open suspended");
  EXPECT_EQ(holds(), "drift: suspended open");
  EXPECT_EQ(alerts(), "drift_suspended");
}

TEST_F(DriftWatcher, AnOlderLookThatSawItWrongInAnotherWayChangesNothing) {
  const auto server = make_server(1);
  read_record(server);
  panel.patch_server(virtfusion_id(server), {{"memory", 123}});
  const auto asked_at = rig.business.now();
  auto older = run(vf::get_server({virtfusion_id(server)})).value();
  panel.patch_server(virtfusion_id(server), {{"memory", 124}});
  read_record(server);
  sql("UPDATE drift SET state = 'resolved', resolution = 'ignore', ended_at = last_seen, ended_by = "
      "'operator'");
  const auto told = test::run(rig.runtime.loop(), watcher.on_record(std::move(older), asked_at));
  EXPECT_TRUE(told) << told.error().detail;
  EXPECT_THAT(drift(), HasSubstr("package resolved 124 MB, "));
  EXPECT_EQ(sql("SELECT count(*) FROM drift"), "1");
  EXPECT_EQ(sql("SELECT detail->>'memoryMb' FROM drift"), "124");
}

TEST_F(DriftWatcher, WhatASagaHasChangedMeanwhileIsNotCalledRightByALookFromBefore) {
  const auto server = make_server(1);
  panel.patch_server(virtfusion_id(server), {{"suspended", true}});
  read_list();
  const std::vector<db::drift_clearance> right{
    {drift_kind::suspended, {virtfusion_id(server)}, rig.business.now()}};
  sql("INSERT INTO actions (kind, server_id, state, step, requested_by, request_id, created_at, finished_at) "
      "VALUES ('suspend', 1, 'succeeded', 'done', 'operator', 'r', now(), now() + interval '1 hour')");
  const auto told = test::run(rig.runtime.loop(), store.report({}, right, rig.business.now()));
  ASSERT_TRUE(told) << told.error().detail;
  EXPECT_EQ(drift(), "suspended open suspended");
  EXPECT_EQ(holds(), "drift: suspended open");
}

TEST_F(DriftWatcher, WhatASyncHadSeenBeforeListsWereComparedWasThere) {
  const auto server = make_server();
  make_server(2);
  // As it was before anything was compared: only the sync has noted what it saw.
  sql("UPDATE servers SET active_at = now() - interval '30 days'");
  sql(
    "INSERT INTO server_observations (server_id, listed_at, traffic_at, live_at) SELECT id, now() - interval "
    "'3 days', now() - interval '2 days', now() - interval '1 day' FROM servers");
  const auto gone_id = virtfusion_id(server);
  panel.erase_server(gone_id);
  read_list();
  read_list();
  ASSERT_EQ(drift(), "gone open server not found");
  EXPECT_EQ(sql("SELECT h.from_at = date_trunc('second', o.live_at) FROM holds h JOIN server_observations o "
                "ON o.server_id = h.server_id"),
            "t");
}

TEST_F(DriftWatcher, WhatAFailedCreateTookAwayMeanwhileIsNoStranger) {
  make_server(1);
  const auto asked_at = rig.business.now();
  const auto page = run(vf::list_servers(1)).value();
  // The create failed, and its server was deleted, between the list's answer and its comparison.
  sql("UPDATE servers SET state = 'failed'");
  sql("UPDATE actions SET state = 'failed', finished_at = finished_at + interval '1 hour'");
  compare(page, asked_at);
  EXPECT_EQ(drift(), "");
}

} // namespace
} // namespace skyengine::actors
