#pragma once

#include "tests/simulator/entities.hpp"

#include <cstdint>

namespace skyengine::simulator {

/// The meter of a server that was made at `created`: its first period begins on that day.
traffic_meter new_meter(instant created);

/// Counts up to `until` and turns over the periods that ended by then. A machine that stands still adds
/// nothing; how much a running one moves follows from `seed` and `server_id`.
void count_traffic(
  traffic_meter& meter, std::uint64_t seed, std::int64_t server_id, bool is_running, instant until);

} // namespace skyengine::simulator
