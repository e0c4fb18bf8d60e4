#include "tests/support/engine_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/temporary_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace skyengine {
namespace {

using testing::HasSubstr;

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

} // namespace
} // namespace skyengine
