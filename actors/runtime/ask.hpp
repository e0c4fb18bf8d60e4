#pragma once

#include "actors/runtime/errors.hpp"
#include "actors/runtime/steady_timers.hpp"
#include "domain/error.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <caf/abstract_actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/actor_control_block.hpp>
#include <caf/actor_system.hpp>
#include <caf/detail/type_list.hpp>
#include <caf/mailbox_element.hpp>
#include <caf/response_type.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace skyengine::actors::runtime {

namespace detail {

/// An ask that is not over. Destroyed before it was completed, it takes the coroutine that waits for it
/// along.
class question {
public:
  virtual ~question() = default;

  /// What came, which may be an error; the content may be moved from.
  virtual void take(caf::type_erased_tuple& answer) = 0;
  virtual void fail(error why) = 0;
  /// Resumes who asked. After one of the two above, and once.
  virtual void complete() = 0;

  steady_timers::handle alarm{};
};

/// Why `answer` is not what was asked for.
error failure_in(const caf::type_erased_tuple& answer);

template <class R, class Handler>
class typed_question final : public question {
public:
  explicit typed_question(Handler handler) : handler_(std::move(handler)) {}

  void take(caf::type_erased_tuple& answer) override {
    if constexpr (std::is_void_v<R>) {
      if (answer.empty())
        outcome_.emplace();
      else
        fail(failure_in(answer));
    } else if (answer.template match_elements<R>()) {
      // CAF's messages may have several owners.
      if (answer.shared())
        outcome_.emplace(answer.template get_as<R>(0));
      else
        outcome_.emplace(std::move(answer.template get_mutable_as<R>(0)));
    } else {
      fail(failure_in(answer));
    }
  }
  void fail(error why) override { outcome_.emplace(std::move(why)); }
  void complete() override { std::move(handler_)(std::move(*outcome_)); }

private:
  Handler handler_;
  std::optional<result<R>> outcome_;
};

class answer_port;

} // namespace detail

/// Asks actors from outside of them: from HTTP handlers and other coroutines of the loop. Answers reach it
/// without passing a mailbox, so an ask costs the receiver's turn and little more. Lives on the loop's
/// thread; drop it before the actor system.
class asker {
public:
  /// `loop` and `timers` are those that the actors run on, and outlive the system.
  asker(caf::actor_system& system, asio::io_context& loop, steady_timers& timers);
  /// Whoever still waits for an answer is ended with it.
  ~asker();
  asker(const asker&) = delete;
  asker& operator=(const asker&) = delete;

  /// The answer of type R (void where the handler gives none), or the error it was refused with;
  /// errc::deadline_exceeded when none came within `patience`.
  template <class R, class Handle, class Message>
  asio::awaitable<result<R>> ask(Handle receiver, steady_duration patience, Message message) {
    static_assert(
      std::is_same_v<caf::response_type_t<typename Handle::signatures, Message>, caf::detail::type_list<R>>,
      "the receiver does not answer this message with R");
    auto initiate = [this](auto handler, Handle to, steady_duration span, Message content) {
      using question = detail::typed_question<R, decltype(handler)>;
      const auto id = expect(std::make_unique<question>(std::move(handler)), span);
      auto* const actor = caf::actor_cast<caf::abstract_actor*>(to);
      if (actor != nullptr)
        actor->enqueue(caf::make_mailbox_element(self_, id, {}, std::move(content)), nullptr);
      else
        refuse(id);
    };
    return asio::async_initiate<const asio::use_awaitable_t<>, void(result<R>)>(
      std::move(initiate), asio::use_awaitable, std::move(receiver), patience, std::move(message));
  }

private:
  /// The id of the request whose answer, or whose time-out, `asked` waits for.
  caf::message_id expect(std::unique_ptr<detail::question> asked, steady_duration patience);
  /// Answers a request that has no receiver.
  void refuse(caf::message_id request);

  detail::answer_port& port() noexcept;

  caf::strong_actor_ptr self_;
};

} // namespace skyengine::actors::runtime
