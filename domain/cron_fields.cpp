#include "domain/cron_fields.hpp"

#include <bit>

namespace skyengine {

namespace {

constexpr std::uint8_t monday_to_friday = 0b011'1110;

constexpr std::uint32_t days_up_to(unsigned last) noexcept {
  return static_cast<std::uint32_t>((std::uint64_t{2} << last) - 2);
}

/// Of the first seven days (bits 0 to 6) those on one of `weekdays`.
constexpr std::uint32_t of_first_week(std::uint8_t weekdays, unsigned first_weekday) noexcept {
  const auto twice = static_cast<std::uint32_t>(weekdays | weekdays << 7);
  return twice >> first_weekday & 0x7f;
}

/// Of days 1 to 35 those on one of `weekdays`.
constexpr std::uint32_t of_all_weeks(std::uint8_t weekdays, unsigned first_weekday) noexcept {
  constexpr std::uint64_t each_week = 0x1 | 0x1ULL << 7 | 0x1ULL << 14 | 0x1ULL << 21 | 0x1ULL << 28;
  return static_cast<std::uint32_t>((of_first_week(weekdays, first_weekday) * each_week) << 1);
}

} // namespace

std::uint32_t cron_fields::days_by_date(unsigned length, unsigned first_weekday) const noexcept {
  const auto all = days_up_to(length);
  auto found = days & all;
  if (has_last_day)
    found |= std::uint32_t{1} << length;
  if (nearest_weekdays == 0 && !has_last_weekday)
    return found;

  const auto working = of_all_weeks(monday_to_friday, first_weekday) & all;
  if (has_last_weekday)
    found |= std::bit_floor(working);
  const auto wanted = nearest_weekdays & all;
  const auto saturdays = wanted & of_all_weeks(1 << 6, first_weekday);
  const auto sundays = wanted & of_all_weeks(1, first_weekday);
  constexpr std::uint32_t first = 1 << 1;
  const auto last = std::uint32_t{1} << length;
  // The day before a Saturday and after a Sunday, but never in another month.
  found |= wanted & working;
  found |= (saturdays & ~first) >> 1 | (saturdays & first) << 2;
  found |= (sundays & ~last) << 1 | (sundays & last) >> 2;
  return found;
}

std::uint32_t cron_fields::days_by_weekday(unsigned length, unsigned first_weekday) const noexcept {
  auto found = of_all_weeks(weekdays, first_weekday);
  for (unsigned k = 0; k < nth_weekdays.size(); ++k)
    if (nth_weekdays[k] != 0)
      found |= static_cast<std::uint32_t>(std::uint64_t{of_first_week(nth_weekdays[k], first_weekday)}
                                          << (7 * k + 1));
  if (last_weekdays != 0)
    found |= of_all_weeks(last_weekdays, first_weekday) & ~days_up_to(length - 7);
  return found & days_up_to(length);
}

std::uint32_t cron_fields::days_of_month(unsigned length, unsigned first_weekday) const noexcept {
  const auto by_date = days_by_date(length, first_weekday);
  const auto by_weekday = days_by_weekday(length, first_weekday);
  return is_day_restricted && is_weekday_restricted ? by_date | by_weekday : by_date & by_weekday;
}

} // namespace skyengine
