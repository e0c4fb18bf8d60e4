#pragma once

#include "db/database.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>

namespace skyengine::db {

/// Where the servers of a database are: in a VirtFusion, or in the demo's simulated one.
enum class panel_kind : std::uint8_t { real, demo };

/// The first start stores `wanted`; a later one with the other kind is errc::conflict, since it would look
/// for servers where they never were.
asio::awaitable<result<>> claim_panel(database& db, panel_kind wanted);

/// What an earlier start has stored; nothing where none has. Changes nothing, whatever the database's
/// version.
asio::awaitable<result<std::optional<panel_kind>>> find_panel(database& db);

} // namespace skyengine::db
