#include "tests/torture/checks.hpp"
#include "tests/torture/history.hpp"
#include "tests/torture/world.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

// What a client of a real engine sees when VirtFusion answers badly, and what the log keeps of it.
namespace skyengine::torture {

namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;

// Of one line of the log; a string in it is cut at 16 KiB.
constexpr std::size_t longest_line = 20 * 1024;
constexpr long most_growth_kib = 64L * 1024;

class VirtfusionFault : public testing::Test {
protected:
  static world_options options() {
    world_options how;
    how.users = 40;
    how.panel = {"--build-time", "0.2"};
    how.settings["SKYENGINE_HTTP_PATIENCE"] = "1s";
    how.settings["SKYENGINE_PROVISIONING_MAX_WAIT"] = "1s";
    return how;
  }

  void fault(json::object what) { on_.panel().add_fault(what); }

  /// An order of the next user, which is kept where it was taken.
  test::call_answer order() {
    const auto user = ++orders_;
    const auto key = "order-" + std::to_string(user);
    auto answer =
      on_.engine().call("POST", "/v1/servers", on_.key(),
                        R"({"planId":"small","region":"north","userId":)" + std::to_string(user) + "}",
                        {{"Idempotency-Key", key}});
    const auto body = answer.json();
    const auto is_kept = body.is_object() && body.as_object().contains("serverId");
    if (answer.status == 201 || answer.status == 202 || is_kept)
      told_.acknowledge_create(key, user, answer);
    return answer;
  }

  test::call_answer try_order() {
    return on_.engine().call("POST", "/v1/servers", on_.key(),
                             R"({"planId":"small","region":"north","userId":1,"dryRun":true})");
  }

  /// Asks until VirtFusion can be used again.
  void insist_on_an_order() {
    const auto limit = std::chrono::steady_clock::now() + 60s;
    auto answer = order();
    while (answer.status != 201 && answer.status != 202 && std::chrono::steady_clock::now() < limit) {
      on_.engine().child().wait(200ms);
      --orders_;
      answer = order();
    }
    EXPECT_THAT(answer.status, AnyOf(201u, 202u)) << answer.body;
  }

  std::size_t count_in_log(std::string_view what) const {
    const auto log = on_.engine_log();
    std::size_t found = 0;
    for (auto at = log.find(what); at != std::string::npos; at = log.find(what, at + what.size()))
      ++found;
    return found;
  }

  std::int64_t calls(const char* operation) {
    const auto seen = on_.panel().requests();
    const auto* found = seen.at("byOperation").as_object().if_contains(operation);
    return found == nullptr ? 0 : found->to_number<std::int64_t>();
  }

  static void expect_problem(const test::call_answer& answer, const std::string& what) {
    EXPECT_EQ(answer.content_type, "application/problem+json")
      << what << ' ' << answer.body << answer.failure;
    const auto body = answer.json();
    ASSERT_TRUE(body.is_object()) << what << ' ' << answer.body;
    const std::string code{body.at("code").as_string()};
    EXPECT_THAT(code, AnyOf(HasSubstr("virtfusion_"), "overloaded", "deadline_exceeded")) << what;
    EXPECT_THAT(answer.status, AnyOf(502u, 503u, 504u)) << what << ' ' << answer.body;
    if (answer.status == 503)
      EXPECT_NE(answer.retry_after, "") << what;
  }

  struct world_with_log : world {
    using world::world;
    std::string engine_log() const { return const_cast<world_with_log*>(this)->engine().log(); }
  };
  world_with_log on_{options()};
  history told_;
  int orders_ = 0;
};

} // namespace

TEST_F(VirtfusionFault, WhateverItAnswersIsAProblemForTheClientAndCleanWordsInTheLog) {
  const auto pid = on_.engine().child().pid();
  const auto before = test::memory_kib(pid, "VmRSS");
  std::vector<json::object> faults;
  for (const int status : {500, 502, 503, 504})
    faults.push_back({{"operation", "*"}, {"kind", "status"}, {"status", status}});
  // Broken JSON, HTML, JSON of another shape, nothing, 10 MiB: in turn.
  faults.push_back({{"operation", "*"}, {"kind", "malformed"}, {"count", 30}});
  for (const auto* kind : {"truncate", "reset", "lost_answer"})
    faults.push_back({{"operation", "*"}, {"kind", kind}});
  for (const auto& one : faults) {
    const auto name = json::serialize(one);
    fault(one);
    expect_problem(try_order(), name);
    const auto ordered = order();
    // Stored, and still wanted when VirtFusion is well; or refused before anything was.
    if (ordered.status != 202 && ordered.status != 201)
      expect_problem(ordered, name);
    on_.panel().clear_faults();
  }
  EXPECT_TRUE(on_.engine().child().is_running());
  EXPECT_THAT(differences(on_, told_, {120s, true}), IsEmpty());
  const auto log = on_.engine().log();
  EXPECT_THAT(log, HasSubstr("simulated fault"));
  std::istringstream in{log};
  for (std::string line; std::getline(in, line);)
    EXPECT_LE(line.size(), longest_line) << line.substr(0, 200);
  if (test::memory_counts)
    EXPECT_LE(test::memory_kib(pid, "VmHWM"), before + most_growth_kib);
}

TEST_F(VirtfusionFault, ThatItWantsFewerCallsIsHeardAndToldOn) {
  fault({{"operation", "POST /servers"}, {"kind", "rate_limit"}, {"retryAfter", "6"}, {"count", 1}});
  EXPECT_EQ(order().status, 202u);
  // It cannot begin within the time that an order may wait.
  const auto refused = order();
  EXPECT_EQ(refused.status, 503u) << refused.body;
  EXPECT_GE(std::atoi(refused.retry_after.c_str()), 1);
  EXPECT_EQ(calls("POST /servers"), 1);
  EXPECT_THAT(differences(on_, told_), IsEmpty());
  EXPECT_EQ(calls("POST /servers"), 2);
}

TEST_F(VirtfusionFault, ABusyServerIsBuiltLater) {
  fault({{"operation", "POST /servers/{serverId}/build"}, {"kind", "status"}, {"status", 423}, {"count", 2}});
  EXPECT_THAT(order().status, AnyOf(201u, 202u));
  EXPECT_THAT(differences(on_, told_), IsEmpty());
}

TEST_F(VirtfusionFault, AMissingPermissionEndsThatOperationAlone) {
  fault({{"operation", "POST /servers/{serverId}/build"}, {"kind", "status"}, {"status", 403}, {"count", 2}});
  for (int i = 0; i < 2; ++i) {
    const auto failed = order();
    const auto body = failed.json();
    ASSERT_TRUE(body.is_object()) << failed.body << failed.failure;
    if (failed.status != 202)
      EXPECT_EQ(body.at("code").as_string(), "virtfusion_rejected");
  }
  // Each of them once: nothing is repeated that cannot succeed.
  EXPECT_EQ(calls("POST /servers/{serverId}/build"), 2);
  EXPECT_EQ(count_in_log("\"alert\":\"virtfusion_forbidden\""), 1u);
  EXPECT_EQ(count_in_log("\"operation\":\"POST /servers/{serverId}/build\",\"error\""), 1u);
  EXPECT_EQ(order().status, 201u);
  EXPECT_EQ(on_.engine().call("GET", "/readyz", {}).body.find("virtfusion"), std::string::npos);
  EXPECT_THAT(differences(on_, told_, {120s, true}), IsEmpty());
}

TEST_F(VirtfusionFault, ARefusedTokenStopsAllCallsUntilItIsTakenAgain) {
  fault({{"operation", "*"}, {"kind", "status"}, {"status", 401}});
  static_cast<void>(order());
  for (int i = 0; i < 20; ++i) {
    const auto refused = order();
    EXPECT_EQ(refused.status, 503u) << refused.body;
    EXPECT_THAT(refused.body, HasSubstr("virtfusion_unavailable"));
    EXPECT_NE(refused.retry_after, "");
  }
  const auto ready = on_.engine().call("GET", "/readyz", {});
  EXPECT_EQ(ready.status, 200u);
  EXPECT_THAT(ready.body, HasSubstr("\"virtfusion\""));
  EXPECT_LE(on_.panel().requests().at("byStatus").at("401").to_number<int>(), 10);
  EXPECT_EQ(count_in_log("\"alert\":\"virtfusion_down\""), 1u);
  on_.panel().clear_faults();
  insist_on_an_order();
  EXPECT_EQ(count_in_log("\"alert_cleared\":\"virtfusion_down\""), 1u);
  EXPECT_THAT(differences(on_, told_), IsEmpty());
}

TEST_F(VirtfusionFault, ThatItIsAwayIsKnownBeforeAnybodyOrders) {
  const auto says = [this](std::string_view what) {
    const auto limit = std::chrono::steady_clock::now() + 60s;
    auto ready = on_.engine().call("GET", "/readyz", {});
    while (ready.body.find(what) == std::string::npos && std::chrono::steady_clock::now() < limit) {
      on_.engine().child().wait(200ms);
      ready = on_.engine().call("GET", "/readyz", {});
    }
    EXPECT_EQ(ready.status, 200u);
    EXPECT_THAT(ready.body, HasSubstr(what));
  };
  fault({{"operation", "*"}, {"kind", "status"}, {"status", 503}});
  on_.engine().kill();
  on_.engine().start();
  says(R"("check":"virtfusion")");
  EXPECT_EQ(order().status, 503u);
  EXPECT_EQ(count_in_log("\"alert\":\"virtfusion_down\""), 1u);
  on_.panel().clear_faults();
  says(R"("status":"ready")");
  EXPECT_EQ(count_in_log("\"alert_cleared\":\"virtfusion_down\""), 1u);
  insist_on_an_order();
  EXPECT_THAT(differences(on_, told_), IsEmpty());
}

TEST_F(VirtfusionFault, TwelveSecondsForEverythingKeepNobodyWaitingLonger) {
  const auto pid = on_.engine().child().pid();
  const auto before = test::memory_kib(pid, "VmRSS");
  fault({{"operation", "*"}, {"kind", "delay"}, {"delayMs", 12'000}});
  on_.panel().reset_requests();
  for (int i = 0; i < 20; ++i) {
    const auto answer = order();
    // Taken, or told when to come again; never cut, never an answer that came from a gateway's end of time.
    EXPECT_THAT(answer.status, AnyOf(202u, 503u)) << answer.body << answer.failure;
    if (answer.status == 503)
      EXPECT_NE(answer.retry_after, "");
  }
  EXPECT_EQ(on_.engine().call("GET", "/v1/servers", on_.key()).status, 200u);
  expect_problem(try_order(), "twelve seconds");
  EXPECT_LE(on_.panel().requests().at("maxInFlight").to_number<int>(), 16);
  if (test::memory_counts)
    EXPECT_LE(test::memory_kib(pid, "VmHWM"), before + most_growth_kib);
  on_.panel().clear_faults();
  EXPECT_THAT(differences(on_, told_), IsEmpty());
}

} // namespace skyengine::torture
