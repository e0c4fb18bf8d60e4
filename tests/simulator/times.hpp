#pragma once

#include "domain/clock.hpp"

#include <string>

/// The panel's three ways of writing a time.
namespace skyengine::simulator {

/// `2026-03-01T10:00:00+00:00`, as most times of a record.
std::string with_offset(instant t);
/// `2026-03-01T10:00:00.000000Z`, as users, keys and packages have it.
std::string with_microseconds(instant t);
/// `2026-03-01 10:00:00`, as traffic and tasks have it.
std::string without_zone(instant t);

} // namespace skyengine::simulator
