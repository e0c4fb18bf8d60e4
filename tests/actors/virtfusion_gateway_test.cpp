#include "actors/virtfusion_caller.hpp"
#include "actors/virtfusion_gateway.hpp"
#include "domain/log.hpp"
#include "tests/support/fake_virtfusion.hpp"
#include "tests/support/virtual_runtime.hpp"

#include <caf/send.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace skyengine::actors {
namespace {

using namespace std::chrono_literals;
using net::virtfusion::no_answer;
using net::virtfusion::operation;
using kind = net::virtfusion::call_failure::kind;
using test::fake_virtfusion;
using testing::ElementsAre;

/// Keeps the alerts that were raised and the lines that were written.
class alert_log final : public log::sink {
public:
  alert_log() { log::set_sink(this); }
  ~alert_log() override { log::set_sink(nullptr); }
  void write(log::level, std::string_view, std::initializer_list<log::field> fields) noexcept override {
    for (const auto& each : fields) {
      const auto* const text = std::get_if<std::string_view>(&each.value);
      if (each.name == "alert" && text != nullptr)
        alerts.emplace_back(*text);
      if (each.name == "alert_cleared" && text != nullptr)
        cleared.emplace_back(*text);
    }
  }
  std::vector<std::string> alerts;
  std::vector<std::string> cleared;
};

constexpr virtfusion_server_id any_server{7};

class VirtFusionGateway : public test::virtual_runtime {
protected:
  alert_log log_;
  fake_virtfusion virtfusion{runtime.timers()};
  gateway_options options;
  virtfusion_gateway_actor gateway;

  virtfusion_caller& caller() {
    if (!caller_) {
      gateway = spawn_virtfusion_gateway(runtime.system(), runtime.loop().get_executor(), runtime.timers(),
                                         virtfusion, options);
      caller_.emplace(runtime.asker(), runtime.timers(), gateway);
    }
    return *caller_;
  }

  void TearDown() override {
    if (gateway)
      caf::anon_send_exit(gateway, caf::exit_reason::user_shutdown);
    advance(2min);
  }

  call_options within(runtime::steady_duration span, call_class priority = call_class::interactive) {
    return {priority, runtime.timers().now() + span, user_id{42}, "r-1"};
  }

  template <class T>
  auto begin(call_options how, net::virtfusion::call<T> what) {
    return spawn(caller().call(std::move(how), std::move(what)));
  }
  auto get(call_class priority = call_class::interactive, runtime::steady_duration span = 60s) {
    return begin(within(span, priority), net::virtfusion::connect());
  }
  auto create(runtime::steady_duration span = 60s) {
    return begin(within(span), net::virtfusion::create_server({{1}, {2}, {3}}));
  }

  gateway_figures figures() {
    caller();
    const auto asked = spawn(runtime.asker().ask<gateway_figures>(gateway, 1s, gateway_figures_query{}));
    return asked->value->value();
  }
  gateway_pace pace(std::int64_t calls = 1) { return spawn(caller().pace(calls))->value->value(); }

  /// Makes the breaker open by failures of calls that are not repeated.
  void open_breaker() {
    options.max_in_flight = 64;
    virtfusion.on = [](const auto&) { return fake_virtfusion::status(500); };
    for (int i = 0; i < 20; ++i)
      create();
    advance(100ms);
    ASSERT_EQ(figures().breaker_state, 2U);
  }

  std::optional<virtfusion_caller> caller_;
};

template <class Task>
kind failure_of(const Task& task) {
  return task->value->error().what;
}

TEST_F(VirtFusionGateway, BringsTheAnswerBack) {
  virtfusion.once = {fake_virtfusion::ok(R"({"data": {"id": 7, "state": "complete"}})")};
  const auto asked = begin(within(10s), net::virtfusion::get_server(any_server));
  advance(100ms);
  ASSERT_TRUE(asked->value.has_value());
  EXPECT_EQ((*asked->value)->id, any_server);
  EXPECT_EQ(virtfusion.seen.at(0).what.target, "/servers/7");
}

TEST_F(VirtFusionGateway, NeverHasMoreInFlightThanTheLimit) {
  options.max_in_flight = 4;
  for (int i = 0; i < 20; ++i)
    get();
  advance(10s);
  EXPECT_EQ(virtfusion.most_under_way, 4U);
  EXPECT_EQ(virtfusion.seen.size(), 20U);
  EXPECT_EQ(figures().max_in_flight_seen, 4U);
}

TEST_F(VirtFusionGateway, ServesPeopleBeforeControlBeforeBackground) {
  options.max_in_flight = 2;
  get();
  get();
  const auto last = begin(within(60s, call_class::background), net::virtfusion::list_packages());
  const auto third = begin(within(60s, call_class::background), net::virtfusion::list_servers());
  const auto second = begin(within(60s, call_class::control), net::virtfusion::suspend_server(any_server));
  const auto first = begin(within(60s), net::virtfusion::find_user({1}));
  advance(1s);
  std::vector<operation> order;
  for (std::size_t i = 2; i < virtfusion.seen.size(); ++i)
    order.push_back(virtfusion.seen[i].what.op);
  EXPECT_THAT(order, ElementsAre(operation::find_user, operation::suspend_server, operation::list_packages,
                                 operation::list_servers));
}

TEST_F(VirtFusionGateway, KeepsASlotForBuildPollsWhilePeopleCrowdIt) {
  options.max_in_flight = 10;
  for (int i = 0; i < 100; ++i)
    get();
  const auto poll = begin(within(60s, call_class::build_poll), net::virtfusion::get_server(any_server));
  advance(100ms);
  EXPECT_EQ(virtfusion.count(operation::get_server), 1U);
  advance(5s);
}

TEST_F(VirtFusionGateway, RefusesAtOnceWhenTheQueueIsFull) {
  options.max_in_flight = 2;
  options.queue_interactive = 3;
  virtfusion.on = [](const auto&) { return fake_virtfusion::ok("{}", 5s); };
  for (int i = 0; i < 5; ++i)
    get();
  const auto refused = get();
  ASSERT_TRUE(refused->value.has_value());
  EXPECT_EQ(failure_of(refused), kind::overloaded);
  EXPECT_TRUE(refused->value->error().retry_after.has_value());
  EXPECT_EQ(refused->value->error().as_error().code, errc::overloaded);
  EXPECT_EQ(figures().classes.at(0).rejected, 1U);
  EXPECT_EQ(figures().classes.at(0).queue_depth, 3U);
  advance(1min);
}

TEST_F(VirtFusionGateway, RefusesAtOnceADeadlineThatThePaceCannotMeet) {
  options.max_in_flight = 2;
  virtfusion.on = [](const auto&) { return fake_virtfusion::ok("{}", 4s); };
  // Two calls teach it that one takes 4 s (the estimate moves an eighth at a time), the others stand in line.
  for (int i = 0; i < 40; ++i)
    get(call_class::interactive, 10min);
  advance(60s);
  const auto refused = get(call_class::interactive, 5s);
  ASSERT_TRUE(refused->value.has_value());
  EXPECT_EQ(failure_of(refused), kind::overloaded);
  EXPECT_GE(*refused->value->error().retry_after, 5s);
  const auto patient = get(call_class::interactive, 10min);
  EXPECT_FALSE(patient->value.has_value());
  advance(5min);
  EXPECT_TRUE(patient->value.has_value());
}

TEST_F(VirtFusionGateway, DropsAndCountsWhatIsTooLateToBegin) {
  options.max_in_flight = 2;
  virtfusion.on = [](const auto&) { return fake_virtfusion::ok("{}", 10s); };
  get();
  get();
  const auto late = get(call_class::interactive, 3s);
  advance(3s);
  ASSERT_TRUE(late->value.has_value());
  EXPECT_EQ(failure_of(late), kind::overloaded);
  EXPECT_EQ(figures().deadline_dropped, 1U);
  advance(1min);
  EXPECT_EQ(virtfusion.seen.size(), 2U);
}

TEST_F(VirtFusionGateway, LetsACallThatHasBegunTakeItsOwnTime) {
  virtfusion.once = {fake_virtfusion::ok(R"({"data": {"id": 9}})", 50s)};
  const auto made = create(1s);
  advance(49s);
  EXPECT_FALSE(made->value.has_value());
  advance(1s);
  ASSERT_TRUE(made->value.has_value());
  EXPECT_EQ((*made->value)->id.value, 9);
}

TEST_F(VirtFusionGateway, KeepsTheSlotOfACallThatTimedOutForTheSameSpanAgain) {
  options.max_in_flight = 2;
  virtfusion.once = {fake_virtfusion::silence()};
  const auto silent = begin(within(1s), net::virtfusion::add_ssh_key({1}, "k", "ssh-ed25519 A"));
  advance(15s);
  ASSERT_TRUE(silent->value.has_value());
  EXPECT_EQ(failure_of(silent), kind::unknown);
  EXPECT_EQ(figures().in_flight, 1U);
  get();
  get();
  settle();
  // One slot is left, so only one of the two is under way.
  EXPECT_EQ(virtfusion.under_way, 1U);
  advance(14999ms);
  EXPECT_EQ(figures().in_flight, 1U);
  advance(1ms);
  EXPECT_EQ(figures().in_flight, 0U);
}

TEST_F(VirtFusionGateway, HalvesAndRegrowsItsLimitAsVirtFusionBears) {
  virtfusion.once = {fake_virtfusion::status(500)};
  create();
  advance(100ms);
  EXPECT_EQ(figures().limit, 11U);
  for (int i = 0; i < 11; ++i) {
    get();
    advance(100ms);
  }
  EXPECT_EQ(figures().limit, 12U);
}

TEST_F(VirtFusionGateway, KeepsToTheRateWithItsBurst) {
  options.rate = 10;
  options.burst = 5;
  for (int i = 0; i < 30; ++i)
    get();
  settle();
  EXPECT_EQ(virtfusion.seen.size(), 5U);
  advance(1s);
  EXPECT_EQ(virtfusion.seen.size(), 15U);
  advance(10s);
  EXPECT_EQ(virtfusion.seen.size(), 30U);
}

TEST_F(VirtFusionGateway, StopsTheClassForAsLongAsA429Says) {
  virtfusion.once = {fake_virtfusion::status(429, "", 7s)};
  const auto first = begin(within(60s, call_class::background), net::virtfusion::list_packages());
  advance(200ms);
  const auto second = begin(within(60s, call_class::background), net::virtfusion::list_packages());
  const auto other_class = get(call_class::control);
  advance(6s);
  EXPECT_EQ(virtfusion.count(operation::list_packages), 1U);
  EXPECT_EQ(virtfusion.count(operation::connect), 1U);
  advance(30s);
  ASSERT_TRUE(first->value.has_value());
  ASSERT_TRUE(second->value.has_value());
  EXPECT_EQ(virtfusion.count(operation::list_packages), 3U);
  EXPECT_GE(virtfusion.seen.at(2).at - virtfusion.seen.at(0).at, 7s);
}

TEST_F(VirtFusionGateway, TellsACreateOfARefusalInsteadOfRepeatingIt) {
  virtfusion.once = {fake_virtfusion::status(429, "", 7s)};
  const auto refused = create();
  advance(60s);
  ASSERT_TRUE(refused->value.has_value());
  EXPECT_EQ(failure_of(refused), kind::refused);
  EXPECT_EQ(refused->value->error().retry_after, 7s);
  EXPECT_EQ(virtfusion.seen.size(), 1U);
}

struct unsafe_case {
  const char* name;
  fake_virtfusion::reply reply;
};
class VirtFusionGatewayUnsafe : public VirtFusionGateway, public testing::WithParamInterface<unsafe_case> {};
TEST_P(VirtFusionGatewayUnsafe, IsNeverRepeated) {
  virtfusion.on = [](const auto& what) {
    return what.op == operation::connect ? fake_virtfusion::ok() : GetParam().reply;
  };
  create();
  begin(within(60s), net::virtfusion::build_server(any_server, {{1}, "n", "h", {}}));
  begin(within(60s), net::virtfusion::create_user({{1}, "n", "n@example.com"}));
  begin(within(60s), net::virtfusion::add_ssh_key({1}, "k", "ssh-ed25519 A"));
  begin(within(60s), net::virtfusion::restart_server(any_server));
  advance(3min);
  EXPECT_EQ(virtfusion.seen.size() - virtfusion.count(operation::connect), 5U);
}
INSTANTIATE_TEST_SUITE_P(Whatever,
                         VirtFusionGatewayUnsafe,
                         testing::Values(unsafe_case{"error", fake_virtfusion::status(500)},
                                         unsafe_case{"unavailable", fake_virtfusion::status(503)},
                                         unsafe_case{"busy", fake_virtfusion::status(423)},
                                         unsafe_case{"silence", fake_virtfusion::silence()},
                                         unsafe_case{"cut", fake_virtfusion::broken(no_answer::kind::lost)},
                                         unsafe_case{"not_sent",
                                                     fake_virtfusion::broken(no_answer::kind::not_sent)}),
                         [](const auto& test) { return std::string{test.param.name}; });

TEST_F(VirtFusionGateway, RepeatsWhatIsSafeUntilItSucceeds) {
  virtfusion.once = {fake_virtfusion::status(502), fake_virtfusion::broken(no_answer::kind::lost),
                     fake_virtfusion::broken(no_answer::kind::not_sent)};
  const auto asked = begin(within(60s), net::virtfusion::list_packages());
  advance(60s);
  ASSERT_TRUE(asked->value.has_value());
  EXPECT_TRUE(asked->value->has_value());
  EXPECT_EQ(virtfusion.count(operation::list_packages), 4U);
}

TEST_F(VirtFusionGateway, GivesUpRepeatingAfterAFewTries) {
  virtfusion.on = [](const auto& what) {
    return what.op == operation::connect ? fake_virtfusion::ok()
                                         : fake_virtfusion::status(500, R"({"msg": "boom"})");
  };
  const auto asked = begin(within(1h), net::virtfusion::list_packages());
  advance(10min);
  ASSERT_TRUE(asked->value.has_value());
  EXPECT_EQ(failure_of(asked), kind::unknown);
  EXPECT_EQ(asked->value->error().text, "boom");
  EXPECT_EQ(virtfusion.count(operation::list_packages), 5U);
}

TEST_F(VirtFusionGateway, RepeatsNothingAfterTheDeadline) {
  virtfusion.on = [](const auto&) { return fake_virtfusion::status(423); };
  const auto asked = begin(within(30s), net::virtfusion::suspend_server(any_server));
  advance(31s);
  ASSERT_TRUE(asked->value.has_value());
  EXPECT_EQ(failure_of(asked), kind::busy);
  EXPECT_EQ(asked->value->error().as_error().code, errc::virtfusion_busy);
  const auto tries = virtfusion.seen.size();
  EXPECT_GT(tries, 2U);
  advance(5min);
  EXPECT_EQ(virtfusion.seen.size(), tries);
}

TEST_F(VirtFusionGateway, RepeatsNoFinalAnswer) {
  for (const auto status : {400U, 403U, 409U, 422U})
    virtfusion.once.push_back(fake_virtfusion::status(status));
  virtfusion.once.push_back(fake_virtfusion::status(404, R"({"message": "The route could not be found."})"));
  for (int i = 0; i < 5; ++i)
    begin(within(60s), net::virtfusion::get_server(any_server));
  advance(60s);
  EXPECT_EQ(virtfusion.seen.size(), 5U);
}

TEST_F(VirtFusionGateway, AsksAgainWhenAnAnswerCannotBeReadAndThatIsSafe) {
  virtfusion.once = {fake_virtfusion::ok("<html>"),
                     fake_virtfusion::ok(R"({"data": {"id": 7, "state": "x"}})")};
  const auto asked = begin(within(10s), net::virtfusion::get_server(any_server));
  advance(1s);
  ASSERT_TRUE(asked->value.has_value());
  EXPECT_TRUE(asked->value->has_value());
}

TEST_F(VirtFusionGateway, CallsAnUnreadableCreateUnknown) {
  virtfusion.once = {fake_virtfusion::ok("<html>")};
  const auto made = create();
  advance(60s);
  ASSERT_TRUE(made->value.has_value());
  EXPECT_EQ(failure_of(made), kind::unknown);
  EXPECT_EQ(virtfusion.seen.size(), 1U);
}

TEST_F(VirtFusionGateway, OpensTheBreakerAtHalfFailuresOfTwenty) {
  options.max_in_flight = 64;
  virtfusion.on = [this](const auto&) {
    return virtfusion.seen.size() % 2 == 0 ? fake_virtfusion::status(500) : fake_virtfusion::ok();
  };
  for (int i = 0; i < 19; ++i)
    create();
  advance(100ms);
  EXPECT_EQ(figures().breaker_state, 0U);
  create();
  advance(100ms);
  EXPECT_EQ(figures().breaker_state, 2U);
  EXPECT_THAT(log_.alerts, ElementsAre("virtfusion_down"));
}

TEST_F(VirtFusionGateway, OpensTheBreakerForFewCallsWhenAProbeIsNotAnsweredEither) {
  virtfusion.on = [](const auto&) { return fake_virtfusion::broken(no_answer::kind::not_sent); };
  create();
  create();
  advance(1s);
  EXPECT_EQ(virtfusion.count(operation::connect), 0U);
  create();
  advance(1s);
  EXPECT_EQ(virtfusion.count(operation::connect), 1U);
  EXPECT_EQ(figures().breaker_state, 2U);
  EXPECT_THAT(log_.alerts, ElementsAre("virtfusion_down"));
  virtfusion.on = fake_virtfusion{runtime.timers()}.on;
  advance(5s);
  EXPECT_EQ(figures().breaker_state, 0U);
  EXPECT_THAT(log_.cleared, ElementsAre("virtfusion_down"));
}

TEST_F(VirtFusionGateway, TakesAnAddressWithoutVirtfusionForAnAbsence) {
  virtfusion.on = [](const auto&) { return fake_virtfusion::status(404, "<h1>Not Found</h1>"); };
  const auto made = create();
  advance(60s);
  ASSERT_TRUE(made->value.has_value());
  EXPECT_EQ(failure_of(made), kind::refused);
  create();
  create();
  advance(1s);
  EXPECT_EQ(figures().breaker_state, 2U);
  EXPECT_EQ(figures().trouble, "no VirtFusion answers at virtfusion.api_url (404): is its path right?");
  EXPECT_THAT(log_.alerts, ElementsAre("virtfusion_down"));
}

TEST_F(VirtFusionGateway, DoubtsAtOnceWhenItCannotConnect) {
  virtfusion.on = [](const auto&) { return fake_virtfusion::broken(no_answer::kind::not_sent); };
  const auto asked = begin(within(1s), net::virtfusion::connect());
  advance(2s);
  EXPECT_EQ(figures().breaker_state, 2U);
  EXPECT_THAT(log_.alerts, ElementsAre("virtfusion_down"));
}

TEST_F(VirtFusionGateway, TellsWhenVirtfusionIsAwayForAnotherReason) {
  open_breaker();
  EXPECT_EQ(log_.alerts.size(), 1U);
  virtfusion.on = [](const auto&) { return fake_virtfusion::status(401, "401 Unauthorized"); };
  advance(30s);
  EXPECT_EQ(log_.alerts.size(), 2U);
  EXPECT_EQ(figures().trouble, "VirtFusion does not accept our token");
  virtfusion.on = fake_virtfusion{runtime.timers()}.on;
  advance(10s);
  EXPECT_EQ(figures().trouble, "");
  EXPECT_THAT(log_.cleared, ElementsAre("virtfusion_down"));
}

TEST_F(VirtFusionGateway, LearnsNothingOfVirtfusionFromWhatIsHeldBackHere) {
  virtfusion.on = [](const auto&) { return fake_virtfusion::broken(no_answer::kind::held_back); };
  for (int i = 0; i < 25; ++i) {
    create();
    advance(10ms);
  }
  EXPECT_EQ(virtfusion.count(operation::connect), 0U);
  EXPECT_EQ(figures().breaker_state, 0U);
  EXPECT_THAT(log_.alerts, testing::IsEmpty());
}

TEST_F(VirtFusionGateway, OneOperationThatFailsStopsNoOther) {
  virtfusion.on = [](const auto& what) {
    return fake_virtfusion::status(what.op == operation::create_server ? 500 : 200);
  };
  for (int i = 0; i < 12; ++i) {
    create();
    advance(11s);
  }
  EXPECT_EQ(virtfusion.count(operation::connect), 4U);
  EXPECT_EQ(figures().breaker_state, 0U);
  EXPECT_THAT(log_.alerts, testing::IsEmpty());
  EXPECT_THAT(log_.cleared, testing::IsEmpty());
}

TEST_F(VirtFusionGateway, RefusesPeopleAtOnceWhileTheBreakerIsOpen) {
  open_breaker();
  const auto refused = get();
  ASSERT_TRUE(refused->value.has_value());
  EXPECT_EQ(failure_of(refused), kind::not_sent);
  EXPECT_EQ(refused->value->error().as_error().code, errc::virtfusion_unavailable);
  EXPECT_EQ(refused->value->error().retry_after, 5s);
  EXPECT_FALSE(pace().is_available);
  EXPECT_EQ(pace().retry_after, 5s);
}

TEST_F(VirtFusionGateway, ProbesAndClosesTheBreakerWhenVirtFusionIsBack) {
  open_breaker();
  const auto waiting = get(call_class::background);
  virtfusion.seen.clear();
  advance(4999ms);
  EXPECT_TRUE(virtfusion.seen.empty());
  advance(1ms);
  EXPECT_EQ(virtfusion.seen.size(), 1U);
  EXPECT_EQ(figures().breaker_state, 1U);
  advance(100ms);
  EXPECT_EQ(figures().breaker_state, 2U);
  virtfusion.on = fake_virtfusion{runtime.timers()}.on;
  advance(5100ms);
  EXPECT_EQ(figures().breaker_state, 0U);
  EXPECT_THAT(log_.alerts, ElementsAre("virtfusion_down"));
  EXPECT_THAT(log_.cleared, ElementsAre("virtfusion_down"));
  advance(1s);
  ASSERT_TRUE(waiting->value.has_value());
  EXPECT_TRUE(waiting->value->has_value());
}

TEST_F(VirtFusionGateway, OpensTheBreakerAtOnceWhenItsTokenIsRefused) {
  virtfusion.once = {fake_virtfusion::status(401, "401 Unauthorized")};
  const auto refused = get();
  advance(100ms);
  ASSERT_TRUE(refused->value.has_value());
  EXPECT_EQ(failure_of(refused), kind::unauthorized);
  EXPECT_EQ(figures().breaker_state, 2U);
  EXPECT_THAT(log_.alerts, ElementsAre("virtfusion_down"));
}

TEST_F(VirtFusionGateway, AlertsOncePerOperationThatTheTokenMayNotDo) {
  options.max_in_flight = 64;
  virtfusion.on = [](const auto&) { return fake_virtfusion::status(403); };
  for (int i = 0; i < 30; ++i)
    get();
  advance(1s);
  EXPECT_EQ(virtfusion.seen.size(), 30U);
  EXPECT_EQ(figures().breaker_state, 0U);
  EXPECT_THAT(log_.alerts, ElementsAre("virtfusion_forbidden"));
}

TEST_F(VirtFusionGateway, TellsThePaceOfWhatIsInLine) {
  options.max_in_flight = 2;
  EXPECT_EQ(pace(2).expected_wait, 0ms);
  for (int i = 0; i < 12; ++i)
    get();
  // Ten wait for two slots that are held 200 ms each, and the asker's one behind them.
  EXPECT_EQ(pace(1).expected_wait, 1100ms);
  EXPECT_EQ(pace(1).retry_after, 2s);
  EXPECT_TRUE(pace(1).is_available);
  advance(10s);
  EXPECT_EQ(pace(1).expected_wait, 0ms);
}

TEST_F(VirtFusionGateway, CountsRequestsByOperationAndOutcome) {
  virtfusion.once = {fake_virtfusion::ok(), fake_virtfusion::status(422)};
  get();
  advance(1s);
  create();
  advance(1s);
  std::vector<std::string> series;
  for (const auto& each : figures().requests)
    series.push_back(each.operation + " " + each.outcome + " " + std::to_string(each.count));
  EXPECT_THAT(series, ElementsAre("GET /connect ok 1", "POST /servers rejected 1"));
}

TEST_F(VirtFusionGateway, AnswersItsAskersWhenItEnds) {
  const auto asked = get();
  caf::anon_send_exit(gateway, caf::exit_reason::user_shutdown);
  settle();
  ASSERT_TRUE(asked->value.has_value());
  EXPECT_EQ(failure_of(asked), kind::unknown);
}

TEST_F(VirtFusionGateway, GivesTheServerOfItsOwnUserAlone) {
  const auto record = [](std::string relation) {
    return fake_virtfusion::ok(
      R"({"data": {"id": 7, "state": "complete", "owner": {"id": 3, "extRelationId": )" + relation + "}}}");
  };
  virtfusion.once = {record("42"), record("43"), record("null"),
                     fake_virtfusion::ok(R"({"data": {"id": 7, "state": "x"}})")};
  std::vector<std::string> outcomes;
  for (int i = 0; i < 4; ++i) {
    const auto asked = spawn(caller().get_own_server(within(10s), any_server));
    advance(1s);
    outcomes.emplace_back(asked->value->has_value() ? "ours" : to_string(failure_of(asked)));
  }
  EXPECT_THAT(outcomes, ElementsAre("ours", "wrong_owner", "wrong_owner", "unknown"));
  EXPECT_THAT(log_.alerts, ElementsAre("wrong_owner", "wrong_owner"));
}

} // namespace
} // namespace skyengine::actors
