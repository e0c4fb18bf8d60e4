#pragma once

#include "actors/runtime/actor_figures.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/runtime/loop_scheduler.hpp"
#include "actors/runtime/steady_timers.hpp"

#include <boost/asio/io_context.hpp>
#include <caf/actor_system.hpp>

#include <functional>
#include <memory>

namespace skyengine::actors::runtime {

/// One loop, its timers, and the actor system that runs on it. Made, run and stopped on one thread.
class actor_runtime {
public:
  explicit actor_runtime(steady_timers::mode time = steady_timers::mode::real);
  /// Ends as `shut_down` when that was not called.
  ~actor_runtime();
  actor_runtime(const actor_runtime&) = delete;
  actor_runtime& operator=(const actor_runtime&) = delete;

  asio::io_context& loop() noexcept { return loop_; }
  steady_timers& timers() noexcept { return timers_; }
  caf::actor_system& system() noexcept { return *system_; }
  runtime::asker& asker() noexcept { return *asker_; }
  /// What was measured of the actors.
  const actor_figures& figures() const;

  /// Waits for the actors to end (whoever spawned them has told them to) while the loop goes on, then
  /// destroys the actor system. After `patience` it no longer waits, and the names of what still runs go to
  /// the log.
  void shut_down(steady_duration patience = std::chrono::seconds{5});

private:
  asio::io_context loop_{1};
  steady_timers timers_;
  // The system reads it for as long as it lives.
  std::unique_ptr<loop_config> config_;
  std::unique_ptr<caf::actor_system> system_;
  std::unique_ptr<runtime::asker> asker_;
};

} // namespace skyengine::actors::runtime
