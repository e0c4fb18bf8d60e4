#include "tests/torture/checks.hpp"
#include "tests/torture/history.hpp"
#include "tests/torture/world.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/json.hpp>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

namespace skyengine::torture {

namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;

constexpr const char* order = R"({"planId":"small","region":"north","userId":1})";

std::string free_address() {
  boost::asio::io_context loop;
  boost::asio::ip::tcp::acceptor acceptor{loop, {boost::asio::ip::address_v4::loopback(), 0}};
  return "127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
}

/// An engine beside that of `on`, whose log goes to `log_file`.
test::engine_process second_engine(world& on, const test::temporary_folder& folder, std::string log_file) {
  test::engine_options how{folder.path()};
  how.database_url = on.database_url();
  how.node = "node-2";
  how.listen = free_address();
  how.log_file = std::move(log_file);
  return {on.panel(), how};
}

void expect_that_it_works(world& on, test::engine_process& engine) {
  history told;
  for (const auto* key : {"first", "second"}) {
    const auto made = engine.call("POST", "/v1/servers", on.key(), order, {{"Idempotency-Key", key}});
    ASSERT_EQ(made.status, 201U) << made.body << made.failure;
    told.acknowledge_create(key, 1, made);
  }
  EXPECT_THAT(differences(on, told), IsEmpty());
  EXPECT_EQ(engine.terminate(), 0);
}

} // namespace

TEST(Log, OnAFullDiskDoesNotStopTheEngine) {
  world_options how;
  how.users = 1;
  world on{how};
  const test::temporary_folder folder;
  auto engine = second_engine(on, folder, "/dev/full");
  engine.launch();
  ASSERT_TRUE(engine.wait_ready());
  expect_that_it_works(on, engine);
}

TEST(Log, WhoseReaderIsGoneDoesNotStopTheEngine) {
  world_options how;
  how.users = 1;
  world on{how};
  const test::temporary_folder folder;
  const auto pipe = (folder.path() / "log").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  // A pipe can be opened for writing only while somebody reads.
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  auto engine = second_engine(on, folder, pipe);
  engine.launch();
  ::close(reader);
  ASSERT_TRUE(engine.wait_ready());
  expect_that_it_works(on, engine);
}

class Secrets : public testing::Test {
protected:
  Secrets() : on_(options()) {}

  static world_options options() {
    world_options how;
    how.users = 1;
    // The most that it can say.
    how.settings["SKYENGINE_LOG_LEVEL"] = "debug";
    return how;
  }

  /// All that `answer` shows is kept.
  test::call_answer keep(test::call_answer answer) {
    seen_ += answer.body + answer.content_type + answer.failure + '\n';
    return answer;
  }

  world on_;
  std::string seen_;
};

TEST_F(Secrets, StandInNoOutput) {
  auto& engine = on_.engine();
  const auto user_key = engine.run({"apikey", "create", "--user", "1"});
  ASSERT_EQ(user_key.code, 0);
  EXPECT_EQ(engine.call("GET", "/v1/servers", user_key.output.substr(0, user_key.output.find('\n'))).status,
            200U);
  auto secrets = on_.secrets();
  secrets.push_back(user_key.output.substr(0, user_key.output.find('\n')));

  // One server whose password is shown once, one build whose answer is cut in half behind the password.
  const auto made = engine.call("POST", "/v1/servers", on_.key(), order, {{"Idempotency-Key", "shown"}});
  ASSERT_EQ(made.status, 201U) << made.body;
  const auto record = made.json();
  ASSERT_TRUE(record.as_object().contains("initialPassword"));
  secrets.emplace_back(record.as_object().at("initialPassword").as_string());
  keep(engine.call("POST", "/v1/servers", on_.key(), order, {{"Idempotency-Key", "shown"}}));
  on_.panel().add_fault(
    {{"operation", "POST /servers/{serverId}/build"}, {"kind", "truncate"}, {"count", 1}});
  keep(engine.call("POST", "/v1/servers", on_.key(), order, {{"Idempotency-Key", "cut"}}));

  // What goes wrong says most.
  on_.panel().add_fault({{"operation", "*"}, {"kind", "malformed"}, {"count", 5}});
  keep(engine.call("POST", "/v1/servers", on_.key(), order, {{"Idempotency-Key", "malformed"}}));
  on_.panel().add_fault({{"operation", "*"}, {"kind", "status"}, {"status", 401}, {"count", 1}});
  keep(engine.call("POST", "/v1/servers", on_.key(),
                   R"({"planId":"small","region":"north","userId":1,"dryRun":true})"));
  keep(engine.call("GET", "/v1/servers?key=" + secrets.front(), ""));
  keep(engine.call("GET", "/v1/servers", secrets.back() + "x"));
  keep(engine.call("POST", "/v1/servers", secrets.back(), "{\"planId\":\"" + secrets.back()));
  for (const auto* path : {"/healthz", "/readyz", "/metrics", "/openapi.yaml", "/v1/servers", "/v1/api-keys",
                           "/v1/servers/1/events", "/v1/servers/1/actions", "/v1/audit-log"}) {
    keep(engine.call("GET", path, on_.key()));
    keep(engine.call("GET", path, secrets.back()));
  }
  for (const auto* command : {"settings", "check", "audit", "migrate"})
    seen_ += engine.run({command}).output;
  // A database that refuses has the URL to tell of.
  auto refused = engine.options();
  refused.database_url.replace(refused.database_url.rfind('/'), std::string::npos, "/no_such_database");
  seen_ += test::engine_process{on_.panel(), refused}.run({"audit"}).output;
  on_.panel().clear_faults();
  EXPECT_EQ(engine.terminate(), 0);

  seen_ += engine.child().read_all();
  EXPECT_THAT(leaks(secrets, seen_, "what was answered and printed"), IsEmpty());
  EXPECT_THAT(leaks(secrets, engine.log(), "the log"), IsEmpty());
  // And there was something to look through.
  EXPECT_THAT(engine.log(), testing::HasSubstr("whether the build was taken is to be seen"));
}

} // namespace skyengine::torture
