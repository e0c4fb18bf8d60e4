#include "tests/actors/cron_timer_fixture.hpp"
#include "tests/support/log_capture.hpp"

#include <caf/send.hpp>
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace skyengine::actors {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

class CronTimer : public cron_timer_fixture {};

TEST_F(CronTimer, FiresOnceAtEachFullHour) {
  store.add(hourly());
  start_timer();
  advance(3h + 30min);
  EXPECT_THAT(told(), ElementsAre("2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z"));
  EXPECT_EQ(runs(run_state::succeeded), told());
  EXPECT_EQ(figures().runs[std::pair(std::string{"test"}, run_state::succeeded)], 3U);
  EXPECT_EQ(figures().last_success["test"], beginning + 3h);
}

TEST_F(CronTimer, AYearOfTheBuiltInSchedulesFiresEachTickOnce) {
  std::map<std::string, std::string> built_in{{"hourly-sync-and-billing", "0 * * * *"},
                                              {"monthly-invoices", "0 0 1 * *"},
                                              {"daily-dunning", "15 0 * * *"},
                                              {"daily-clean-up", "45 3 * * *"}};
  for (const auto& [name, expression] : built_in) {
    auto one = hourly();
    one.name = name;
    one.expression = expression;
    store.add(one);
  }
  // Nobody sets a clock here, nor changes a schedule.
  options.longest_sleep = 24h;
  options.sweep = 24h;
  start_timer();
  advance(365 * 24h);
  EXPECT_THAT(runs(run_state::succeeded), SizeIs(365 * 24 + 12 + 365 + 365));
  EXPECT_EQ(script->ticks.size(), store.runs.size());
}

// -- off for 26 hours ----------------------------------------------------------

TEST_F(CronTimer, OffFor26HoursAllAreMadeGoodInOrder) {
  auto one = hourly();
  one.catch_up = catch_up_rule::all;
  store.add(one);
  start_timer();
  advance(30min);
  off_for(26h);
  ASSERT_THAT(told(), SizeIs(26));
  EXPECT_EQ(told().front(), "2026-01-01T01:00:00Z");
  EXPECT_EQ(told().back(), "2026-01-02T02:00:00Z");
  EXPECT_TRUE(std::is_sorted(script->ticks.begin(), script->ticks.end(),
                             [](const auto& a, const auto& b) { return a.scheduled_at < b.scheduled_at; }));
  EXPECT_EQ(runs(run_state::succeeded), told());
}

TEST_F(CronTimer, OffFor26HoursTheLatestIsMadeGood) {
  store.add(hourly());
  start_timer();
  advance(30min);
  off_for(26h);
  EXPECT_THAT(told(), ElementsAre("2026-01-02T02:00:00Z"));
  EXPECT_THAT(runs(run_state::skipped), SizeIs(25));
  EXPECT_THAT(runs(run_state::succeeded), ElementsAre("2026-01-02T02:00:00Z"));
}

TEST_F(CronTimer, OffFor26HoursNothingIsMadeGood) {
  auto one = hourly();
  one.catch_up = catch_up_rule::none;
  store.add(one);
  start_timer();
  advance(30min);
  off_for(26h);
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_THAT(runs(run_state::skipped), SizeIs(26));
  advance(30min);
  EXPECT_THAT(told(), ElementsAre("2026-01-02T03:00:00Z"));
}

TEST_F(CronTimer, BeyondTheWindowNothingIsLeft) {
  auto one = hourly();
  one.catch_up = catch_up_rule::all;
  one.catch_up_window = 5h;
  store.add(one);
  start_timer();
  advance(30min);
  off_for(26h);
  EXPECT_THAT(told(), SizeIs(5));
  EXPECT_EQ(store.runs.size(), 5U);
}

TEST_F(CronTimer, TimeBeforeItExistedOrWhileItWasPausedIsNotMissed) {
  start_timer();
  advance(5h + 10min);
  auto one = hourly();
  one.catch_up = catch_up_rule::all;
  const auto id = store.add(one).id;
  advance(2s);
  EXPECT_THAT(told(), IsEmpty());
  one.is_paused = true;
  store.change(id, one);
  advance(10h);
  EXPECT_THAT(told(), IsEmpty());
  one.is_paused = false;
  store.change(id, one);
  advance(1h);
  EXPECT_THAT(told(), ElementsAre("2026-01-01T16:00:00Z"));
}

// -- clocks --------------------------------------------------------------------

TEST_F(CronTimer, ClocksThatJumpTwoHoursForwardMakeUpForThem) {
  auto one = hourly();
  one.catch_up = catch_up_rule::all;
  store.add(one);
  start_timer();
  advance(1h + 30min);
  business.set_ahead = 2h;
  advance(1s);
  EXPECT_THAT(told(), ElementsAre("2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z"));
}

TEST_F(CronTimer, ClocksThatJumpTwoHoursBackFireNothingTwice) {
  store.add(hourly());
  start_timer();
  advance(3h + 30min);
  business.set_ahead = -2h;
  advance(2h);
  EXPECT_THAT(told(), SizeIs(3));
  advance(1h);
  EXPECT_THAT(told(), SizeIs(4));
  EXPECT_EQ(told().back(), "2026-01-01T04:00:00Z");
}

// -- overlap -------------------------------------------------------------------

TEST_F(CronTimer, AnOverlapIsSkipped) {
  script->answers_at_once = false;
  store.add(every_minute());
  start_timer();
  advance(3min + 1s);
  EXPECT_THAT(told(), SizeIs(1));
  EXPECT_THAT(runs(run_state::skipped), SizeIs(2));
  answer(0);
  advance(1min);
  EXPECT_THAT(told(), SizeIs(2));
}

TEST_F(CronTimer, OneOverlapWaitsAndFurtherOnesAreSkipped) {
  script->answers_at_once = false;
  auto one = every_minute();
  one.overlap = overlap_rule::queue;
  store.add(one);
  start_timer();
  advance(4min + 1s);
  EXPECT_THAT(told(), SizeIs(1));
  EXPECT_THAT(runs(run_state::queued), ElementsAre("2026-01-01T00:02:00Z"));
  EXPECT_THAT(runs(run_state::skipped), SizeIs(2));
  answer(0);
  EXPECT_EQ(told().back(), "2026-01-01T00:02:00Z");
}

TEST_F(CronTimer, OverlapsRunBesideEachOther) {
  script->answers_at_once = false;
  auto one = every_minute();
  one.overlap = overlap_rule::allow;
  store.add(one);
  start_timer();
  advance(3min + 1s);
  EXPECT_THAT(told(), SizeIs(3));
  EXPECT_THAT(runs(run_state::running), SizeIs(3));
}

// -- ends ----------------------------------------------------------------------

TEST_F(CronTimer, AHandlerThatIsTooLateLeavesARunThatTimedOut) {
  script->answers_at_once = false;
  auto one = hourly();
  one.timeout = 60s;
  store.add(one);
  start_timer();
  advance(1h + 61s);
  EXPECT_THAT(runs(run_state::timed_out), SizeIs(1));
  EXPECT_THAT(script->cancelled, SizeIs(1));
}

TEST_F(CronTimer, RunsThatEndTogetherAreWrittenTogether) {
  for (auto i = 0; i < 500; ++i)
    store.add(hourly());
  start_timer();
  advance(1h + 1s);
  EXPECT_THAT(runs(run_state::succeeded), SizeIs(500));
  EXPECT_LT(store.end_statements, 50);
}

TEST_F(CronTimer, RunsOfOneScheduleThatEndTogetherAreCountedOneByOne) {
  script->answers_at_once = false;
  auto one = every_minute();
  one.overlap = overlap_rule::allow;
  one.alert_after = 100;
  store.add(one);
  start_timer();
  advance(5min + 1s);
  ASSERT_THAT(script->open, SizeIs(5));
  for (auto& open : script->open)
    open.promise.fail({errc::virtfusion_unavailable, "away"});
  settle();
  EXPECT_THAT(runs(run_state::failed), SizeIs(5));
  EXPECT_EQ(store.schedules.begin()->second.failures, 5);
  EXPECT_EQ(store.end_statements, 5);
}

TEST_F(CronTimer, AFailedRunIsTriedAgainAsOftenAsTheScheduleSays) {
  script->failure = error{errc::virtfusion_unavailable, "away"};
  auto one = hourly();
  one.retries = 2;
  store.add(one);
  start_timer();
  advance(1h + 1s);
  EXPECT_THAT(told(), SizeIs(1));
  EXPECT_THAT(runs(run_state::queued), SizeIs(1));
  advance(30s);
  EXPECT_THAT(told(), SizeIs(2));
  advance(60s);
  EXPECT_THAT(told(), SizeIs(3));
  EXPECT_THAT(runs(run_state::failed), SizeIs(1));
  advance(30min);
  EXPECT_THAT(told(), SizeIs(3));
  EXPECT_EQ(store.runs.begin()->second.attempts, 3);
  EXPECT_EQ(store.schedules.begin()->second.failures, 1);
}

TEST_F(CronTimer, ARunThatWaitsForItsNextTryBeginsWhenItIsAskedFor) {
  script->failure = error{errc::virtfusion_unavailable, "away"};
  auto one = hourly();
  one.retries = 1;
  const auto id = store.add(one).id;
  start_timer();
  advance(1h + 1s);
  EXPECT_THAT(told(), SizeIs(1));
  store.run_by_hand(id, beginning + 1h);
  caf::anon_send(timer, schedules_changed{});
  settle();
  EXPECT_THAT(told(), SizeIs(2));
  EXPECT_THAT(runs(run_state::failed), SizeIs(1));
}

TEST_F(CronTimer, WhatIsCancelledWhileItRunsIsNotTriedAgain) {
  script->answers_at_once = false;
  auto one = hourly();
  one.retries = 3;
  store.add(one);
  start_timer();
  advance(1h + 1s);
  // Nobody has told the timer yet.
  store.cancel(store.runs.begin()->second.id, business.now());
  answer(0, error{errc::virtfusion_unavailable, "away"});
  EXPECT_THAT(runs(run_state::cancelled), SizeIs(1));
  advance(30min);
  EXPECT_THAT(told(), SizeIs(1));
}

TEST_F(CronTimer, ACancelledRunThatWaitedMakesRoomForTheNext) {
  script->answers_at_once = false;
  auto one = hourly();
  one.overlap = overlap_rule::queue;
  one.timeout = 10h;
  store.add(one);
  start_timer();
  advance(2h + 1s);
  ASSERT_THAT(runs(run_state::queued), ElementsAre("2026-01-01T02:00:00Z"));
  store.cancel(store.runs.rbegin()->second.id, business.now());
  advance(1h);
  EXPECT_THAT(runs(run_state::queued), ElementsAre("2026-01-01T03:00:00Z"));
  answer(0);
  EXPECT_EQ(told(), (std::vector<std::string>{"2026-01-01T01:00:00Z", "2026-01-01T03:00:00Z"}));
}

TEST_F(CronTimer, FailedRunsInARowAreAlertedAndPauseTheSchedule) {
  const test::log_capture log;
  script->failure = error{errc::internal, "broken"};
  auto one = hourly();
  one.alert_after = 2;
  one.pause_after = 3;
  store.add(one);
  start_timer();
  advance(2h + 1s);
  EXPECT_EQ(log.count("alert=cron_failing"), 1U);
  advance(10h);
  EXPECT_THAT(told(), SizeIs(3));
  EXPECT_TRUE(store.schedules.begin()->second.is_paused);
}

TEST_F(CronTimer, ARunByHandForAPastHourIsThatHoursNextAttempt) {
  const auto id = store.add(hourly()).id;
  start_timer();
  advance(2h + 1s);
  store.run_by_hand(id, beginning + 1h);
  store.run_by_hand(id, beginning - 24h);
  caf::anon_send(timer, schedules_changed{});
  settle();
  EXPECT_THAT(told(), ElementsAre("2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z", "2025-12-31T00:00:00Z",
                                  "2026-01-01T01:00:00Z"));
  EXPECT_EQ((store.runs[{id, beginning + 1h}].attempts), 2);
}

TEST_F(CronTimer, WhatIsAskedForByHandHasItsTriesAnew) {
  script->failure = error{errc::virtfusion_unavailable, "away"};
  auto one = hourly();
  one.retries = 1;
  const auto id = store.add(one).id;
  start_timer();
  advance(1h + 10min);
  EXPECT_THAT(told(), SizeIs(2));
  store.run_by_hand(id, beginning + 1h);
  advance(10min);
  EXPECT_THAT(told(), SizeIs(4));
}

TEST_F(CronTimer, ARunByHandDoesNotWaitForAnothersNextTry) {
  script->failure = error{errc::virtfusion_unavailable, "away"};
  auto one = hourly();
  one.retries = 10;
  const auto id = store.add(one).id;
  start_timer();
  advance(1h + 10min);
  script->ticks.clear();
  script->failure.reset();
  store.run_by_hand(id, beginning + 1h + 9min);
  caf::anon_send(timer, schedules_changed{});
  settle();
  EXPECT_THAT(told(), ElementsAre("2026-01-01T01:09:00Z"));
}

TEST_F(CronTimer, AShortEndSkipsNothingWhereAllTimesAreToBeRun) {
  auto one = every_minute();
  one.expression = "*/2 * * * * *";
  one.catch_up = catch_up_rule::all;
  one.overlap = overlap_rule::skip;
  store.add(one);
  start_timer();
  advance(10s + 500ms);
  off_for(7s);
  EXPECT_THAT(runs(run_state::skipped), IsEmpty());
  EXPECT_THAT(runs(run_state::succeeded), SizeIs(9));
}

TEST_F(CronTimer, WhatIsSkippedSaysWhy) {
  script->answers_at_once = false;
  auto one = every_minute();
  one.timeout = 10h;
  store.add(one);
  start_timer();
  advance(2min + 1s);
  EXPECT_EQ(store.runs.rbegin()->second.failure->detail, "another run was not over");
  end_timer();
  advance(3min);
  start_timer();
  EXPECT_EQ((store.runs[{schedule_id{1}, beginning + 3min}].failure->detail), "it was missed");
}

TEST_F(CronTimer, ARunOfThePastBeginsBesideOthersWhereTheyMayOverlap) {
  script->answers_at_once = false;
  auto one = every_minute();
  one.overlap = overlap_rule::allow;
  const auto id = store.add(one).id;
  start_timer();
  advance(2min + 1s);
  EXPECT_THAT(told(), SizeIs(2));
  store.run_by_hand(id, beginning - 1h);
  store.run_by_hand(id, beginning - 2h);
  advance(3s);
  // Those of the past one after the other.
  EXPECT_THAT(told(), SizeIs(3));
  answer(2);
  EXPECT_THAT(told(), SizeIs(4));
}

TEST_F(CronTimer, WhatIsDueGoesBeforeWhatStandsInLineUnlessAllAreToBeRunInOrder) {
  for (const auto rule : {catch_up_rule::latest, catch_up_rule::all}) {
    script->ticks.clear();
    script->open.clear();
    script->answers_at_once = false;
    store = {};
    auto one = hourly();
    one.overlap = overlap_rule::queue;
    one.catch_up = rule;
    one.timeout = 10h;
    const auto id = store.add(one).id;
    start_timer();
    const sys_seconds hour = std::chrono::floor<std::chrono::hours>(business.now()) + 1h;
    for (int back = 3; back > 0; --back)
      store.run_by_hand(id, hour - back * 24h);
    advance(3s);
    EXPECT_THAT(told(), SizeIs(1));
    advance(hour - business.now() + 1s);
    EXPECT_EQ((store.runs[{id, hour}].state), run_state::queued);
    answer(0);
    ASSERT_THAT(script->ticks, SizeIs(2));
    EXPECT_EQ(script->ticks.back().scheduled_at, rule == catch_up_rule::latest ? hour : hour - 48h);
    end_timer();
  }
}

TEST_F(CronTimer, ATimeDueWhileTheLastOfTheLineRunsJoinsItWhereAllAreToBeRun) {
  auto one = hourly();
  one.catch_up = catch_up_rule::all;
  one.overlap = overlap_rule::skip;
  one.timeout = 10h;
  store.add(one);
  start_timer();
  advance(10min);
  script->answers_at_once = false;
  off_for(1h);
  EXPECT_THAT(told(), SizeIs(1));
  advance(1h);
  EXPECT_THAT(runs(run_state::queued), ElementsAre("2026-01-01T02:00:00Z"));
  answer(0);
  EXPECT_THAT(told(), SizeIs(2));
}

TEST_F(CronTimer, TheLastSuccessIsKnownAfterARestart) {
  store.add(hourly());
  start_timer();
  advance(1h + 1s);
  end_timer();
  start_timer();
  EXPECT_EQ(figures().last_success["test"], beginning + 1h);
}

TEST_F(CronTimer, OneRunAloneIsCarriedOut) {
  const auto id = store.add(hourly()).id;
  store.run_by_hand(id, beginning - 1h);
  options.only = store.run_by_hand(id, beginning - 2h);
  start_timer();
  advance(3h);
  EXPECT_THAT(told(), ElementsAre("2025-12-31T22:00:00Z"));
}

TEST_F(CronTimer, JitterBeginsARunLater) {
  auto one = hourly();
  one.jitter = 600s;
  store.add(one);
  start_timer();
  advance(1h);
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_THAT(runs(run_state::queued), SizeIs(1));
  advance(600s);
  EXPECT_THAT(told(), SizeIs(1));
}

} // namespace
} // namespace skyengine::actors
