#pragma once

#include <array>
#include <cstdint>

namespace skyengine {

/// What a cron expression says, as sets of bits: bit n of a set is the value n. Sunday is 0.
struct cron_fields {
  std::uint64_t seconds = 1;
  std::uint64_t minutes = 0;
  std::uint32_t hours = 0;
  std::uint32_t days = 0;
  /// `nW`: the weekday, Monday to Friday, that is nearest to day n of the same month.
  std::uint32_t nearest_weekdays = 0;
  std::uint16_t months = 0;
  std::uint8_t weekdays = 0;
  /// `nL`: the last one of a month.
  std::uint8_t last_weekdays = 0;
  /// `n#k`: the k-th one of a month, at k - 1.
  std::array<std::uint8_t, 5> nth_weekdays = {};
  /// `L`.
  bool has_last_day = false;
  /// `LW`: the last of a month that is Monday to Friday.
  bool has_last_weekday = false;
  /// Whether the text of a day field begins otherwise than with `*` and is not `?`. If both are restricted, a
  /// day needs to be in either; else it needs to be in both.
  bool is_day_restricted = false;
  bool is_weekday_restricted = false;
  /// Whether `*` or `/` stands in the minute or hour field: daylight saving then moves nothing.
  bool follows_wall_clock = false;
  /// `@every`, in seconds; 0 for all others, and then nothing else counts.
  std::int64_t period = 0;

  friend bool operator==(const cron_fields&, const cron_fields&) = default;

  /// The days (bits 1 to 31) of a month with so many days, whose first is this weekday.
  /// @pre 28 ≤ length ≤ 31, first_weekday ≤ 6
  std::uint32_t days_of_month(unsigned length, unsigned first_weekday) const noexcept;
  /// The same as far as each field alone says it.
  std::uint32_t days_by_date(unsigned length, unsigned first_weekday) const noexcept;
  std::uint32_t days_by_weekday(unsigned length, unsigned first_weekday) const noexcept;
};

static_assert(sizeof(cron_fields) <= 64, "one cache line");

} // namespace skyengine
