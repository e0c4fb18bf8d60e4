#pragma once

#include "db/database.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>

namespace skyengine::db {

/// Where the servers of a database are: in a VirtFusion, or in the demo's simulated one.
enum class panel_kind : std::uint8_t { real, demo };

/// The first start stores `wanted`; a later one with the other kind is errc::conflict, since it would look
/// for servers where they never were.
asio::awaitable<result<>> claim_panel(database& db, panel_kind wanted);

} // namespace skyengine::db
