#include "db/database.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/postgres.hpp"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace skyengine::db {
namespace {

constexpr statement add{"test_add", "SELECT $1::bigint + $2::bigint AS sum"};

struct Database : testing::Test {
  Database() : made(loop.get_executor(), store.options()) {
    const auto connected = test::run(loop, made.connect());
    EXPECT_TRUE(connected) << connected.error().detail;
  }

  test::test_database store{{}};
  asio::io_context loop{1};
  database made;
};

asio::awaitable<result<std::int64_t>> sum(database& d, std::int64_t a, std::int64_t b) {
  const auto found = co_await d.run(add, a, b);
  if (!found)
    co_return found.error();
  co_return found->front().get<std::int64_t>("sum");
}

TEST_F(Database, RunsAStatement) {
  const auto answer = test::run(loop, sum(made, 40, 2));
  ASSERT_TRUE(answer);
  EXPECT_EQ(*answer, 42);
}

constexpr statement make_table{"test_make_table", "CREATE TABLE notes (id bigint PRIMARY KEY, text text)"};
constexpr statement insert_note{"test_insert_note", "INSERT INTO notes (id, text) VALUES ($1, $2)"};
constexpr statement count_notes{"test_count_notes", "SELECT count(*) AS notes FROM notes"};

asio::awaitable<result<std::int64_t>> count(database& d) {
  const auto found = co_await d.run(count_notes);
  if (!found)
    co_return found.error();
  co_return found->front().get<std::int64_t>("notes");
}

asio::awaitable<result<>> insert_two(transaction& tx, std::int64_t first, std::int64_t second) {
  if (const auto inserted = co_await tx.run(insert_note, first, "first"); !inserted)
    co_return inserted.error();
  if (const auto inserted = co_await tx.run(insert_note, second, "second"); !inserted)
    co_return inserted.error();
  co_return result<>{};
}

asio::awaitable<result<>> insert_pair(database& d, std::int64_t first, std::int64_t second) {
  const auto body = [first, second](transaction& tx) { return insert_two(tx, first, second); };
  co_return co_await d.transact(body);
}

TEST_F(Database, ATransactionIsKeptWhenItsBodySucceeds) {
  test::run_sql(store.url(), make_table.sql);
  ASSERT_TRUE(test::run(loop, insert_pair(made, 1, 2)));
  EXPECT_EQ(*test::run(loop, count(made)), 2);
}

TEST_F(Database, ATransactionLeavesNothingWhenItsBodyFails) {
  test::run_sql(store.url(), make_table.sql);
  const auto inserted = test::run(loop, insert_pair(made, 1, 1));
  ASSERT_FALSE(inserted);
  EXPECT_EQ(inserted.error().code, errc::conflict);
  EXPECT_EQ(inserted.error().detail, "notes_pkey");
  EXPECT_EQ(*test::run(loop, count(made)), 0);
}

} // namespace
} // namespace skyengine::db
