#include "actors/runtime/actor_runtime.hpp"
#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/crash_point.hpp"
#include "actors/runtime/errors.hpp"
#include "actors/runtime/prepare.hpp"
#include "tests/support/virtual_runtime.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

namespace skyengine::actors::runtime {
namespace {

using namespace std::chrono_literals;

/// Answers twice the number after that many seconds; 0 at once, negative numbers with an error, 13 by
/// throwing.
using doubler_actor = caf::typed_actor<caf::replies_to<int>::with<int>>;

caf::result<int> refuse() {
  return to_caf({errc::capacity_exhausted, "no room", {{"n", "too small"}}, 7s});
}

asio::awaitable<void> answer_later(steady_timers& timers, caf::typed_response_promise<int> promise, int n) {
  co_await wait_until(timers, timers.now() + std::chrono::seconds{n});
  promise.deliver(2 * n);
}

doubler_actor::behavior_type doubler(doubler_actor::pointer self, actor_runtime* runtime) {
  prepare(self);
  return {[self, runtime](int n) -> caf::result<int> {
    if (n < 0)
      return refuse();
    if (n == 13)
      throw std::runtime_error("unlucky");
    if (n == 0)
      return 0;
    auto promise = self->make_response_promise<int>();
    asio::co_spawn(runtime->loop(), answer_later(runtime->timers(), promise, n), asio::detached);
    return promise;
  }};
}

class Runtime : public test::virtual_runtime {
protected:
  doubler_actor receiver = runtime.system().spawn(doubler, &runtime);

  void TearDown() override {
    caf::anon_send_exit(receiver, caf::exit_reason::user_shutdown);
    settle();
  }

  auto ask(int n, steady_duration patience) { return spawn(runtime.asker().ask<int>(receiver, patience, n)); }
};

TEST_F(Runtime, CountsWhatAnActorHandlesAndWhatWaits) {
  const auto look = [&] {
    // The only actor of the fixture that called `prepare`.
    const auto all = runtime.figures().look();
    return all.at(all.begin()->first);
  };
  const auto handled = [&] {
    const auto figures = look();
    return std::accumulate(figures.seconds.buckets.begin(), figures.seconds.buckets.end(), std::uint64_t{0});
  };
  ask(0, 1s);
  const auto before = handled();
  EXPECT_GT(before, 0u);
  for (int i = 0; i < 3; ++i)
    caf::anon_send(receiver, 0);
  EXPECT_EQ(look().mailbox_depth, 3u);
  settle();
  EXPECT_EQ(look().mailbox_depth, 0u);
  EXPECT_EQ(handled(), before + 3);
  EXPECT_GT(look().seconds.sum, 0.0);
}

TEST_F(Runtime, AnActorThatEndedHasNoMailbox) {
  caf::anon_send(receiver, 13);
  caf::anon_send(receiver, 0);
  settle();
  const auto all = runtime.figures().look();
  EXPECT_EQ(all.begin()->second.mailbox_depth, 0u);
}

TEST_F(Runtime, AnswersAtOnceWithoutTimePassing) {
  const auto asked = ask(0, 1s);
  ASSERT_TRUE(asked->value.has_value());
  EXPECT_EQ(asked->value->value(), 0);
}

TEST_F(Runtime, AnswersWhenTheCoroutineFulfilsThePromise) {
  const auto asked = ask(5, 10s);
  advance(4999ms);
  EXPECT_FALSE(asked->value.has_value());
  advance(1ms);
  ASSERT_TRUE(asked->value.has_value());
  EXPECT_EQ(asked->value->value(), 10);
}

TEST_F(Runtime, EndsAnAskAtItsDeadline) {
  const auto asked = ask(60, 10s);
  advance(9999ms);
  EXPECT_FALSE(asked->value.has_value());
  advance(1ms);
  ASSERT_TRUE(asked->value.has_value());
  EXPECT_EQ(asked->value->error().code, errc::deadline_exceeded);
  advance(60s);
}

TEST_F(Runtime, CarriesTheWholeErrorOfTheReceiver) {
  const auto asked = ask(-1, 1s);
  ASSERT_TRUE(asked->value.has_value());
  EXPECT_EQ(asked->value->error(), (error{errc::capacity_exhausted, "no room", {{"n", "too small"}}, 7s}));
}

TEST_F(Runtime, AnActorThatThrowsAnswersWithAnErrorAtOnce) {
  const auto asked = ask(13, 10s);
  ASSERT_TRUE(asked->value.has_value());
  EXPECT_EQ(asked->value->error().code, errc::internal);
}

TEST_F(Runtime, AnActorThatHasEndedAnswersWithAnErrorAtOnce) {
  caf::anon_send_exit(receiver, caf::exit_reason::user_shutdown);
  settle();
  const auto asked = ask(1, 10s);
  ASSERT_TRUE(asked->value.has_value());
  EXPECT_EQ(asked->value->error().code, errc::overloaded);
}

TEST_F(Runtime, RunsWhatFallsDueInOrderOfTime) {
  std::vector<int> order;
  runtime.timers().schedule(runtime.timers().now() + 2s, [&] { order.push_back(2); });
  runtime.timers().schedule(runtime.timers().now() + 1s, [&] {
    order.push_back(1);
    runtime.timers().schedule(runtime.timers().now() + 500ms, [&] { order.push_back(15); });
  });
  const auto cancelled = runtime.timers().schedule(runtime.timers().now() + 1s, [&] { order.push_back(0); });
  runtime.timers().cancel(cancelled);
  advance(3s);
  EXPECT_EQ(order, (std::vector{1, 15, 2}));
}

asio::awaitable<bool> wait_for_nudge(nudge& n, steady_time until) {
  co_return co_await n.wait_until(until);
}

TEST_F(Runtime, ANudgeEndsAWaitEarly) {
  nudge wake{runtime.timers()};
  const auto waiting = spawn(wait_for_nudge(wake, runtime.timers().now() + 1h));
  advance(1s);
  EXPECT_FALSE(waiting->value.has_value());
  wake.notify();
  settle();
  EXPECT_EQ(waiting->value, true);
}

TEST_F(Runtime, ANudgeBeforeTheWaitIsNotLost) {
  nudge wake{runtime.timers()};
  wake.notify();
  EXPECT_EQ(spawn(wait_for_nudge(wake, runtime.timers().now() + 1h))->value, true);
  const auto second = spawn(wait_for_nudge(wake, runtime.timers().now() + 1h));
  EXPECT_FALSE(second->value.has_value());
  advance(1h);
  EXPECT_EQ(second->value, false);
}

/// Holds its promise until it ends.
using keeper_actor = caf::typed_actor<caf::replies_to<int>::with<int>>;
struct keeper_state {
  std::vector<open_promise> promises;
};

keeper_actor::behavior_type keeper(keeper_actor::stateful_pointer<keeper_state> self) {
  prepare(self);
  return {[self](int) -> caf::result<int> {
    auto promise = self->make_response_promise<int>();
    self->state.promises.emplace_back(promise);
    return promise;
  }};
}

TEST_F(Runtime, AnActorThatEndsAnswersThePromisesItHolds) {
  const auto holder = runtime.system().spawn(keeper);
  const auto asked = spawn(runtime.asker().ask<int>(holder, 1h, 1));
  EXPECT_FALSE(asked->value.has_value());
  caf::anon_send_exit(holder, caf::exit_reason::user_shutdown);
  settle();
  ASSERT_TRUE(asked->value.has_value());
  EXPECT_EQ(asked->value->error().code, errc::overloaded);
}

TEST(RuntimeOnRealTime, ServesAsksFromOtherThreadsPosts) {
  actor_runtime runtime;
  const auto receiver = runtime.system().spawn(doubler, &runtime);
  int answered = 0;
  const auto ask_many = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 100; ++i) {
      const auto answer = co_await runtime.asker().ask<int>(receiver, 10s, 0);
      answered += answer.has_value() ? 1 : 0;
    }
  };
  std::vector<std::thread> foreign;
  foreign.reserve(3);
  for (int i = 0; i < 3; ++i)
    foreign.emplace_back([&] {
      asio::post(runtime.loop(), [&] { asio::co_spawn(runtime.loop(), ask_many(), asio::detached); });
    });
  for (auto& thread : foreign)
    thread.join();
  while (answered < 300)
    runtime.loop().run_one();
  caf::anon_send_exit(receiver, caf::exit_reason::user_shutdown);
  runtime.shut_down();
  EXPECT_EQ(answered, 300);
}

TEST(RuntimeOnRealTime, ARequestTimesOutByTheRealClock) {
  actor_runtime runtime;
  const auto receiver = runtime.system().spawn(keeper);
  std::optional<errc> code;
  asio::co_spawn(runtime.loop(), runtime.asker().ask<int>(receiver, 5ms, 1),
                 [&](std::exception_ptr, result<int> answer) { code = answer.error().code; });
  while (!code)
    runtime.loop().run_one();
  EXPECT_EQ(code, errc::deadline_exceeded);
  caf::anon_send_exit(receiver, caf::exit_reason::user_shutdown);
}

} // namespace
} // namespace skyengine::actors::runtime
