#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

/// A second opinion on when cron expressions fire, which shares nothing with the code under test: it makes up
/// expressions as lists of items, walks time minute by minute, tells the day by gmtime_r and the zone by
/// localtime_r, and takes the rules of daylight saving as they are said.
namespace skyengine::test {

/// One item of a field: `first`, `first-last` or `*`, with a step, or one of the letters.
struct cron_item {
  enum class form : std::uint8_t { any, value, range, last, last_weekday, nearest, last_of_weekday, nth };
  form kind = form::any;
  int first = 0;
  int last = 0;
  int step = 1;
  int nth = 0;
};

struct cron_field {
  std::string text;
  std::vector<cron_item> items;
};

/// Second, minute, hour, day of month, month, day of week.
struct made_up_cron {
  std::array<cron_field, 6> fields;
  /// `@every`; 0 for all others.
  std::int64_t period = 0;
  std::string text;
};

made_up_cron make_up(std::mt19937_64& random);

/// An instant near which the clocks of `zone` jump, or any other one, in 1975 to 2060.
std::int64_t make_up_instant(std::mt19937_64& random, const std::string& zone);

class cron_oracle {
public:
  /// All of the process's own times are told in this zone from here on.
  explicit cron_oracle(const std::string& zone);

  /// The first time to fire after `after`: minute by minute for 400 days, then day by day until one comes.
  std::optional<std::int64_t> next(const made_up_cron& expression, std::int64_t after) const;

  /// Whether no day of the calendar's 400 years is one of the expression's.
  static bool is_never(const made_up_cron& expression);
};

} // namespace skyengine::test
