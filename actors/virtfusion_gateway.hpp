#pragma once

#include "actors/protocol.hpp"
#include "actors/runtime/steady_timers.hpp"
#include "net/virtfusion/transport.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <caf/actor_system.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace skyengine::actors {

/// The settings of the same names under `virtfusion.`.
struct gateway_options {
  int max_in_flight = 16;
  /// Calls a second, and how many of them at once; 0: no limit.
  std::uint32_t rate = 0;
  std::uint32_t burst = 0;
  std::size_t queue_interactive = 512;
  std::size_t queue_control = 512;
  /// Build polls have a queue of this size too.
  std::size_t queue_background = 2'048;
  /// Of the jitter of retries.
  std::uint64_t seed = 0;
};

/// Puts every call to VirtFusion in line, sends as many at once as VirtFusion bears, repeats what is safe to
/// repeat, and stops when VirtFusion is down. `timers` and `transport` must outlive it.
virtfusion_gateway_actor spawn_virtfusion_gateway(caf::actor_system& system,
                                                  runtime::asio::any_io_executor loop,
                                                  runtime::steady_timers& timers,
                                                  net::virtfusion::transport& transport,
                                                  gateway_options options);

} // namespace skyengine::actors
