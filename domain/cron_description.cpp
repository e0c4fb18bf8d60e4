#include "domain/cron_description.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

namespace skyengine {

namespace {

constexpr std::uint64_t every_date = (std::uint64_t{1} << 32) - 2;
constexpr std::uint64_t every_month = (std::uint64_t{1} << 13) - 2;
constexpr std::uint64_t every_weekday = (std::uint64_t{1} << 7) - 1;

// More are told as sets of hours and minutes.
constexpr int most_clock_times = 6;
// Fewer are named one by one.
constexpr std::size_t least_of_run = 3;
constexpr std::size_t least_of_steps = 4;

constexpr auto month_names =
  std::to_array<const char*>({"", "January", "February", "March", "April", "May", "June", "July", "August",
                              "September", "October", "November", "December"});
constexpr auto weekday_names = std::to_array<const char*>(
  {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"});
constexpr auto counts = std::to_array<const char*>({"first", "second", "third", "fourth", "fifth"});

using namer = std::function<std::string(int)>;

std::string number(int n) {
  return std::to_string(n);
}

std::string ordinal(int n) {
  const auto is_teen = n / 10 % 10 == 1;
  const auto* const ending = is_teen       ? "th"
                             : n % 10 == 1 ? "st"
                             : n % 10 == 2 ? "nd"
                             : n % 10 == 3 ? "rd"
                                           : "th";
  return std::to_string(n) + ending;
}

std::string month_name(int n) {
  return month_names[static_cast<std::size_t>(n)];
}

std::string weekday_name(int n) {
  return weekday_names[static_cast<std::size_t>(n)];
}

std::vector<int> members(std::uint64_t set) {
  std::vector<int> all;
  for (; set != 0; set &= set - 1)
    all.push_back(std::countr_zero(set));
  return all;
}

/// `a, b and c`.
std::string join(const std::vector<std::string>& words, std::string_view last_comma = " and ") {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0)
      text += i + 1 == words.size() ? last_comma : std::string_view{", "};
    text += words[i];
  }
  return text;
}

/// The step of four or more values that are equally far apart, more than 1; else 0.
int step_of(const std::vector<int>& values) {
  if (values.size() < least_of_steps)
    return 0;
  const auto step = values[1] - values[0];
  for (std::size_t i = 2; i < values.size(); ++i)
    if (values[i] - values[i - 1] != step)
      return 0;
  return step > 1 ? step : 0;
}

/// The values one by one, but three or more in a row as `a through b`.
std::vector<std::string> with_runs(const std::vector<int>& values, const namer& name) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < values.size();) {
    auto end = i + 1;
    while (end < values.size() && values[end] == values[end - 1] + 1)
      ++end;
    if (end - i >= least_of_run) {
      words.push_back(name(values[i]) + " through " + name(values[end - 1]));
      i = end;
    } else {
      words.push_back(name(values[i++]));
    }
  }
  return words;
}

/// `minute 5`, `minutes 1, 2 and 9 through 12`, `every 5th minute from 3 through 58`.
std::string units(const std::string& unit, std::uint64_t set) {
  const auto values = members(set);
  if (const auto step = step_of(values); step > 0)
    return "every " + ordinal(step) + ' ' + unit + " from " + number(values.front()) + " through " +
           number(values.back());
  return unit + (values.size() > 1 ? "s " : " ") + join(with_runs(values, number));
}

/// The step of `*/n` where it fills the field evenly, so that it goes on past the field's end; else 0. All
/// values are a step of 1.
int even_step(std::uint64_t set, int width) {
  for (int step = 1; step < width; ++step) {
    if (width % step != 0)
      continue;
    std::uint64_t filled = 0;
    for (int n = 0; n < width; n += step)
      filled |= std::uint64_t{1} << n;
    if (filled == set)
      return step;
  }
  return 0;
}

std::string every(int step, const std::string& unit) {
  return step == 1 ? "every " + unit : "every " + number(step) + ' ' + unit + 's';
}

std::string clock_time(int hour, int minute, int second) {
  std::array<char, 48> text{};
  if (second == 0)
    std::snprintf(text.data(), text.size(), "%02d:%02d", hour, minute);
  else
    std::snprintf(text.data(), text.size(), "%02d:%02d:%02d", hour, minute, second);
  return text.data();
}

struct phrase {
  std::string text;
  /// Whether it names hours of the day, so that the day needs to be told as well.
  bool is_within_day = true;
};

phrase times_of_day(const cron_fields& fields) {
  const auto hours = members(fields.hours);
  const auto minutes = members(fields.minutes);
  const auto seconds = members(fields.seconds);
  const auto hour_step = even_step(fields.hours, 24);
  const auto minute_step = even_step(fields.minutes, 60);
  const auto second_step = even_step(fields.seconds, 60);
  const auto is_once_an_hour = minutes.size() == 1 && seconds.size() == 1;
  const auto is_on_the_hour = is_once_an_hour && minutes.front() == 0 && seconds.front() == 0;

  if (is_on_the_hour && hour_step > 0)
    return {every(hour_step, "hour"), false};
  if (is_once_an_hour && hour_step != 1 && hours.size() >= least_of_run &&
      hours.back() - hours.front() + 1 == static_cast<int>(hours.size()))
    return {"every hour from " + clock_time(hours.front(), minutes.front(), seconds.front()) + " through " +
            clock_time(hours.back(), minutes.front(), seconds.front())};
  if (seconds.size() == 1 && hour_step != 1 && minute_step == 0 &&
      hours.size() * minutes.size() <= static_cast<std::size_t>(most_clock_times)) {
    std::vector<std::string> words;
    for (const auto hour : hours)
      for (const auto minute : minutes)
        words.push_back(clock_time(hour, minute, seconds.front()));
    return {"at " + join(words)};
  }

  std::string text;
  if (second_step > 0)
    text = every(second_step, "second");
  else if (fields.seconds != 1)
    text = "at " + units("second", fields.seconds);
  if (text.empty())
    text = minute_step > 0 ? every(minute_step, "minute") : "at " + units("minute", fields.minutes);
  else if (minute_step > 1)
    text += " of every " + ordinal(minute_step) + " minute";
  else if (minute_step == 0)
    text += " of " + units("minute", fields.minutes);
  else if (second_step == 0)
    text += " of every minute";

  if (hour_step == 1)
    return {text + (minute_step == 0 ? " of every hour" : ""), false};
  if (hour_step > 1)
    return {text + " of every " + ordinal(hour_step) + " hour", false};
  return {text + " of " + units("hour", fields.hours)};
}

/// `the month`, or those that are asked for.
std::string months(const cron_fields& fields) {
  return fields.months == every_month ? "the month" : join(with_runs(members(fields.months), month_name));
}

std::string dates(const cron_fields& fields) {
  const auto values = members(fields.days);
  std::vector<std::string> words;
  if (const auto step = step_of(values); step > 0)
    words.push_back("every " + ordinal(step) + " day from the " + ordinal(values.front()) + " through the " +
                    ordinal(values.back()));
  else
    words = with_runs(values, [](int n) { return "the " + ordinal(n); });
  for (const auto day : members(fields.nearest_weekdays))
    words.push_back("the weekday nearest to the " + ordinal(day));
  if (fields.has_last_weekday)
    words.emplace_back("the last weekday");
  if (fields.has_last_day)
    words.emplace_back("the last day");
  return join(words) + " of " + months(fields);
}

std::string weekdays(const cron_fields& fields, std::string_view last_comma) {
  // The week is told from Monday on.
  const auto from_monday = (fields.weekdays & 0x7eU) | (fields.weekdays & 1U) << 7;
  auto words = with_runs(members(from_monday), weekday_name);
  std::vector<std::string> of_month;
  for (std::size_t k = 0; k < counts.size(); ++k)
    for (const auto day : members(fields.nth_weekdays[k]))
      of_month.push_back(std::string{"the "} + counts[k] + ' ' + weekday_name(day));
  for (const auto day : members(fields.last_weekdays))
    of_month.push_back("the last " + weekday_name(day));
  if (of_month.empty())
    return join(words, last_comma) + (fields.months == every_month ? "" : " in " + months(fields));
  of_month.back() += " of " + months(fields);
  words.insert(words.end(), of_month.begin(), of_month.end());
  return join(words, last_comma);
}

phrase days(const cron_fields& fields) {
  const auto is_any_date = fields.days == every_date;
  const auto is_any_weekday = fields.weekdays == every_weekday;
  const auto is_either = fields.is_day_restricted && fields.is_weekday_restricted;
  if (is_either ? is_any_date || is_any_weekday : is_any_date && is_any_weekday)
    return {"every day" + (fields.months == every_month ? "" : " in " + months(fields)),
            fields.months != every_month};
  if (is_any_date)
    return {"on " + weekdays(fields, " and ")};
  if (is_any_weekday)
    return {"on " + dates(fields)};
  return {"on " + dates(fields) + (is_either ? " or on " : " if that is ") +
          weekdays(fields, is_either ? " and " : " or ")};
}

std::string period(std::int64_t seconds) {
  std::vector<std::string> words;
  for (const auto& [unit, length] : {std::pair{"hour", 3'600}, {"minute", 60}, {"second", 1}}) {
    if (const auto count = seconds / length; count > 0)
      words.push_back(std::to_string(count) + ' ' + unit + (count > 1 ? "s" : ""));
    seconds %= length;
  }
  auto text = join(words);
  if (words.size() == 1 && text.starts_with("1 "))
    text.erase(0, 2);
  return "every " + text;
}

} // namespace

std::string describe(const cron_expression& expression) {
  const auto& fields = expression.fields();
  std::string text;
  if (fields.period > 0) {
    text = period(fields.period);
  } else {
    const auto times = times_of_day(fields);
    const auto on = days(fields);
    text = times.text;
    if (times.is_within_day || on.is_within_day)
      text += ", " + on.text;
  }
  text.front() = static_cast<char>(text.front() - 'a' + 'A');
  return text;
}

} // namespace skyengine
