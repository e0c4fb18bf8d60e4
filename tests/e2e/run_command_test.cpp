#include "tests/support/postgres.hpp"
#include "tests/support/process.hpp"
#include "tests/support/pseudo_terminal.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/torture/world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace skyengine::torture {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// `skyengine run` on a database of its own.
class RunCommand : public testing::Test {
protected:
  test::process begin(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "run");
    arguments.insert(arguments.end(), {"--data-dir", folder.path().string()});
    const std::map<std::string, std::string> environment{{"SKYENGINE_CONFIG", ""},
                                                         {"DATABASE_URL", database.url()},
                                                         {"VIRTFUSION_API_URL", virtfusion},
                                                         {"VIRTFUSION_API_TOKEN", virtfusion}};
    return test::process{
      {test::built_program("skyengine"), std::move(arguments), environment, errors_file()}};
  }
  int run(std::vector<std::string> arguments) {
    auto child = begin(std::move(arguments));
    output = child.read_all();
    return child.wait().value_or(-1);
  }
  std::string errors_file() const { return (folder.path() / "errors").string(); }
  std::string errors() const { return test::read_file(errors_file()); }
  std::string sql(const std::string& text) const { return test::run_sql(database.url(), text); }
  /// A node that fires, and carries nothing out, for so long.
  void let_another_node_fire(const std::string& span) const {
    sql("INSERT INTO nodes (name, token, lease_until, started_at) VALUES ('elsewhere', "
        "nextval('fencing_tokens'), "
        "now() + interval '" +
        span + "', now()); INSERT INTO singletons SELECT 'cron', name, token FROM nodes");
  }

  test::temporary_folder folder;
  test::test_database database;
  /// URL and token.
  std::string virtfusion;
  std::string output;
};

TEST_F(RunCommand, RunsATickOnceAndSaysSo) {
  EXPECT_EQ(run({"clean-up", "--at", "2026-03-02T03:00:00Z"}), 0) << errors();
  EXPECT_EQ(output, "daily-clean-up 2026-03-01T03:45:00Z succeeded {\"keys\": 0, \"runs\": 0, "
                    "\"holds\": 0, \"partitions\": 0}\n");
  EXPECT_EQ(run({"clean-up", "--at", "2026-03-01T03:45:00Z"}), 0);
  EXPECT_THAT(output, HasSubstr("it has run already, nothing was done"));
  EXPECT_EQ(sql("SELECT count(*) || ' ' || max(attempts) FROM runs"), "1 1");
  // Nothing else is fired by it.
  EXPECT_EQ(sql("SELECT count(*) FROM schedules WHERE next_at IS NOT NULL"), "0");
}

TEST_F(RunCommand, TellsOfEachOpenHoldOnceADay) {
  sql("INSERT INTO users (id, name, email, created_at, updated_at) VALUES (1, 'u', 'u@example.test', now(), "
      "now())");
  sql("INSERT INTO holds (user_id, kind, reason, from_at, created_at, created_by, alerted_at) VALUES (1, "
      "'operator', "
      "'a dispute', '2026-02-01', '2026-02-01', 'operator', '2026-02-01')");
  EXPECT_EQ(run({"clean-up", "--at", "2026-03-02T03:00:00Z"}), 0) << errors();
  EXPECT_THAT(output, HasSubstr("\"holds\": 1"));
  EXPECT_THAT(errors(), HasSubstr("hold_open"));
  EXPECT_EQ(run({"clean-up", "--at", "2026-03-01T03:00:00Z"}), 0);
  EXPECT_THAT(output, HasSubstr("\"holds\": 0"));
  EXPECT_EQ(sql("SELECT count(*) FROM outbox"), "1");
}

TEST_F(RunCommand, TakesTheLatestTickByItself) {
  EXPECT_EQ(run({"clean-up"}), 0) << errors();
  EXPECT_EQ(sql("SELECT count(*) FROM runs WHERE scheduled_at BETWEEN now() - interval '25 hours' AND now()"),
            "1");
}

TEST_F(RunCommand, ARunThatFailedIsTakenUpAgain) {
  sql("INSERT INTO runs (schedule_id, scheduled_at, state, attempts, started_at, ended_at) SELECT id, "
      "'2026-03-01T03:45:00Z', 'failed', 4, now(), now() FROM schedules WHERE name = 'daily-clean-up'");
  EXPECT_EQ(run({"clean-up", "--at", "2026-03-01T12:00:00Z"}), 0) << errors();
  EXPECT_EQ(sql("SELECT state || ' ' || attempts FROM runs"), "succeeded 5");
}

TEST_F(RunCommand, ItsOutcomeIsTheExitCode) {
  sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$; "
      "CREATE TRIGGER refuse BEFORE DELETE ON idempotency_keys FOR EACH STATEMENT EXECUTE FUNCTION refuse(); "
      "UPDATE schedules SET retries = 0");
  EXPECT_EQ(run({"clean-up"}), 1);
  EXPECT_THAT(output, HasSubstr(" failed: "));
  EXPECT_EQ(sql("SELECT state FROM runs"), "failed");
}

TEST_F(RunCommand, WaitsForANodeThatFiresUntilItIsGone) {
  let_another_node_fire("3 seconds");
  EXPECT_EQ(run({"clean-up"}), 0) << errors();
  EXPECT_THAT(sql("SELECT node FROM runs"), HasSubstr(":run-clean-up"));
}

TEST_F(RunCommand, LeavesARunToTheNodeThatFiresWhenItIsInterrupted) {
  let_another_node_fire("10 minutes");
  auto child = begin({"clean-up"});
  while (errors().find("queued") == std::string::npos)
    ASSERT_FALSE(child.wait(20ms)) << errors();
  child.send(SIGINT);
  EXPECT_EQ(child.wait(10s), 130);
  EXPECT_THAT(errors(), HasSubstr("the run waits for its turn: GET /v1/cron/daily-clean-up/runs/1"));
  EXPECT_EQ(sql("SELECT state FROM runs"), "queued");
}

TEST_F(RunCommand, RefusesABadCommandLine) {
  EXPECT_EQ(run({"nightly"}), 2);
  EXPECT_THAT(errors(), AllOf(HasSubstr("nightly"), HasSubstr("clean-up")));
  EXPECT_EQ(run({"clean-up", "--at", "noon"}), 2);
  EXPECT_THAT(errors(), HasSubstr("--at: "));
  EXPECT_EQ(run({"clean-up", "--at", "2126-03-01T00:00:00Z"}), 2);
  EXPECT_THAT(errors(), HasSubstr("yet to come"));
  EXPECT_EQ(run({"clean-up", "--at", "0001-01-01T00:00:00Z"}), 2);
  EXPECT_THAT(errors(), HasSubstr("before the year 2000"));
  EXPECT_EQ(run({}), 2);
}

TEST_F(RunCommand, NamesTheSettingThatTheHourlyTickNeeds) {
  EXPECT_EQ(run({"hourly"}), 1);
  EXPECT_THAT(errors(), HasSubstr("virtfusion.api_url is not set (VIRTFUSION_API_URL)"));
  virtfusion = "ftp://panel.example.com";
  EXPECT_EQ(run({"hourly"}), 1);
  EXPECT_THAT(errors(), HasSubstr("virtfusion.api_url"));
  EXPECT_EQ(sql("SELECT to_regclass('runs') IS NULL OR (SELECT count(*) FROM runs) = 0"), "t");
}

TEST_F(RunCommand, LooksForNoServersOfADemo) {
  EXPECT_EQ(run({"clean-up"}), 0) << errors();
  sql("INSERT INTO engine_panel (is_demo) VALUES (true)");
  virtfusion = "http://127.0.0.1:1";
  EXPECT_EQ(run({"hourly"}), 1);
  EXPECT_THAT(errors(),
              HasSubstr("this database is the demo's, whose servers no VirtFusion has: use another"));
  EXPECT_EQ(sql("SELECT count(*) FROM runs"), "1");
}

TEST_F(RunCommand, RefusesWhatNothingCarriesOut) {
  for (const auto* word : {"monthly", "dunning"}) {
    EXPECT_EQ(run({word}), 1);
    EXPECT_THAT(errors(), HasSubstr(" cannot be run: this version has nothing that carries it out"));
  }
}

TEST(RunCommandAlone, MakesNoDatabaseOfItsOwn) {
  const test::temporary_folder folder;
  const auto errors = (folder.path() / "errors").string();
  const auto nowhere = folder.path() / "nowhere";
  const std::map<std::string, std::string> environment{
    {"SKYENGINE_CONFIG", ""}, {"DATABASE_URL", ""}, {"VIRTFUSION_API_URL", ""}, {"VIRTFUSION_API_TOKEN", ""}};
  test::process child{{test::built_program("skyengine"),
                       {"run", "clean-up", "--data-dir", nowhere.string()},
                       environment,
                       errors}};
  EXPECT_EQ(child.wait(), 1);
  EXPECT_THAT(test::read_file(errors), HasSubstr("there is no database in "));
  EXPECT_FALSE(std::filesystem::exists(nowhere));
}

TEST(RunCommandBesideAnEngine, HandsTheTickOver) {
  world_options how;
  how.users = 1;
  world on{how};
  const auto sql = [&](const std::string& text) { return test::run_sql(on.database_url(), text); };
  ASSERT_TRUE(on.engine().eventually([&] { return sql("SELECT count(*) FROM singletons") == "1"; }));
  const auto done = on.engine().run({"run", "clean-up", "--at", "2026-03-01T12:00:00Z"});
  EXPECT_EQ(done.code, 0);
  EXPECT_THAT(done.output, HasSubstr("daily-clean-up 2026-03-01T03:45:00Z succeeded"));
  EXPECT_EQ(sql("SELECT node FROM runs WHERE manual"), "node-1");
}

/// `skyengine run hourly` on what an engine has left.
class RunHourly : public testing::Test {
protected:
  static constexpr int servers = 12;

  static world_options few_at_once() {
    world_options how;
    how.users = 3;
    how.settings["SKYENGINE_VIRTFUSION_MAX_IN_FLIGHT"] = "2";
    return how;
  }
  void begin(world_options how) {
    on.emplace(std::move(how));
    for (int i = 0; i < servers; ++i) {
      const auto order =
        R"({"planId":"small","region":"north","userId":)" + std::to_string(1 + i % on->options().users) + '}';
      ASSERT_EQ(on->engine().call("POST", "/v1/servers", on->key(), order).status / 100, 2);
    }
    ASSERT_TRUE(on->engine().eventually(
      [&] { return sql("SELECT count(*) FROM servers WHERE state = 'active'") == std::to_string(servers); }));
  }
  void begin_without_engine(world_options how) {
    begin(std::move(how));
    ASSERT_EQ(on->engine().terminate(), 0);
    on->panel().reset_requests();
  }
  /// Each look takes so long that the sync is seen at work.
  void slow_down_looks() {
    for (const auto* what : {"GET /servers/{serverId}/traffic", "GET /servers/{serverId}"})
      on->panel().add_fault({{"operation", what}, {"kind", "delay"}, {"delayMs", 400}});
  }
  test::process run(std::vector<std::string> arguments = {}, const std::string& errors_to = {}) {
    arguments.insert(arguments.begin(), {"run", "hourly"});
    arguments.insert(arguments.end(), {"--data-dir", folder.path().string()});
    auto environment = on->options().settings;
    environment.insert({{"SKYENGINE_CONFIG", ""},
                        {"DATABASE_URL", on->database_url()},
                        {"VIRTFUSION_API_URL", on->panel().url()},
                        {"VIRTFUSION_API_TOKEN", test::simulated_panel::token}});
    return test::process{{test::built_program("skyengine"), std::move(arguments), environment,
                          errors_to.empty() ? errors_file() : errors_to}};
  }
  bool is_seen_at_work(test::process& child) const {
    while (sql("SELECT count(*) FROM runs WHERE manual AND state = 'running' AND "
               "(figures #>> '{sync,traffic,seen}')::int > 0") == "0")
      if (child.wait(20ms))
        return false;
    return true;
  }
  std::string errors_file() const { return (folder.path() / "errors").string(); }
  std::string errors() const { return test::read_file(errors_file()); }
  std::string sql(const std::string& text) const { return test::run_sql(on->database_url(), text); }
  /// When each of those servers was looked at.
  std::string looks(const std::string& of) const {
    return sql("SELECT string_agg(server_id || ' ' || traffic_at, ', ' ORDER BY server_id) FROM "
               "server_observations WHERE server_id = ANY ('{" +
               of + "}')");
  }
  std::string looked_at() const {
    return sql(
      "SELECT string_agg(server_id::text, ',') FROM server_observations WHERE traffic_at IS NOT NULL");
  }
  void expect_all_were_seen() const {
    EXPECT_EQ(
      sql("SELECT count(*) FROM server_observations WHERE listed_at IS NOT NULL AND traffic_at IS NOT NULL "
          "AND live_at IS NOT NULL"),
      std::to_string(servers));
  }

  test::temporary_folder folder;
  std::optional<world> on;
};

TEST_F(RunHourly, AloneSeesAllServersAndClosesTheirHours) {
  auto how = few_at_once();
  // An hour passes in a second.
  how.settings["SKYENGINE_CLOCK_RATE"] = "3600";
  how.business_begin = "2026-10-31 06:00:00+00";
  how.settings["SKYENGINE_SYNC_LIVE_EVERY"] = "1h";
  begin_without_engine(std::move(how));
  const auto closed_until = sql("SELECT min(closed_until) FROM billing_accounts");
  const auto business_now =
    "(SELECT business_origin + (clock_timestamp() - real_origin) * rate FROM engine_clock)";
  const auto later = sql(std::string{"SELECT "} + business_now + " + interval '2 hours'");
  ASSERT_TRUE(test::simulated_panel::wait_until(
    [&] { return sql("SELECT '" + later + "'::timestamptz <= " + business_now) == "t"; }));
  auto child = run();
  const auto output = child.read_all();
  EXPECT_EQ(child.wait(), 0) << errors();
  EXPECT_THAT(output, AllOf(HasSubstr("hourly-sync-and-billing 2026-1"), HasSubstr(" succeeded "),
                            HasSubstr("\"sync\": "), HasSubstr("\"billing\": ")));
  EXPECT_THAT(errors(), HasSubstr(" succeeded, 24 of 24 looks"));
  EXPECT_THAT(errors(), AllOf(Not(HasSubstr("\r")), Not(HasSubstr("paused"))));
  EXPECT_EQ(sql("SELECT count(*) FROM runs WHERE manual AND node LIKE '%:run-hourly'"), "1");
  EXPECT_EQ(sql("SELECT (figures #>> '{billing,charges}')::int > 0 FROM runs WHERE manual"), "t");
  EXPECT_EQ(sql("SELECT min(closed_until) > '" + closed_until + "'::timestamptz FROM billing_accounts"), "t");
  expect_all_were_seen();
  EXPECT_EQ(sql("SELECT count(*) FROM singletons JOIN nodes USING (token) WHERE lease_until > now()"), "0");
  EXPECT_EQ(on->engine().run({"audit"}).code, 0);
}

TEST_F(RunHourly, SaysThatNoHourIsClosedWhileItsScheduleIsPaused) {
  begin_without_engine(few_at_once());
  sql("UPDATE schedules SET paused = true, next_at = NULL WHERE name = 'hourly-sync-and-billing'");
  auto child = run();
  const auto output = child.read_all();
  EXPECT_EQ(child.wait(), 0) << errors();
  EXPECT_THAT(output, AllOf(HasSubstr(" succeeded "), HasSubstr("\"hours\": 0")));
  const auto told = errors();
  const std::string hint = "hours are not closed while hourly-sync-and-billing is paused: "
                           "PATCH /v1/cron/hourly-sync-and-billing {\"paused\": false}";
  ASSERT_THAT(told, HasSubstr(hint));
  EXPECT_EQ(told.find(hint), told.rfind(hint));
  expect_all_were_seen();
}

TEST_F(RunHourly, BesideAnEngineTheEngineDoesIt) {
  begin(few_at_once());
  ASSERT_TRUE(on->engine().eventually([&] { return sql("SELECT count(*) FROM singletons") == "1"; }));
  slow_down_looks();
  auto child = run();
  EXPECT_TRUE(is_seen_at_work(child)) << errors();
  EXPECT_EQ(child.wait(60s), 0) << errors();
  EXPECT_THAT(errors(),
              AllOf(HasSubstr("running on node-1"), HasSubstr("succeeded on node-1, 24 of 24 looks")));
  EXPECT_EQ(sql("SELECT string_agg(DISTINCT node, ',') FROM runs"), "node-1");
  expect_all_were_seen();
}

TEST_F(RunHourly, ItTakesOverFromAnEngineThatIsKilled) {
  begin(few_at_once());
  ASSERT_TRUE(on->engine().eventually([&] { return sql("SELECT count(*) FROM singletons") == "1"; }));
  slow_down_looks();
  auto child = run();
  ASSERT_TRUE(is_seen_at_work(child)) << errors();
  on->engine().kill();
  EXPECT_EQ(child.wait(60s), 0) << errors();
  EXPECT_EQ(sql("SELECT count(*) FROM runs WHERE node LIKE '%:run-hourly' AND state = 'succeeded'"), "1");
  expect_all_were_seen();
}

TEST_F(RunHourly, KilledInTheMiddleItGoesOnWhenItIsRunAgain) {
  begin_without_engine(few_at_once());
  slow_down_looks();
  auto child = run();
  ASSERT_TRUE(is_seen_at_work(child)) << errors();
  const auto tick =
    sql("SELECT to_char(scheduled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM runs");
  child.kill();
  const auto seen = looked_at();
  const auto before = looks(seen);
  auto again = run({"--at", tick});
  const auto output = again.read_all(60s);
  EXPECT_EQ(again.wait(), 0) << errors();
  EXPECT_THAT(output, HasSubstr(tick + " succeeded "));
  EXPECT_EQ(looks(seen), before);
  expect_all_were_seen();
  EXPECT_EQ(sql("SELECT state || ' ' || interruptions FROM runs"), "succeeded 1");
}

TEST_F(RunHourly, InterruptedItIsCancelledAndWhatItGotStands) {
  begin_without_engine(few_at_once());
  slow_down_looks();
  auto child = run();
  ASSERT_TRUE(is_seen_at_work(child)) << errors();
  child.send(SIGINT);
  EXPECT_EQ(child.wait(30s), 130) << errors();
  EXPECT_EQ(sql("SELECT state FROM runs"), "cancelled");
  EXPECT_NE(looked_at(), "");
  EXPECT_EQ(sql("SELECT count(*) FROM nodes WHERE name LIKE '%:run-hourly' AND lease_until > now()"), "0");
  on->panel().clear_faults();
  auto again = run();
  EXPECT_EQ(again.wait(60s), 0) << errors();
  expect_all_were_seen();
}

TEST_F(RunHourly, ATerminalSeesABar) {
  begin_without_engine(few_at_once());
  slow_down_looks();
  const test::pseudo_terminal terminal;
  auto child = run({}, terminal.path());
  EXPECT_THAT(child.read_all(60s), AllOf(HasSubstr(" succeeded "), Not(HasSubstr("\r"))));
  EXPECT_EQ(child.wait(), 0);
  EXPECT_THAT(terminal.read(), AllOf(HasSubstr("\r  sync  [#"), HasSubstr("]  "), HasSubstr(" of 24 looks"),
                                     HasSubstr("succeeded, 24 of 24 looks")));
}

} // namespace
} // namespace skyengine::torture
