#include "tests/support/postgres.hpp"
#include "tests/torture/sync_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace skyengine::torture {

namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* progress =
  R"({"sync":{"list":{"state":"complete","pages":1,"failed":0,"calls":1,"servers":2},)"
  R"("traffic":{"due":2,"seen":2,"failed":0,"calls":2},"live":{"due":1,"seen":1,"failed":0,"calls":1},)"
  R"("complete":true,"notSeen":{"traffic":{"count":0,"first":[]},"live":{"count":0,"first":[]}}}})";

/// 2026-03-01 11:02 UTC, in microseconds.
constexpr std::int64_t moment_of_start = 1'772'362'920'000'000;

/// Three hours of syncs, as they should be: server 1 of `small`, 2 of `metered`, which is charged by uptime.
class synced_history {
public:
  synced_history() {
    sql(R"(
      SELECT ensure_month_partition(t, '2026-03-01Z')
        FROM unnest(ARRAY ['server_metrics', 'server_metrics_hours', 'server_metrics_days']) AS t;
      INSERT INTO users (id, name, email, created_at, updated_at) VALUES (1, 'u', 'u@example.com', now(), now());
      INSERT INTO plans (id, name, currency, virtfusion_package_id, created_at, updated_at)
      VALUES ('small', 's', 'USD', 1, now(), now()), ('metered', 'm', 'USD', 1, now(), now());
      INSERT INTO plan_prices VALUES ('small', '2026-01-01Z', 1, 730, 'allocated', 'second'),
                                     ('metered', '2026-01-01Z', 1, 730, 'uptime', 'second');
      INSERT INTO regions VALUES ('r', 'r', 1, true, now(), now());
      INSERT INTO servers (user_id, plan_id, region_id, wants_ipv6, state, virtfusion_id, created_at, active_at,
                           last_event_at)
      SELECT 1, p, 'r', false, 'active', n, '2026-03-01Z', '2026-03-01Z', '2026-03-01Z'
        FROM (VALUES (1, 'small'), (2, 'metered')) AS s (n, p) ORDER BY n;
      INSERT INTO server_events (server_id, at, type, from_state, to_state)
      SELECT id, active_at, 'active', 'building', 'active' FROM servers;
      INSERT INTO server_metrics (server_id, observed_at, traffic_in, traffic_out)
      SELECT s.id, t + interval '1 minute', 1, 1 FROM servers s, hours t;
      INSERT INTO server_metrics (server_id, observed_at, is_on)
      SELECT 2, t + interval '2 minutes', true FROM hours t UNION ALL SELECT 1, '2026-03-01 10:02Z', true;
      INSERT INTO server_observations (server_id, listed_at, traffic_at, live_at)
      VALUES (1, '2026-03-01 12:00:30Z', '2026-03-01 12:01Z', '2026-03-01 10:02Z'),
             (2, '2026-03-01 12:00:30Z', '2026-03-01 12:01Z', '2026-03-01 12:02Z');
      INSERT INTO server_lists (tick, begun_at, ended_at)
      VALUES ('2026-03-01 12:00Z', '2026-03-01 12:00:10Z', '2026-03-01 12:00:40Z'))");
    sql("INSERT INTO runs (schedule_id, scheduled_at, state, started_at, ended_at, figures) "
        "SELECT s.id, t, 'succeeded', t + interval '1 second', t + interval '5 minutes', '" +
        std::string{progress} + "' FROM hours t, schedules s WHERE s.name = 'hourly-sync-and-billing'");
  }

  std::string sql(const std::string& text) const {
    return test::run_sql(database_.url(),
                         "SET TimeZone = 'UTC'; CREATE TEMPORARY VIEW hours AS SELECT t FROM "
                         "generate_series('2026-03-01 10:00Z'::timestamptz, '2026-03-01 12:00Z', "
                         "interval '1 hour') AS t; " +
                           text);
  }

  std::vector<std::string> differences(const sync_rules& rules = {}) {
    figures = {};
    return sync_differences(database_.url(), figures, rules);
  }

  sync_figures figures;

private:
  test::test_database database_;
};

struct spoiled_case {
  const char* name;
  const char* change;
  const char* difference;
};

class SyncCheck : public testing::TestWithParam<spoiled_case> {};

} // namespace

TEST(SyncHistory, ThatIsAsItShouldBeHasNoDifference) {
  synced_history good;
  EXPECT_THAT(good.differences(), IsEmpty());
  EXPECT_EQ(good.figures.runs, 3);
  EXPECT_EQ(good.figures.complete, 3);
  EXPECT_EQ(good.figures.traffic_looks, 6);
  EXPECT_EQ(good.figures.live_looks, 4);
}

// What a killed engine had sent is stored when PostgreSQL comes to it.
TEST(SyncHistory, OfALookThatWasNotYetStoredAtTheNextStartMayHaveAnother) {
  synced_history good;
  sync_rules rules;
  rules.starts.push_back({moment_of_start, good.sql("SELECT pg_current_snapshot()")});
  good.sql(
    "DELETE FROM server_metrics WHERE server_id = 1 AND observed_at = '2026-03-01 11:01Z';"
    "INSERT INTO server_metrics (server_id, observed_at, traffic_in) VALUES (1, '2026-03-01 11:01Z', 1);"
    "INSERT INTO server_metrics (server_id, observed_at, traffic_in) VALUES (1, '2026-03-01 11:03Z', 1)");
  EXPECT_THAT(good.differences(rules), IsEmpty());
  EXPECT_EQ(good.figures.unanswered, 1);
  good.sql(
    "INSERT INTO server_metrics (server_id, observed_at, traffic_in) VALUES (1, '2026-03-01 11:04Z', 1)");
  EXPECT_THAT(good.differences(rules), Contains(HasSubstr("server 1 was looked at (traffic)")));
}

TEST_P(SyncCheck, NamesWhatIsWrong) {
  synced_history spoiled;
  spoiled.sql(GetParam().change);
  EXPECT_THAT(spoiled.differences(), Contains(HasSubstr(GetParam().difference)));
}

INSTANTIATE_TEST_SUITE_P(
  Spoiled,
  SyncCheck,
  testing::Values(
    spoiled_case{
      "traffic_twice",
      "INSERT INTO server_metrics (server_id, observed_at, traffic_in) VALUES (1, '2026-03-01 11:03Z', 1)",
      "server 1 was looked at (traffic)"},
    spoiled_case{
      "live_inside_its_age",
      "INSERT INTO server_metrics (server_id, observed_at, is_on) VALUES (1, '2026-03-01 11:02Z', true)",
      "server 1 was looked at (live)"},
    spoiled_case{
      "outside_every_run",
      "INSERT INTO server_metrics (server_id, observed_at, is_on) VALUES (2, '2026-03-01 12:30Z', true)",
      "server 2 was looked at (live)"},
    spoiled_case{"traffic_missed",
                 "DELETE FROM server_metrics WHERE server_id = 1 AND observed_at = '2026-03-01 11:01Z'",
                 "server 1 was not looked at (traffic)"},
    spoiled_case{"uptime_missed",
                 "DELETE FROM server_metrics WHERE server_id = 2 AND observed_at = '2026-03-01 11:02Z'",
                 "server 2 was not looked at (live)"},
    spoiled_case{"never_seen_live", "DELETE FROM server_metrics WHERE server_id = 1 AND is_on",
                 "server 1 was not looked at (live)"},
    spoiled_case{"a_time_without_its_look",
                 "UPDATE server_observations SET traffic_at = '2026-03-01 12:09Z' WHERE server_id = 1",
                 "1 servers were last looked at at another time"},
    spoiled_case{"a_look_of_nothing",
                 "INSERT INTO server_metrics (server_id, observed_at) VALUES (1, '2026-03-01 12:01:30Z')",
                 "1 looks saw nothing"},
    spoiled_case{"left_open",
                 "UPDATE runs SET state = 'queued', ended_at = NULL, interruptions = 1 WHERE scheduled_at = "
                 "'2026-03-01 11:00Z'",
                 "was interrupted and is queued"},
    spoiled_case{"ends_before_it_begins",
                 "UPDATE runs SET ended_at = '2026-03-01 10:59Z' WHERE scheduled_at = '2026-03-01 11:00Z'",
                 "ended before it began"},
    spoiled_case{
      "no_progress",
      "UPDATE runs SET figures = jsonb_set(figures, '{sync,traffic,seen}', '3') WHERE scheduled_at = "
      "'2026-03-01 11:00Z'",
      "tells what is no progress"},
    spoiled_case{"not_listed",
                 "UPDATE server_observations SET listed_at = '2026-03-01 11:00:30Z' WHERE server_id = 1",
                 "1 servers stand in no page"},
    spoiled_case{
      "taken_for_gone",
      "INSERT INTO drift (kind, server_id, virtfusion_id, first_seen, last_seen, seen) VALUES ('gone', 1, "
      "1, now(), now(), 'nowhere')",
      "1 servers were taken for gone"},
    spoiled_case{
      "taken_for_unknown",
      "INSERT INTO drift (kind, virtfusion_id, first_seen, last_seen, seen) VALUES ('unknown', 2, now(), "
      "now(), 'somebody')",
      "1 servers of ours were taken for unknown"},
    spoiled_case{"not_summed_up", "INSERT INTO metrics_rollup (day, server_id) VALUES ('2026-03-02Z', 0)",
                 "2 sums by the day"}),
  [](const auto& test) { return std::string{test.param.name}; });

} // namespace skyengine::torture
