#pragma once

#include "domain/error.hpp"
#include "domain/ids.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/type_id.hpp>
#include <caf/typed_actor.hpp>

/// Every typed message and interface of the engine's actors. Type ids are appended to the block at the end,
/// never moved: nodes of two versions talk to each other.
namespace skyengine::actors {

/// Registers every message type of this header with `config`.
void add_message_types(caf::actor_system_config& config);

} // namespace skyengine::actors

CAF_BEGIN_TYPE_ID_BLOCK(skyengine, first_custom_type_id)

  CAF_ADD_TYPE_ID(skyengine, (skyengine::field_error))
  CAF_ADD_TYPE_ID(skyengine, (std::vector<skyengine::field_error>))

CAF_END_TYPE_ID_BLOCK(skyengine)
