#pragma once

#include "actors/cron_timer.hpp"
#include "actors/runtime/ask.hpp"
#include "db/cron_store.hpp"
#include "domain/error.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <caf/send.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

namespace skyengine::actors {

/// How long to leave a database alone that is away or busy.
inline constexpr std::chrono::milliseconds database_pause{500};

/// Whether the same may be had of the database a little later.
bool is_passing(const error& why);

/// The bug that ended `task` goes to the log, and this goes on in its place.
error unexpected(std::string_view task, const std::exception_ptr& bug);

/// What the parts of CronTimer work with alike.
struct cron_context {
  runtime::asio::any_io_executor loop;
  cron_services services;
  cron_timer_options options;

  /// This node, under the token that its lease has now.
  db::timer_holder holder() const { return services.holder(); }
  /// Whether the lease still has the token that it has now.
  std::function<bool()> is_current() const;
  /// What is compared with the database's clock: nothing where business time is not the system's.
  std::function<std::optional<db::real_time>()> system_clock() const;
  /// A time that is longer ago, in business time, was missed.
  std::chrono::microseconds punctuality() const { return options.punctuality * options.clock_rate; }

  /// Runs `work` on the loop; `self` is sent the message that `tell` makes of what it came to. `task` says in
  /// the log what it was, and is a literal.
  template <class T, class Handle, class Tell>
  void start(std::string_view task, Handle self, runtime::asio::awaitable<result<T>> work, Tell tell) const {
    runtime::asio::co_spawn(
      loop, std::move(work),
      [task, self = std::move(self), tell = std::move(tell)](std::exception_ptr bug, result<T> outcome) {
        if (bug)
          outcome = unexpected(task, bug);
        caf::anon_send(self, tell(std::move(outcome)));
      });
  }
};

} // namespace skyengine::actors
