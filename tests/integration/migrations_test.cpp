#include "db/migrations.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/postgres.hpp"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <vector>

namespace skyengine::db {
namespace {

constexpr migration make_a{1, "0001_a", "CREATE TABLE a (id int); -- a comment at the end"};
constexpr migration fill_a{2, "0002_b", "INSERT INTO a VALUES (1);\nINSERT INTO a VALUES (2)"};
constexpr migration broken{3, "0003_c", "INSERT INTO a VALUES (3);\nINSERT INTO nowhere VALUES (1)"};

struct Migrations : testing::Test {
  result<migration_report> apply_all(std::vector<migration> all) {
    return test::run(loop, migrate(store.options(), all));
  }
  std::string rows_of_a() { return test::run_sql(store.url(), "SELECT count(*) FROM a"); }

  test::test_database store{{}};
  asio::io_context loop{1};
};

TEST_F(Migrations, AreAppliedInOrderAndOnce) {
  const auto first = apply_all({make_a, fill_a});
  ASSERT_TRUE(first) << first.error().detail;
  EXPECT_EQ(first->applied, (std::vector<std::string>{"0001_a", "0002_b"}));
  EXPECT_EQ(first->version, 2);
  const auto second = apply_all({make_a, fill_a});
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->applied.empty());
  EXPECT_EQ(second->version, 2);
  EXPECT_EQ(rows_of_a(), "2");
}

TEST_F(Migrations, AreRecordedWithTheirSha256) {
  ASSERT_TRUE(apply_all({{1, "0001_it's", "abc_is_no_table_so_create TABLE"}}).has_error());
  ASSERT_TRUE(apply_all({{1, "0001_it's", "SELECT 1"}}));
  // printf 'SELECT 1' | sha256sum
  EXPECT_EQ(
    test::run_sql(store.url(), "SELECT version || ' ' || name || ' ' || checksum FROM schema_migrations"),
    "1 0001_it's e004ebd5b5532a4b85984a62f8ad48a81aa3460c1ca07701f386135d72cdecf5");
}

TEST_F(Migrations, OneThatFailsLeavesNothingAndStopsThere) {
  const auto failed = apply_all({make_a, fill_a, broken, {4, "0004_d", "CREATE TABLE d (id int)"}});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, errc::internal);
  EXPECT_NE(failed.error().detail.find("0003_c"), std::string::npos);
  EXPECT_NE(failed.error().detail.find("42P01"), std::string::npos);
  EXPECT_EQ(rows_of_a(), "2");
  EXPECT_EQ(test::run_sql(store.url(), "SELECT max(version) FROM schema_migrations"), "2");
  EXPECT_EQ(test::run_sql(store.url(), "SELECT count(*) FROM pg_tables WHERE tablename = 'd'"), "0");
}

TEST_F(Migrations, AChangedOneIsRefusedByName) {
  ASSERT_TRUE(apply_all({make_a}));
  const auto refused = apply_all({{1, "0001_a", "CREATE TABLE a (id bigint)"}, fill_a});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::conflict);
  EXPECT_NE(refused.error().detail.find("0001_a"), std::string::npos);
  EXPECT_EQ(rows_of_a(), "0");
}

TEST_F(Migrations, ANewerDatabaseIsRefused) {
  ASSERT_TRUE(apply_all({make_a, fill_a}));
  const auto refused = apply_all({make_a});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::conflict);
  EXPECT_NE(refused.error().detail.find("newer"), std::string::npos);
}

TEST_F(Migrations, ADatabaseOfAnotherVersionIsToldAndNotChanged) {
  const auto is_at = [&](std::vector<migration> all) {
    const auto told = test::run(loop, is_migrated(store.options(), all));
    return told.has_value() && *told;
  };
  EXPECT_FALSE(is_at({make_a}));
  test::run_sql(store.url(), "DROP TABLE schema_migrations");
  EXPECT_FALSE(is_at({make_a}));
  EXPECT_EQ(test::run_sql(store.url(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"), "0");
  ASSERT_TRUE(apply_all({make_a}));
  EXPECT_TRUE(is_at({make_a}));
  EXPECT_FALSE(is_at({make_a, fill_a}));
  EXPECT_FALSE(is_at({{1, "0001_a", "CREATE TABLE b (id int)"}}));
  EXPECT_EQ(rows_of_a(), "0");
  ASSERT_TRUE(apply_all({make_a, fill_a}));
  EXPECT_FALSE(is_at({make_a}));
}

TEST_F(Migrations, RunnersAtOnceApplyEachOnce) {
  const std::vector<migration> all{make_a, fill_a};
  std::size_t applied = 0;
  int ended = 0;
  for (int i = 0; i < 5; ++i)
    asio::co_spawn(loop, migrate(store.options(), all),
                   [&](std::exception_ptr, result<migration_report> report) {
                     applied += report ? report->applied.size() : 100;
                     ++ended;
                   });
  ASSERT_TRUE(test::run_until(loop, [&] { return ended == 5; }));
  EXPECT_EQ(applied, 2U);
  EXPECT_EQ(rows_of_a(), "2");
}

TEST_F(Migrations, WithoutADatabaseSayWhy) {
  database_options options;
  options.url = "postgresql://user@127.0.0.1:1/x";
  const auto refused = test::run(loop, migrate(options, {}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::database_unavailable);
  EXPECT_NE(refused.error().detail.find("refused"), std::string::npos);
}

TEST(EmbeddedMigrations, AreNumberedWithoutGapsAndApply) {
  int next = 1;
  for (const auto& m : embedded_migrations())
    EXPECT_EQ(m.version, next++) << m.name;
  ASSERT_GT(next, 1);
  const test::test_database store;
  EXPECT_EQ(test::run_sql(store.url(), "SELECT max(version) FROM schema_migrations"),
            std::to_string(next - 1));
}

} // namespace
} // namespace skyengine::db
