#include "tests/unit/cron_oracle.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <ctime>
#include <map>

namespace skyengine::test {

namespace {

constexpr std::int64_t day_seconds = 86'400;
constexpr std::int64_t walked_days = 400;
constexpr int cycle_days = 146'097;

// ---- expressions ----

constexpr std::array<int, 6> least{0, 0, 0, 1, 1, 0};
constexpr std::array<int, 6> most{59, 59, 23, 31, 12, 6};
constexpr int hour = 2;
constexpr int day_of_month = 3;
constexpr int month = 4;
constexpr int day_of_week = 5;

int pick(std::mt19937_64& random, int low, int high) {
  return std::uniform_int_distribution{low, high}(random);
}

bool chance(std::mt19937_64& random, int percent) {
  return pick(random, 1, 100) <= percent;
}

std::string any_case(std::mt19937_64& random, std::string text) {
  for (auto& c : text)
    if (chance(random, 50))
      c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string value_text(std::mt19937_64& random, int field, int value) {
  static const std::array<const char*, 12> months{"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                                  "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
  static const std::array<const char*, 8> weekdays{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"};
  if (field == month && chance(random, 30))
    return any_case(random, months[static_cast<std::size_t>(value - 1)]);
  if (field == day_of_week && chance(random, 30))
    return any_case(random, weekdays[static_cast<std::size_t>(value)]);
  return (chance(random, 5) ? "0" : "") + std::to_string(value);
}

struct written_item {
  cron_item item;
  std::string text;
};

written_item make_up_item(std::mt19937_64& random, int field) {
  const auto low = least[static_cast<std::size_t>(field)];
  const auto high = most[static_cast<std::size_t>(field)];
  const auto width = high - low + 1;
  using form = cron_item::form;
  const auto kind = pick(random, 0, 99);
  if (field == day_of_month && kind < 25) {
    if (kind < 8)
      return {{form::last}, any_case(random, "L")};
    if (kind < 13)
      return {{form::last_weekday}, any_case(random, "LW")};
    const auto day = chance(random, 40) ? pick(random, 28, 31) : pick(random, 1, 31);
    return {{form::nearest, day}, std::to_string(day) + any_case(random, "W")};
  }
  if (field == day_of_week && kind < 25) {
    const auto day = pick(random, 0, 7);
    if (kind < 10)
      return {{form::last_of_weekday, day % 7}, value_text(random, field, day) + any_case(random, "L")};
    const auto nth = pick(random, 1, 5);
    return {{form::nth, day % 7, 0, 1, nth}, value_text(random, field, day) + '#' + std::to_string(nth)};
  }
  if (kind < 45) {
    // Where clocks jump they do so in the first hours of a day.
    const auto is_early = field == hour && chance(random, 50);
    const auto value = pick(random, low, is_early ? 3 : field == day_of_week ? 7 : high);
    return {{form::value, value % (field == day_of_week ? 7 : 100)}, value_text(random, field, value)};
  }
  const auto step = chance(random, 70) ? pick(random, 1, std::min(width, 12)) : pick(random, 1, width);
  if (kind < 70) {
    if (chance(random, 30))
      return {{form::range, low, high, 1}, "*"};
    return {{form::range, low, high, step}, "*/" + std::to_string(step)};
  }
  const auto from = pick(random, low, high);
  const auto to = pick(random, from, field == day_of_week ? 7 : high);
  // Sunday ends a range as 7 or by its name.
  auto text = value_text(random, field, from) + '-';
  text += field == day_of_week && to == 0 ? "0" : value_text(random, field, to);
  if (chance(random, 60))
    return {{form::range, from, to, 1}, text};
  return {{form::range, from, to, step}, text + '/' + std::to_string(step)};
}

cron_field make_up_field(std::mt19937_64& random, int field) {
  const auto is_day_field = field == day_of_month || field == day_of_week;
  const auto most_often_any = field == month ? 60 : field < day_of_month ? 25 : 45;
  if (chance(random, most_often_any)) {
    const auto is_question = is_day_field && chance(random, 30);
    return {is_question ? "?" : "*",
            {{cron_item::form::range, least[static_cast<std::size_t>(field)],
              most[static_cast<std::size_t>(field)], 1}}};
  }
  cron_field made;
  for (auto count = chance(random, 60) ? 1 : pick(random, 2, 4); count > 0; --count) {
    auto item = make_up_item(random, field);
    made.text += (made.text.empty() ? "" : ",") + item.text;
    made.items.push_back(item.item);
  }
  return made;
}

// ---- the calendar ----

struct local_day {
  int year = 0;
  int month = 0;
  int day = 0;
  int weekday = 0;
  int length = 0;
};

local_day day_of(std::int64_t number) {
  const std::time_t at = number * day_seconds;
  std::tm told{};
  gmtime_r(&at, &told);
  const auto year = told.tm_year + 1900;
  constexpr std::array<int, 12> lengths{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const auto is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return {year, told.tm_mon + 1, told.tm_mday, told.tm_wday,
          lengths[static_cast<std::size_t>(told.tm_mon)] + (told.tm_mon == 1 && is_leap ? 1 : 0)};
}

int weekday_of(const local_day& today, int day) {
  return ((today.weekday + day - today.day) % 7 + 7) % 7;
}

int nearest_working_day(const local_day& today, int wanted) {
  const auto weekday = weekday_of(today, wanted);
  if (weekday == 6)
    return wanted == 1 ? 3 : wanted - 1;
  if (weekday == 0)
    return wanted == today.length ? wanted - 2 : wanted + 1;
  return wanted;
}

bool is_in(const cron_item& item, int value) {
  return item.first <= value && value <= item.last && (value - item.first) % item.step == 0;
}

bool is_value_in(const cron_field& field, int value) {
  return std::any_of(field.items.begin(), field.items.end(), [value](const cron_item& item) {
    return item.kind == cron_item::form::value ? item.first == value : is_in(item, value);
  });
}

bool is_date_in(const cron_field& field, const local_day& today) {
  return std::any_of(field.items.begin(), field.items.end(), [&today](const cron_item& item) {
    switch (item.kind) {
    case cron_item::form::last:
      return today.day == today.length;
    case cron_item::form::last_weekday: {
      auto last = today.length;
      while (weekday_of(today, last) == 0 || weekday_of(today, last) == 6)
        --last;
      return today.day == last;
    }
    case cron_item::form::nearest:
      return item.first <= today.length && today.day == nearest_working_day(today, item.first);
    case cron_item::form::value:
      return today.day == item.first;
    default:
      return is_in(item, today.day);
    }
  });
}

bool is_weekday_in(const cron_field& field, const local_day& today) {
  return std::any_of(field.items.begin(), field.items.end(), [&today](const cron_item& item) {
    switch (item.kind) {
    case cron_item::form::last_of_weekday:
      return today.weekday == item.first && today.day + 7 > today.length;
    case cron_item::form::nth:
      return today.weekday == item.first && (today.day - 1) / 7 + 1 == item.nth;
    case cron_item::form::value:
      return today.weekday == item.first;
    default:
      return is_in(item, today.weekday) || (today.weekday == 0 && is_in(item, 7));
    }
  });
}

bool is_restricted(const cron_field& field) {
  return field.text.front() != '*' && field.text != "?";
}

bool is_day_in(const made_up_cron& expression, const local_day& today) {
  if (!is_value_in(expression.fields[month], today.month))
    return false;
  const auto& dates = expression.fields[day_of_month];
  const auto& weekdays = expression.fields[day_of_week];
  const auto by_date = is_date_in(dates, today);
  const auto by_weekday = is_weekday_in(weekdays, today);
  return is_restricted(dates) && is_restricted(weekdays) ? by_date || by_weekday : by_date && by_weekday;
}

/// Whether local times are among the expression's; it remembers the day it was asked about last.
class matcher {
public:
  explicit matcher(const made_up_cron& expression) : expression_(expression) {}

  bool is_minute(std::int64_t local) {
    const auto day = local >= 0 ? local / day_seconds : -((-local + day_seconds - 1) / day_seconds);
    if (day != day_) {
      day_ = day;
      is_day_ = is_day_in(expression_, day_of(day));
    }
    if (!is_day_)
      return false;
    const auto second = static_cast<int>(local - day * day_seconds);
    return minutes_[static_cast<std::size_t>(second / 60 % 60)] &&
           hours_[static_cast<std::size_t>(second / 3600)];
  }
  bool is_second(std::int64_t local) {
    return seconds_[static_cast<std::size_t>(((local % 60) + 60) % 60)] && is_minute(local);
  }

private:
  template <std::size_t N>
  static std::array<bool, N> table(const cron_field& field) {
    std::array<bool, N> all{};
    for (std::size_t n = 0; n < N; ++n)
      all[n] = is_value_in(field, static_cast<int>(n));
    return all;
  }

  const made_up_cron& expression_;
  std::array<bool, 60> seconds_ = table<60>(expression_.fields[0]);
  std::array<bool, 60> minutes_ = table<60>(expression_.fields[1]);
  std::array<bool, 24> hours_ = table<24>(expression_.fields[2]);
  std::int64_t day_ = INT64_MIN;
  bool is_day_ = false;
};

// ---- the zone ----

std::int64_t offset_at(std::int64_t at) {
  const std::time_t time = at;
  std::tm told{};
  localtime_r(&time, &told);
  return told.tm_gmtoff;
}

struct regime {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t offset = 0;
};

/// The spans of equal offset in [begin, end). No zone of the years in question changes twice within six
/// hours.
std::vector<regime> regimes(std::int64_t begin, std::int64_t end) {
  constexpr std::int64_t stride = 6 * 3600;
  std::vector<regime> all{{begin, end, offset_at(begin)}};
  for (auto at = begin; at < end; at += stride) {
    const auto after = offset_at(at + stride);
    if (after == all.back().offset)
      continue;
    auto low = at;
    auto high = at + stride;
    while (high - low > 1) {
      const auto middle = low + (high - low) / 2;
      (offset_at(middle) == all.back().offset ? low : high) = middle;
    }
    all.back().end = high;
    all.push_back({high, end, after});
  }
  return all;
}

/// Whether the clocks have shown `local` before the regime at `index`.
bool is_shown_before(const std::vector<regime>& all, std::size_t index, std::int64_t local) {
  for (std::size_t i = 0; i < index; ++i)
    if (const auto at = local - all[i].offset; at >= all[i].begin && at < all[i].end)
      return true;
  return false;
}

/// The first time to fire in (after, until), second by second where the minute is right.
std::optional<std::int64_t> walk(const made_up_cron& expression, std::int64_t after, std::int64_t until) {
  matcher matches{expression};
  const auto follows =
    (expression.fields[1].text + expression.fields[2].text).find_first_of("*/") != std::string::npos;
  // What came before tells which local times are over.
  const auto all = regimes(after - 3 * day_seconds, until);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& now = all[i];
    if (now.end <= after)
      continue;
    // Fixed times that were skipped fire at the end of the gap.
    if (!follows && i > 0 && now.begin > after)
      for (auto skipped = now.begin + all[i - 1].offset; skipped < now.begin + now.offset; ++skipped)
        if (matches.is_second(skipped) && !is_shown_before(all, i, skipped))
          return now.begin;
    const auto begin = std::max(after + 1, now.begin);
    for (auto minute = begin - (begin + now.offset) % 60; minute < now.end; minute += 60) {
      if (!matches.is_minute(minute + now.offset))
        continue;
      for (auto second = std::max(minute, begin); second < minute + 60 && second < now.end; ++second)
        if (matches.is_second(second + now.offset) &&
            (follows || !is_shown_before(all, i, second + now.offset)))
          return second;
    }
  }
  return std::nullopt;
}

} // namespace

made_up_cron make_up(std::mt19937_64& random) {
  made_up_cron made;
  if (chance(random, 3)) {
    const auto h = pick(random, 0, 30);
    const auto m = pick(random, 0, 90);
    const auto s = pick(random, 1, 90);
    made.period = h * 3600 + m * 60 + s;
    made.text = "@every " + (h > 0 ? std::to_string(h) + "h" : "") + (m > 0 ? std::to_string(m) + "m" : "") +
                std::to_string(s) + "s";
    return made;
  }
  const auto has_seconds = chance(random, 25);
  made.fields[0] = {"0", {{cron_item::form::value, 0}}};
  for (int field = has_seconds ? 0 : 1; field < 6; ++field) {
    made.fields[static_cast<std::size_t>(field)] = make_up_field(random, field);
    made.text += (made.text.empty() ? "" : " ") + made.fields[static_cast<std::size_t>(field)].text;
  }
  return made;
}

std::int64_t make_up_instant(std::mt19937_64& random, const std::string& zone) {
  constexpr std::int64_t begin = 157'766'400; // 1975
  constexpr std::int64_t end = 2'840'140'800; // 2060
  // The days that Apia and Kwajalein left out, and three hours at once.
  static const std::map<std::string, std::int64_t> jumps{
    {"Pacific/Apia", 1'325'239'200}, {"Pacific/Kwajalein", 745'934'400}, {"Asia/Ust-Nera", 354'898'800}};
  auto at = std::uniform_int_distribution{begin, end}(random);
  const auto jump = jumps.find(zone);
  if (jump != jumps.end() && chance(random, 50)) {
    at = jump->second;
  } else if (chance(random, 60)) {
    const auto all = regimes(at, at + 366 * day_seconds);
    if (all.size() > 1)
      at = all[static_cast<std::size_t>(pick(random, 1, static_cast<int>(all.size()) - 1))].begin;
  } else {
    return at;
  }
  return at + (chance(random, 50) ? pick(random, -7'200, 7'200)
                                  : pick(random, -3 * static_cast<int>(day_seconds), 7'200));
}

cron_oracle::cron_oracle(const std::string& zone) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the one thread of this test alone tells the time.
  setenv("TZ", (':' + zone).c_str(), 1);
  tzset();
}

std::optional<std::int64_t> cron_oracle::next(const made_up_cron& expression, std::int64_t after) const {
  if (expression.period > 0) {
    auto at = after + 1;
    while (at % expression.period != 0)
      ++at;
    return at;
  }
  // In short pieces, since most fire soon. A gap at a border is seen from both sides.
  constexpr std::int64_t piece = 10 * day_seconds;
  auto from = after;
  for (; from < after + walked_days * day_seconds; from += piece)
    if (const auto found = walk(expression, from, from + piece + 1))
      return found;
  for (std::int64_t day = from / day_seconds - 2, last = day + cycle_days; day < last; ++day)
    if (is_day_in(expression, day_of(day)))
      if (const auto found =
            walk(expression, std::max(from, (day - 2) * day_seconds), (day + 3) * day_seconds))
        return found;
  return std::nullopt;
}

bool cron_oracle::is_never(const made_up_cron& expression) {
  for (std::int64_t day = 0; day < cycle_days; ++day)
    if (is_day_in(expression, day_of(day)))
      return false;
  return true;
}

} // namespace skyengine::test
