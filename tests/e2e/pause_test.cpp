#include "db/session_lock.hpp"
#include "tests/support/loop.hpp"
#include "tests/torture/checks.hpp"
#include "tests/torture/history.hpp"
#include "tests/torture/world.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <thread>

namespace skyengine::torture {

namespace {

using namespace std::chrono_literals;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto order = R"({"planId":"small","region":"north","userId":1})";

} // namespace

TEST(PausedEngine, ThatGoesOnBeyondItsLeaseFindsItsWritesRefusedAndStepsDown) {
  world_options how;
  how.engines = 2;
  how.users = 1;
  world on{how};
  const auto sql = [&](const std::string& question) { return test::run_sql(on.database_url(), question); };
  on.panel().add_fault({{"operation", "POST /servers"}, {"kind", "delay"}, {"delayMs", 2000}, {"count", 1}});
  test::call_answer first;
  std::thread asker{[&] {
    first = on.engine(0).call("POST", "/v1/servers", on.key(), order, {{"Idempotency-Key", "one"}});
  }};
  // VirtFusion works on it: its answer will wait in the socket of who sleeps.
  const auto has_begun = on.engine(1).eventually([&] {
    return sql("SELECT count(*) FROM create_attempts") == "1" &&
           on.panel().requests().at("inFlight").to_number<int>() > 0;
  });
  on.engine(0).child().send(SIGSTOP);
  const auto stale = sql("SELECT token FROM nodes WHERE name = 'node-1'");
  const auto other = sql("SELECT token FROM nodes WHERE name = 'node-2'");
  const auto is_taken_over =
    on.engine(1).eventually([&] { return sql("SELECT token FROM actions") == other; });
  on.engine(0).child().send(SIGCONT);
  asker.join();
  ASSERT_TRUE(has_begun);
  ASSERT_TRUE(is_taken_over);

  EXPECT_TRUE(
    on.engine(1).eventually([&] { return sql("SELECT token FROM nodes WHERE name = 'node-1'") != stale; }));
  history told;
  const auto repeated =
    on.engine(1).call("POST", "/v1/servers", on.key(), order, {{"Idempotency-Key", "one"}});
  ASSERT_THAT(repeated.status, AnyOf(201u, 202u)) << repeated.body;
  told.acknowledge_create("one", 1, repeated);
  if (first.status == 201 || first.status == 202)
    told.acknowledge_create("one", 1, first);
  EXPECT_THAT(differences(on, told), IsEmpty());
  // Each step was written once, and by the one that has the lease.
  EXPECT_EQ(sql("SELECT token FROM actions"), other);
  EXPECT_EQ(sql("SELECT count(*) FROM server_events WHERE type IN ('building', 'adopted', 'created')"), "1");
  EXPECT_EQ(sql("SELECT count(*) FROM server_events WHERE type = 'active'"), "1");
  EXPECT_EQ(on.panel().requests().at("byOperation").at("POST /servers").to_number<int>(), 1);
  EXPECT_EQ(on.panel().requests().at("byOperation").at("POST /servers/{serverId}/build").to_number<int>(), 1);
  EXPECT_THAT(on.engine(0).log(), HasSubstr("\"alert\":\"lease_lost\""));
}

TEST(PausedEngine, WhoseNameAnotherHasTakenMeanwhileEndsAndTakesNoLeaseFromIt) {
  world_options how;
  how.users = 1;
  world on{how};
  const auto sql = [&](const std::string& question) { return test::run_sql(on.database_url(), question); };
  auto& first = on.engine();
  first.child().send(SIGSTOP);
  // Its computer is gone, as far as the database can tell.
  sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
      " WHERE datname = current_database() AND pid <> pg_backend_pid()");
  const test::temporary_folder folder;
  auto options = first.options();
  options.data_dir = folder.path();
  options.log_file.clear();
  test::engine_process second{on.panel(), options};
  second.start();
  const auto token = sql("SELECT token FROM nodes WHERE name = 'node-1'");
  first.child().send(SIGCONT);
  EXPECT_EQ(first.child().wait(30s), 1);
  EXPECT_THAT(first.log(), HasSubstr("another engine has taken the name node-1"));
  EXPECT_EQ(sql("SELECT token FROM nodes WHERE name = 'node-1'"), token);
  // The holder renews its lease every few seconds, and would have found it lost.
  EXPECT_EQ(second.call("POST", "/v1/servers", on.key(), order).status, 201u);
  EXPECT_THAT(second.log(), testing::Not(HasSubstr("lease_lost")));
  EXPECT_EQ(second.terminate(), 0);
}

// PostgreSQL still takes a connection for alive that was cut without a word.
TEST(PausedEngine, WhoseNameIsHeldByItsOwnLostConnectionWaitsForIt) {
  world_options how;
  how.users = 1;
  world on{how};
  auto& living = on.engine();
  living.child().send(SIGSTOP);
  test::run_sql(on.database_url(), "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                                   " WHERE datname = current_database() AND pid <> pg_backend_pid()");
  boost::asio::io_context loop{1};
  db::database_options options;
  options.url = on.database_url();
  db::session_lock ghost{loop.get_executor(), options, "skyengine node node-1", [] {}};
  ASSERT_TRUE(test::run(loop, ghost.acquire(5s)));
  living.child().send(SIGCONT);
  EXPECT_TRUE(living.eventually(
    [&] { return living.log().find("still held by a connection of its own") != std::string::npos; }))
    << living.log();
  ghost.release();
  EXPECT_EQ(living.call("POST", "/v1/servers", on.key(), order).status, 201u);
  EXPECT_EQ(living.terminate(), 0);
}

} // namespace skyengine::torture
