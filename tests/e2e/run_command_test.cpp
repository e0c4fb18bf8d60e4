#include "tests/support/postgres.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/torture/world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace skyengine::torture {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

/// `skyengine run` on a database of its own.
class RunCommand : public testing::Test {
protected:
  test::process begin(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "run");
    arguments.insert(arguments.end(), {"--data-dir", folder.path().string()});
    const std::map<std::string, std::string> environment{{"SKYENGINE_CONFIG", ""},
                                                         {"DATABASE_URL", database.url()},
                                                         {"VIRTFUSION_API_URL", ""},
                                                         {"VIRTFUSION_API_TOKEN", ""}};
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
  std::string output;
};

TEST_F(RunCommand, RunsATickOnceAndSaysSo) {
  EXPECT_EQ(run({"clean-up", "--at", "2026-03-02T03:00:00Z"}), 0) << errors();
  EXPECT_EQ(output, "daily-clean-up 2026-03-01T03:45:00Z succeeded {\"keys\": 0, \"runs\": 0, "
                    "\"partitions\": 0, \"holds\": 0}\n");
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

} // namespace
} // namespace skyengine::torture
