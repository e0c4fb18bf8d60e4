#include "tests/support/log_capture.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/virtual_provisioning.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <caf/send.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace skyengine::actors {
namespace {

using namespace std::chrono_literals;
using simulator::fault_kind;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr auto post = "POST /servers";
constexpr auto build = "POST /servers/{serverId}/build";
constexpr auto list_call = "GET /servers/user/{userId}";
constexpr auto remove_call = "DELETE /servers/{serverId}";
constexpr auto get_call = "GET /servers/{serverId}";
constexpr auto settle_time = 30s;

class Saga : public test::virtual_provisioning {
protected:
  std::string state_of_action(std::int64_t id) const {
    return sql("SELECT state FROM actions WHERE id = " + std::to_string(id));
  }
  /// Until everything begun has ended, second looks too.
  bool all_ends() {
    return advance_until(
      [&] {
        return sql("SELECT (SELECT count(*) FROM actions WHERE state IN ('pending', 'running')) + "
                   "(SELECT count(*) FROM create_attempts WHERE second_look_at IS NOT NULL)") == "0";
      },
      30min, 1s);
  }
  /// VirtFusion's ids of the servers that live, by our rows.
  std::vector<std::int64_t> owned() const {
    std::vector<std::int64_t> ids;
    const auto list =
      sql("SELECT coalesce(string_agg(virtfusion_id::text, ' ' ORDER BY virtfusion_id), '') FROM "
          "servers WHERE state NOT IN ('failed', 'deleted') AND virtfusion_id IS NOT NULL");
    std::istringstream in{list};
    for (std::int64_t id = 0; in >> id;)
      ids.push_back(id);
    return ids;
  }
  /// An operator edits the package of plan `small` in VirtFusion.
  void grow_package() {
    auto edited = *panel.look().find_package(1);
    edited.memory_mb *= 2;
    panel.look_to_change().edit_package(edited);
  }
  /// Both sides have the same servers, and what must hold of the tables does.
  void expect_agreement() {
    EXPECT_EQ(living(), owned());
    EXPECT_THAT(broken_invariants(), IsEmpty());
  }
  /// A create whose first try is done so late that it was repeated: the second server is there.
  void order_with_extra() {
    panel.add_fault(post, fault_kind::late_effect, 1, settle_time + 5s);
    const auto created = order();
    ASSERT_TRUE(advance_until([&] { return state_of(1) == "active" && living().size() == 2; }));
  }
};

TEST_F(Saga, AnOrdersRowsAreReadOfOneMoment) {
  const auto created = order();
  ASSERT_TRUE(all_ends());
  // Row and action change in one statement, as in a saga's step, over and over.
  static constexpr db::statement there{"there", R"(
    WITH s AS (UPDATE servers SET virtfusion_id = 1 WHERE id = 1)
    UPDATE actions SET step = 'build', version = version + 1 WHERE id = 1)"};
  static constexpr db::statement back{"back", R"(
    WITH s AS (UPDATE servers SET virtfusion_id = NULL WHERE id = 1)
    UPDATE actions SET step = 'attempt', version = version + 1 WHERE id = 1)"};
  // Before it, neither of the two is what it is in between.
  ASSERT_TRUE(test::run(runtime.loop(), db.run(back)));
  auto torn = 0;
  auto reads = 0;
  auto is_over = false;
  std::string failed;
  const auto write = [&]() -> boost::asio::awaitable<void> {
    for (int i = 0; i < 1'000 && failed.empty(); ++i)
      for (const auto* const step : {&back, &there})
        if (const auto done = co_await db.run(*step); !done)
          failed = done.error().detail;
    is_over = true;
  };
  const auto read = [&]() -> boost::asio::awaitable<void> {
    while (!is_over) {
      const auto loaded = co_await sagas.load({1});
      torn += loaded && (loaded->action.step == saga_step::build) != loaded->server.virtfusion_id.has_value();
      ++reads;
    }
  };
  boost::asio::co_spawn(runtime.loop(), write, boost::asio::detached);
  boost::asio::co_spawn(runtime.loop(), read, boost::asio::detached);
  while (!is_over)
    runtime.loop().run_one();
  settle();
  EXPECT_EQ(failed, "");
  EXPECT_GT(reads, 100);
  EXPECT_EQ(torn, 0);
}

TEST_F(Saga, ALostAnswerIsAdopted) {
  panel.add_fault(post, fault_kind::lost_answer);
  const auto created = order();
  ASSERT_TRUE(advance_until([&] { return created->answer.has_value(); }));
  ASSERT_TRUE(*created->answer) << created->answer->error().detail;
  EXPECT_TRUE((*created->answer)->is_decided);
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(panel.count(post), 1);
  EXPECT_THAT(living(), SizeIs(1));
  expect_agreement();
}

TEST_F(Saga, AnEffectWithinTheSettleTimeIsAdopted) {
  panel.add_fault(post, fault_kind::late_effect, 1, settle_time - 2s);
  const auto created = order();
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(panel.count(post), 1);
  EXPECT_THAT(living(), SizeIs(1));
  expect_agreement();
}

TEST_F(Saga, ADeleteOfACreateWhoseRepeatIsRefusedStillLooksForWhatTheFirstTryMade) {
  panel.add_fault(post, fault_kind::late_effect, 1, settle_time + 5s);
  panel.add_fault(post, fault_kind::status, 1'000'000, {}, 503);
  const auto created = order();
  ASSERT_TRUE(advance_until([&] { return panel.count(post) >= 2; }));
  const auto asked = remove({1});
  ASSERT_TRUE(advance_until([&] { return state_of(1) == "deleted"; }));
  EXPECT_NE(sql("SELECT count(*) FROM create_attempts WHERE second_look_at IS NOT NULL"), "0")
    << "nobody looks for what the first try may have made";
  EXPECT_TRUE(all_ends());
  advance(5min);
  EXPECT_TRUE(all_ends());
  EXPECT_THAT(living(), IsEmpty());
}

TEST_F(Saga, AnAnswerThatNeverCameIsAnEffectThatMayStillCome) {
  // Silence for a minute, the work is done five seconds later.
  panel.add_fault(post, fault_kind::stall, 1, 65s);
  const auto created = order();
  ASSERT_TRUE(advance_until([&] { return created->answer.has_value(); }));
  EXPECT_FALSE((*created->answer)->is_decided);
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(panel.count(post), 1);
  expect_agreement();
}

TEST_F(Saga, AResetBeforeTheWorkIsRepeatedAfterTheSettleTime) {
  panel.add_fault(post, fault_kind::reset);
  const auto begun = runtime.timers().now();
  const auto created = order();
  ASSERT_TRUE(advance_until([&] { return panel.count(post) == 2; }));
  EXPECT_GE(runtime.timers().now() - begun, settle_time);
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_THAT(living(), SizeIs(1));
  expect_agreement();
}

TEST_F(Saga, TwoLostInARowAreRepeatedAgain) {
  panel.add_fault(post, fault_kind::reset, 2);
  const auto created = order();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(panel.count(post), 3);
  expect_agreement();
}

TEST_F(Saga, APlanThatChangesWhileAnAnswerIsLostHidesNoServer) {
  panel.add_fault(post, fault_kind::late_effect, 1, settle_time - 5s);
  const auto created = order();
  ASSERT_TRUE(advance_until([&] { return panel.count(post) == 1; }));
  advance(2s);
  sql("UPDATE plans SET virtfusion_package_id = 2");
  caf::anon_send_exit(provisioner, caf::exit_reason::kill);
  settle();
  spawn_provisioner();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(panel.count(post), 1);
  expect_agreement();
}

TEST_F(Saga, APlanThatChangesBeforeTheSecondLookHidesNoExtra) {
  order_with_extra();
  sql("UPDATE plans SET virtfusion_package_id = 2");
  ASSERT_TRUE(all_ends());
  expect_agreement();
}

TEST_F(Saga, AnOwnerThatIsNotedWithAnotherUserGetsNoServer) {
  sql("UPDATE users SET virtfusion_user_id = 1 WHERE id = 2");
  const auto created = order(1);
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "failed");
  EXPECT_EQ(sql("SELECT error_code FROM actions"), "virtfusion_rejected");
  EXPECT_EQ(panel.count(post), 0);
  EXPECT_EQ(sql("SELECT count(virtfusion_user_id) FROM users"), "1");
  expect_agreement();
}

TEST_F(Saga, APackageThatIsEditedWhileAnAnswerIsLostHidesNoServer) {
  panel.add_fault(post, fault_kind::late_effect, 1, settle_time - 5s);
  const auto created = order();
  ASSERT_TRUE(advance_until([&] { return living().size() == 1; }));
  grow_package();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(panel.count(post), 1);
  expect_agreement();
}

TEST_F(Saga, APackageThatWasEditedJustBeforeALostCreateHidesNoServer) {
  const auto first = order(2);
  ASSERT_TRUE(all_ends());
  grow_package();
  panel.add_fault(post, fault_kind::late_effect, 1, settle_time - 5s);
  const auto created = order(1);
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(panel.count(post), 2);
  EXPECT_THAT(owned(), SizeIs(2));
  expect_agreement();
}

TEST_F(Saga, APackageThatIsEditedBeforeTheSecondLookHidesNoExtra) {
  order_with_extra();
  grow_package();
  ASSERT_TRUE(all_ends());
  expect_agreement();
}

TEST_F(Saga, APackageThatIsEditedAgainAfterTheRepeatHidesNoExtra) {
  order_with_extra();
  sql("UPDATE create_attempts SET memory_mb = memory_mb * 3 WHERE number = 2");
  grow_package();
  ASSERT_TRUE(all_ends());
  EXPECT_THAT(living(), SizeIs(1));
  expect_agreement();
}

TEST_F(Saga, ALookThatCannotBeHadIsAlertedUntilItCan) {
  const test::log_capture log;
  order_with_extra();
  panel.add_fault(list_call, fault_kind::status, 1'000, {}, 403);
  advance(10min);
  EXPECT_EQ(log.count("alert=attempt_unresolved"), 1U);
  EXPECT_EQ(log.count("alert_cleared=attempt_unresolved"), 0U);
  panel.clear_faults();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(log.count("alert_cleared=attempt_unresolved"), 1U);
  EXPECT_THAT(living(), SizeIs(1));
  expect_agreement();
}

TEST_F(Saga, ALostCreateThatCannotBeLookedForIsAlertedAndWaits) {
  const test::log_capture log;
  panel.add_fault(post, fault_kind::late_effect, 1, 10s);
  panel.add_fault(list_call, fault_kind::status, 1'000, {}, 403);
  const auto created = order();
  advance(10min);
  EXPECT_EQ(panel.count(post), 1);
  EXPECT_EQ(state_of(1), "creating");
  EXPECT_EQ(log.count("alert=attempt_unresolved"), 1U);
  panel.clear_faults();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(log.count("alert_cleared=attempt_unresolved"), 1U);
  EXPECT_EQ(panel.count(post), 1);
  EXPECT_EQ(state_of(1), "active");
  expect_agreement();
}

TEST_F(Saga, TwoOrdersWithTheSameNewKeyBothGetIt) {
  panel.add_fault("POST /ssh_keys", fault_kind::delay, 1, 500ms);
  const auto order_with_key = [&](const std::string& comment) {
    server_order wanted;
    wanted.user = {1};
    wanted.plan = {"small"};
    wanted.region = {"north"};
    wanted.ssh_keys = {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPlH4mtS0vJZVxgrbOTgy4Bq0gd7nK4m1T1pOqcl4gxE " +
                       comment};
    create_server message{wanted, {"operator", "test-request"}, std::nullopt, runtime.timers().now() + 10s};
    boost::asio::co_spawn(runtime.loop(),
                          runtime.asker().ask<action_outcome>(provisioner, 1h, std::move(message)),
                          [](std::exception_ptr, result<action_outcome>) {});
    settle();
  };
  order_with_key("here");
  order_with_key("there");
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(state_of(2), "active");
}

TEST_F(Saga, AProtectedServerIsAlertedAndItsDeleteCanBeAbandoned) {
  test::log_capture log;
  const auto created = order();
  ASSERT_TRUE(advance_until([&] { return state_of(1) == "active"; }));
  simulator::server_patch patch;
  patch.is_protected = true;
  ASSERT_TRUE(panel.look_to_change().patch_server(1, patch, panel.now()));
  const auto gone = remove({1});
  ASSERT_TRUE(advance_until([&] { return log.text().find("delete_refused") != std::string::npos; }));
  ASSERT_TRUE(
    test::run(runtime.loop(), servers.request_abandon({2}, "operator", std::nullopt, business.now())));
  ASSERT_TRUE(advance_until([&] { return state_of_action(2) == "failed"; }));
  EXPECT_EQ(state_of(1), "active");
}

TEST_F(Saga, AProtectedExtraIsLeftAloneAndHoldsNobodyUp) {
  order_with_extra();
  const auto kept = owned().front();
  simulator::server_patch patch;
  patch.is_protected = true;
  ASSERT_TRUE(panel.look_to_change().patch_server(kept == 1 ? 2 : 1, patch, panel.now()));
  ASSERT_TRUE(advance_until(
    [&] { return sql("SELECT count(*) FROM create_attempts WHERE second_look_at IS NOT NULL") == "0"; }));
  EXPECT_EQ(panel.count(remove_call), 0);
  const auto next = order();
  EXPECT_TRUE(advance_until([&] { return state_of(2) == "active"; }));
}

TEST_F(Saga, ABuildThatDoesNotFitIsLookedAt) {
  panel.add_fault(build, fault_kind::status, 1, 0ms, 409);
  const auto created = order();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  expect_agreement();
}

TEST_F(Saga, ABuildThatNeverFitsIsGivenUp) {
  panel.add_fault(build, fault_kind::status, 1'000, 0ms, 409);
  const auto created = order();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "failed");
  expect_agreement();
}

TEST_F(Saga, ASecondBuildThatNeverArrivesIsSentAgain) {
  panel.add_fault(build, fault_kind::build_fails, 1);
  const auto created = order();
  ASSERT_TRUE(advance_until([&] { return panel.count(build) == 1; }));
  panel.add_fault(build, fault_kind::reset, 1);
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(panel.count(build), 3);
}

TEST_F(Saga, AStaleListMakesNoSecondServer) {
  panel.add_fault(post, fault_kind::lost_answer);
  panel.add_fault(list_call, fault_kind::stale_list, 1'000, settle_time - 5s);
  const auto created = order();
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(panel.count(post), 1);
  EXPECT_THAT(living(), SizeIs(1));
  expect_agreement();
}

// -- the second look ------------------------------------------------------------

TEST_F(Saga, AnExtraIsDeletedByTheSecondLookAndWasNeverBuilt) {
  order_with_extra();
  const auto kept = owned();
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(living(), kept);
  EXPECT_EQ(panel.count(remove_call), 1);
  ASSERT_THAT(panel.look().gone(), SizeIs(1));
  EXPECT_EQ(panel.look().gone().front().builds, 0);
  expect_agreement();
}

TEST_F(Saga, AnExtraWhoseDeletionIsRefusedIsDeletedWhenItIsNoLonger) {
  order_with_extra();
  panel.add_fault(remove_call, fault_kind::status, 3, 0ms, 403);
  ASSERT_TRUE(advance_until([&] { return panel.count(remove_call) == 1; }));
  // Nobody's creates wait for an operator.
  const auto next = order();
  ASSERT_TRUE(advance_until([&] { return next->answer.has_value(); }, 20s));
  EXPECT_TRUE((*next->answer)->is_decided);
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(panel.count(remove_call), 4);
  EXPECT_THAT(living(), SizeIs(2));
  expect_agreement();
}

TEST_F(Saga, ALookThatVirtfusionDoesNotAnswerComesAgain) {
  order_with_extra();
  panel.add_fault(list_call, fault_kind::status, 60, 0ms, 500);
  EXPECT_TRUE(all_ends());
  EXPECT_THAT(living(), SizeIs(1));
  expect_agreement();
}

TEST_F(Saga, ALookWhoseLeaseIsLostBeforeTheDeletionIsGoneOnWith) {
  order_with_extra();
  // Named in its row, and every call that deletes it comes to nothing until the lease is another's.
  panel.add_fault(remove_call, fault_kind::status, 1'000, 0ms, 503);
  ASSERT_TRUE(advance_until([&] { return panel.count(remove_call) > 0; }));
  steal_lease();
  const auto stolen = lease.token();
  ASSERT_TRUE(advance_until([&] { return lease.token() != stolen; }));
  panel.clear_faults();
  EXPECT_TRUE(all_ends());
  EXPECT_THAT(living(), SizeIs(1));
  expect_agreement();
}

TEST_F(Saga, AnExtraThatVirtfusionCannotDeleteHoldsNobodyUp) {
  order_with_extra();
  panel.add_fault(remove_call, fault_kind::status, 100'000, 0ms, 500);
  ASSERT_TRUE(advance_until([&] { return panel.count(remove_call) > 0; }));
  const auto next = order();
  EXPECT_TRUE(advance_until([&] { return state_of(2) == "active"; }));
  panel.clear_faults();
  EXPECT_TRUE(all_ends());
  expect_agreement();
}

TEST_F(Saga, AnExtraWhoseTaskNeverEndsHoldsNobodyUp) {
  order_with_extra();
  panel.add_fault(remove_call, fault_kind::status, 100'000, 0ms, 423);
  ASSERT_TRUE(advance_until([&] { return panel.count(remove_call) > 0; }));
  const auto next = order();
  EXPECT_TRUE(advance_until([&] { return state_of(2) == "active"; }));
}

TEST_F(Saga, AnExtraThatCannotBeSeenHoldsNobodyUp) {
  order_with_extra();
  panel.add_fault(remove_call, fault_kind::lost_answer);
  ASSERT_TRUE(advance_until([&] { return panel.count(remove_call) == 1; }));
  panel.add_fault(get_call, fault_kind::status, 40, 0ms, 500);
  const auto next = order();
  EXPECT_TRUE(advance_until([&] { return panel.count(post) == 3; }));
  panel.clear_faults();
  EXPECT_TRUE(all_ends());
  expect_agreement();
}

// The extra of one order looks just like what another order of the same user has lost.
TEST_F(Saga, AnExtraThatIsNamedIsNobodysToAdopt) {
  order_with_extra();
  panel.add_fault(remove_call, fault_kind::status, 100'000, 0ms, 500);
  ASSERT_TRUE(advance_until([&] { return panel.count(remove_call) > 0; }));
  panel.add_fault(post, fault_kind::reset);
  const auto next = order();
  ASSERT_TRUE(advance_until([&] { return state_of(2) == "active"; }));
  panel.clear_faults();
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(state_of(2), "active");
  EXPECT_THAT(living(), SizeIs(2));
  expect_agreement();
}

TEST_F(Saga, ARepeatThatIsDoneAfterItsCallerLeftLeavesNoExtra) {
  // The first is done while the repeat is under way, which says nothing for its whole minute and is done
  // after.
  panel.add_fault(post, fault_kind::late_effect, 1, settle_time + 20s);
  panel.add_fault(post, fault_kind::stall, 1, 65s);
  const auto created = order();
  ASSERT_TRUE(advance_until([&] { return panel.count(post) == 2; }));
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  advance(10min);
  EXPECT_THAT(living(), SizeIs(1));
  expect_agreement();
}

// The node that sent it cannot reach the database, and may wait for its answer for a minute.
TEST_F(Saga, WhatACutOffNodeHadSentLeavesNoExtra) {
  panel.add_fault(post, fault_kind::late_effect, 1, 85s);
  const auto created = order();
  ASSERT_TRUE(advance_until([&] { return panel.count(post) == 1; }));
  sql(
    "INSERT INTO nodes (name, token, lease_until, started_at) "
    "SELECT 'node-2', nextval('fencing_tokens'), clock_timestamp() - interval '1 s', started_at FROM nodes");
  sql("UPDATE actions SET token = (SELECT token FROM nodes WHERE name = 'node-2')");
  caf::anon_send_exit(provisioner, caf::exit_reason::kill);
  settle();
  spawn_provisioner();
  ASSERT_TRUE(advance_until([&] { return panel.count(post) == 2; }));
  ASSERT_TRUE(all_ends());
  advance(10min);
  EXPECT_THAT(living(), SizeIs(1));
  expect_agreement();
}

TEST_F(Saga, WhatAnOrderThatWasDeletedHadSentLeavesNoExtra) {
  panel.add_fault(post, fault_kind::late_effect, 1, settle_time + 20s);
  const auto created = order();
  ASSERT_TRUE(advance_until([&] { return panel.count(post) == 1; }));
  const auto gone = remove({1});
  ASSERT_TRUE(advance_until([&] { return state_of(1) == "deleted"; }));
  ASSERT_TRUE(all_ends());
  EXPECT_THAT(living(), IsEmpty());
  expect_agreement();
}

TEST_F(Saga, ALostLeaseIsTakenAnewWhileVirtfusionIsAway) {
  order_with_extra();
  panel.add_fault("*", fault_kind::status, 1'000'000, 0ms, 500);
  // The second look asks for its list, and stands in line for the breaker.
  advance(60s);
  steal_lease();
  const auto stolen = lease.token();
  EXPECT_TRUE(advance_until([&] { return lease.token() != stolen; }, 60s, 1s));
}

TEST_F(Saga, AnIdThatOurRowsHaveHadIsAlertedAndWaits) {
  const test::log_capture log;
  const auto first = order(2);
  ASSERT_TRUE(all_ends());
  sql("UPDATE servers SET virtfusion_id = 2 WHERE id = 1");
  const auto second = order(1);
  advance(5min);
  EXPECT_EQ(panel.count(post), 2);
  EXPECT_EQ(state_of(2), "creating");
  EXPECT_GE(log.count("alert=virtfusion_id_taken"), 1U);
  sql("UPDATE servers SET virtfusion_id = 1 WHERE id = 1");
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(panel.count(post), 2);
  expect_agreement();
}

// Under the same token: nobody's lease runs out that could set the look free.
TEST_F(Saga, ALookThatItsProvisionerLeftIsGoneOnWith) {
  order_with_extra();
  panel.add_fault(remove_call, fault_kind::status, 1'000, 0ms, 503);
  ASSERT_TRUE(advance_until([&] { return panel.count(remove_call) > 0; }));
  caf::anon_send_exit(provisioner, caf::exit_reason::kill);
  settle();
  panel.clear_faults();
  spawn_provisioner();
  EXPECT_TRUE(all_ends());
  EXPECT_THAT(living(), SizeIs(1));
  expect_agreement();
}

TEST_F(Saga, AnExtraWhoseDeletionWasNotSeenCountsOnce) {
  order_with_extra();
  const auto kept = owned();
  // What the customer made by hand in the panel looks the same, and is younger.
  const auto user = panel.look().servers().front()->owner;
  const auto by_hand = panel.look_to_change().create_server({1, user, 1}, false, panel.now());
  ASSERT_TRUE(by_hand);
  const auto by_hand_id = (*by_hand)->id;
  panel.add_fault(remove_call, fault_kind::lost_answer);
  ASSERT_TRUE(advance_until([&] { return panel.count(remove_call) == 1; }, 10min, 5ms));
  steal_lease();
  EXPECT_TRUE(all_ends());
  EXPECT_THAT(living(), ElementsAre(kept.front(), by_hand_id));
  EXPECT_EQ(sql("SELECT sum(extras_deleted) FROM create_attempts"), "1");
}

TEST_F(Saga, AnExtraThatSomebodyHasBegunToUseStays) {
  order_with_extra();
  const auto kept = owned();
  for (const auto id : living())
    if (id != kept.front())
      ASSERT_TRUE(panel.look_to_change().rename(id, "by-hand", panel.now()));
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(panel.count(remove_call), 0);
  EXPECT_THAT(living(), SizeIs(2));
}

TEST_F(Saga, AnExtraWhoseOwnerIsNotToldIsLookedAtAgain) {
  order_with_extra();
  const test::log_capture log;
  panel.leave_out(get_call, {"data", "owner"});
  ASSERT_TRUE(advance_until([&] { return log.count("alert=delete_refused") > 0; }));
  EXPECT_EQ(panel.count(remove_call), 0);
  panel.tell_all();
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(panel.count(remove_call), 1);
  expect_agreement();
}

// -- build ----------------------------------------------------------------------

TEST_F(Saga, ALostBuildAnswerIsNotBuiltTwice) {
  panel.add_fault(build, fault_kind::lost_answer);
  const auto created = order();
  ASSERT_TRUE(advance_until([&] { return created->answer.has_value(); }));
  EXPECT_TRUE((*created->answer)->password.empty());
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(panel.count(build), 1);
  EXPECT_EQ(panel.look().servers().front()->builds, 1);
  expect_agreement();
}

TEST_F(Saga, ALookAtABuildThatIsRefusedIsNoEnd) {
  const test::log_capture log;
  panel.add_fault(build, fault_kind::lost_answer);
  panel.add_fault(get_call, fault_kind::status, 20, 0ms, 403);
  const auto created = order();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(panel.count(remove_call), 0);
  EXPECT_EQ(log.count("alert=build_unresolved"), 1U);
  EXPECT_EQ(log.count("alert_cleared=build_unresolved"), 1U);
}

TEST_F(Saga, ADeleteThatVirtfusionDoesNotCarryOutIsAlerted) {
  const test::log_capture log;
  const auto created = order();
  ASSERT_TRUE(all_ends());
  panel.add_fault(remove_call, fault_kind::status, 100'000, 0ms, 500);
  const auto gone = remove({1});
  advance(20min);
  EXPECT_EQ(log.count("alert=delete_unfinished"), 1U);
  panel.clear_faults();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(log.count("alert_cleared=delete_unfinished"), 1U);
  EXPECT_EQ(state_of(1), "deleted");
}

TEST_F(Saga, ABuildThatBeginsLateIsNotBuiltTwice) {
  panel.add_fault(build, fault_kind::late_effect, 1, settle_time - 2s);
  const auto created = order();
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(panel.look().servers().front()->builds, 1);
  expect_agreement();
}

TEST_F(Saga, ABuildThatNeverArrivedIsAskedForAgainAfterTheSettleTime) {
  panel.add_fault(build, fault_kind::reset);
  const auto created = order();
  ASSERT_TRUE(advance_until([&] { return panel.count(build) == 1; }));
  const auto unknown_since = runtime.timers().now();
  ASSERT_TRUE(advance_until([&] { return panel.count(build) == 2; }));
  EXPECT_GE(runtime.timers().now() - unknown_since, settle_time - 1s);
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(panel.look().servers().front()->builds, 1);
  expect_agreement();
}

TEST_F(Saga, AFailedBuildIsTriedOnceMoreAndThenGivenUp) {
  panel.add_fault(build, fault_kind::build_fails, 1);
  const auto first = order(1);
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(panel.count(build), 2);
  panel.add_fault(build, fault_kind::build_fails, 2);
  const auto second = order(2);
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(state_of(2), "failed");
  EXPECT_EQ(panel.count(build), 4);
  EXPECT_THAT(living(), SizeIs(1));
  EXPECT_EQ(sql("SELECT error_code FROM actions WHERE server_id = 2"), "virtfusion_rejected");
  expect_agreement();
}

TEST_F(Saga, ABusyServerIsNoFailure) {
  panel.add_fault(build, fault_kind::status, 3, 0ms, 423);
  const auto created = order();
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(panel.look().servers().front()->builds, 1);
  expect_agreement();
}

// -- patience, outages ----------------------------------------------------------

TEST_F(Saga, WhoWaitsIsAnsweredWhenItsPatienceIsOverAndTheOrderGoesOn) {
  panel.add_fault(post, fault_kind::delay, 1, 40s);
  const auto begun = runtime.timers().now();
  const auto created = order(1, 10s);
  ASSERT_TRUE(advance_until([&] { return created->answer.has_value(); }));
  EXPECT_EQ(created->at - begun, 10s);
  ASSERT_TRUE(*created->answer);
  EXPECT_FALSE((*created->answer)->is_decided);
  EXPECT_TRUE((*created->answer)->password.empty());
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  expect_agreement();
}

TEST_F(Saga, WhatWasStoredOutlivesAnHourWithoutVirtfusion) {
  const auto created = order();
  panel.add_fault("*", fault_kind::reset, 1'000'000);
  advance(1h);
  EXPECT_NE(state_of(1), "failed");
  panel.clear_faults();
  EXPECT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_THAT(living(), SizeIs(1));
  expect_agreement();
}

// -- at each moment -------------------------------------------------------------

// An undisturbed create takes some seven seconds here; a lost one a settle time more.
struct moments {
  std::string name;
  bool loses_answers;
  std::chrono::milliseconds step;
  int count;
};

class SagaAtEachMoment : public Saga, public testing::WithParamInterface<moments> {
protected:
  void begin() {
    if (!GetParam().loses_answers)
      return;
    panel.add_fault(post, fault_kind::lost_answer);
    panel.add_fault(build, fault_kind::lost_answer);
  }
};

TEST_P(SagaAtEachMoment, ADeleteLeavesNothing) {
  for (int i = 0; i < GetParam().count; ++i) {
    SCOPED_TRACE("moment " + std::to_string(i));
    begin();
    const auto created = order(1 + i % 3);
    advance(GetParam().step * i);
    const auto id = std::stoll(sql("SELECT max(id) FROM servers"));
    const auto deleted = remove({id});
    ASSERT_TRUE(advance_until([&] { return deleted->answer && created->answer; }));
    ASSERT_TRUE(*deleted->answer) << (*deleted->answer).error().detail;
    ASSERT_TRUE(all_ends());
    EXPECT_EQ(state_of(id), "deleted");
    ASSERT_TRUE(advance_until([&] { return living().empty(); }, 5s));
    panel.clear_faults();
  }
  expect_agreement();
}

TEST_P(SagaAtEachMoment, ALostLeaseLosesNothingAndDoesNothingTwice) {
  for (int i = 0; i < GetParam().count; ++i) {
    SCOPED_TRACE("moment " + std::to_string(i));
    begin();
    const auto created = order(1 + i % 3);
    advance(GetParam().step * i);
    steal_lease();
    ASSERT_TRUE(all_ends());
    panel.clear_faults();
  }
  EXPECT_EQ(sql("SELECT count(*) FROM servers WHERE state = 'active'"), std::to_string(GetParam().count));
  expect_agreement();
  for (const auto* server : panel.look().servers())
    EXPECT_EQ(server->builds, 1);
}

TEST_P(SagaAtEachMoment, AProvisionerThatEndsIsFollowedByOneThatGoesOn) {
  for (int i = 0; i < GetParam().count; ++i) {
    SCOPED_TRACE("moment " + std::to_string(i));
    begin();
    const auto created = order(1 + i % 3, 1h);
    advance(GetParam().step * i);
    const auto had_answer = created->answer.has_value();
    const auto ended_at = runtime.timers().now();
    caf::anon_send_exit(provisioner, caf::exit_reason::kill);
    settle();
    // Who waited is told at once.
    ASSERT_TRUE(created->answer);
    if (!had_answer)
      EXPECT_EQ(created->at, ended_at);
    spawn_provisioner();
    ASSERT_TRUE(all_ends());
    panel.clear_faults();
  }
  EXPECT_EQ(sql("SELECT count(*) FROM servers WHERE state = 'active'"), std::to_string(GetParam().count));
  expect_agreement();
  for (const auto* server : panel.look().servers())
    EXPECT_EQ(server->builds, 1);
}

INSTANTIATE_TEST_SUITE_P(,
                         SagaAtEachMoment,
                         testing::Values(moments{"Undisturbed", false, 10ms, 40},
                                         moments{"AtEachPoll", false, 450ms, 16},
                                         moments{"WithLostAnswers", true, 45ms, 24}),
                         [](const auto& each) { return each.param.name; });

} // namespace
} // namespace skyengine::actors
