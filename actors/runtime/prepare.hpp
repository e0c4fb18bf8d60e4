#pragma once

#include <caf/scheduled_actor.hpp>

namespace skyengine::actors::runtime {

/// Sends to our log what CAF would print to stdout: exceptions (after which the actor ends, as always in
/// CAF), down messages that nobody handles, messages that nobody expects; and has the actor measured by its
/// name. Called first by every actor.
void prepare(caf::scheduled_actor* self);

} // namespace skyengine::actors::runtime
