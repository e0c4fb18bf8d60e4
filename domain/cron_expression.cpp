#include "domain/cron_expression.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

namespace skyengine {

namespace {

using namespace std::chrono;

constexpr auto first_second = sys_seconds{sys_days{year{0} / January / 1}};
constexpr auto first_local = local_seconds{local_days{year{0} / January / 1}};
constexpr auto end_of_years = sys_seconds{sys_days{year{10'000} / January / 1}};

/// The lowest member of `set` from `least` on, or -1. @pre least ≤ the width of the set
template <class Set>
constexpr int first_from(Set set, unsigned least) noexcept {
  const auto left = static_cast<std::uint64_t>(set) >> least;
  return left == 0 ? -1 : static_cast<int>(least) + std::countr_zero(left);
}

constexpr std::int64_t second_of_day(int hour, int minute, int second) noexcept {
  return std::int64_t{hour} * 3'600 + minute * 60 + second;
}

constexpr std::int64_t first_of_day(const cron_fields& fields) noexcept {
  return second_of_day(std::countr_zero(fields.hours), std::countr_zero(fields.minutes),
                       std::countr_zero(fields.seconds));
}

/// The first second of a day to fire, from `least` on, or -1.
std::int64_t first_of_day_from(const cron_fields& fields, unsigned least) noexcept {
  const auto hour = least / 3'600;
  const auto minute = least / 60 % 60;
  if (fields.hours >> hour & 1) {
    if (fields.minutes >> minute & 1)
      if (const auto second = first_from(fields.seconds, least % 60); second >= 0)
        return second_of_day(static_cast<int>(hour), static_cast<int>(minute), second);
    if (const auto later = first_from(fields.minutes, minute + 1); later >= 0)
      return second_of_day(static_cast<int>(hour), later, std::countr_zero(fields.seconds));
  }
  const auto later = first_from(fields.hours, hour + 1);
  return later < 0 ? -1
                   : second_of_day(later, std::countr_zero(fields.minutes), std::countr_zero(fields.seconds));
}

/// The first local time to fire, from `least` and the year 0 on; nullopt after the year 9999.
std::optional<local_seconds> first_local_from(const cron_fields& fields, local_seconds least) noexcept {
  least = std::max(least, first_local);
  const auto day = floor<days>(least);
  const year_month_day date{day};
  auto in_year = date.year();
  auto in_month = static_cast<unsigned>(date.month());
  const auto of_month = static_cast<unsigned>(date.day());
  auto begin = day - days{of_month - 1};
  // Days of this month that are over.
  std::uint32_t over = (std::uint32_t{1} << of_month) - 1;

  while (in_year <= year{9999}) {
    const auto length = static_cast<unsigned>((in_year / month{in_month} / last).day());
    if (fields.months >> in_month & 1) {
      auto matching = fields.days_of_month(length, weekday{begin}.c_encoding()) & ~over;
      if (over != 0 && (matching >> of_month & 1)) {
        const auto second = static_cast<unsigned>((least - day) / seconds{1});
        if (const auto found = first_of_day_from(fields, second); found >= 0)
          return day + seconds{found};
        matching &= matching - 1;
      }
      if (matching != 0)
        return begin + days{std::countr_zero(matching) - 1} + seconds{first_of_day(fields)};
    }
    over = 0;
    if (const auto later = first_from(fields.months, in_month + 1); later == static_cast<int>(in_month) + 1) {
      // By far the most frequent: the next month, which begins when this one is over.
      in_month = static_cast<unsigned>(later);
      begin += days{length};
    } else {
      if (later < 0)
        ++in_year;
      in_month =
        later < 0 ? static_cast<unsigned>(std::countr_zero(fields.months)) : static_cast<unsigned>(later);
      begin = local_days{in_year / month{in_month} / 1};
    }
  }
  return std::nullopt;
}

/// Of a schedule that follows the wall clock: span by span of equal offset, the first time that it shows.
std::optional<sys_seconds>
first_shown(const cron_fields& fields, sys_seconds least, const time_zone& zone) noexcept {
  auto span = zone.span_at(least);
  auto from = local_seconds{least.time_since_epoch() + span.offset};
  auto found = first_local_from(fields, from);
  while (found) {
    const sys_seconds at{found->time_since_epoch() - span.offset};
    if (at < span.end)
      return at;
    span = zone.span_at(span.end);
    const local_seconds begun{span.begin.time_since_epoch() + span.offset};
    // What was found is still the first, unless the clock went back behind where the search began, or jumped
    // over it.
    if (begun < from || begun > *found)
      found = first_local_from(fields, begun);
    from = begun;
  }
  return std::nullopt;
}

std::optional<sys_seconds>
first_fire(const cron_fields& fields, sys_seconds after, const time_zone& zone) noexcept {
  if (fields.period > 0) {
    const auto passed = after.time_since_epoch().count();
    const auto behind = (passed % fields.period + fields.period) % fields.period;
    return sys_seconds{seconds{passed - behind + fields.period}};
  }
  if (fields.follows_wall_clock)
    return first_shown(fields, after + seconds{1}, zone);
  const auto local = first_local_from(fields, zone.first_unreached(after));
  if (!local)
    return std::nullopt;
  return zone.first_reach(*local);
}

} // namespace

std::optional<sys_seconds> cron_expression::next(sys_seconds after, const time_zone& zone) const noexcept {
  if (after < first_second || after >= end_of_years)
    return std::nullopt;
  const auto at = first_fire(fields_, after, zone);
  return at && *at < end_of_years ? at : std::nullopt;
}

bool cron_expression::is_finer_than_a_minute() const noexcept {
  return fields_.period > 0 ? fields_.period < 60 : std::popcount(fields_.seconds) > 1;
}

} // namespace skyengine
