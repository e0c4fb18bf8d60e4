#include "tests/support/engine_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/temporary_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace skyengine {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

class Demo : public testing::Test {
protected:
  test::engine_options options() const {
    test::engine_options how{folder_.path()};
    return how;
  }

  const test::temporary_folder folder_;
  const test::simulated_panel panel_;
};

TEST_F(Demo, LeavesTheOperatorsDatabaseAlone) {
  const test::test_database operators;
  test::run_sql(operators.url(), "INSERT INTO users (id, name, email, created_at, updated_at) "
                                 "VALUES (1, 'Ada', 'ada@example.org', now(), now())");
  auto how = options();
  how.database_url = operators.url();
  const auto key = folder_.path() / "demo.key";
  std::ofstream{key} << "not a key\n";
  std::filesystem::permissions(key, std::filesystem::perms{0644});
  test::engine_process demo{panel_, how};
  const auto told = demo.run({"demo", "--once"});
  EXPECT_EQ(told.code, 0) << told.output;
  EXPECT_EQ(test::run_sql(operators.url(), "SELECT string_agg(name, ',') FROM users"), "Ada");
  EXPECT_EQ(test::run_sql(operators.url(), "SELECT count(*) FROM nodes"), "0");

  EXPECT_EQ(std::filesystem::status(key).permissions(), std::filesystem::perms{0600});

  // And what the demo left is not taken over against another panel.
  test::engine_process serve{panel_, options()};
  EXPECT_EQ(serve.run({"serve"}).code, 1);
  EXPECT_THAT(serve.log(), HasSubstr("use another --data-dir"));
}

TEST_F(Demo, RefusesTheDataOfAVirtFusion) {
  test::engine_process serve{panel_, options()};
  serve.start();
  EXPECT_EQ(serve.terminate(), 0);
  EXPECT_EQ(serve.run({"demo", "--once"}).code, 1);
  EXPECT_THAT(serve.log(), HasSubstr("use another --data-dir"));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "demo.key"));
}

TEST_F(Demo, InterruptedBeforeItsEndSaysSoAndEndsInOrder) {
  const auto errors = folder_.path() / "errors";
  for (const auto signal : {SIGINT, SIGTERM}) {
    std::filesystem::remove(errors);
    test::process demo{{test::built_program("skyengine"),
                        {"demo", "--data-dir", (folder_.path() / "data").string()},
                        {{"SKYENGINE_CONFIG", ""}, {"SKYENGINE_LISTEN", "127.0.0.1:0"}},
                        errors.string()}};
    std::optional<std::string> line;
    do
      line = demo.read_line(60s);
    while (line && !line->starts_with("1. One server"));
    ASSERT_TRUE(line) << test::read_file(errors);
    demo.send(signal);
    EXPECT_THAT(demo.read_all(), Not(HasSubstr("Both sides agree")));
    EXPECT_EQ(demo.wait(), 128 + signal);
    EXPECT_EQ(test::read_file(errors), "\nskyengine: interrupted before the story was told\n");
    EXPECT_THAT(test::read_file(folder_.path() / "data" / "demo.log"), HasSubstr("\"msg\":\"stopped\""));
  }
}

TEST_F(Demo, InterruptedWhileItStartsEndsInOrder) {
  const auto errors = folder_.path() / "errors";
  test::process demo{{test::built_program("skyengine"),
                      {"demo", "--data-dir", (folder_.path() / "data").string()},
                      {{"SKYENGINE_CONFIG", ""}, {"SKYENGINE_LISTEN", "127.0.0.1:0"}},
                      errors.string()}};
  // Its own PostgreSQL is not made yet.
  ASSERT_EQ(demo.read_line(60s), "skyengine demo");
  demo.send(SIGINT);
  EXPECT_EQ(demo.wait(60s), 128 + SIGINT);
  EXPECT_EQ(test::read_file(errors), "\nskyengine: interrupted before the story was told\n");
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "data" / "postgres" / "data" / "postmaster.pid"));
}

TEST_F(Demo, WithoutItsSimulatorNamesWhatIsMissing) {
  const auto alone = folder_.path() / "skyengine";
  std::filesystem::copy_file(test::built_program("skyengine"), alone);
  const auto errors = folder_.path() / "errors";
  const auto data = folder_.path() / "data";
  test::process demo{{alone.string(),
                      {"demo", "--once", "--data-dir", data.string()},
                      {{"SKYENGINE_CONFIG", ""}},
                      errors.string()}};
  EXPECT_EQ(demo.wait(), 1);
  const auto told = test::read_file(errors);
  EXPECT_THAT(told,
              HasSubstr((folder_.path() / "virtfusion-simulator").string() + " (No such file or directory)"));
  EXPECT_THAT(told, HasSubstr("scripts/build release virtfusion-simulator"));
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1);
}

} // namespace
} // namespace skyengine
