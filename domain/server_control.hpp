#pragma once

#include "domain/action.hpp"
#include "domain/error.hpp"
#include "domain/server_lifecycle.hpp"
#include "domain/server_resources.hpp"

#include <string>
#include <string_view>

namespace skyengine {

/// Whether a server in `state` has to be suspended, unsuspended or resized to be as wanted: false when it is
/// suspended, or active, already. errc::conflict where it cannot be.
result<bool> needs_control(action_kind kind, server_state state);

/// Whether a server that has `has` needs a call to have what its new package gives. errc::conflict when its
/// disk would have to shrink.
result<bool> needs_resize(const server_resources& has, const server_resources& wanted);

/// What `has` lacks to be `wanted`, for people: `memory is 2048 MB instead of 4096 MB`. Empty when nothing.
std::string difference(const server_resources& has, const server_resources& wanted);

} // namespace skyengine
