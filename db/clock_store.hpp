#pragma once

#include "db/database.hpp"
#include "domain/clock.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>

namespace skyengine::db {

/// The business clock of this database: the first start stores `rate` and where real and business time began,
/// all later ones go on from there, whatever rate they ask for.
asio::awaitable<result<scaled_clock>> load_clock(database& db, std::int64_t rate, instant now);

} // namespace skyengine::db
