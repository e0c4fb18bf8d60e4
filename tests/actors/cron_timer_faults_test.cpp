#include "tests/actors/cron_timer_fixture.hpp"
#include "tests/support/log_capture.hpp"

#include <caf/send.hpp>
#include <gmock/gmock.h>

#include <algorithm>

namespace skyengine::actors {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class CronTimerFaults : public cron_timer_fixture {};

// -- a database that is away, or whose answer is lost -------------------------

TEST_F(CronTimerFaults, AFiringWhoseAnswerIsLostIsReadFromTheTables) {
  store.add(hourly());
  start_timer();
  advance(30min);
  lose_answer_of_firing();
  advance(31min);
  EXPECT_THAT(told(), ElementsAre("2026-01-01T01:00:00Z"));
  EXPECT_EQ(runs(run_state::succeeded), told());
}

TEST_F(CronTimerFaults, WhatWasRunningWhileAFiringWasLostGoesOn) {
  script->answers_at_once = false;
  store.add(hourly());
  auto other = every_minute();
  other.name = "other";
  store.add(other);
  start_timer();
  advance(1h + 1s);
  const auto before = told().size();
  answer(script->open.size() - 1);
  lose_answer_of_firing();
  advance(2min);
  // Nothing that ran was begun anew.
  const auto hour = beginning + 1h;
  EXPECT_EQ(
    std::count_if(script->ticks.begin(), script->ticks.end(),
                  [&](const auto& tick) { return tick.scheduled_at == hour && tick.schedule.value == 1; }),
    1);
  EXPECT_GE(told().size(), before);
}

TEST_F(CronTimerFaults, WhatEndsWhileAFiringIsLostIsWritten) {
  script->answers_at_once = false;
  store.add(every_minute());
  auto other = hourly();
  other.expression = "30 * * * * *";
  store.add(other);
  start_timer();
  advance(1min + 1s);
  ASSERT_THAT(script->open, SizeIs(2));
  lose_answer_of_firing(5s);
  advance(30s);
  answer(1);
  advance(3s);
  EXPECT_THAT(runs(run_state::succeeded), IsEmpty());
  advance(2s);
  EXPECT_THAT(runs(run_state::succeeded), SizeIs(1));
}

TEST_F(CronTimerFaults, AFiringThatIsWrittenBehindTheLookIsHeeded) {
  for (int i = 0; i < 300; ++i)
    store.add(hourly());
  start_timer();
  advance(59min);
  // One batch's answer is lost; the other comes to the database when the tables were read already.
  lose_answer_of_firing();
  store.fire_faults.push_back({&runtime.timers(), 3s, false});
  advance(2min);
  EXPECT_THAT(runs(run_state::succeeded), SizeIs(300));
  EXPECT_THAT(told(), SizeIs(300));
}

TEST_F(CronTimerFaults, AChangeThatNoLookHasSeenIsFoundWhenTheScheduleIsDue) {
  const auto id = store.add(hourly()).id;
  start_timer();
  advance(30min);
  auto& row = store.schedules.at(id);
  row.expression = "*/10 * * * *";
  row.next_at = beginning + 40min;
  ++row.version;
  advance(45min);
  EXPECT_THAT(told(), ElementsAre("2026-01-01T01:00:00Z", "2026-01-01T01:10:00Z"));
  EXPECT_THAT(runs(run_state::skipped), SizeIs(2));
}

TEST_F(CronTimerFaults, ARunOfThisNodeThatItDoesNotKnowIsTakenUp) {
  const auto id = store.add(hourly()).id;
  start_timer();
  const auto run = store.run_by_hand(id, beginning);
  store.runs[{id, beginning}].state = run_state::running;
  store.tokens[run] = token;
  advance(3s);
  EXPECT_THAT(told(), ElementsAre("2026-01-01T00:00:00Z"));
  EXPECT_THAT(runs(run_state::succeeded), SizeIs(1));
}

TEST_F(CronTimerFaults, WhileTheDatabaseIsAwayNothingIsLost) {
  auto one = hourly();
  one.catch_up = catch_up_rule::all;
  store.add(one);
  start_timer();
  advance(30min);
  store.is_away = true;
  advance(5h);
  EXPECT_THAT(told(), IsEmpty());
  store.is_away = false;
  advance(5s);
  EXPECT_THAT(told(), SizeIs(5));
}

TEST_F(CronTimerFaults, ADatabaseThatIsBusyFailsNoRun) {
  store.add(hourly());
  start_timer();
  advance(59min);
  store.is_busy = true;
  advance(2min);
  EXPECT_THAT(runs(run_state::running), SizeIs(1));
  store.is_busy = false;
  advance(1s);
  EXPECT_THAT(runs(run_state::succeeded), SizeIs(1));
  EXPECT_THAT(told(), SizeIs(1));
}

TEST_F(CronTimerFaults, ARunWhoseFiguresCannotBeStoredFails) {
  store.refuses_figures_of = store.add(hourly()).id;
  for (auto i = 0; i < 10; ++i)
    store.add(hourly());
  start_timer();
  advance(1h + 1s);
  EXPECT_THAT(runs(run_state::failed), SizeIs(1));
  EXPECT_THAT(runs(run_state::succeeded), SizeIs(10));
}

// -- clocks and zones ---------------------------------------------------------

TEST_F(CronTimerFaults, AClockThatDiffersFromTheDatabasesFiresNothing) {
  const test::log_capture log;
  store.add(hourly());
  start_timer();
  advance(30min);
  store.database_ahead = -2h;
  advance(2h);
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_EQ(log.count("alert=clocks_differ"), 1U);
  store.database_ahead = 0h;
  advance(2s);
  EXPECT_THAT(told(), ElementsAre("2026-01-01T02:00:00Z"));
  EXPECT_EQ(log.count("alert_cleared=clocks_differ"), 1U);
}

TEST_F(CronTimerFaults, WhileClocksDifferNothingIsBegun) {
  const auto id = store.add(hourly()).id;
  start_timer();
  store.database_ahead = 2h;
  store.run_by_hand(id, beginning - 1h);
  caf::anon_send(timer, schedules_changed{});
  advance(10min);
  EXPECT_THAT(told(), IsEmpty());
  store.database_ahead = 0h;
  advance(2s);
  EXPECT_THAT(told(), ElementsAre("2025-12-31T23:00:00Z"));
}

TEST_F(CronTimerFaults, AZoneThatCouldNotBeReadIsReadLater) {
  const test::log_capture log;
  auto one = hourly();
  one.timezone = "Moon/Base";
  const auto id = store.add(one).id;
  start_timer();
  advance(2h + 1s);
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_EQ(log.count("alert=schedule_unreadable"), 1U);
  moon_is_known = true;
  advance(2h);
  EXPECT_THAT(told(), SizeIs(2)) << id.value;
  EXPECT_EQ(log.count("alert_cleared=schedule_unreadable"), 1U);
}

// -- nodes and handlers that end ----------------------------------------------

TEST_F(CronTimerFaults, AHandlerThatDiesLeavesARunThatFailed) {
  script->answers_at_once = false;
  store.add(hourly());
  start_timer();
  advance(1h + 1s);
  ASSERT_THAT(runs(run_state::running), SizeIs(1));
  script->open.clear();
  caf::anon_send_exit(handler, caf::exit_reason::kill);
  settle();
  EXPECT_THAT(runs(run_state::failed), SizeIs(1));
  advance(1h);
  EXPECT_THAT(runs(run_state::failed), SizeIs(2));
  spawn_handler();
  script->answers_at_once = true;
  advance(1h);
  EXPECT_THAT(runs(run_state::succeeded), SizeIs(1));
}

TEST_F(CronTimerFaults, ARunWhoseNodeIsGoneIsBegunAnew) {
  script->answers_at_once = false;
  store.add(hourly());
  start_timer();
  advance(1h + 1s);
  ASSERT_THAT(runs(run_state::running), SizeIs(1));
  off_for(10s);
  EXPECT_THAT(told(), ElementsAre("2026-01-01T01:00:00Z", "2026-01-01T01:00:00Z"));
  EXPECT_EQ(store.runs.begin()->second.attempts, 2);
}

TEST_F(CronTimerFaults, ARunThatEndsEachNodeFails) {
  script->answers_at_once = false;
  store.add(hourly());
  start_timer();
  advance(1h + 1s);
  for (int i = 0; i < most_interruptions + 1; ++i)
    off_for(10s);
  EXPECT_THAT(runs(run_state::failed), SizeIs(1));
  EXPECT_THAT(told(), SizeIs(most_interruptions + 1));
}

TEST_F(CronTimerFaults, AnOrderlyEndIsNoSignAgainstARun) {
  script->answers_at_once = false;
  store.add(hourly());
  start_timer();
  advance(1h + 1s);
  const auto stopped = spawn(runtime.asker().ask<void>(timer, 1min, stop_firing{}));
  EXPECT_TRUE(stopped->value && *stopped->value);
  EXPECT_THAT(script->cancelled, SizeIs(1)) << "what another node begins anew does not go on here";
  end_timer();
  start_timer();
  EXPECT_THAT(told(), SizeIs(2));
  EXPECT_EQ(store.runs.begin()->second.interruptions, 0);
}

} // namespace
} // namespace skyengine::actors
