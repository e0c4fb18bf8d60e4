#pragma once

#include "actors/cron_messages.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/runtime/steady_timers.hpp"
#include "db/cron_store.hpp"
#include "domain/clock.hpp"
#include "domain/time_zone.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <caf/actor_system.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace skyengine::actors {

struct cron_timer_options {
  /// How many seconds of business time pass in one of real time.
  std::int64_t clock_rate = 1;
  /// A time that is longer ago than this, in real time, was missed: the engine was not there.
  std::chrono::seconds punctuality{10};
  /// How often to look for changes that nobody told of, and whether another node has gone that fired.
  std::chrono::milliseconds sweep{2'000};
  /// The longest that it sleeps: so soon it notices that a clock was set.
  std::chrono::milliseconds longest_sleep{1'000};
  std::uint64_t seed = 0;
  /// Carries out this run alone, and fires nothing.
  std::optional<run_id> only = {};
  std::function<db::real_time()> real_now = [] {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  };
};

/// What the timer works with. Everything referred to outlives it.
struct cron_services {
  db::cron_store& store;
  /// This node, under the token that its lease has now.
  std::function<db::timer_holder()> holder;
  const clock& business;
  runtime::steady_timers& timers;
  runtime::asker& asker;
  /// The zone of this name, asked for once. Reading it may take its time, and does not block the loop.
  std::function<runtime::asio::awaitable<result<std::shared_ptr<const time_zone>>>(std::string)> load_zone;
  /// Whom the ticks of a schedule's `handler` are for; null while it is being restarted.
  std::map<std::string, std::function<cron_handler_actor()>> handlers;
};

/// Fires the schedules, on one node at a time: each due time becomes a row in the transaction that moves the
/// schedule on, and its handler is then told. What a node that is gone had begun is begun anew.
cron_timer_actor spawn_cron_timer(caf::actor_system& system,
                                  runtime::asio::any_io_executor loop,
                                  cron_services services,
                                  cron_timer_options options);

} // namespace skyengine::actors
