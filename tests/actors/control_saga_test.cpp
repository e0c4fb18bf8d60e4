#include "db/drift_store.hpp"
#include "tests/support/log_capture.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/virtual_provisioning.hpp"

#include <caf/send.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace skyengine::actors {
namespace {

using namespace std::chrono_literals;
using simulator::fault_kind;
using testing::IsEmpty;

constexpr auto suspend_call = "POST /servers/{serverId}/suspend";
constexpr auto unsuspend_call = "POST /servers/{serverId}/unsuspend";
constexpr auto power_off_call = "POST /servers/{serverId}/power/poweroff";
constexpr auto boot_call = "POST /servers/{serverId}/power/boot";
constexpr auto package_call = "PUT /servers/{serverId}/package/{packageId}";
constexpr auto get_call = "GET /servers/{serverId}";
constexpr auto settle_time = 30s;

/// Server 1 is active (action 1), on package 1; plan `medium` has package 3, plan `tiny` package 1.
class ControlSaga : public test::virtual_provisioning {
protected:
  void SetUp() override {
    sql("INSERT INTO plans (id, name, currency, virtfusion_package_id, created_at, updated_at) "
        "VALUES ('medium', 'Medium', 'USD', 3, now(), now()), ('same', 'Same', 'USD', 1, now(), now()), "
        "('nowhere', 'Nowhere', 'USD', 99, now(), now()) RETURNING id");
    sql("INSERT INTO plan_prices SELECT id, '2000-01-01', 5000000, 730, 'allocated', 'second' FROM plans "
        "ON CONFLICT DO NOTHING RETURNING plan_id");
    static_cast<void>(order());
    ASSERT_TRUE(advance_until([&] { return state_of(1) == "active"; }));
  }

  bool all_ends() {
    return advance_until(
      [&] { return sql("SELECT count(*) FROM actions WHERE state IN ('pending', 'running')") == "0"; }, 1h,
      500ms);
  }
  /// Server 1 in the panel.
  const simulator::server& machine() { return *panel.look().servers().front(); }
  void change_machine(simulator::server_patch patch) {
    ASSERT_TRUE(panel.look_to_change().patch_server(1, patch, panel.now()));
  }
  /// The month of user 1 has come to `suspendAt`, as the hour that is over now says.
  void pass_limit() {
    sql("INSERT INTO passed_limits (user_id, month, kind, currency, limit_micros, month_micros, hour) "
        "SELECT 1, date_trunc('month', h, 'UTC'), 'suspend', 'USD', 1, 1, h "
        "FROM (SELECT date_trunc('hour', now()) - interval '1 hour' AS h) AS over RETURNING user_id");
  }
  /// Suspended, with all that belongs to it.
  void suspend() {
    static_cast<void>(control(action_kind::suspend, {1}));
    ASSERT_TRUE(all_ends());
    ASSERT_EQ(state_of(1), "suspended");
  }
  std::string events() const {
    return sql(
      "SELECT string_agg(type, ' ' ORDER BY id) FROM server_events WHERE server_id = 1 AND action_id > 1");
  }
  std::string plan() const { return sql("SELECT plan_id FROM servers"); }
  std::string power() const { return sql("SELECT power FROM servers"); }
  std::string alerts() const {
    return sql("SELECT coalesce(string_agg(body->>'alert', ' ' ORDER BY id), '') FROM outbox");
  }
  void abandon(std::int64_t id) {
    ASSERT_TRUE(
      test::run(runtime.loop(), servers.request_abandon({id}, "operator", std::nullopt, business.now())));
    caf::anon_send(provisioner, nudge_action{{id}});
    settle();
  }
  void replace_provisioner() {
    caf::anon_send_exit(provisioner, caf::exit_reason::kill);
    settle();
    spawn_provisioner();
  }
};

// -- suspend --------------------------------------------------------------------

TEST_F(ControlSaga, ASuspensionStopsTheMachineAndCountsFromWhenItWasSent) {
  const auto asked = control(action_kind::suspend, {1});
  ASSERT_TRUE(advance_until([&] { return asked->answer.has_value(); }));
  ASSERT_TRUE(*asked->answer) << asked->answer->error().detail;
  EXPECT_EQ((*asked->answer)->action, action_id{2});
  EXPECT_EQ(end_of(2), "succeeded");
  EXPECT_EQ(state_of(1), "suspended");
  EXPECT_EQ(power(), "off");
  EXPECT_TRUE(machine().is_suspended);
  EXPECT_FALSE(machine().is_running);
  EXPECT_EQ(panel.count(suspend_call), 1);
  EXPECT_EQ(panel.count(power_off_call), 1);
  EXPECT_EQ(events(), "suspend_requested suspended");
  EXPECT_EQ(sql("SELECT e.at = date_trunc('second', a.sent_at) FROM server_events e, actions a "
                "WHERE e.type = 'suspended' AND a.id = 2"),
            "t");
  EXPECT_EQ(sql("SELECT action || ' ' || target || ' ' || actor FROM audit_log WHERE action = 'suspend'"),
            "suspend server 1 operator");
  EXPECT_EQ(alerts(), "");
  EXPECT_THAT(broken_invariants(), IsEmpty());
}

TEST_F(ControlSaga, ALostSuspensionCountsFromWhenItWasSentAlsoAfterATakeOver) {
  panel.add_fault(suspend_call, fault_kind::lost_answer);
  panel.add_fault(get_call, fault_kind::delay, 1, 5s);
  const auto asked = control(action_kind::suspend, {1});
  ASSERT_TRUE(advance_until([&] { return panel.count(suspend_call) == 1; }));
  replace_provisioner();
  steal_lease();
  // Learned two hours later.
  sql("UPDATE actions SET sent_at = sent_at - interval '2 hours' RETURNING id");
  sql("UPDATE server_events SET at = at - interval '3 hours' RETURNING id");
  sql("UPDATE servers SET last_event_at = last_event_at - interval '3 hours' RETURNING id");
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(end_of(2), "succeeded");
  EXPECT_EQ(panel.count(suspend_call), 1);
  EXPECT_EQ(sql("SELECT e.at = date_trunc('second', a.sent_at) AND e.at < now() - interval '119 minutes' "
                "FROM server_events e, actions a WHERE e.type = 'suspended' AND a.id = 2"),
            "t");
  EXPECT_THAT(broken_invariants(), IsEmpty());
}

TEST_F(ControlSaga, NothingThatAnOperatorDoesMeanwhilePutsASuspensionOff) {
  sql("INSERT INTO drift (kind, server_id, virtfusion_id, first_seen, last_seen, seen) VALUES ('package', 1, "
      "1, now(), now(), 'x') RETURNING id");
  panel.add_fault(suspend_call, fault_kind::lost_answer);
  const auto asked = control(action_kind::suspend, {1});
  ASSERT_TRUE(advance_until([&] { return panel.count(suspend_call) == 1; }, 1min, 10ms));
  panel.add_fault(get_call, fault_kind::reset, 1'000'000);
  advance(5min);
  business.shift = 5min;
  db::drift_store drift{db};
  db::drift_store::decision what;
  what.id = 1;
  what.how = drift_way::ignore;
  what.actor = "operator";
  const auto ignored = test::run(runtime.loop(), drift.resolve(what, business.now()));
  ASSERT_FALSE(ignored);
  EXPECT_EQ(ignored.error().code, errc::conflict);
  abandon(2);
  panel.clear_faults();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(end_of(2), "succeeded");
  EXPECT_EQ(events(), "suspend_requested abandon_requested suspended");
  EXPECT_EQ(
    sql("SELECT e.at - date_trunc('second', a.sent_at) FROM server_events e, actions a WHERE e.type = "
        "'suspended' AND a.id = 2"),
    "00:00:00");
  EXPECT_THAT(broken_invariants(), IsEmpty());
}

TEST_F(ControlSaga, AMachineWhoseHypervisorDoesNotTellItsPowerIsNotBelievedToBeOff) {
  panel.leave_out(get_call, {"data", "remoteState", "running"});
  panel.leave_out(get_call, {"data", "remoteState", "state"});
  static_cast<void>(control(action_kind::suspend, {1}));
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "suspended");
  EXPECT_EQ(power(), "unknown");
  EXPECT_EQ(alerts(), "suspended_running");
  panel.tell_all();
  static_cast<void>(control(action_kind::unsuspend, {1}));
  ASSERT_TRUE(all_ends());
  EXPECT_TRUE(machine().is_running) << "it ran when it was suspended";
}

TEST_F(ControlSaga, ARecordThatDoesNotTellOfTheSuspensionIsLookedAtAgain) {
  panel.add_fault(suspend_call, fault_kind::lost_answer);
  static_cast<void>(control(action_kind::suspend, {1}));
  ASSERT_TRUE(advance_until([&] { return panel.count(suspend_call) == 1; }, 1min, 10ms));
  panel.leave_out(get_call, {"data", "suspended"});
  advance(11min);
  EXPECT_EQ(panel.count(suspend_call), 1);
  EXPECT_EQ(alerts(), "action_unfinished");
  panel.tell_all();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "suspended");
  EXPECT_EQ(panel.count(suspend_call), 1);

  panel.leave_out(get_call, {"data", "suspended"});
  static_cast<void>(control(action_kind::unsuspend, {1}));
  advance(1min);
  EXPECT_EQ(state_of(1), "suspended") << "nobody has said that it is not";
  panel.tell_all();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_FALSE(machine().is_suspended);
  EXPECT_EQ(panel.count(unsuspend_call), 1);
}

TEST_F(ControlSaga, ACallThatDidNothingDoesNotCountOnceItHasHadItsTime) {
  panel.add_fault(suspend_call, fault_kind::reset);
  // Not to be seen until VirtFusion is back.
  const auto asked = control(action_kind::suspend, {1});
  ASSERT_TRUE(advance_until([&] { return panel.count(suspend_call) == 1; }, 1min, 10ms));
  const auto first = sql("SELECT sent_at FROM actions WHERE id = 2");
  panel.add_fault(get_call, fault_kind::reset, 1'000'000);
  advance(5min);
  business.shift = 5min;
  panel.clear_faults();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "suspended");
  EXPECT_EQ(panel.count(suspend_call), 2);
  EXPECT_EQ(
    sql("SELECT sent_at > timestamptz '" + first + "' + interval '4 minutes' FROM actions WHERE id = 2"),
    "t");
}

TEST_F(ControlSaga, ACallThatMayStillDoItKeepsItsTime) {
  panel.add_fault(suspend_call, fault_kind::reset);
  const auto asked = control(action_kind::suspend, {1});
  ASSERT_TRUE(advance_until([&] { return panel.count(suspend_call) == 1; }, 1min, 10ms));
  const auto first = sql("SELECT sent_at FROM actions WHERE id = 2");
  business.shift = 10s;
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(panel.count(suspend_call), 2);
  EXPECT_EQ(sql("SELECT sent_at FROM actions WHERE id = 2"), first);
}

TEST_F(ControlSaga, ACallThatWasSurelyNotDoneIsSentAtAnotherTime) {
  panel.add_fault(suspend_call, fault_kind::status, 1, 0ms, 503);
  const auto asked = control(action_kind::suspend, {1});
  ASSERT_TRUE(advance_until([&] { return panel.count(suspend_call) == 1; }, 1min, 10ms));
  const auto first = sql("SELECT sent_at FROM actions WHERE id = 2");
  business.shift = 10s;
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "suspended");
  EXPECT_EQ(
    sql("SELECT sent_at > timestamptz '" + first + "' + interval '9 seconds' FROM actions WHERE id = 2"),
    "t");
}

TEST_F(ControlSaga, AMachineThatRunsOnIsAlertedAndIsSuspendedAllTheSame) {
  test::log_capture log;
  panel.add_fault(power_off_call, fault_kind::status, 1'000, 0ms, 403);
  panel.add_fault(suspend_call, fault_kind::suspend_leaves_running);
  const auto asked = control(action_kind::suspend, {1});
  ASSERT_TRUE(advance_until([&] { return state_of(1) == "suspended"; }));
  EXPECT_EQ(end_of(2), "running");
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(end_of(2), "succeeded");
  EXPECT_TRUE(machine().is_running);
  EXPECT_EQ(power(), "unknown");
  EXPECT_GT(panel.count(power_off_call), 2);
  EXPECT_EQ(log.count("alert=suspended_running"), 1U);
  EXPECT_EQ(alerts(), "suspended_running");
  EXPECT_THAT(broken_invariants(), IsEmpty());
}

TEST_F(ControlSaga, AMachineThatIsStoppedLateEndsTheSuspension) {
  panel.add_fault(power_off_call, fault_kind::status, 1'000, 0ms, 403);
  panel.add_fault(suspend_call, fault_kind::suspend_leaves_running);
  const auto asked = control(action_kind::suspend, {1});
  ASSERT_TRUE(advance_until([&] { return state_of(1) == "suspended"; }));
  simulator::server_patch patch;
  patch.is_running = false;
  change_machine(patch);
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(power(), "off");
  EXPECT_EQ(alerts(), "");
}

TEST_F(ControlSaga, ASuspensionThatVirtFusionRefusesLeavesTheServerRunning) {
  panel.add_fault(suspend_call, fault_kind::status, 1'000, 0ms, 403);
  const auto asked = control(action_kind::suspend, {1});
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_NE(end_of(2), "succeeded");
  EXPECT_EQ(events(), "suspend_requested suspend_failed");
  ASSERT_TRUE(advance_until([&] { return machine().is_running; }, 1min));
  EXPECT_THAT(broken_invariants(), IsEmpty());
}

TEST_F(ControlSaga, AServerOfAnotherOwnerIsNotTouched) {
  static_cast<void>(order(2));
  ASSERT_TRUE(all_ends());
  simulator::server_patch patch;
  patch.owner_ext_relation_id = 2;
  change_machine(patch);
  const auto asked = control(action_kind::suspend, {1});
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(alerts(), "wrong_owner");
  EXPECT_EQ(panel.count(suspend_call) + panel.count(power_off_call), 0);
}

TEST_F(ControlSaga, AServerThatIsGoneEndsTheAction) {
  static_cast<void>(panel.look_to_change().remove(1, {}, panel.now()));
  advance(1s);
  const auto asked = control(action_kind::suspend, {1});
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(end_of(2), "failed virtfusion_rejected");
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(alerts(), "server_vanished");
}

TEST_F(ControlSaga, OneThatIsSuspendedInThePanelIsSuspendedHereFromWhenItWasSeen) {
  simulator::server_patch patch;
  patch.is_suspended = true;
  patch.is_running = false;
  change_machine(patch);
  const auto asked = control(action_kind::suspend, {1});
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "suspended");
  EXPECT_EQ(panel.count(suspend_call), 0);
  EXPECT_EQ(sql("SELECT sent_at IS NULL FROM actions WHERE id = 2"), "t");
  // It ran before, as far as we know.
  static_cast<void>(control(action_kind::unsuspend, {1}));
  ASSERT_TRUE(all_ends());
  EXPECT_TRUE(machine().is_running);
}

TEST_F(ControlSaga, WhatIsSoAlreadyNeedsNoAction) {
  auto asked = control(action_kind::unsuspend, {1});
  ASSERT_TRUE(asked->answer && *asked->answer);
  EXPECT_EQ((*asked->answer)->action, action_id{});
  suspend();
  asked = control(action_kind::suspend, {1});
  ASSERT_TRUE(asked->answer && *asked->answer);
  EXPECT_EQ((*asked->answer)->action, action_id{});
  EXPECT_EQ(sql("SELECT count(*) FROM actions"), "2");
}

TEST_F(ControlSaga, OnlyOneActionAServerIsOpen) {
  const auto first = control(action_kind::suspend, {1});
  const auto second = control(action_kind::resize, {1}, "medium");
  ASSERT_TRUE(second->answer);
  ASSERT_FALSE(*second->answer);
  EXPECT_EQ(second->answer->error().code, errc::conflict);
  EXPECT_THAT(second->answer->error().detail, testing::HasSubstr("action 2 (suspend)"));
  ASSERT_TRUE(all_ends());
  const auto third = control(action_kind::resize, {1}, "medium");
  ASSERT_TRUE(third->answer);
  EXPECT_EQ(third->answer->error().code, errc::conflict);
}

TEST_F(ControlSaga, AnOutageOfVirtFusionIsWaitedForAndAlerted) {
  test::log_capture log;
  panel.add_fault("*", fault_kind::reset, 1'000'000);
  const auto asked = control(action_kind::suspend, {1});
  advance(1h);
  EXPECT_EQ(state_of(1), "active");
  ASSERT_TRUE(asked->answer && *asked->answer);
  EXPECT_EQ(end_of(2), "running");
  EXPECT_EQ(log.count("alert=action_unfinished"), 1U);
  EXPECT_EQ(alerts(), "action_unfinished");
  panel.clear_faults();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "suspended");
  EXPECT_EQ(log.count("alert_cleared=action_unfinished"), 1U);
}

TEST_F(ControlSaga, AHypervisorThatDoesNotAnswerIsNoReasonNotToSuspend) {
  panel.add_fault(power_off_call, fault_kind::reset, 1'000);
  const auto asked = control(action_kind::suspend, {1});
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "suspended");
  EXPECT_FALSE(machine().is_running);
}

TEST_F(ControlSaga, ALookThatIsRefusedSaysNothingOfWhatWasSent) {
  panel.add_fault(suspend_call, fault_kind::lost_answer);
  static_cast<void>(control(action_kind::suspend, {1}));
  ASSERT_TRUE(advance_until([&] { return panel.count(suspend_call) == 1; }, 1min, 10ms));
  panel.add_fault(get_call, fault_kind::status, 1'000'000, 0ms, 403);
  advance(15min);
  EXPECT_EQ(end_of(2), "running");
  EXPECT_EQ(alerts(), "action_unfinished");
  panel.clear_faults();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(end_of(2), "succeeded");
  EXPECT_EQ(state_of(1), "suspended");
  EXPECT_EQ(panel.count(suspend_call), 1);
}

TEST_F(ControlSaga, ALookThatIsRefusedBeforeAnythingWasSentEndsTheAction) {
  panel.add_fault(get_call, fault_kind::status, 1, 0ms, 403);
  static_cast<void>(control(action_kind::suspend, {1}));
  ASSERT_TRUE(all_ends());
  EXPECT_NE(end_of(2), "succeeded");
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(panel.count(power_off_call), 0);
}

TEST_F(ControlSaga, APackageThatIsTakenAwayWhileItsAnswerIsLostIsAlerted) {
  panel.add_fault(package_call, fault_kind::lost_answer);
  static_cast<void>(control(action_kind::resize, {1}, "medium"));
  ASSERT_TRUE(advance_until([&] { return panel.count(package_call) == 1; }, 1min, 10ms));
  sql("UPDATE plans SET virtfusion_package_id = 99 WHERE id = 'medium' RETURNING id");
  replace_provisioner();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(end_of(2), "failed virtfusion_rejected");
  EXPECT_EQ(alerts(), "plan_half_changed");
}

TEST_F(ControlSaga, ASuspensionThatComesLateUndoesNothing) {
  panel.add_fault(suspend_call, fault_kind::late_effect, 1, 20s);
  static_cast<void>(control(action_kind::suspend, {1}));
  ASSERT_TRUE(advance_until([&] { return state_of(1) == "suspended" && !machine().is_running; }));
  EXPECT_EQ(panel.count(suspend_call), 2);
  advance(2s);
  const auto early = control(action_kind::unsuspend, {1});
  ASSERT_TRUE(early->answer);
  EXPECT_EQ(early->answer->error().code, errc::conflict);
  ASSERT_TRUE(all_ends());
  static_cast<void>(control(action_kind::unsuspend, {1}));
  ASSERT_TRUE(all_ends());
  advance(1min);
  EXPECT_EQ(state_of(1), "active");
  EXPECT_FALSE(machine().is_suspended);
}

TEST_F(ControlSaga, ARefusalAfterALostCallIsNoEndWhileThatMayStillComeTrue) {
  panel.add_fault(suspend_call, fault_kind::late_effect, 1, 20s);
  panel.add_fault(suspend_call, fault_kind::status, 1'000, 0ms, 403);
  static_cast<void>(control(action_kind::suspend, {1}));
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(end_of(2), "succeeded");
  EXPECT_EQ(state_of(1), "suspended");
  EXPECT_TRUE(machine().is_suspended);
}

// -- by a spending limit ----------------------------------------------------------

TEST_F(ControlSaga, ASpendingLimitSuspendsWhatIsActiveWithTheNextSweep) {
  static_cast<void>(order());
  static_cast<void>(order(2));
  ASSERT_TRUE(all_ends());
  pass_limit();
  static_cast<void>(order());
  ASSERT_TRUE(advance_until([&] { return state_of(1) == "suspended" && state_of(2) == "suspended"; }));
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(3), "active") << "another user's";
  EXPECT_EQ(state_of(4), "active") << "it was being made";
  EXPECT_EQ(panel.count(suspend_call), 2);
  EXPECT_EQ(sql("SELECT string_agg(DISTINCT requested_by, ' ') FROM actions WHERE kind = 'suspend'"),
            "spending_limit");
  EXPECT_EQ(sql("SELECT count(*) FROM passed_limits WHERE begun_at IS NULL"), "0");
  EXPECT_THAT(broken_invariants(), IsEmpty());
}

TEST_F(ControlSaga, ASuspensionByALimitIsGoneOnWithByWhoeverComesNext) {
  pass_limit();
  ASSERT_TRUE(advance_until([&] { return sql("SELECT count(*) FROM actions WHERE kind = 'suspend'") == "1"; },
                            1min, 1ms));
  replace_provisioner();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "suspended");
  EXPECT_EQ(sql("SELECT count(*) FROM actions WHERE kind = 'suspend'"), "1");
  EXPECT_EQ(panel.count(suspend_call), 1);
  EXPECT_THAT(broken_invariants(), IsEmpty());
}

TEST_F(ControlSaga, WithoutALeaseNoLimitIsLookedAt) {
  caf::anon_send(provisioner, lease_lost{});
  settle();
  pass_limit();
  advance(1min);
  EXPECT_EQ(sql("SELECT count(*) FROM passed_limits WHERE begun_at IS NULL"), "1");
  caf::anon_send(provisioner, lease_acquired{});
  ASSERT_TRUE(advance_until([&] { return state_of(1) == "suspended"; }));
}

// -- unsuspend ------------------------------------------------------------------

TEST_F(ControlSaga, AnUnsuspendBootsWhatRanBefore) {
  suspend();
  const auto asked = control(action_kind::unsuspend, {1});
  ASSERT_TRUE(advance_until([&] { return asked->answer.has_value(); }));
  EXPECT_EQ(end_of(3), "succeeded");
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(power(), "on");
  EXPECT_FALSE(machine().is_suspended);
  EXPECT_TRUE(machine().is_running);
  EXPECT_EQ(events(), "suspend_requested suspended unsuspend_requested unsuspended");
  EXPECT_EQ(sql("SELECT boots_unsuspended FROM servers"), "f");
  EXPECT_THAT(broken_invariants(), IsEmpty());
}

TEST_F(ControlSaga, AnUnsuspendDoesNotBootWhatWasOff) {
  simulator::server_patch patch;
  patch.is_running = false;
  change_machine(patch);
  suspend();
  static_cast<void>(control(action_kind::unsuspend, {1}));
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_FALSE(machine().is_running);
  EXPECT_EQ(panel.count(boot_call), 0);
}

TEST_F(ControlSaga, ALostUnsuspendIsLookedAtAndNotSentAgain) {
  suspend();
  panel.add_fault(unsuspend_call, fault_kind::lost_answer);
  panel.add_fault(boot_call, fault_kind::lost_answer);
  static_cast<void>(control(action_kind::unsuspend, {1}));
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "active");
  EXPECT_TRUE(machine().is_running);
  EXPECT_EQ(panel.count(unsuspend_call), 1);
}

TEST_F(ControlSaga, AServerThatDoesNotBootIsActiveAndAlerted) {
  suspend();
  panel.add_fault(boot_call, fault_kind::status, 1'000, 0ms, 403);
  static_cast<void>(control(action_kind::unsuspend, {1}));
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(end_of(3), "succeeded");
  EXPECT_EQ(state_of(1), "active");
  EXPECT_EQ(power(), "unknown");
  EXPECT_EQ(alerts(), "boot_unfinished");
}

// -- resize ---------------------------------------------------------------------

TEST_F(ControlSaga, AChangeOfPlanCountsFromWhenItWasConfirmed) {
  const auto asked = control(action_kind::resize, {1}, "medium");
  ASSERT_TRUE(advance_until([&] { return asked->answer.has_value(); }));
  EXPECT_EQ(end_of(2), "succeeded");
  EXPECT_EQ(plan(), "medium");
  EXPECT_EQ(machine().package, 3);
  EXPECT_EQ(machine().memory_mb, 4'096);
  EXPECT_EQ(sql("SELECT type || ' ' || from_plan || ' ' || to_plan || ' ' || from_state || ' ' || to_state "
                "FROM server_events WHERE to_plan IS NOT NULL"),
            "plan_changed small medium active active");
  EXPECT_THAT(broken_invariants(), IsEmpty());
}

TEST_F(ControlSaga, TheSamePlanNeedsNoAction) {
  const auto asked = control(action_kind::resize, {1}, "small");
  ASSERT_TRUE(asked->answer && *asked->answer);
  EXPECT_EQ((*asked->answer)->action, action_id{});
}

TEST_F(ControlSaga, APlanWithTheSameResourcesNeedsNoCall) {
  static_cast<void>(control(action_kind::resize, {1}, "same"));
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(plan(), "same");
  EXPECT_EQ(panel.count(package_call), 0);
}

TEST_F(ControlSaga, ASmallerDiskIsRefusedBeforeAnyCall) {
  static_cast<void>(control(action_kind::resize, {1}, "medium"));
  ASSERT_TRUE(all_ends());
  static_cast<void>(control(action_kind::resize, {1}, "small"));
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(end_of(3), "failed conflict");
  EXPECT_EQ(plan(), "medium");
  EXPECT_EQ(panel.count(package_call), 1);
  EXPECT_EQ(alerts(), "");
  EXPECT_THAT(broken_invariants(), IsEmpty());
}

TEST_F(ControlSaga, APackageThatVirtFusionDoesNotOfferIsRefused) {
  static_cast<void>(control(action_kind::resize, {1}, "nowhere"));
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(end_of(2), "failed virtfusion_rejected");
  EXPECT_EQ(panel.count(package_call), 0);
}

TEST_F(ControlSaga, AChangeThatIsLostIsSeenAndNotRepeated) {
  panel.add_fault(package_call, fault_kind::lost_answer);
  static_cast<void>(control(action_kind::resize, {1}, "medium"));
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(plan(), "medium");
  EXPECT_EQ(panel.count(package_call), 1);
}

TEST_F(ControlSaga, AChangeThatDidNotArriveIsRepeated) {
  panel.add_fault(package_call, fault_kind::reset, 2);
  static_cast<void>(control(action_kind::resize, {1}, "medium"));
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(plan(), "medium");
  EXPECT_EQ(panel.count(package_call), 3);
}

TEST_F(ControlSaga, AChangeThatIsRefusedLeavesThePlan) {
  panel.add_fault(package_call, fault_kind::status, 1, 0ms, 422);
  static_cast<void>(control(action_kind::resize, {1}, "medium"));
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(end_of(2), "failed virtfusion_rejected");
  EXPECT_EQ(plan(), "small");
  EXPECT_EQ(alerts(), "");
  EXPECT_EQ(events(), "resize_requested resize_failed");
}

TEST_F(ControlSaga, AChangeThatIsDoneInPartIsAlertedAndLeavesThePlan) {
  const auto asked = control(action_kind::resize, {1}, "medium");
  ASSERT_TRUE(advance_until([&] { return machine().package == 3; }, 1min, 5ms));
  // The panel keeps the disk as it was.
  simulator::server_patch patch;
  patch.storage_gb = 20;
  change_machine(patch);
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(end_of(2), "failed virtfusion_rejected");
  EXPECT_EQ(plan(), "small");
  EXPECT_EQ(alerts(), "plan_half_changed");
  EXPECT_THAT(sql("SELECT error_detail FROM actions WHERE id = 2"),
              testing::HasSubstr("disk is 20 GB instead of 80 GB"));
  EXPECT_EQ(panel.count(package_call), 1);
}

// -- delete, levers ---------------------------------------------------------------

TEST_F(ControlSaga, ADeleteIsNotPaidForFromWhenItWasAcceptedAndOvertakes) {
  panel.add_fault(get_call, fault_kind::delay, 1, 10s);
  const auto asked = control(action_kind::suspend, {1});
  advance(1s);
  const auto deleted = remove({1});
  ASSERT_TRUE(deleted->answer && *deleted->answer);
  EXPECT_EQ((*deleted->answer)->state, action_state::pending);
  EXPECT_EQ(state_of(1), "deleting");
  EXPECT_THAT(broken_invariants(), IsEmpty());
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(state_of(1), "deleted");
  EXPECT_EQ(end_of(2), "failed conflict");
  EXPECT_EQ(events(), "suspend_requested delete_requested suspend_abandoned deleted");
  ASSERT_TRUE(asked->answer);
  EXPECT_THAT(broken_invariants(), IsEmpty());
}

TEST_F(ControlSaga, ADeleteThatWaitsIsTakenBackAndTheActionGoesOn) {
  panel.add_fault(get_call, fault_kind::delay, 1, 10s);
  static_cast<void>(control(action_kind::resize, {1}, "medium"));
  advance(1s);
  const auto deleted = remove({1});
  ASSERT_TRUE(deleted->answer && *deleted->answer);
  abandon(3);
  EXPECT_EQ(end_of(3), "failed conflict");
  EXPECT_EQ(state_of(1), "active");
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(plan(), "medium");
  EXPECT_THAT(broken_invariants(), IsEmpty());
}

TEST_F(ControlSaga, AnAbandonedSuspensionThatWasNotSentBootsTheServerAgain) {
  panel.add_fault(suspend_call, fault_kind::status, 1'000'000, 0ms, 503);
  static_cast<void>(control(action_kind::suspend, {1}));
  ASSERT_TRUE(advance_until([&] { return panel.count(suspend_call) > 2; }));
  abandon(2);
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(end_of(2), "failed conflict");
  EXPECT_EQ(state_of(1), "active");
  EXPECT_TRUE(machine().is_running);
  EXPECT_THAT(broken_invariants(), IsEmpty());
}

TEST_F(ControlSaga, AnAbandonedSuspensionThatWasDoneStands) {
  panel.add_fault(suspend_call, fault_kind::late_effect, 1, settle_time - 10s);
  static_cast<void>(control(action_kind::suspend, {1}));
  ASSERT_TRUE(advance_until([&] { return panel.count(suspend_call) == 1; }, 1min, 10ms));
  abandon(2);
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(end_of(2), "succeeded");
  EXPECT_EQ(state_of(1), "suspended");
  EXPECT_EQ(panel.count(suspend_call), 1);
}

TEST_F(ControlSaga, AChangeOfPlanWhoseEffectIsNotToldIsLookedAtAgain) {
  static_cast<void>(control(action_kind::resize, {1}, "medium"));
  ASSERT_TRUE(advance_until([&] { return panel.count(package_call) == 1; }, 1min, 10ms));
  panel.leave_out(get_call, {"data", "settings", "resources", "traffic"});
  advance(5min);
  EXPECT_EQ(end_of(2), "running");
  panel.tell_all();
  ASSERT_TRUE(all_ends());
  EXPECT_EQ(end_of(2), "succeeded");
  EXPECT_EQ(plan(), "medium");
  EXPECT_EQ(panel.count(package_call), 1);
  EXPECT_EQ(alerts(), "");
}

TEST_F(ControlSaga, AnAbandonedChangeOfPlanEndsWhenNothingCanComeOfItAnyMore) {
  panel.add_fault(package_call, fault_kind::reset, 1'000'000);
  static_cast<void>(control(action_kind::resize, {1}, "medium"));
  ASSERT_TRUE(advance_until([&] { return panel.count(package_call) == 2; }));
  abandon(2);
  const auto from = runtime.timers().now();
  ASSERT_TRUE(all_ends());
  EXPECT_GE(runtime.timers().now() - from, settle_time - 2s);
  EXPECT_EQ(end_of(2), "failed conflict");
  EXPECT_EQ(plan(), "small");
  EXPECT_EQ(panel.count(package_call), 2);
}

// -- at each moment -----------------------------------------------------------------

struct control_moments {
  std::string name;
  bool loses_answers;
  std::chrono::milliseconds step;
  int count;
};

class ControlAtEachMoment : public ControlSaga, public testing::WithParamInterface<control_moments> {
protected:
  void begin() {
    if (!GetParam().loses_answers)
      return;
    for (const auto* call : {suspend_call, unsuspend_call, power_off_call, boot_call, package_call})
      panel.add_fault(call, fault_kind::lost_answer);
  }
  /// Suspended, unsuspended, another plan: each disturbed at a later moment than the time before.
  template <class Disturb>
  void play(Disturb disturb) {
    for (int i = 0; i < GetParam().count; ++i) {
      SCOPED_TRACE("moment " + std::to_string(i));
      const auto at = GetParam().step * i;
      for (const auto kind : {action_kind::suspend, action_kind::unsuspend}) {
        begin();
        static_cast<void>(control(kind, {1}));
        advance(at);
        disturb();
        ASSERT_TRUE(all_ends());
        panel.clear_faults();
        ASSERT_EQ(state_of(1), kind == action_kind::suspend ? "suspended" : "active");
        ASSERT_EQ(machine().is_suspended, kind == action_kind::suspend);
        ASSERT_EQ(machine().is_running, kind != action_kind::suspend);
      }
    }
    begin();
    static_cast<void>(control(action_kind::resize, {1}, "medium"));
    advance(GetParam().step * 3);
    disturb();
    ASSERT_TRUE(all_ends());
    EXPECT_EQ(plan(), "medium");
    EXPECT_EQ(sql("SELECT count(*) FROM actions WHERE state <> 'succeeded'"), "0");
    EXPECT_EQ(sql("SELECT count(*) FROM server_events WHERE type IN ('suspended', 'unsuspended')"),
              std::to_string(GetParam().count * 2));
    EXPECT_EQ(alerts(), "");
    EXPECT_THAT(broken_invariants(), IsEmpty());
  }
};

TEST_P(ControlAtEachMoment, ALostLeaseLosesNothing) {
  play([&] { steal_lease(); });
}

TEST_P(ControlAtEachMoment, AProvisionerThatEndsIsFollowedByOneThatGoesOn) {
  play([&] { replace_provisioner(); });
}

TEST_P(ControlAtEachMoment, ADeleteOvertakes) {
  for (int i = 0; i < GetParam().count; ++i) {
    SCOPED_TRACE("moment " + std::to_string(i));
    begin();
    const auto id = std::stoll(sql("SELECT max(id) FROM servers"));
    static_cast<void>(control(action_kind::suspend, {id}));
    advance(GetParam().step * i);
    const auto deleted = remove({id});
    ASSERT_TRUE(advance_until([&] { return deleted->answer.has_value(); }));
    ASSERT_TRUE(*deleted->answer) << deleted->answer->error().detail;
    ASSERT_TRUE(all_ends());
    EXPECT_EQ(state_of(id), "deleted");
    panel.clear_faults();
    ASSERT_TRUE(advance_until([&] { return living().empty(); }, 5s));
    const auto next = order();
    ASSERT_TRUE(all_ends());
  }
  EXPECT_THAT(broken_invariants(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(,
                         ControlAtEachMoment,
                         testing::Values(control_moments{"Undisturbed", false, 20ms, 14},
                                         control_moments{"WithLostAnswers", true, 150ms, 14}),
                         [](const auto& each) { return each.param.name; });

} // namespace
} // namespace skyengine::actors
