#include "db/listener.hpp"
#include "db/session_lock.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/postgres.hpp"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <optional>

namespace skyengine::db {
namespace {

using namespace std::chrono_literals;

/// Ends every other session of the database.
constexpr auto end_sessions = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                              "WHERE datname = current_database() AND pid <> pg_backend_pid()";

struct Listener : testing::Test {
  Listener() {
    listening.emplace(loop.get_executor(), store.options(), std::vector<std::string>{"keys", "Odd \"name\""},
                      listener_callbacks{[this] { ++connected; }, [this] { ++lost; },
                                         [this](std::string_view channel, std::string_view payload) {
                                           heard.push_back(std::string{channel} + ':' + std::string{payload});
                                         }});
  }

  void notify(const std::string& channel, const std::string& payload) {
    test::run_sql(store.url(), "SELECT pg_notify('" + channel + "', '" + payload + "')");
  }

  test::test_database store{{}};
  asio::io_context loop{1};
  int connected = 0;
  int lost = 0;
  std::vector<std::string> heard;
  std::optional<listener> listening;
};

TEST_F(Listener, HearsItsChannelsInOrder) {
  ASSERT_TRUE(test::run_until(loop, [&] { return connected == 1; }));
  EXPECT_TRUE(listening->is_connected());
  notify("keys", "1");
  notify("others", "2");
  notify("Odd \"name\"", "3");
  notify("keys", "");
  ASSERT_TRUE(test::run_until(loop, [&] { return heard.size() == 3; }));
  EXPECT_EQ(heard, (std::vector<std::string>{"keys:1", "Odd \"name\":3", "keys:"}));
}

TEST_F(Listener, TellsThatItWasLostAndListensAgain) {
  ASSERT_TRUE(test::run_until(loop, [&] { return connected == 1; }));
  test::run_sql(store.url(), end_sessions);
  ASSERT_TRUE(test::run_until(loop, [&] { return lost == 1; }));
  EXPECT_FALSE(listening->is_connected());
  ASSERT_TRUE(test::run_until(loop, [&] { return connected == 2; }));
  notify("keys", "again");
  ASSERT_TRUE(test::run_until(loop, [&] { return heard.size() == 1; }));
  EXPECT_EQ(heard.front(), "keys:again");
}

TEST_F(Listener, IsSilentOnceItIsGone) {
  ASSERT_TRUE(test::run_until(loop, [&] { return connected == 1; }));
  notify("keys", "unheard");
  listening.reset();
  loop.restart();
  loop.run();
  EXPECT_TRUE(heard.empty());
  EXPECT_EQ(lost, 0);
}

TEST_F(Listener, MayEndInItsOwnCallback) {
  listening.reset();
  bool was_called = false;
  listening.emplace(loop.get_executor(), store.options(), std::vector<std::string>{"keys"},
                    listener_callbacks{[&] {
                                         was_called = true;
                                         listening.reset();
                                       },
                                       {},
                                       {}});
  EXPECT_TRUE(test::run_until(loop, [&] { return was_called; }));
  loop.restart();
  loop.run();
}

struct SessionLock : testing::Test {
  test::test_database store{{}};
  asio::io_context loop{1};
  int lost = 0;
  session_lock first{loop.get_executor(), store.options(), "node a", [this] { ++lost; }};
  session_lock second{loop.get_executor(), store.options(), "node a", [this] { ++lost; }};
};

TEST_F(SessionLock, IsHeldByOneSession) {
  ASSERT_TRUE(test::run(loop, first.acquire(0ms)));
  EXPECT_TRUE(first.is_held());
  const auto refused = test::run(loop, second.acquire(10ms));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::conflict);
  EXPECT_FALSE(second.is_held());
  session_lock other{loop.get_executor(), store.options(), "node b", {}};
  EXPECT_TRUE(test::run(loop, other.acquire(0ms)));
}

TEST_F(SessionLock, IsWaitedForUntilItIsReleased) {
  ASSERT_TRUE(test::run(loop, first.acquire(0ms)));
  std::optional<result<>> outcome;
  asio::co_spawn(loop, second.acquire(20s), [&](std::exception_ptr, result<> answer) { outcome = answer; });
  ASSERT_TRUE(test::run_until(loop, [&] {
    return test::run_sql(store.url(),
                         "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND "
                         "database = (SELECT oid FROM pg_database WHERE datname = current_database())") ==
             "1" ||
           outcome;
  }));
  EXPECT_FALSE(outcome);
  first.release();
  ASSERT_TRUE(test::run_until(loop, [&] { return outcome.has_value(); }));
  EXPECT_TRUE(*outcome);
  EXPECT_FALSE(first.is_held());
  EXPECT_TRUE(second.is_held());
  EXPECT_EQ(lost, 0);
}

TEST_F(SessionLock, TellsWhenItIsLost) {
  ASSERT_TRUE(test::run(loop, first.acquire(0ms)));
  test::run_sql(store.url(), end_sessions);
  ASSERT_TRUE(test::run_until(loop, [&] { return lost == 1; }));
  EXPECT_FALSE(first.is_held());
  EXPECT_TRUE(test::run(loop, first.acquire(0ms)));
}

TEST_F(SessionLock, WithoutADatabaseIsUnavailable) {
  database_options options;
  options.url = "postgresql://user@127.0.0.1:1/x";
  session_lock nowhere{loop.get_executor(), options, "node a", {}};
  EXPECT_EQ(test::run(loop, nowhere.acquire(0ms)).error().code, errc::database_unavailable);
}

} // namespace
} // namespace skyengine::db
