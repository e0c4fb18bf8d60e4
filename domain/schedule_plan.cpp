#include "domain/schedule_plan.hpp"

#include <algorithm>

namespace skyengine {

due_times plan_due(const schedule& what,
                   const cron_expression& expression,
                   const time_zone& zone,
                   std::chrono::sys_seconds next_at,
                   instant now,
                   std::chrono::microseconds punctuality,
                   std::size_t most) {
  due_times plan;
  plan.next = next_at;
  const auto is_missed = [&](std::chrono::sys_seconds at) { return now - at > punctuality; };
  // A window narrower than the engine is punctual loses nothing that is due just now.
  const auto begins = std::chrono::ceil<std::chrono::seconds>(
    now - std::max<std::chrono::microseconds>(what.catch_up_window, punctuality));
  if (next_at < begins)
    plan.next = expression.next(begins - std::chrono::seconds{1}, zone);
  while (plan.next && *plan.next <= now && plan.times.size() < most) {
    due_time one{*plan.next, is_missed(*plan.next), true};
    plan.next = expression.next(one.at, zone);
    if (one.is_missed)
      one.is_run = what.catch_up == catch_up_rule::all ||
                   (what.catch_up == catch_up_rule::latest && (!plan.next || *plan.next > now));
    plan.times.push_back(one);
  }
  return plan;
}

std::optional<std::chrono::sys_seconds>
last_due(const cron_expression& expression, const time_zone& zone, std::chrono::sys_seconds at) {
  constexpr std::chrono::seconds farthest = std::chrono::years{10};
  for (std::chrono::seconds back{1}; back <= farthest; back *= 2) {
    auto found = expression.next(at - back, zone);
    if (!found || *found > at)
      continue;
    // So near that there are few in between: the step before this one found none.
    for (auto later = found; later && *later <= at; later = expression.next(*later, zone))
      found = later;
    return found;
  }
  return std::nullopt;
}

} // namespace skyengine
