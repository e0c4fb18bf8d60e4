#pragma once

#include <string_view>
#include <vector>

namespace skyengine::actors::runtime {

/// The names of all crash points, in the order in which they are passed, kind by kind.
std::vector<std::string_view> crash_points();

#ifdef SKYENGINE_CRASH_POINTS
/// Kills this process (`SIGKILL`) when `SKYENGINE_CRASH_AT` names `point`; `name:n` means the n-th time it is
/// passed. `throw:name` throws there each time, `throw:name:n` the n-th time. A name that `crash_points` does
/// not list is a bug: `std::logic_error`.
void crash_point(std::string_view point);
#else
inline void crash_point(std::string_view) {}
#endif

} // namespace skyengine::actors::runtime
