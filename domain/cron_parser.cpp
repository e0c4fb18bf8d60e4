#include "domain/cron_expression.hpp"
#include "domain/utf8.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>

namespace skyengine {

namespace {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

constexpr char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

bool is_same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return upper(x) == upper(y); });
}

constexpr std::size_t most_quoted = 20;

/// What stands in the text, for a message: a few characters of it, and nothing that moves a cursor.
std::string quoted(std::string_view text) {
  if (!is_plain_text(text))
    return "what stands here";
  if (text.size() <= most_quoted)
    return '"' + std::string{text} + '"';
  std::size_t end = 0;
  while (end < most_quoted)
    end += utf8_sequence(text.substr(end));
  return '"' + std::string{text.substr(0, end)} + "…\"";
}

/// A number as it was written, unless that is long.
std::string as_written(std::string_view digits) {
  return digits.size() > most_quoted ? quoted(digits) : std::string{digits};
}

error fault(std::string_view field, std::string_view reason) {
  return {errc::invalid_request, std::string{field} + ": " + std::string{reason}};
}

error fault(std::string_view field, std::string_view reason, std::size_t at) {
  auto told = fault(field, reason);
  told.detail += ", at character " + std::to_string(at + 1);
  return told;
}

enum class field_kind : std::uint8_t { second, minute, hour, day_of_month, month, day_of_week };

constexpr auto month_names = std::to_array<std::string_view>(
  {"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"});
constexpr auto weekday_names =
  std::to_array<std::string_view>({"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"});

struct field_form {
  std::string_view name;
  int least;
  int most;
  /// The values of `*`, which are not 7 in day of week: it is Sunday once more.
  int width;
  std::span<const std::string_view> names = {};
};

constexpr std::array<field_form, 6> forms{{
  {"second", 0, 59, 60},
  {"minute", 0, 59, 60},
  {"hour", 0, 23, 24},
  {"day of month", 1, 31, 31},
  {"month", 1, 12, 12, month_names},
  {"day of week", 0, 7, 7, weekday_names},
}};

/// A word of the expression and where it begins.
struct word {
  std::string_view text;
  std::size_t at = 0;
};

/// What one field says, in the terms of cron_fields.
struct field_value {
  std::uint64_t set = 0;
  std::uint32_t nearest_weekdays = 0;
  std::uint8_t last_weekdays = 0;
  std::array<std::uint8_t, 5> nth_weekdays = {};
  bool has_last_day = false;
  bool has_last_weekday = false;
};

class field_parser {
public:
  field_parser(field_kind kind, word field)
      : kind_(kind), form_(forms[static_cast<std::size_t>(kind)]), field_(field) {}

  result<field_value> parse() {
    if (field_.text == "?") {
      if (!is_day_field())
        return wrong("? stands in day of month and day of week only", 0);
      fill(form_.least, form_.least + form_.width - 1, 1);
      return value_;
    }
    for (;;) {
      if (auto item = parse_item(); !item)
        return item.error();
      if (at_end())
        return value_;
      if (peek() != ',')
        return wrong(quoted(rest()) + " does not belong behind what stands before it", at_);
      ++at_;
    }
  }

private:
  bool at_end() const { return at_ == field_.text.size(); }
  char peek() const { return at_end() ? '\0' : field_.text[at_]; }
  bool peek_letter(char letter) const { return upper(peek()) == letter; }
  bool is_day_field() const { return kind_ == field_kind::day_of_month || kind_ == field_kind::day_of_week; }
  /// Up to the next comma: what a message is about.
  std::string_view rest() const {
    const auto left = field_.text.substr(at_);
    return left.substr(0, left.find(','));
  }

  error wrong(std::string_view reason, std::size_t at) const {
    return fault(form_.name, reason, field_.at + at);
  }

  void fill(int first, int end, int step) {
    for (int n = first; n <= end; n += step)
      value_.set |= std::uint64_t{1} << weekday_or_value(n);
  }
  /// Sunday is 0, also where 7 was written.
  int weekday_or_value(int n) const { return kind_ == field_kind::day_of_week && n == 7 ? 0 : n; }

  result<> parse_item() {
    const auto begun = at_;
    if (peek() == '*') {
      ++at_;
      return parse_step(form_.least, form_.least + form_.width - 1);
    }
    if (peek() == '?')
      return wrong(is_day_field() ? "? stands alone" : "? stands in day of month and day of week only", at_);
    if (at_end() || peek() == ',')
      return wrong("a value is missing", at_);
    if (kind_ == field_kind::day_of_month && peek_letter('L'))
      return parse_last_day();
    const auto first = parse_value();
    if (!first)
      return first.error();
    if (kind_ == field_kind::day_of_month && peek_letter('W')) {
      ++at_;
      value_.nearest_weekdays |= std::uint32_t{1} << *first;
      return end_special(begun);
    }
    if (kind_ == field_kind::day_of_week && peek_letter('L')) {
      ++at_;
      value_.last_weekdays |= weekday_bit(*first);
      return end_special(begun);
    }
    if (kind_ == field_kind::day_of_week && peek() == '#')
      return parse_nth(begun, *first);
    if (peek() == '-')
      return parse_range(*first);
    if (peek() == '/')
      return wrong("a step needs * or a range before it", at_);
    fill(*first, *first, 1);
    return {};
  }

  std::uint8_t weekday_bit(int n) const { return static_cast<std::uint8_t>(1U << weekday_or_value(n)); }

  result<> parse_last_day() {
    const auto begun = at_++;
    if (peek_letter('W')) {
      ++at_;
      value_.has_last_weekday = true;
    } else {
      value_.has_last_day = true;
    }
    return end_special(begun);
  }

  result<> parse_nth(std::size_t begun, int first) {
    const auto sign = at_++;
    const auto k = take_number();
    if (!k)
      return wrong("# needs a number from 1 to 5 behind it", sign);
    if (*k < 1 || *k > 5)
      return wrong("# takes 1 to 5, not " + as_written(field_.text.substr(sign + 1, at_ - sign - 1)),
                   sign + 1);
    value_.nth_weekdays[static_cast<std::size_t>(*k - 1)] |= weekday_bit(first);
    return end_special(begun);
  }

  /// Behind `L`, `LW`, `15W`, `5L`, `5#2`, which began at `begun`.
  result<> end_special(std::size_t begun) const {
    if (at_end() || peek() == ',')
      return {};
    const auto special = quoted(field_.text.substr(begun, at_ - begun));
    if (peek() == '-')
      return wrong(special + " does not stand in a range", at_);
    if (peek() == '/')
      return wrong(special + " takes no step", at_);
    return wrong(quoted(rest()) + " does not belong behind " + special, at_);
  }

  result<> parse_range(int first) {
    const auto dash = at_++;
    if (at_end() || peek() == ',' || peek() == '/')
      return wrong("the end of a range is missing", at_);
    const auto is_number = is_digit(peek());
    auto end = parse_value();
    if (!end)
      return end.error();
    if (kind_ == field_kind::day_of_week && !is_number && *end == 0)
      end = 7;
    if (is_day_field() && (peek_letter('L') || peek_letter('W') || peek() == '#'))
      return wrong(quoted(field_.text.substr(dash + 1, at_ - dash)) + " does not stand in a range", dash + 1);
    if (first > *end)
      return wrong("a range runs upward, and " + std::to_string(first) + " is above " + std::to_string(*end),
                   dash);
    return parse_step(first, *end);
  }

  /// Behind `*` and ranges.
  result<> parse_step(int first, int end) {
    int step = 1;
    if (peek() == '/') {
      const auto at = ++at_;
      const auto read = take_number();
      if (!read)
        return wrong("a step is a number", at);
      if (*read < 1)
        return wrong("a step is at least 1", at);
      if (*read > form_.width)
        return wrong("a step of " + as_written(field_.text.substr(at, at_ - at)) +
                       " is wider than the field, which has " + std::to_string(form_.width) + " values",
                     at);
      step = *read;
    }
    fill(first, end, step);
    return {};
  }

  /// Digits, of which more than a field can mean are read as 1,000.
  std::optional<int> take_number() {
    constexpr int enough = 1'000;
    if (!is_digit(peek()))
      return std::nullopt;
    int value = 0;
    for (; is_digit(peek()); ++at_)
      value = std::min(value * 10 + (peek() - '0'), enough);
    return value;
  }

  result<int> parse_value() {
    const auto begun = at_;
    if (const auto number = take_number()) {
      const auto written = field_.text.substr(begun, at_ - begun);
      const auto told = as_written(written);
      if (*number > form_.most)
        return wrong(told + " is above " + std::to_string(form_.most), begun);
      if (*number < form_.least)
        return wrong(told + " is below " + std::to_string(form_.least), begun);
      return *number;
    }
    while (is_letter(peek()))
      ++at_;
    const auto letters = field_.text.substr(begun, at_ - begun);
    // Of a weekday also FRIL.
    const auto name = kind_ == field_kind::day_of_week && letters.size() == 4 && upper(letters[3]) == 'L'
                        ? letters.substr(0, 3)
                        : letters;
    const auto found = std::find_if(form_.names.begin(), form_.names.end(),
                                    [name](std::string_view known) { return is_same(known, name); });
    if (found == form_.names.end()) {
      at_ = begun;
      return no_value();
    }
    at_ = begun + name.size();
    return static_cast<int>(found - form_.names.begin()) + form_.least;
  }

  error no_value() const {
    const auto what = quoted(rest());
    if (kind_ == field_kind::day_of_week && is_same(rest(), "L"))
      return wrong("L needs the day before it, as in 5L or FRIL", at_);
    if (kind_ == field_kind::day_of_month && is_same(rest(), "W"))
      return wrong("W needs the day before it, as in 15W", at_);
    if (kind_ == field_kind::month)
      return wrong(what + " is no month: 1 to 12 or JAN to DEC", at_);
    if (kind_ == field_kind::day_of_week)
      return wrong(what + " is no day of the week: 0 to 7 or SUN to SAT", at_);
    return wrong(
      what + " is no number from " + std::to_string(form_.least) + " to " + std::to_string(form_.most), at_);
  }

  field_kind kind_;
  const field_form& form_;
  word field_;
  std::size_t at_ = 0;
  field_value value_;
};

/// Of all months that are asked for, in every shape that a month of the calendar can have (a February of a
/// leap year can begin on each weekday too), whether `days` has any.
template <class Days>
bool is_ever(const cron_fields& fields, Days days) {
  constexpr std::array<std::uint16_t, 4> months_of_length{1 << 2, 1 << 2, 1 << 4 | 1 << 6 | 1 << 9 | 1 << 11,
                                                          1 << 1 | 1 << 3 | 1 << 5 | 1 << 7 | 1 << 8 |
                                                            1 << 10 | 1 << 12};
  for (unsigned length = 31; length >= 28; --length)
    if (fields.months & months_of_length[length - 28])
      for (unsigned first = 0; first < 7; ++first)
        if (days(length, first) != 0)
          return true;
  return false;
}

/// Refuses what never fires.
result<> check_days(const cron_fields& fields) {
  if (is_ever(fields, [&](auto length, auto first) { return fields.days_of_month(length, first); }))
    return {};
  if (!is_ever(fields, [&](auto length, auto first) { return fields.days_by_date(length, first); }))
    return fault("day of month", "no month that is asked for has such a day, so this never fires");
  return fault("day of week",
               "a day of the month that is asked for is never one of these, so this never fires");
}

bool begins_restricted(std::string_view field) {
  return !field.starts_with('*') && field != "?";
}

bool has_star_or_step(std::string_view field) {
  return field.find_first_of("*/") != std::string_view::npos;
}

result<cron_fields> parse_fields(std::span<const word> words) {
  cron_fields fields;
  std::size_t next = 0;
  const auto take = [&](field_kind kind) { return field_parser{kind, words[next++]}.parse(); };

  if (words.size() == 6) {
    const auto second = take(field_kind::second);
    if (!second)
      return second.error();
    fields.seconds = second->set;
  }
  fields.follows_wall_clock = has_star_or_step(words[next].text) || has_star_or_step(words[next + 1].text);
  const auto minute = take(field_kind::minute);
  if (!minute)
    return minute.error();
  fields.minutes = minute->set;
  const auto hour = take(field_kind::hour);
  if (!hour)
    return hour.error();
  fields.hours = static_cast<std::uint32_t>(hour->set);

  fields.is_day_restricted = begins_restricted(words[next].text);
  const auto day = take(field_kind::day_of_month);
  if (!day)
    return day.error();
  fields.days = static_cast<std::uint32_t>(day->set);
  fields.nearest_weekdays = day->nearest_weekdays;
  fields.has_last_day = day->has_last_day;
  fields.has_last_weekday = day->has_last_weekday;

  const auto month = take(field_kind::month);
  if (!month)
    return month.error();
  fields.months = static_cast<std::uint16_t>(month->set);

  fields.is_weekday_restricted = begins_restricted(words[next].text);
  const auto weekday = take(field_kind::day_of_week);
  if (!weekday)
    return weekday.error();
  fields.weekdays = static_cast<std::uint8_t>(weekday->set);
  fields.last_weekdays = weekday->last_weekdays;
  fields.nth_weekdays = weekday->nth_weekdays;

  if (const auto checked = check_days(fields); !checked)
    return checked.error();
  return fields;
}

struct macro {
  std::string_view name;
  std::array<std::string_view, 5> fields;
};

constexpr std::array<macro, 7> macros{{
  {"@yearly", {"0", "0", "1", "1", "*"}},
  {"@annually", {"0", "0", "1", "1", "*"}},
  {"@monthly", {"0", "0", "1", "*", "*"}},
  {"@weekly", {"0", "0", "*", "*", "0"}},
  {"@daily", {"0", "0", "*", "*", "*"}},
  {"@midnight", {"0", "0", "*", "*", "*"}},
  {"@hourly", {"0", "*", "*", "*", "*"}},
}};

/// `90s`, `1h30m`: hours, minutes, seconds, in this order.
result<std::int64_t> parse_period(word text) {
  // No period can be longer than the years that are told of.
  constexpr std::int64_t most = std::int64_t{10'000} * 366 * 86'400;
  struct unit {
    char letter;
    std::int64_t seconds;
  };
  constexpr std::array<unit, 3> units{{{'H', 3'600}, {'M', 60}, {'S', 1}}};
  constexpr std::string_view form =
    "a period is hours, minutes and seconds in this order, as in 1h30m or 90s";

  std::int64_t total = 0;
  std::size_t at = 0;
  std::size_t next_unit = 0;
  while (at < text.text.size()) {
    const auto begun = at;
    std::int64_t count = 0;
    for (; at < text.text.size() && is_digit(text.text[at]); ++at)
      count = std::min(count * 10 + (text.text[at] - '0'), most + 1);
    if (at == begun || at == text.text.size())
      return fault("@every", form, text.at + begun);
    while (next_unit < units.size() && units[next_unit].letter != upper(text.text[at]))
      ++next_unit;
    if (next_unit == units.size())
      return fault("@every", form, text.at + at);
    if (count > most / units[next_unit].seconds || total + count * units[next_unit].seconds > most)
      return fault("@every", "a period is at most 10,000 years", text.at + begun);
    total += count * units[next_unit].seconds;
    ++next_unit;
    ++at;
  }
  if (total == 0)
    return fault("@every", "a period is at least 1s", text.at);
  return total;
}

result<cron_fields> parse_macro(std::span<const word> words) {
  const auto& first = words.front();
  if (is_same(first.text, "@every")) {
    if (words.size() == 1)
      return fault("@every", "a period is missing, as in 1h30m or 90s", first.at + first.text.size());
    if (words.size() > 2)
      return fault("@every", quoted(words[2].text) + " does not belong behind a period", words[2].at);
    const auto period = parse_period(words[1]);
    if (!period)
      return period.error();
    cron_fields fields;
    fields.period = *period;
    return fields;
  }
  if (is_same(first.text, "@reboot"))
    return fault("macro", "@reboot names no time", first.at);
  const auto known = std::find_if(macros.begin(), macros.end(),
                                  [&](const macro& one) { return is_same(one.name, first.text); });
  if (known == macros.end())
    return fault("macro",
                 quoted(first.text) + " is none of @yearly, @annually, @monthly, @weekly, @daily, @midnight, "
                                      "@hourly and @every",
                 first.at);
  if (words.size() > 1)
    return fault("macro", std::string{known->name} + " takes nothing after it", words[1].at);
  std::array<word, 5> fields;
  for (std::size_t i = 0; i < fields.size(); ++i)
    fields[i].text = known->fields[i];
  return parse_fields(fields);
}

constexpr std::size_t most_words = 7;

struct split_words {
  std::array<word, most_words> words;
  std::size_t count = 0;
};

/// The first seven words: one more than can be right.
split_words split(std::string_view text) {
  split_words all;
  std::size_t at = 0;
  while (all.count < most_words) {
    while (at < text.size() && is_blank(text[at]))
      ++at;
    if (at == text.size())
      break;
    const auto begun = at;
    while (at < text.size() && !is_blank(text[at]))
      ++at;
    all.words[all.count++] = {text.substr(begun, at - begun), begun};
  }
  return all;
}

} // namespace

result<cron_expression> parse_cron(std::string_view text) {
  if (text.size() > most_cron_characters)
    return fault("expression", "it has " + std::to_string(text.size()) + " characters, of at most " +
                                 std::to_string(most_cron_characters));
  const auto all = split(text);
  const auto words = std::span{all.words}.first(all.count);
  if (words.empty())
    return fault("expression", "it is empty");
  const auto is_macro = words.front().text.starts_with('@');
  if (!is_macro && words.size() == most_words)
    return fault("year", "a field for the year is not known: seven fields are one too many", words.back().at);
  if (!is_macro && words.size() < 5)
    return fault(
      "expression",
      "five fields (minute, hour, day of month, month, day of week), or six with the second in front, "
      "are needed, not " +
        std::to_string(words.size()),
      text.size());
  const auto fields = is_macro ? parse_macro(words) : parse_fields(words);
  if (!fields)
    return fields.error();
  return cron_expression{*fields};
}

} // namespace skyengine
