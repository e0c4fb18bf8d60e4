#include "actors/runtime/actor_runtime.hpp"

#include "actors/protocol.hpp"
#include "domain/log.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <caf/actor_registry.hpp>

#include <thread>

namespace skyengine::actors::runtime {

actor_runtime::actor_runtime(steady_timers::mode time)
    : timers_(loop_, time), config_(std::make_unique<loop_config>(loop_, timers_)) {
  add_message_types(*config_);
  system_ = std::make_unique<caf::actor_system>(*config_);
  asker_ = std::make_unique<runtime::asker>(*system_);
}

actor_runtime::~actor_runtime() {
  shut_down();
}

const actor_figures& actor_runtime::figures() const {
  return *dynamic_cast<loop_scheduler&>(system_->scheduler()).figures();
}

void actor_runtime::shut_down(steady_duration patience) {
  if (!system_)
    return;
  asker_.reset();
  auto guard = asio::make_work_guard(loop_);
  loop_.restart();
  const auto until = std::chrono::steady_clock::now() + patience;
  while (system_->registry().running() > 0 && std::chrono::steady_clock::now() < until)
    loop_.run_one_until(until);
  if (const auto running = system_->registry().running(); running > 0) {
    log::error("actors did not end in time", {{"running", running}});
    system_->await_actors_before_shutdown(false);
  }
  // Its destructor joins threads that need the loop, so it runs on another one while this one serves the
  // loop.
  std::thread destroyer([this, &guard] {
    system_.reset();
    asio::post(loop_, [&guard] { guard.reset(); });
  });
  while (guard.owns_work())
    loop_.run_one();
  destroyer.join();
  timers_.clear();
  loop_.restart();
  loop_.poll();
}

} // namespace skyengine::actors::runtime
