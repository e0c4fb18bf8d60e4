#pragma once

#include "actors/runtime/errors.hpp"
#include "actors/runtime/steady_timers.hpp"
#include "domain/error.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>

#include <memory>
#include <type_traits>

namespace skyengine::actors::runtime {

/// Asks actors from outside of them: from HTTP handlers and other coroutines of the loop. One hidden actor
/// carries all requests, so an ask costs no spawn. Lives on the loop's thread; drop it before the actor
/// system.
class asker {
public:
  explicit asker(caf::actor_system& system);
  ~asker();
  asker(const asker&) = delete;
  asker& operator=(const asker&) = delete;

  /// The answer of type R (void where the handler gives none), or the error it was refused with;
  /// errc::deadline_exceeded when none came within `patience`.
  template <class R, class Handle, class Message>
  asio::awaitable<result<R>> ask(Handle receiver, steady_duration patience, Message message) {
    auto initiate = [this](auto handler, Handle to, steady_duration span, Message content) {
      // CAF copies its response handlers, completion handlers move only.
      auto completion = std::make_shared<decltype(handler)>(std::move(handler));
      auto failed = [completion](caf::error& e) { std::move (*completion)(result<R>{from_caf(e)}); };
      auto request = self().request(to, std::chrono::duration_cast<caf::timespan>(span), std::move(content));
      if constexpr (std::is_void_v<R>)
        request.then([completion] { std::move (*completion)(result<R>{}); }, failed);
      else
        request.then([completion](R& answer) { std::move (*completion)(result<R>{std::move(answer)}); },
                     failed);
    };
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(result<R>)>(
      initiate, asio::use_awaitable, std::move(receiver), patience, std::move(message));
  }

private:
  caf::event_based_actor& self() noexcept;

  caf::strong_actor_ptr carrier_;
};

} // namespace skyengine::actors::runtime
