#pragma once

#include "actors/runtime/steady_timers.hpp"

#include <caf/actor_control_block.hpp>
#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace skyengine::actors {

/// One actor that the supervisor keeps alive.
struct child_spec {
  /// The actor's own name: label of the metric, field of the log.
  std::string name;
  /// Spawns it and makes the new handle known to those who need it. A restart is a new handle.
  std::function<caf::strong_actor_ptr()> start;
  /// How long it may take to end when told to.
  std::chrono::milliseconds stop_patience{5'000};
};

struct supervisor_options {
  /// More restarts than this within `window` escalate: the node ends, and its service manager starts it
  /// again.
  std::size_t max_restarts = 5;
  std::chrono::milliseconds window{60'000};
  std::chrono::milliseconds first_pause{100};
  std::chrono::milliseconds longest_pause{10'000};
};

/// Ends the children in reverse order, each within its own time; answered when all have ended or were given
/// up.
struct stop_children {};

struct restart_counts_query {};
struct restart_counts {
  struct child {
    std::string name;
    std::uint64_t restarts;
  };
  std::vector<child> children;
};

using supervisor_actor = caf::typed_actor<caf::reacts_to<stop_children>,
                                          caf::replies_to<restart_counts_query>::with<restart_counts>>;

/// Starts the children in order, watches them, and starts one that ended anew after a growing pause, one for
/// one. `escalate` is called at most once, with the sentence for the log. `timers` must outlive it.
supervisor_actor spawn_supervisor(caf::actor_system& system,
                                  runtime::steady_timers& timers,
                                  std::vector<child_spec> children,
                                  supervisor_options options,
                                  std::function<void(std::string)> escalate);

} // namespace skyengine::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::stop_children)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::restart_counts_query)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::restart_counts)
