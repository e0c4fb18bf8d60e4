#pragma once

#include "domain/billable_time.hpp"

#include <chrono>

namespace skyengine {

/// What the month of `from` will have come to at its end if everything stays as it is: `from` is the first
/// hour that is not closed. Who is active stays so, on the plan that it has; what is held stays held; power
/// stays as it was last seen. Prices that are known to change do.
hour_standing forecast_month(server_life life, const price_lists& prices, std::chrono::sys_seconds from);

} // namespace skyengine
