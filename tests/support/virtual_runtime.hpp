#pragma once

#include "actors/runtime/actor_runtime.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <gtest/gtest.h>

#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

namespace skyengine::test {

/// Actors, coroutines and time-outs on a loop whose time stands still until `advance`. A fixture that spawns
/// actors ends them before it goes (`caf::anon_send_exit`).
class virtual_runtime : public testing::Test {
protected:
  actors::runtime::actor_runtime runtime{actors::runtime::steady_timers::mode::manual};

  /// Runs everything that is ready, without moving time.
  void settle() {
    runtime.loop().restart();
    while (runtime.loop().poll() > 0)
      runtime.loop().restart();
  }

  /// Moves time on, and runs all that falls due, in order.
  void advance(actors::runtime::steady_duration span) {
    runtime.timers().advance_to(runtime.timers().now() + span, [this] { settle(); });
  }

  /// A coroutine under way: `value` is set once it has ended. An exception in it fails the test.
  template <class T>
  struct task {
    std::optional<T> value;
  };

  template <class T>
  std::shared_ptr<task<T>> spawn(boost::asio::awaitable<T> coroutine) {
    auto running = std::make_shared<task<T>>();
    boost::asio::co_spawn(runtime.loop(), std::move(coroutine), [running](std::exception_ptr bug, T value) {
      if (bug)
        ADD_FAILURE() << "a coroutine ended with an exception";
      else
        running->value = std::move(value);
    });
    settle();
    return running;
  }
};

} // namespace skyengine::test
