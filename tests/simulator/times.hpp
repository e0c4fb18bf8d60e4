#pragma once

#include "domain/clock.hpp"

#include <optional>
#include <string>
#include <string_view>

/// The panel's three ways of writing a time, and RFC 3339 for the control side.
namespace skyengine::simulator {

/// `2026-03-01T10:00:00+00:00`, as most times of a record.
std::string with_offset(instant t);
/// `2026-03-01T10:00:00.000000Z`, as users, keys and packages have it.
std::string with_microseconds(instant t);
/// `2026-03-01 10:00:00`, as traffic and tasks have it.
std::string without_zone(instant t);
/// `2026-03-01T10:00:00Z`.
std::string rfc3339(instant t);
/// Reads RFC 3339 with offset, fractions of up to six digits.
std::optional<instant> parse_rfc3339(std::string_view text);

} // namespace skyengine::simulator
