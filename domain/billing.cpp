#include "domain/billing.hpp"

namespace skyengine {

using namespace std::chrono_literals;

std::optional<hour_charge>
charge_of(const billed_server& one, const price_lists& prices, std::chrono::sys_seconds hour) {
  auto standing = standing_after(one.life, prices, hour);
  const charged_month now{standing.accrued, standing.seconds};
  if (now == one.charged)
    return std::nullopt;
  // Seconds that cost nothing have a row too, so that the hours tell all that was counted.
  return hour_charge{one.id,
                     std::move(standing.plan),
                     standing.basis,
                     standing.is_estimated,
                     now.seconds - one.charged.seconds,
                     {now.sum.micros - one.charged.sum.micros},
                     now};
}

std::optional<month_correction>
correction_of(const billed_server& one, const price_lists& prices, const past_month& past) {
  auto standing = standing_after(one.life, prices, month_after(past.month) - 1h);
  const charged_month now{standing.accrued, standing.seconds};
  if (now == past.charged)
    return std::nullopt;
  return month_correction{one.id,
                          past.month,
                          past.corrections + 1,
                          std::move(standing.plan),
                          now.seconds - past.charged.seconds,
                          {now.sum.micros - past.charged.sum.micros},
                          now};
}

} // namespace skyengine
