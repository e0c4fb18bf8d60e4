#pragma once

#include "domain/clock.hpp"
#include "domain/error.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace skyengine {

/// RFC 3339 in UTC: `2026-11-23T10:00:00Z`, with six decimals where the microseconds are not zero.
/// @pre the year is 0000 to 9999
std::string format_time(instant at);

/// With the clock and the offset of a place: `2026-11-23T11:00:00+01:00`. RFC 3339 has offsets of whole
/// minutes: one with seconds, as local mean times have it, is told without them, and the instant is still
/// right.
std::string format_time(std::chrono::sys_seconds at, std::chrono::seconds offset);

/// In UTC with three decimals, always: the form of log lines, which so stay aligned.
std::string format_time_milliseconds(std::chrono::sys_time<std::chrono::milliseconds> at);

/// Reads RFC 3339 with an offset (`Z`, `z`, `+01:00`), `T` in either case, at most six decimals, no leap
/// second, years 0000 to 9999 in UTC too. errc::invalid_request with the reason otherwise.
result<instant> parse_time(std::string_view text);

/// As parse_time, but any fraction of a second is refused, `.0` too.
result<std::chrono::sys_seconds> parse_whole_seconds(std::string_view text);

} // namespace skyengine
