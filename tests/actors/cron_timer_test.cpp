#include "actors/cron_timer.hpp"
#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/prepare.hpp"
#include "domain/time_format.hpp"
#include "tests/support/log_capture.hpp"
#include "tests/support/memory_cron_store.hpp"
#include "tests/support/virtual_runtime.hpp"

#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace skyengine::actors {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr sys_seconds beginning = sys_days{std::chrono::year{2026} / 1 / 1};

/// What a handler was told, and how it answers.
struct handler_script {
  struct told_tick {
    cron_tick tick;
    runtime::open_promise promise;
  };
  std::vector<cron_tick> ticks = {};
  std::vector<run_id> cancelled = {};
  /// Ticks that wait for `answer`; only where it does not answer at once.
  std::vector<told_tick> open = {};
  bool answers_at_once = true;
  std::optional<error> failure = {};
};

cron_handler_actor::behavior_type scripted(cron_handler_actor::pointer self,
                                           std::shared_ptr<handler_script> script) {
  runtime::prepare(self);
  return {
    [self, script](const cron_tick& tick) -> caf::result<cron_outcome> {
      script->ticks.push_back(tick);
      if (!script->answers_at_once) {
        auto promise = self->make_response_promise<cron_outcome>();
        script->open.push_back({tick, runtime::open_promise{promise}});
        return promise;
      }
      if (script->failure)
        return runtime::to_caf(*script->failure);
      return cron_outcome{R"({"done":1})"};
    },
    [script](const cron_cancel& wanted) { script->cancelled.push_back(wanted.run); },
  };
}

bool moon_is_known = false;

boost::asio::awaitable<result<std::shared_ptr<const time_zone>>> load_zone(std::string name) {
  if (name != "UTC" && !(name == "Moon/Base" && moon_is_known))
    co_return error{errc::invalid_request, "no such zone"};
  co_return std::make_shared<const time_zone>();
}

class virtual_clock final : public clock {
public:
  explicit virtual_clock(const runtime::steady_timers& timers) : timers_(timers), begun_(timers.now()) {}
  instant now() const noexcept override {
    return beginning + std::chrono::duration_cast<std::chrono::microseconds>(timers_.now() - begun_) +
           set_ahead;
  }
  std::chrono::microseconds set_ahead{0};

private:
  const runtime::steady_timers& timers_;
  runtime::steady_time begun_;
};

class CronTimer : public test::virtual_runtime {
protected:
  CronTimer() { spawn_handler(); }
  void TearDown() override {
    end_timer();
    caf::anon_send_exit(handler, caf::exit_reason::user_shutdown);
    handler = nullptr;
    script->open.clear();
    settle();
  }

  void spawn_handler() { handler = runtime.system().spawn(scripted, script); }

  /// The node comes up, under a new token.
  void start_timer() {
    ++token;
    cron_services services{store,
                           [this] {
                             return db::timer_holder{"node-1", token};
                           },
                           business,
                           runtime.timers(),
                           runtime.asker(),
                           load_zone,
                           {{"test", [this] { return handler; }}}};
    options.real_now = [this] { return business.now(); };
    timer = spawn_cron_timer(runtime.system(), runtime.loop().get_executor(), services, options);
    caf::anon_send(timer, timer_lease_acquired{});
    settle();
  }
  /// It is gone, and what it was running with it.
  void end_timer() {
    caf::anon_send_exit(timer, caf::exit_reason::kill);
    timer = nullptr;
    settle();
  }
  /// Off for so long.
  void off_for(runtime::steady_duration span) {
    end_timer();
    advance(span);
    start_timer();
    advance(1s);
  }

  schedule hourly() const {
    schedule one;
    one.name = "test";
    one.handler = "test";
    one.expression = "0 * * * *";
    return one;
  }
  schedule every_minute() const {
    auto one = hourly();
    one.expression = "* * * * *";
    return one;
  }

  std::vector<std::string> runs(run_state state) const {
    std::vector<std::string> times;
    for (const auto& [key, one] : store.runs)
      if (one.state == state)
        times.push_back(format_time(instant{key.second}));
    return times;
  }
  std::vector<std::string> told() const {
    std::vector<std::string> times;
    for (const auto& tick : script->ticks)
      times.push_back(format_time(instant{tick.scheduled_at}));
    return times;
  }
  void answer(std::size_t which, std::optional<error> failure = std::nullopt) {
    auto one = std::move(script->open.at(which));
    script->open.erase(script->open.begin() + static_cast<std::ptrdiff_t>(which));
    if (failure)
      one.promise.fail(*failure);
    else
      one.promise.deliver(cron_outcome{});
    settle();
  }
  void lose_answer_of_firing(std::chrono::milliseconds delay = 0ms) {
    store.fire_faults.push_back({&runtime.timers(), delay, true});
  }
  cron_figures figures() {
    const cron_figures_query query;
    const auto asked = spawn(runtime.asker().ask<cron_figures>(timer, 1min, query));
    return asked->value->value();
  }

  std::int64_t token = 0;
  virtual_clock business{runtime.timers()};
  test::memory_cron_store store;
  std::shared_ptr<handler_script> script = std::make_shared<handler_script>();
  cron_handler_actor handler;
  cron_timer_options options;
  cron_timer_actor timer;
};

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

TEST_F(CronTimer, AClockThatDiffersFromTheDatabasesFiresNothing) {
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

TEST_F(CronTimer, AHandlerThatDiesLeavesARunThatFailed) {
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

TEST_F(CronTimer, ARunWhoseFiguresCannotBeStoredFails) {
  store.refuses_figures_of = store.add(hourly()).id;
  for (auto i = 0; i < 10; ++i)
    store.add(hourly());
  start_timer();
  advance(1h + 1s);
  EXPECT_THAT(runs(run_state::failed), SizeIs(1));
  EXPECT_THAT(runs(run_state::succeeded), SizeIs(10));
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

TEST_F(CronTimer, WhileClocksDifferNothingIsBegun) {
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

TEST_F(CronTimer, AZoneThatCouldNotBeReadIsReadLater) {
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
  moon_is_known = false;
  EXPECT_THAT(told(), SizeIs(2)) << id.value;
  EXPECT_EQ(log.count("alert_cleared=schedule_unreadable"), 1U);
}

TEST_F(CronTimer, ADatabaseThatIsBusyFailsNoRun) {
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

TEST_F(CronTimer, WhatEndsWhileAFiringIsLostIsWritten) {
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

TEST_F(CronTimer, AChangeThatNoLookHasSeenIsFoundWhenTheScheduleIsDue) {
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

TEST_F(CronTimer, AFiringThatIsWrittenBehindTheLookIsHeeded) {
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

TEST_F(CronTimer, ARunOfThisNodeThatItDoesNotKnowIsTakenUp) {
  const auto id = store.add(hourly()).id;
  start_timer();
  const auto run = store.run_by_hand(id, beginning);
  store.runs[{id, beginning}].state = run_state::running;
  store.tokens[run] = token;
  advance(3s);
  EXPECT_THAT(told(), ElementsAre("2026-01-01T00:00:00Z"));
  EXPECT_THAT(runs(run_state::succeeded), SizeIs(1));
}

TEST_F(CronTimer, AnOrderlyEndIsNoSignAgainstARun) {
  script->answers_at_once = false;
  store.add(hourly());
  start_timer();
  advance(1h + 1s);
  const auto stopped = spawn(runtime.asker().ask<void>(timer, 1min, stop_firing{}));
  EXPECT_TRUE(stopped->value && *stopped->value);
  end_timer();
  start_timer();
  EXPECT_THAT(told(), SizeIs(2));
  EXPECT_EQ(store.runs.begin()->second.interruptions, 0);
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

// -- crashes -------------------------------------------------------------------

TEST_F(CronTimer, ARunWhoseNodeIsGoneIsBegunAnew) {
  script->answers_at_once = false;
  store.add(hourly());
  start_timer();
  advance(1h + 1s);
  ASSERT_THAT(runs(run_state::running), SizeIs(1));
  off_for(10s);
  EXPECT_THAT(told(), ElementsAre("2026-01-01T01:00:00Z", "2026-01-01T01:00:00Z"));
  EXPECT_EQ(store.runs.begin()->second.attempts, 2);
}

TEST_F(CronTimer, ARunThatEndsEachNodeFails) {
  script->answers_at_once = false;
  store.add(hourly());
  start_timer();
  advance(1h + 1s);
  for (int i = 0; i < most_interruptions + 1; ++i)
    off_for(10s);
  EXPECT_THAT(runs(run_state::failed), SizeIs(1));
  EXPECT_THAT(told(), SizeIs(most_interruptions + 1));
}

TEST_F(CronTimer, AFiringWhoseAnswerIsLostIsReadFromTheTables) {
  store.add(hourly());
  start_timer();
  advance(30min);
  lose_answer_of_firing();
  advance(31min);
  EXPECT_THAT(told(), ElementsAre("2026-01-01T01:00:00Z"));
  EXPECT_EQ(runs(run_state::succeeded), told());
}

TEST_F(CronTimer, WhileTheDatabaseIsAwayNothingIsLost) {
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

TEST_F(CronTimer, WhatWasRunningWhileAFiringWasLostGoesOn) {
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

} // namespace
} // namespace skyengine::actors
