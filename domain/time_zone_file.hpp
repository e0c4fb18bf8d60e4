#pragma once

#include "domain/time_zone.hpp"

#include <filesystem>
#include <string_view>

namespace skyengine {

/// Where Debian and nearly everybody else keeps the zones (package tzdata).
inline constexpr auto system_zones = "/usr/share/zoneinfo";

/// Reads the zone of this IANA name, as in Europe/Berlin; UTC needs no file. What stands in the folder beside
/// the zones (`posix/`, `right/`, `zone.tab`) is none. errc::invalid_request when there is no such zone,
/// errc::internal when its file is damaged. Blocks on the disk: ask once and keep the answer.
result<time_zone> load_time_zone(std::string_view name, const std::filesystem::path& folder = system_zones);

} // namespace skyengine
