#pragma once

#include "actors/protocol.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/runtime/steady_timers.hpp"
#include "net/virtfusion/calls.hpp"
#include "net/virtfusion/failure.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <string>
#include <type_traits>
#include <utility>

namespace skyengine::actors {

/// Who wants a call, how urgently, and until when it must have begun.
struct call_options {
  call_class priority = call_class::interactive;
  runtime::steady_time deadline{};
  /// 0 for the engine's own.
  user_id user{};
  std::string request_id = {};
  /// Sent once, also where it is safe to repeat: who asks looks first what came of it.
  bool is_sent_once = false;
};

/// VirtFusion for coroutines of the loop: typed calls through the gateway. `asker` and `timers` must outlive
/// it and every call under way.
class virtfusion_caller {
public:
  virtfusion_caller(runtime::asker& asker, runtime::steady_timers& timers, virtfusion_gateway_actor gateway)
      : asker_(asker), timers_(timers), gateway_(std::move(gateway)) {}

  /// A restarted gateway is a new handle; calls under way end as call_failure::kind::unknown.
  void set_gateway(virtfusion_gateway_actor gateway) { gateway_ = std::move(gateway); }

  runtime::steady_timers& timers() noexcept { return timers_; }

  /// Ends soon after the deadline when the call could not begin, else at most the operation's own time-out
  /// later. An answer that cannot be read is asked for again where that is safe, then it is
  /// call_failure::kind::unknown.
  template <class T>
  runtime::asio::awaitable<net::virtfusion::call_result<T>> call(call_options options,
                                                                 net::virtfusion::call<T> wanted) {
    for (int unreadable = 0;;) {
      const auto outcome = co_await exchange(options, wanted.what);
      if (outcome.has_error())
        co_return outcome.error();
      auto read = wanted.read(*outcome);
      if (read.has_value()) {
        if constexpr (std::is_void_v<T>)
          co_return net::virtfusion::call_result<T>{};
        else
          co_return std::move(*read);
      }
      const auto is_worth_repeating = net::virtfusion::traits_of(wanted.what.op).is_safe_to_repeat &&
                                      ++unreadable < max_unreadable && timers_.now() < options.deadline;
      if (!is_worth_repeating)
        co_return report_unreadable(options, wanted.what, *outcome, read.error());
    }
  }

  /// The server's record when it belongs to `options.user`, to be asked before any change. An alert and
  /// call_failure::kind::wrong_owner when it is another's; a look that failed stays that failure.
  runtime::asio::awaitable<net::virtfusion::call_result<net::virtfusion::server_record>>
  get_own_server(call_options options, virtfusion_server_id server, bool remote_state = false);

  /// errc::overloaded when the gateway does not answer.
  runtime::asio::awaitable<result<gateway_pace>> pace(std::int64_t calls);

private:
  // A panel that sends three answers in a row that make no sense will not mend with a fourth.
  static constexpr int max_unreadable = 3;

  runtime::asio::awaitable<net::virtfusion::call_result<net::virtfusion::answer>>
  exchange(call_options options, net::virtfusion::request wanted);
  static net::virtfusion::call_failure report_unreadable(const call_options& options,
                                                         const net::virtfusion::request& wanted,
                                                         const net::virtfusion::answer& given,
                                                         const error& why);

  runtime::asker& asker_;
  runtime::steady_timers& timers_;
  virtfusion_gateway_actor gateway_;
};

} // namespace skyengine::actors
