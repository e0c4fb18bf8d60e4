#include "actors/protocol.hpp"

namespace skyengine::actors {

void add_message_types(caf::actor_system_config& config) {
  config.add_message_types<caf::id_block::skyengine>();
}

} // namespace skyengine::actors
