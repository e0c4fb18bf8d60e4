#pragma once

#include "actors/runtime/errors.hpp"
#include "domain/error.hpp"
#include "domain/log.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <caf/actor_cast.hpp>
#include <caf/response_promise.hpp>
#include <caf/send.hpp>

#include <exception>
#include <utility>

namespace skyengine::actors::runtime {

namespace asio = boost::asio;

/// One sentence for the log about an exception that nobody expected.
std::string describe(const std::exception_ptr& bug) noexcept;

/// Runs `task` on the loop; its value, or the error it ended with, reaches `self` as one
/// `Message{result<T>}`. The coroutine never touches the actor's state: handlers alone do, when the message
/// comes.
template <class Message, class T, class Handle>
void start(asio::any_io_executor loop, Handle self, asio::awaitable<result<T>> task) {
  asio::co_spawn(loop, std::move(task), [self](std::exception_ptr bug, result<T> outcome) {
    if (bug) {
      log::error("a task failed unexpectedly", {{"error", describe(bug)}});
      outcome = error{errc::internal, "unexpected failure"};
    }
    caf::anon_send(self, Message{std::move(outcome)});
  });
}

/// A promise in an actor's state that answers with an error when the state goes: CAF 0.17 leaves the asker
/// waiting for its time-out when an actor ends with promises open.
class open_promise {
public:
  explicit open_promise(caf::response_promise promise) : promise_(std::move(promise)) {}
  open_promise(open_promise&& other) noexcept
      : promise_(std::exchange(other.promise_, caf::response_promise{})) {}
  open_promise& operator=(open_promise&& other) noexcept {
    std::swap(promise_, other.promise_);
    return *this;
  }
  ~open_promise();

  template <class... T>
  void deliver(T&&... value) {
    promise_.deliver(std::forward<T>(value)...);
  }
  void fail(const error& e) { promise_.deliver(to_caf(e)); }

private:
  caf::response_promise promise_;
};

} // namespace skyengine::actors::runtime
