#include "domain/forecast.hpp"

#include <algorithm>
#include <utility>

namespace skyengine {

using namespace std::chrono_literals;

hour_standing forecast_month(server_life life, const price_lists& prices, std::chrono::sys_seconds from) {
  const auto end = month_after(from);
  if (!life.power.empty()) {
    const auto last = life.power.back();
    // Hours that nobody looked at stay as they were charged.
    if (std::chrono::floor<std::chrono::hours>(last.last_seen) + 1h < from)
      life.power.push_back({from, end - 1s, last.is_on});
    else
      life.power.back().last_seen = std::max(last.last_seen, end - 1s);
  }
  return standing_after(life, prices, end - 1h);
}

} // namespace skyengine
