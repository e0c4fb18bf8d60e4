#pragma once

#include "actors/cron_messages.hpp"

#include <caf/actor_system.hpp>

#include <functional>
#include <string>
#include <vector>

namespace skyengine::actors {

/// One of those that a tick is for.
struct handler_part {
  /// Its figures stand under this name.
  std::string name;
  /// The present one: a restarted actor is a new handle.
  std::function<cron_handler_actor()> actor;
};

/// Hands each tick to all of `parts` at once, and answers when every one has: with the figures of each by its
/// name, or the error of the first in the list that failed. A cancel reaches all of them.
cron_handler_actor spawn_joint_handler(caf::actor_system& system, std::vector<handler_part> parts);

} // namespace skyengine::actors
