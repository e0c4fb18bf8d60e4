#pragma once

#include "domain/error.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace skyengine {

/// A day of each year and a time on it, as POSIX.1-2017 8.3 writes it in `TZ`: `Jn`, `n` or `Mm.w.d`, with
/// the times of -167 to 167 hours that RFC 8536 3.3.1 adds.
struct yearly_moment {
  enum class form : std::uint8_t {
    /// `Jn`, 1 to 365: February 29 is never counted.
    day_without_leap,
    /// `n`, 0 to 365: February 29 is counted.
    day_of_year,
    /// `Mm.w.d`: the w-th weekday d of month m; w = 5 is the last.
    weekday_of_month,
  };
  form kind = form::day_without_leap;
  std::uint16_t day = 1;
  std::uint8_t month = 1;
  std::uint8_t week = 1;
  std::uint8_t weekday = 0;
  std::chrono::seconds time{0};

  /// The moment of `year` on the wall clock that holds before it.
  std::chrono::local_seconds in(std::chrono::year year) const noexcept;
};

/// The rule that a zone follows after the last transition that its file lists: the file's footer.
struct posix_time_rule {
  struct summer {
    std::chrono::seconds offset{0};
    yearly_moment begin = {};
    yearly_moment end = {};
  };
  /// East of Greenwich is positive, which is the other way round in the text.
  std::chrono::seconds offset{0};
  /// Absent where the offset is the same all year.
  std::optional<summer> dst = {};
};

/// Reads `EST5EDT,M3.2.0,M11.1.0` or `<+0330>-3:30`. What leaves the dates of daylight saving open is
/// refused, since the standard does not say them. errc::invalid_request with the reason.
result<posix_time_rule> parse_posix_time_rule(std::string_view text);

} // namespace skyengine
