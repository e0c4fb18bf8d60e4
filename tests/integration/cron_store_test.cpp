#include "db/audit.hpp"
#include "db/cron_store.hpp"
#include "db/node_store.hpp"
#include "db/schedule_store.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/postgres.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace skyengine::db {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using testing::IsEmpty;
using testing::SizeIs;

constexpr sys_seconds noon = sys_days{std::chrono::year{2026} / 3 / 1} + 12h;
constexpr run_id first_run{1};

class CronStore : public testing::Test {
protected:
  CronStore() {
    connect();
    who.token = acquire("node-1");
    sql("DELETE FROM schedules");
    sql("INSERT INTO schedules (name, handler, expression, catch_up, catch_up_window, overlap, timeout, "
        "retries, "
        "alert_after, pause_after) VALUES ('test', 'test', '0 * * * *', 'all', 86400, 'queue', 60, 2, 2, 3)");
    id = changes().schedules.at(0).id;
    EXPECT_TRUE(take(who));
  }

  void connect() {
    const auto connected = test::run(loop, db.connect());
    ASSERT_TRUE(connected) << connected.error().detail;
  }
  std::string sql(const std::string& text) const { return test::run_sql(database.url(), text); }
  std::int64_t acquire(const std::string& name) {
    return test::run(loop, nodes.acquire(name, 10s, instant{noon})).value();
  }
  bool take(timer_holder wanted) { return test::run(loop, store.take_timer(wanted)).value(); }
  cron_store::changes changes(std::int64_t last = 0) {
    return test::run(loop, store.changed_after(last)).value();
  }
  std::vector<open_run> open_runs() {
    return test::run(loop, store.open_runs(who, instant{noon}, std::nullopt)).value();
  }
  result<std::optional<fired>> fire(std::vector<firing> wanted,
                                    std::optional<real_time> system_now = std::nullopt) {
    return test::run(loop, store.fire(who, std::move(wanted), instant{noon}, system_now));
  }
  /// One time, which begins at once, and an hour later the next.
  fired fire_at(sys_seconds at, run_state state = run_state::running) {
    auto done = fire({{id, 1, at + 1h, {{at, state, std::nullopt}}}});
    EXPECT_TRUE(done);
    return done->value();
  }
  std::optional<cron_store::ended> end(run_end how) {
    const auto all = test::run(loop, store.end(who, {std::move(how)}, instant{noon + 1min})).value();
    return all.empty() ? std::nullopt : std::optional{all.front()};
  }

  test::test_database database;
  asio::io_context loop{1};
  db::database db{loop.get_executor(), database.options()};
  node_store nodes{db};
  postgres_cron_store store{db};
  timer_holder who{"node-1", 0};
  schedule_id id;
};

TEST_F(CronStore, TheBuiltInSchedulesAreThere) {
  const test::test_database fresh;
  EXPECT_EQ(test::run_sql(fresh.url(),
                          "SELECT string_agg(name || ' ' || expression || ' ' || paused, ',' ORDER BY name)"
                          " FROM schedules"),
            "daily-clean-up 45 3 * * * false,daily-dunning 15 0 * * * true,"
            "hourly-sync-and-billing 0 * * * * false,monthly-invoices 0 0 1 * * true");
}

TEST_F(CronStore, AScheduleIsReadAsItStands) {
  const auto one = changes().schedules.at(0);
  EXPECT_EQ(one.name, "test");
  EXPECT_EQ(one.catch_up, catch_up_rule::all);
  EXPECT_EQ(one.catch_up_window, 24h);
  EXPECT_EQ(one.overlap, overlap_rule::queue);
  EXPECT_EQ(one.timeout, 60s);
  EXPECT_EQ(one.retries, 2);
  EXPECT_EQ(one.pause_after, 3);
  EXPECT_FALSE(one.next_at);
  EXPECT_THAT(changes(changes().last).schedules, IsEmpty());
}

TEST_F(CronStore, OneNodeFiresUntilItsLeaseIsOver) {
  const timer_holder other{"node-2", acquire("node-2")};
  EXPECT_FALSE(take(other));
  EXPECT_TRUE(take(who));
  sql("UPDATE nodes SET lease_until = clock_timestamp() - interval '1 s' WHERE name = 'node-1'");
  EXPECT_TRUE(take(other));
  EXPECT_FALSE(fire({{id, 1, noon, {}}})->has_value()) << "an outdated holder has written";
  EXPECT_EQ(sql("SELECT count(next_at) FROM schedules"), "0");
}

TEST_F(CronStore, ATimeBecomesOneRunAndTheScheduleMovesOn) {
  const auto done = fire_at(noon);
  ASSERT_THAT(done.runs, SizeIs(1));
  EXPECT_EQ(done.runs.front().scheduled_at, noon);
  EXPECT_THAT(done.moved, SizeIs(1));
  EXPECT_EQ(changes().schedules.at(0).next_at, noon + 1h);
  EXPECT_EQ(sql("SELECT state || ' ' || attempts || ' ' || node FROM runs"), "running 1 node-1");
  EXPECT_THAT(fire_at(noon).runs, IsEmpty());
  EXPECT_EQ(sql("SELECT count(*) FROM runs"), "1");
}

TEST_F(CronStore, AChangedOrPausedScheduleIsNotFired) {
  sql("UPDATE schedules SET version = 2");
  EXPECT_THAT(fire_at(noon).moved, IsEmpty());
  sql("UPDATE schedules SET version = 1, paused = true");
  EXPECT_THAT(fire_at(noon).moved, IsEmpty());
  EXPECT_EQ(sql("SELECT count(*) FROM runs"), "0");
}

TEST_F(CronStore, ClocksThatDifferFireNothing) {
  const auto now = std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  const std::vector<firing> wanted{{id, 1, noon, {}}};
  EXPECT_TRUE(fire(wanted, now));
  const auto refused = fire(wanted, now - 61s);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().detail, cron_store::clocks_differ);
}

TEST_F(CronStore, ARunEndsOnce) {
  fire_at(noon);
  const run_end how{first_run, run_state::succeeded, std::nullopt, R"({"servers":3})", std::nullopt};
  EXPECT_TRUE(end(how));
  EXPECT_EQ(sql("SELECT state || ' ' || (figures->>'servers') FROM runs"), "succeeded 3");
  EXPECT_FALSE(end(how));
}

TEST_F(CronStore, AnotherAttemptWaitsForItsTime) {
  fire_at(noon);
  const auto later = real_time{noon} + 30s;
  EXPECT_TRUE(end({first_run, run_state::queued, later, "{}", error{errc::internal, "broken"}}));
  const auto open = open_runs();
  ASSERT_THAT(open, SizeIs(1));
  EXPECT_EQ(open.front().run.state, run_state::queued);
  EXPECT_EQ(open.front().run.not_before, later);
  EXPECT_EQ(open.front().run.attempts, 1);
  EXPECT_TRUE(test::run(loop, store.begin(who, first_run, instant{noon}, std::nullopt)).value());
  // The first answer may have been lost.
  EXPECT_TRUE(test::run(loop, store.begin(who, first_run, instant{noon}, std::nullopt)).value());
  EXPECT_EQ(sql("SELECT attempts FROM runs"), "2");
}

TEST_F(CronStore, AFailureOfAScheduleThatIsNeverPausedByItIsStored) {
  sql("UPDATE schedules SET pause_after = NULL");
  const auto run = fire_at(noon).runs.at(0).run;
  const auto ended =
    end({run, run_state::failed, std::nullopt, "{}", error{errc::virtfusion_unavailable, "away"}});
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->failures, 1);
  EXPECT_FALSE(ended->is_paused);
  EXPECT_EQ(sql("SELECT state || ' ' || error_detail FROM runs"), "failed away");
}

TEST_F(CronStore, FailuresInARowAreToldAndPause) {
  for (int i = 0; i < 3; ++i) {
    sql("DELETE FROM runs");
    fire_at(noon + i * 1h);
    const run_id last{std::stoll(sql("SELECT id FROM runs"))};
    const auto counted = end({last, run_state::failed, std::nullopt, "{}", error{errc::internal, "broken"}});
    ASSERT_TRUE(counted);
    EXPECT_EQ(counted->failures, i + 1);
    EXPECT_EQ(counted->is_paused, i == 2);
  }
  EXPECT_EQ(sql("SELECT string_agg(subject || ' ' || (body->>'failures'), ', ' ORDER BY id) FROM outbox"),
            "cron_failing test 2, cron_paused test 3");
  EXPECT_EQ(sql("SELECT actor || ' ' || action || ' ' || target FROM audit_log"),
            "engine paused schedule test");
  EXPECT_EQ(sql("SELECT paused::text || ' ' || coalesce(next_at::text, '-') || ' ' || note FROM schedules"),
            "true - paused after 3 failed runs in a row");
  EXPECT_THAT(changes(changes().last - 1).schedules, SizeIs(1));
}

TEST_F(CronStore, ASuccessEndsTheRowOfFailures) {
  sql("UPDATE schedules SET failures = 2");
  fire_at(noon);
  EXPECT_EQ(end({first_run, run_state::succeeded, std::nullopt, "{}", std::nullopt})->failures, 0);
  EXPECT_EQ(sql("SELECT failures FROM schedules"), "0");
}

TEST_F(CronStore, WhatANodeThatIsGoneWasRunningIsBegunAnew) {
  fire_at(noon);
  fire_at(noon + 1h, run_state::queued);
  who.token = acquire("node-1");
  ASSERT_TRUE(take(who));
  const auto open = open_runs();
  ASSERT_THAT(open, SizeIs(2));
  EXPECT_EQ(open.front().run.state, run_state::queued);
  EXPECT_EQ(open.front().run.interruptions, 1);
  EXPECT_EQ(sql("SELECT count(*) FROM runs WHERE state = 'running'"), "0");
}

TEST_F(CronStore, WhatEndsEachNodeFails) {
  fire_at(noon);
  sql("UPDATE runs SET interruptions = 5");
  who.token = acquire("node-1");
  ASSERT_TRUE(take(who));
  const auto told = open_runs();
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_EQ(told.front().run.state, run_state::failed);
  EXPECT_THAT(open_runs(), IsEmpty());
  EXPECT_EQ(sql("SELECT failures FROM schedules"), "1");
  EXPECT_EQ(sql("SELECT subject FROM outbox"), "cron_failing test");
  EXPECT_EQ(sql("SELECT state || ' ' || error_detail FROM runs"),
            "failed the node ended each time while it ran");
}

TEST_F(CronStore, WhatWasLetGoOfIsNotHeldAgainstIt) {
  fire_at(noon);
  EXPECT_TRUE(test::run(loop, store.let_go(who)));
  who.token = acquire("node-1");
  ASSERT_TRUE(take(who));
  const auto open = open_runs();
  ASSERT_THAT(open, SizeIs(1));
  EXPECT_EQ(open.front().run.interruptions, 0);
  EXPECT_EQ(open.front().tries, 0);
  EXPECT_EQ(sql("SELECT let_go FROM runs"), "f");
}

TEST_F(CronStore, ManyWaitingRunsOfOneScheduleHideNothing) {
  fire_at(noon);
  sql("INSERT INTO runs (schedule_id, scheduled_at, state) SELECT id, '2026-01-01'::timestamptz + n * "
      "interval '1 s', "
      "'queued' FROM schedules, generate_series(1, 1500) AS n; "
      "INSERT INTO schedules (name, handler, expression, catch_up, catch_up_window, overlap, timeout) "
      "VALUES ('other', 'test', '0 * * * *', 'all', 0, 'skip', 60); "
      "INSERT INTO runs (schedule_id, scheduled_at, state) SELECT id, '2026-02-01', 'queued' FROM schedules "
      "WHERE name = 'other'");
  EXPECT_THAT(open_runs(), SizeIs(cron_store::most_waiting_runs + 2));
  const run_id last{std::stoll(sql("SELECT max(id) FROM runs"))};
  EXPECT_THAT(test::run(loop, store.open_runs(who, instant{noon}, last)).value(), SizeIs(1));
}

TEST_F(CronStore, AFailureOfAScheduleThatIsPausedAlreadyPausesNothing) {
  sql("UPDATE schedules SET pause_after = 1");
  fire_at(noon);
  sql("UPDATE schedules SET paused = true, next_at = NULL");
  EXPECT_FALSE(
    end({first_run, run_state::failed, std::nullopt, "{}", error{errc::internal, "broken"}})->is_paused);
  EXPECT_EQ(sql("SELECT count(*) FROM audit_log"), "0");
}

TEST_F(CronStore, ASchedulePausedByFailuresLetsNothingWait) {
  sql("UPDATE schedules SET failures = 2");
  fire_at(noon);
  sql("INSERT INTO runs (schedule_id, scheduled_at, state, manual, error_code) "
      "SELECT id, '2026-01-01'::timestamptz, 'queued', false, NULL FROM schedules UNION ALL "
      "SELECT id, '2026-01-02', 'queued', true, NULL FROM schedules UNION ALL "
      "SELECT id, '2026-01-03', 'queued', false, 'internal' FROM schedules");
  EXPECT_TRUE(
    end({first_run, run_state::failed, std::nullopt, "{}", error{errc::internal, "broken"}})->is_paused);
  EXPECT_EQ(sql("SELECT string_agg(state, ' ' ORDER BY scheduled_at) FROM runs"),
            "skipped skipped failed failed");
}

TEST_F(CronStore, ATryOfAScheduleThatWasPausedIsTheLast) {
  fire_at(noon);
  sql("UPDATE schedules SET paused = true, next_at = NULL");
  const auto ended =
    end({first_run, run_state::queued, real_time{noon}, "{}", error{errc::internal, "broken"}});
  EXPECT_EQ(ended->state, run_state::failed);
  EXPECT_EQ(ended->failures, 1);
}

TEST_F(CronStore, FailuresAreToldAgainEachTimeAsManyHaveCome) {
  sql("UPDATE schedules SET pause_after = NULL, failures = 3");
  fire_at(noon);
  static_cast<void>(end({first_run, run_state::failed, std::nullopt, "{}", error{errc::internal, "broken"}}));
  EXPECT_EQ(sql("SELECT body->>'failures' FROM outbox"), "4");
}

TEST_F(CronStore, ClocksThatDifferBeginNothing) {
  fire_at(noon, run_state::queued);
  const auto far =
    std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()) + 2h;
  const auto begun = test::run(loop, store.begin(who, first_run, instant{noon}, far));
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().detail, cron_store::clocks_differ);
  EXPECT_EQ(sql("SELECT state FROM runs"), "queued");
}

TEST_F(CronStore, ChangesAreSeenInTheOrderOfTheirNumbers) {
  schedule_store levers{db};
  const auto change = [&](const char* name) -> asio::awaitable<result<bool>> {
    const auto found = co_await levers.find(name);
    schedule_store::change what{found->what, false, {}, "{}"};
    what.wanted.retries = 7;
    co_return co_await levers.apply(what, "operator", instant{noon});
  };
  static constexpr statement lock{"test_lock", "SELECT pg_advisory_xact_lock(hashtext('schedule_changes'))"};
  static constexpr statement number{
    "test_number", "UPDATE schedules SET change = nextval('schedule_changes') WHERE name = 'first'"};
  sql("INSERT INTO schedules (name, handler, expression, catch_up, catch_up_window, overlap, timeout) "
      "VALUES ('first', 'test', '0 * * * *', 'all', 0, 'skip', 60)");
  const auto before = changes().last;
  std::optional<result<bool>> second;
  const auto body = [&](transaction& tx) -> asio::awaitable<result<bool>> {
    static_cast<void>(co_await tx.run(lock));
    static_cast<void>(co_await tx.run(number));
    asio::co_spawn(loop, change("test"), [&](std::exception_ptr, result<bool> done) { second = done; });
    while (sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == "0")
      co_await asio::post(loop, asio::use_awaitable);
    EXPECT_FALSE(second);
    co_return true;
  };
  EXPECT_TRUE(test::run(loop, db.transact(body)));
  while (!second)
    loop.run_one();
  EXPECT_TRUE(second->value());
  const auto seen = changes(before).schedules;
  ASSERT_THAT(seen, SizeIs(2));
  EXPECT_EQ(seen.back().name, "test");
}

TEST_F(CronStore, TheAuditNamesARunThatIsOpenPastItsTimeOut) {
  const auto violations = [&] {
    for (const auto& one : test::run(loop, audit(db)).value())
      if (one.name == "no run is open past its time-out")
        return std::pair{one.checked, one.violations};
    return std::pair<std::int64_t, std::int64_t>{-1, -1};
  };
  fire_at(noon);
  EXPECT_EQ(violations(), (std::pair<std::int64_t, std::int64_t>{1, 0}));
  sql("UPDATE runs SET deadline = now() - interval '2 minutes'");
  EXPECT_EQ(violations(), (std::pair<std::int64_t, std::int64_t>{1, 1}));
  // Of a node that is gone: whoever fires next takes it over.
  sql("UPDATE nodes SET lease_until = now()");
  EXPECT_EQ(violations(), (std::pair<std::int64_t, std::int64_t>{0, 0}));
}

TEST_F(CronStore, ACancelledRunIsNotBegun) {
  fire_at(noon, run_state::queued);
  sql("UPDATE runs SET cancel_requested = true");
  EXPECT_FALSE(test::run(loop, store.begin(who, first_run, instant{noon}, std::nullopt)).value());
}

} // namespace
} // namespace skyengine::db
