#pragma once

#include "domain/error.hpp"
#include "domain/time_zone.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <string>

namespace skyengine::actors {

/// The zone of this name, for `cron_services` and the API. It is read from the disk, which takes its time
/// where this runs.
boost::asio::awaitable<result<std::shared_ptr<const time_zone>>> load_zone(std::string name);

} // namespace skyengine::actors
