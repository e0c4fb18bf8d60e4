#pragma once

#include "actors/billing_messages.hpp"
#include "actors/runtime/steady_timers.hpp"
#include "db/billing_store.hpp"
#include "domain/clock.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <caf/actor_system.hpp>

#include <chrono>
#include <cstdint>
#include <functional>

namespace skyengine::actors {

struct billing_options {
  /// An hour is closed so long after its end (business time): until then its facts may still come.
  std::chrono::seconds delay{60};
  /// `sync.window`: hours of servers on `uptime` terms wait so long for their sync (business time).
  std::chrono::seconds sync_window{std::chrono::minutes{50}};
  /// An hour that is over so long and not closed is an alert (business time).
  std::chrono::seconds late_after{std::chrono::hours{2}};
  /// What one transaction has, in servers and users; a user is never divided.
  std::int64_t rows_at_once = 2'000;
  /// Transactions at a time.
  int lanes = 2;
  /// How often to look whether an hour is over, and how soon to try again after a failure (real time).
  std::chrono::milliseconds look_every{1'000};
  std::chrono::milliseconds retry_after{5'000};
  /// Business time is the system's: it is compared with the database's.
  bool is_system_time = true;
};

/// What billing works with. Everything referred to outlives it.
struct billing_services {
  db::billing_store& store;
  /// The token of this node's lease.
  std::function<std::int64_t()> token;
  const clock& business;
  runtime::steady_timers& timers;
};

/// Closes every hour soon after its end, oldest first, and those that were missed; a tick closes what can be
/// closed then, and fails where it is told to stop before that. Figures of a tick: `hours`, `charges`,
/// `corrections`, and `failing`: users whose hours could not be closed, who hold up nobody else.
billing_actor spawn_billing(caf::actor_system& system,
                            boost::asio::any_io_executor loop,
                            billing_services services,
                            billing_options options);

} // namespace skyengine::actors
