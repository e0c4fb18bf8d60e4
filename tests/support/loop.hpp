#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

namespace skyengine::test {

namespace asio = boost::asio;

/// Longer than anything a test waits for; a test that reaches it has failed.
inline constexpr std::chrono::seconds patience{30};

/// Runs `loop` until `task` ends; its value, or its exception. `std::runtime_error` after `patience`.
template <class T>
T run(asio::io_context& loop, asio::awaitable<T> task) {
  std::exception_ptr thrown;
  std::optional<T> value;
  bool is_done = false;
  asio::co_spawn(loop, std::move(task), [&](std::exception_ptr e, T v) {
    thrown = e;
    if (!e)
      value.emplace(std::move(v));
    is_done = true;
  });
  const auto deadline = std::chrono::steady_clock::now() + patience;
  loop.restart();
  while (!is_done && loop.run_one_until(deadline) > 0) {
  }
  if (!is_done)
    throw std::runtime_error("the coroutine did not end");
  if (thrown)
    std::rethrow_exception(thrown);
  return std::move(*value);
}

inline void run(asio::io_context& loop, asio::awaitable<void> task) {
  std::exception_ptr thrown;
  bool is_done = false;
  asio::co_spawn(loop, std::move(task), [&](std::exception_ptr e) {
    thrown = e;
    is_done = true;
  });
  const auto deadline = std::chrono::steady_clock::now() + patience;
  loop.restart();
  while (!is_done && loop.run_one_until(deadline) > 0) {
  }
  if (!is_done)
    throw std::runtime_error("the coroutine did not end");
  if (thrown)
    std::rethrow_exception(thrown);
}

/// Runs `loop` until `condition` holds; false after `patience`. The condition may also come from outside of
/// the loop.
template <class Condition>
bool run_until(asio::io_context& loop, Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline)
      return false;
    loop.restart();
    // Returns at once when there is nothing to do at all, hence the look at the clock.
    loop.run_one_for(std::chrono::milliseconds{20});
  }
  return true;
}

} // namespace skyengine::test
