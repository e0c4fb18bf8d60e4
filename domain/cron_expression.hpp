#pragma once

#include "domain/cron_fields.hpp"
#include "domain/error.hpp"
#include "domain/time_zone.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

namespace skyengine {

/// When a schedule fires: a cron expression, read once. A small value; asking it neither allocates nor locks.
///
/// Day of month and day of week are OR-ed when both are restricted, as POSIX crontab has it; a field that
/// begins with `*` restricts nothing, as in cronie. Daylight saving follows cronie's idea, made exact:
///
/// A schedule with `*` or `/` in its minute or hour field follows the wall clock: it fires whenever the clock
/// shows one of its times, in both passes of a repeated hour, and in a skipped one not at all.
///
/// Of every other the times are fixed. Each fires once, at the first instant at which the clock shows it or
/// has passed it: the first pass of a repeated hour, the end of a skipped one. Those that fall on the same
/// instant fire together, also when a whole day was skipped.
///
/// `@every` knows no zone: it fires at the multiples of its period since 1970-01-01T00:00:00Z.
class cron_expression {
public:
  /// The first time to fire strictly after `after`; nullopt when either lies outside the years 0000 to 9999,
  /// in UTC or on the zone's clock. A schedule that follows the wall clock and has only times that its zone
  /// always skips, as `*/5 2 */15 3 SUN#5` in Europe/Berlin, has none either.
  std::optional<std::chrono::sys_seconds> next(std::chrono::sys_seconds after,
                                               const time_zone& zone) const noexcept;

  /// Whether two of its times on the clock are less than a minute apart.
  bool is_finer_than_a_minute() const noexcept;

  const cron_fields& fields() const noexcept { return fields_; }

  friend bool operator==(const cron_expression&, const cron_expression&) = default;

private:
  friend result<cron_expression> parse_cron(std::string_view text);
  explicit cron_expression(const cron_fields& fields) noexcept : fields_(fields) {}

  cron_fields fields_;
};

/// Reads an expression of five fields (minute, hour, day of month, month, day of week) or of six, with the
/// second in front; a macro, as `@hourly`; or `@every 1h30m`. docs/cron.md has all that a field may say.
///
/// errc::invalid_request otherwise: the detail names field, reason, and the place of what is wrong, as in
/// `minute: 75 is above 59, at character 1`. What would never fire is refused so too.
result<cron_expression> parse_cron(std::string_view text);

/// The longest text that parse_cron reads.
inline constexpr std::size_t most_cron_characters = 1'000;

} // namespace skyengine
