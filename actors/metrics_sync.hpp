#pragma once

#include "actors/sync_messages.hpp"
#include "actors/sync_run.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <caf/actor_system.hpp>

namespace skyengine::actors {

/// Takes the ticks of the hourly sync: looks at every server that is due, by the list, by its traffic and
/// live, and writes what it sees. One tick's outcome is an error only where nothing at all could be seen.
///
/// What was seen since the tick was due is not read again, so the same tick may come again. A cancelled sync
/// ends soon, and what it got stands.
metrics_sync_actor spawn_metrics_sync(caf::actor_system& system,
                                      boost::asio::any_io_executor loop,
                                      metrics_sync_services services,
                                      metrics_sync_options options);

} // namespace skyengine::actors
