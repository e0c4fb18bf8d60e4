#include "actors/runtime/ask.hpp"

#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/unit.hpp>

namespace skyengine::actors::runtime {

asker::asker(caf::actor_system& system) {
  const auto carrier = system.spawn<caf::hidden>([](caf::event_based_actor*) {
    // It only ever receives answers; this message keeps it from ending for want of a behaviour.
    return caf::behavior{[](caf::unit_t) {}};
  });
  carrier_ = caf::actor_cast<caf::strong_actor_ptr>(carrier);
}

asker::~asker() {
  caf::anon_send_exit(caf::actor_cast<caf::actor>(carrier_), caf::exit_reason::user_shutdown);
}

caf::event_based_actor& asker::self() noexcept {
  return *static_cast<caf::event_based_actor*>(caf::actor_cast<caf::abstract_actor*>(carrier_));
}

} // namespace skyengine::actors::runtime
