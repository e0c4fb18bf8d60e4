#include "tests/torture/checks.hpp"
#include "tests/torture/history.hpp"
#include "tests/torture/world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

// Actors that throw where a crash point stands.
#ifdef SKYENGINE_CRASH_POINTS

namespace skyengine::torture {

namespace {

using namespace std::chrono_literals;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto max_restarts = 3;

class ThrowingActor : public testing::Test {
protected:
  static world_options options(std::string crash_at, int users) {
    world_options how;
    how.users = users;
    how.crash_at = std::move(crash_at);
    how.settings["SKYENGINE_SUPERVISOR_MAX_RESTARTS"] = std::to_string(max_restarts);
    return how;
  }

  static test::call_answer order(world& on, int user, const std::string& key) {
    return on.engine().call("POST", "/v1/servers", on.key(),
                            R"({"planId":"small","region":"north","userId":)" + std::to_string(user) + "}",
                            {{"Idempotency-Key", key}});
  }

  /// Repeats an order until it is taken.
  static void insist(world& on, history& told, int user, const std::string& key) {
    const auto limit = std::chrono::steady_clock::now() + 60s;
    auto answer = order(on, user, key);
    while (answer.status != 201 && answer.status != 202 && std::chrono::steady_clock::now() < limit) {
      on.engine().child().wait(50ms);
      answer = order(on, user, key);
    }
    ASSERT_THAT(answer.status, AnyOf(201u, 202u)) << answer.body << answer.failure;
    told.acknowledge_create(key, user, answer);
  }

  static std::size_t count(const std::string& text, std::string_view what) {
    std::size_t found = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size()))
      ++found;
    return found;
  }
};

} // namespace

TEST_F(ThrowingActor, AnswersItsAskerAtOnceAndIsStartedAnew) {
  world on{options("throw:create.in_provisioner:1", 1)};
  history told;
  const auto failed = order(on, 1, "first");
  EXPECT_THAT(failed.status, AnyOf(500u, 503u)) << failed.failure;
  EXPECT_EQ(failed.content_type, "application/problem+json");
  // Not what a mailbox says after its patience.
  EXPECT_THAT(failed.body, testing::Not(HasSubstr("deadline_exceeded")));
  // Its neighbours did not notice.
  EXPECT_EQ(on.engine().call("GET", "/v1/servers", on.key()).status, 200u);
  EXPECT_EQ(on.engine().call("GET", "/readyz", {}).status, 200u);
  insist(on, told, 1, "first");
  EXPECT_THAT(differences(on, told), IsEmpty());
  EXPECT_EQ(count(on.engine().log(), "\"alert\":\"actor_restarted\""), 1u);
}

TEST_F(ThrowingActor, ThatThrowsEveryTimeEndsTheProcess) {
  world on{options("throw:create.in_provisioner", 1)};
  std::size_t asked = 0;
  // As long as it lives, whoever asks is answered.
  for (; asked < 1'000 && on.engine().child().is_running(); ++asked) {
    const auto answer = order(on, 1, "order-" + std::to_string(asked));
    EXPECT_THAT(answer.status, AnyOf(0u, 500u, 503u)) << answer.body;
  }
  EXPECT_EQ(on.engine().child().wait(30s), 1);
  const auto log = on.engine().log();
  EXPECT_THAT(log, HasSubstr("\"alert\":\"escalation\""));
  EXPECT_EQ(count(log, "\"alert\":\"actor_restarted\""), max_restarts + 1u);
  on.engine().start();
  history told;
  insist(on, told, 1, "at-last");
  EXPECT_THAT(differences(on, told), IsEmpty());
}

TEST_F(ThrowingActor, OnTheWayToVirtfusionLosesNoServerAndMakesNoSecond) {
  world on{options("throw:create.in_gateway:1", 1)};
  history told;
  insist(on, told, 1, "first");
  EXPECT_THAT(differences(on, told), IsEmpty());
  EXPECT_EQ(on.panel().requests().at("byOperation").at("POST /servers").to_number<int>(), 1);
  EXPECT_THAT(on.engine().log(), HasSubstr("\"actor\":\"virtfusion_gateway\""));
}

TEST_F(ThrowingActor, OnTheWayToVirtfusionEveryTimeEndsTheProcessAndLosesNothing) {
  constexpr int users = max_restarts + 1;
  world on{options("throw:create.in_gateway", users)};
  history told;
  // One after another: at once they would fall with the first.
  for (int user = 1; user <= users; ++user) {
    const auto key = "order-" + std::to_string(user);
    const auto answer = order(on, user, key);
    if (answer.status == 201 || answer.status == 202)
      told.acknowledge_create(key, user, answer);
  }
  EXPECT_EQ(on.engine().child().wait(30s), 1);
  EXPECT_THAT(on.engine().log(), HasSubstr("\"alert\":\"escalation\""));
  on.engine().start();
  for (int user = 1; user <= users; ++user)
    insist(on, told, user, "order-" + std::to_string(user));
  EXPECT_THAT(differences(on, told), IsEmpty());
}

// A saga is no actor: it is taken up again from its row.
TEST_F(ThrowingActor, ASagaThatThrowsIsTakenUpAgain) {
  world on{options("throw:create.after_post:1", 1)};
  history told;
  insist(on, told, 1, "first");
  EXPECT_THAT(differences(on, told), IsEmpty());
  EXPECT_EQ(on.panel().requests().at("byOperation").at("POST /servers").to_number<int>(), 1);
  EXPECT_THAT(on.engine().log(), HasSubstr("a saga failed unexpectedly"));
}

} // namespace skyengine::torture

#endif
