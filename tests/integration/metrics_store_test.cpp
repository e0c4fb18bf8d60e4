#include "db/metrics_store.hpp"
#include "db/run_progress_store.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/postgres.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
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

namespace asio = boost::asio;
using namespace std::chrono_literals;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr sys_seconds noon = sys_days{std::chrono::year{2026} / 3 / 1} + 12h;
constexpr auto traffic = sync_depth::traffic;
constexpr auto live = sync_depth::live;

/// Servers 1 to 4 are active: 1 to 3 of the plan `small`, 4 of `metered`, which is charged by uptime. 5 is
/// suspended, 6 deleted, 7 being made. VirtFusion's id is 100 more.
class MetricsStore : public testing::Test {
protected:
  MetricsStore() {
    const auto connected = test::run(loop, db.connect());
    EXPECT_TRUE(connected);
    sql(R"(
      INSERT INTO users (id, name, email, created_at, updated_at) VALUES (1, 'u', 'u@example.com', now(), now());
      INSERT INTO plans (id, name, currency, virtfusion_package_id, created_at, updated_at)
      VALUES ('small', 's', 'USD', 1, now(), now()), ('metered', 'm', 'USD', 1, now(), now());
      INSERT INTO plan_prices VALUES ('small', '2026-01-01Z', 1, 730, 'allocated', 'second'),
                                     ('metered', '2026-01-01Z', 1, 730, 'allocated', 'second'),
                                     ('metered', '2026-02-01Z', 1, 730, 'uptime', 'second'),
                                     ('small', '2026-04-01Z', 1, 730, 'uptime', 'second');
      INSERT INTO regions VALUES ('r', 'r', 1, true, now(), now());
      INSERT INTO servers (user_id, plan_id, region_id, wants_ipv6, state, virtfusion_id, created_at, last_event_at)
      SELECT 1, CASE WHEN n = 4 THEN 'metered' ELSE 'small' END, 'r', false,
             CASE n WHEN 5 THEN 'suspended' WHEN 6 THEN 'deleted' WHEN 7 THEN 'building' ELSE 'active' END, 100 + n,
             '2026-01-01Z', '2026-03-01 11:00Z'
        FROM generate_series(1, 7) AS n)");
  }

  std::string sql(const std::string& text) const { return test::run_sql(database.url(), text); }
  due_limits limits(instant seen_before = noon) const {
    return {seen_before, seen_before, instant{noon}, instant{noon} + 1h, instant{noon}};
  }
  due_page page(sync_depth depth,
                const due_limits& wanted,
                due_cursor after = {},
                std::set<std::int64_t> skip = {},
                std::int64_t most = 100) {
    return test::run(loop, store.due(depth, wanted, after, std::move(skip), most)).value();
  }
  std::vector<std::int64_t>
  due(sync_depth depth, const due_limits& wanted, std::set<std::int64_t> skip = {}) {
    std::vector<std::int64_t> ids;
    for (const auto& one : page(depth, wanted, {}, std::move(skip)).servers)
      ids.push_back(one.id.value);
    return ids;
  }
  void see_traffic(std::int64_t server, instant at, std::int64_t in = 10, std::int64_t out = 20) {
    const observation_batch<traffic_observation> batch{{{{server}, at, in, out, instant{noon} - 240h}}, {}};
    const auto written = test::run(loop, store.write_traffic(batch));
    ASSERT_TRUE(written) << written.error().detail;
  }
  void see(std::vector<live_observation> seen) {
    const observation_batch<live_observation> batch{std::move(seen), {}};
    const auto written = test::run(loop, store.write_live(batch, noon));
    ASSERT_TRUE(written) << written.error().detail;
  }
  void see_power(std::int64_t server, instant at, bool is_on) {
    see({{{server}, at, is_on, {}, {}, {}, {}, {}}});
  }
  std::string spans() const {
    return sql(
      "SELECT string_agg(to_char(first_seen AT TIME ZONE 'UTC', 'DD HH24:MI:SS') || ' ' || "
      "to_char(last_seen AT TIME ZONE 'UTC', 'DD HH24:MI:SS') || ' ' || is_on, ', ' ORDER BY first_seen) "
      "FROM power_spans");
  }

  test::test_database database;
  asio::io_context loop{1};
  db::database db{loop.get_executor(), database.options()};
  metrics_store store{db};
};

TEST_F(MetricsStore, AccountsOfABatchAreLockedInTheOrderOfTheUsersAsBillingLocksThem) {
  sql("INSERT INTO users (id, name, email, created_at, updated_at) VALUES (2, 'v', 'v@example.com', now(), "
      "now());"
      "INSERT INTO billing_accounts (user_id, closed_until) VALUES (2, '2026-03-01Z');"
      "UPDATE servers SET user_id = 2, plan_id = 'metered' WHERE id = 1");
  static constexpr statement lock{"test_lock",
                                  "SELECT FROM billing_accounts WHERE user_id = $1 FOR NO KEY UPDATE NOWAIT"};
  static constexpr statement count_waiting{"test_waiting",
                                           "SELECT count(*) AS waiting FROM pg_locks WHERE NOT granted"};
  std::optional<result<>> written;
  const auto as_billing = [&](transaction& t) -> asio::awaitable<result<>> {
    if (const auto first = co_await t.run(lock, std::int64_t{1}); !first)
      co_return first.error();
    observation_batch<live_observation> batch{
      {{{1}, noon, true, {}, {}, {}, {}, {}}, {{4}, noon, true, {}, {}, {}, {}, {}}}, {}};
    asio::co_spawn(loop, store.write_live(std::move(batch), noon),
                   [&](std::exception_ptr, result<> done) { written = std::move(done); });
    for (;;) {
      const auto found = co_await t.run(count_waiting);
      if (!found)
        co_return found.error();
      if (found->front().get<std::int64_t>("waiting") > 0)
        break;
    }
    const auto second = co_await t.run(lock, std::int64_t{2});
    co_return second ? result<>{} : result<>{second.error()};
  };
  const auto locked = test::run(loop, db.transact(as_billing));
  EXPECT_TRUE(locked) << locked.error().detail;
  loop.restart();
  while (!written)
    loop.run_one();
  EXPECT_TRUE(*written);
  EXPECT_EQ(sql("SELECT count(*) FROM power_spans"), "2");
}

TEST_F(MetricsStore, WhatWasNeverSeenIsDueAndTheRestIsNobodysWork) {
  EXPECT_THAT(due(traffic, limits()), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(due(live, limits()), ElementsAre(1, 2, 3, 4, 5));
  const auto first = page(traffic, limits()).servers.front();
  EXPECT_EQ(first.panel_id, virtfusion_server_id{101});
  EXPECT_EQ(first.hypervisor, 0);
}

TEST_F(MetricsStore, TheOldestLookComesFirst) {
  see_traffic(2, instant{noon} - 3h);
  see_traffic(1, instant{noon} - 2h);
  see_traffic(3, instant{noon} - 4h);
  EXPECT_THAT(due(traffic, limits()), ElementsAre(4, 5, 3, 2, 1));
  EXPECT_THAT(due(live, limits()), ElementsAre(1, 2, 3, 4, 5)) << "the depths have ages of their own";
}

TEST_F(MetricsStore, WhatIsFreshIsNotDue) {
  see_traffic(1, instant{noon} - 1us);
  see_traffic(2, noon);
  EXPECT_THAT(due(traffic, limits()), ElementsAre(3, 4, 5, 1));
}

TEST_F(MetricsStore, PagesGoOnWhereTheOneBeforeEnded) {
  see_traffic(1, instant{noon} - 2h);
  due_cursor after;
  std::vector<std::int64_t> all;
  for (auto is_last = false; !is_last;) {
    const auto one = page(traffic, limits(), after, {}, 2);
    for (const auto& server : one.servers)
      all.push_back(server.id.value);
    after = one.next;
    is_last = one.is_last;
  }
  EXPECT_THAT(all, ElementsAre(2, 3, 4, 5, 1));
}

TEST_F(MetricsStore, WithoutALimitNothingIsDueButWhatIsChargedByUptime) {
  auto never = limits();
  never.traffic_before.reset();
  never.live_before.reset();
  EXPECT_THAT(due(traffic, never), IsEmpty());
  EXPECT_THAT(due(live, never), ElementsAre(4));
}

TEST_F(MetricsStore, ThePresentBasisOfThePlanDecides) {
  auto wanted = limits(instant{noon} - 5h);
  for (std::int64_t id = 1; id <= 5; ++id)
    see_power(id, instant{noon} - 1h, true);
  EXPECT_THAT(due(live, wanted), ElementsAre(4));
  wanted.now = sys_days{std::chrono::year{2026} / 1 / 15};
  EXPECT_THAT(due(live, wanted), IsEmpty());
}

TEST_F(MetricsStore, WhatWasTriedInVainComesAfterWhatWasNotTried) {
  const observation_batch<traffic_observation> tried{{}, {{{1}, instant{noon} + 1min}}};
  ASSERT_TRUE(test::run(loop, store.write_traffic(tried)));
  EXPECT_THAT(due(traffic, limits()), ElementsAre(2, 3, 4, 5, 1));
  auto same_sync = limits();
  same_sync.tried_before = noon;
  EXPECT_THAT(due(traffic, same_sync), ElementsAre(2, 3, 4, 5));
}

TEST_F(MetricsStore, TheListTellsTheHypervisorAndSkippedOnesArePassedOver) {
  const auto ours =
    test::run(loop, store.write_list({{{101}, 7}, {{102}, 8}, {{102}, 8}, {{106}, 8}, {{999}, 9}}, noon));
  EXPECT_EQ(ours.value(), 2) << "one is told twice, one is deleted, one is nobody's";
  EXPECT_EQ(page(live, limits()).servers.front().hypervisor, 7);
  EXPECT_THAT(due(live, limits(), {7, 0}), ElementsAre(2));
  EXPECT_EQ(sql("SELECT count(*) FROM server_observations WHERE listed_at = '2026-03-01 12:00Z'"), "2");
}

TEST_F(MetricsStore, TheRestIsCountedAndItsFirstAreNamed) {
  see_traffic(2, noon);
  const auto rest = test::run(loop, store.rest(traffic, limits(), 2)).value();
  EXPECT_EQ(rest.count, 4);
  EXPECT_THAT(rest.first, ElementsAre(server_id{1}, server_id{3}));
  EXPECT_THAT(test::run(loop, store.rest(traffic, limits(), 0)).value().first, IsEmpty());
}

TEST_F(MetricsStore, AListIsReadOncePerTick) {
  const auto is_read = [&](sys_seconds tick) {
    return test::run(loop, store.find_list(tick)).value().is_read;
  };
  EXPECT_FALSE(is_read(noon));
  ASSERT_TRUE(test::run(loop, store.note_list_read(noon, noon, noon + 1s)));
  EXPECT_TRUE(is_read(noon));
  EXPECT_TRUE(is_read(noon - 1h));
  EXPECT_FALSE(is_read(noon + 1h));
  ASSERT_TRUE(test::run(loop, store.note_list_read(noon - 1h, noon, noon + 1s)));
  EXPECT_TRUE(is_read(noon)) << "an older tick takes nothing back";
}

TEST_F(MetricsStore, ObservationsAreKeptByMonthWithTheirTime) {
  const instant march = instant{noon} + 1ms;
  const instant april = sys_days{std::chrono::year{2026} / 4 / 1};
  see_traffic(1, march, 11, 22);
  see_traffic(1, april, 33, 44);
  EXPECT_EQ(
    sql("SELECT string_agg(tableoid::regclass || ' ' || traffic_in || ' ' || traffic_out, ', ' ORDER BY "
        "observed_at) FROM server_metrics"),
    "server_metrics_202603 11 22, server_metrics_202604 33 44");
  EXPECT_EQ(
    sql("SELECT observed_at = '2026-03-01 12:00:00.001Z' AND traffic_period_at = '2026-02-19 12:00Z' FROM "
        "server_metrics_202603"),
    "t");
}

TEST_F(MetricsStore, WhatWasToldOfAServerIsKeptAndWhatWasNotIsNull) {
  see({{{1}, noon, true, 12.5, 1'000, 400, 9'000, 300}, {{2}, noon, false, {}, {}, {}, {}, {}}});
  EXPECT_EQ(sql("SELECT string_agg(concat_ws(' ', server_id, is_on, cpu_percent, memory_total, memory_used, "
                "disk_total, "
                "disk_used), ', ' ORDER BY server_id) FROM server_metrics"),
            "1 t 12.5 1000 400 9000 300, 2 f");
}

TEST_F(MetricsStore, ABatchThatIsWrittenAgainChangesNothing) {
  for (int i = 0; i < 2; ++i) {
    see({{{4}, instant{noon} + 700ms, true, 12.5, 1'000, 400, 9'000, 300}});
    see_traffic(4, instant{noon} + 700ms);
  }
  EXPECT_EQ(sql("SELECT concat_ws(' ', count(*), max(cpu_percent), max(traffic_in)) FROM server_metrics"),
            "1 12.5 10")
    << "looks of one moment are one row";
  EXPECT_EQ(spans(), "01 12:00:00 01 12:00:00 true");
}

TEST_F(MetricsStore, PowerIsBroughtUpToDateOnlyWhereItDiffers) {
  sql("UPDATE servers SET power = 'on' WHERE id = 1");
  const auto row = sql("SELECT ctid FROM servers WHERE id = 1");
  see({{{1}, noon, true, {}, {}, {}, {}, {}},
       {{2}, noon, true, {}, {}, {}, {}, {}},
       {{3}, noon, false, {}, {}, {}, {}, {}}});
  EXPECT_EQ(sql("SELECT string_agg(power, ' ' ORDER BY id) FROM servers WHERE id <= 3"), "on on off");
  EXPECT_EQ(sql("SELECT ctid FROM servers WHERE id = 1"), row);
}

TEST_F(MetricsStore, WhatHappenedSinceTheServerWasAskedIsNewer) {
  sql("UPDATE servers SET power = 'off', last_event_at = '2026-03-01 12:00:01Z' WHERE id = 1");
  see_power(1, noon, true);
  EXPECT_EQ(sql("SELECT power FROM servers WHERE id = 1"), "off");
}

TEST_F(MetricsStore, ARowThatASagaHoldsIsLeftToTheNextLook) {
  database_options other_options = database.options();
  db::database other{loop.get_executor(), other_options};
  ASSERT_TRUE(test::run(loop, other.connect()));
  auto hold = [&](transaction& tx) -> asio::awaitable<result<>> {
    static constexpr statement lock_row{"test_lock", "SELECT FROM servers WHERE id = 1 FOR UPDATE"};
    if (const auto locked = co_await tx.run(lock_row); !locked)
      co_return locked.error();
    const observation_batch<live_observation> batch{{{{1}, noon, true, {}, {}, {}, {}, {}}}, {}};
    co_return co_await store.write_live(batch, noon);
  };
  const auto done = test::run(loop, other.transact(hold));
  ASSERT_TRUE(done) << done.error().detail;
  EXPECT_EQ(sql("SELECT power FROM servers WHERE id = 1"), "unknown");
  EXPECT_EQ(sql("SELECT count(*) FROM server_metrics"), "1");
}

TEST_F(MetricsStore, APowerThatIsNotToldChangesNone) {
  sql("UPDATE servers SET power = 'on'");
  see_power(4, instant{noon}, true);
  see({{{4}, instant{noon} + 1min, {}, 12.5, {}, {}, {}, {}}});
  EXPECT_EQ(sql("SELECT power FROM servers WHERE id = 4"), "on");
  EXPECT_EQ(sql("SELECT is_on FROM server_observations WHERE server_id = 4"), "t");
  EXPECT_EQ(spans(), "01 12:00:00 01 12:00:00 true");
  EXPECT_EQ(sql("SELECT is_on IS NULL AND cpu_percent = 12.5 FROM server_metrics ORDER BY observed_at DESC "
                "LIMIT 1"),
            "t");
}

// -- what is charged by uptime ----------------------------------------------------------------------------

TEST_F(MetricsStore, OnlyServersThatAreChargedByUptimeHaveSpans) {
  see({{{1}, noon, true, {}, {}, {}, {}, {}}, {{4}, noon, true, {}, {}, {}, {}, {}}});
  EXPECT_EQ(sql("SELECT string_agg(server_id::text, ' ') FROM power_spans"), "4");
}

TEST_F(MetricsStore, TheSameSeenInTheNextHourExtendsASpan) {
  see_power(4, instant{noon} + 1min + 999ms, true);
  see_power(4, instant{noon} + 30min, true);
  see_power(4, instant{noon} + 119min, true);
  EXPECT_EQ(spans(), "01 12:01:00 01 13:59:00 true");
}

TEST_F(MetricsStore, AnHourWithoutALookBeginsAnotherSpan) {
  see_power(4, instant{noon} + 59min, true);
  see_power(4, instant{noon} + 120min, true);
  EXPECT_EQ(spans(), "01 12:59:00 01 12:59:00 true, 01 14:00:00 01 14:00:00 true");
}

TEST_F(MetricsStore, AChangeBeginsAnotherSpan) {
  see_power(4, noon, true);
  see_power(4, instant{noon} + 10min, true);
  see_power(4, instant{noon} + 20min, false);
  see_power(4, instant{noon} + 30min, true);
  EXPECT_EQ(spans(),
            "01 12:00:00 01 12:10:00 true, 01 12:20:00 01 12:20:00 false, 01 12:30:00 01 12:30:00 true");
}

TEST_F(MetricsStore, AnOlderLookChangesNoSpan) {
  see_power(4, instant{noon} + 10min, true);
  see_power(4, instant{noon} + 5min, false);
  EXPECT_EQ(spans(), "01 12:10:00 01 12:10:00 true");
}

// -- progress ---------------------------------------------------------------------------------------------

TEST_F(MetricsStore, ARunTellsItsProgressWhileItRuns) {
  run_progress_store progress{db};
  const run_id run{
    std::stoll(sql("INSERT INTO runs (schedule_id, scheduled_at, state, token, started_at) SELECT id, "
                   "now(), 'running', 1, now() FROM schedules LIMIT 1 RETURNING id"))};
  EXPECT_TRUE(test::run(loop, progress.note(run, R"({"seen": 7})")).value());
  EXPECT_EQ(sql("SELECT figures->>'seen' FROM runs"), "7");
  run_progress_store of_a_part{db, "sync"};
  EXPECT_TRUE(test::run(loop, of_a_part.note(run, R"({"seen": 7})")).value());
  EXPECT_EQ(sql("SELECT figures FROM runs"), R"({"sync": {"seen": 7}})");
  sql("UPDATE runs SET state = 'succeeded', ended_at = now(), figures = '{}'");
  EXPECT_FALSE(test::run(loop, progress.note(run, R"({"seen": 8})")).value());
  EXPECT_EQ(sql("SELECT figures FROM runs"), "{}");
}

} // namespace
} // namespace skyengine::db
