#pragma once

#include "actors/saga.hpp"
#include "db/server_store.hpp"

namespace skyengine::actors {

/// Begins the suspensions that spending limits ask for, some of them at a time: stores them as actions of
/// this node, which its next look for actions finds. What cannot be begun now is left for the next call.
runtime::asio::awaitable<void> keep_limits(db::server_store& servers, saga_services& services);

} // namespace skyengine::actors
