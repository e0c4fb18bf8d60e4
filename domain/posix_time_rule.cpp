#include "domain/posix_time_rule.hpp"

#include <algorithm>
#include <string>

namespace skyengine {

namespace {

using namespace std::chrono;

constexpr int most_offset_hours = 24;
// RFC 8536 3.3.1.
constexpr int most_time_hours = 167;

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Takes what it reads off the front of the text.
class reader {
public:
  explicit reader(std::string_view text) : rest_(text) {}

  bool at_end() const { return rest_.empty(); }
  char peek() const { return rest_.empty() ? '\0' : rest_.front(); }

  bool skip(char c) {
    if (peek() != c || rest_.empty())
      return false;
    rest_.remove_prefix(1);
    return true;
  }

  /// A zone's abbreviation: three letters or more, or anything of `A-Za-z0-9+-` between `<` and `>`.
  bool name() {
    const auto is_quoted = skip('<');
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), [is_quoted](char c) {
      return is_letter(c) || (is_quoted && (is_digit(c) || c == '+' || c == '-'));
    });
    const auto length = static_cast<std::size_t>(end - rest_.begin());
    rest_.remove_prefix(length);
    return length >= 3 && (!is_quoted || skip('>'));
  }

  std::optional<int> number(int least, int most) {
    if (!is_digit(peek()))
      return std::nullopt;
    int value = 0;
    for (; is_digit(peek()); rest_.remove_prefix(1)) {
      value = value * 10 + (peek() - '0');
      if (value > most)
        return std::nullopt;
    }
    return value >= least ? std::optional{value} : std::nullopt;
  }

  /// `[+-]hh[:mm[:ss]]`.
  std::optional<seconds> time(int most_hours) {
    const auto is_negative = skip('-');
    if (!is_negative)
      skip('+');
    const auto h = number(0, most_hours);
    if (!h)
      return std::nullopt;
    seconds value = hours{*h};
    if (skip(':')) {
      const auto m = number(0, 59);
      if (!m)
        return std::nullopt;
      value += minutes{*m};
      if (skip(':')) {
        const auto s = number(0, 59);
        if (!s)
          return std::nullopt;
        value += seconds{*s};
      }
    }
    return is_negative ? -value : value;
  }

  std::optional<yearly_moment> moment() {
    yearly_moment read;
    if (skip('M')) {
      const auto m = number(1, 12);
      const auto w = m && skip('.') ? number(1, 5) : std::nullopt;
      const auto d = w && skip('.') ? number(0, 6) : std::nullopt;
      if (!d)
        return std::nullopt;
      read.kind = yearly_moment::form::weekday_of_month;
      read.month = static_cast<std::uint8_t>(*m);
      read.week = static_cast<std::uint8_t>(*w);
      read.weekday = static_cast<std::uint8_t>(*d);
    } else {
      const auto is_julian = skip('J');
      const auto n = number(is_julian ? 1 : 0, 365);
      if (!n)
        return std::nullopt;
      read.kind = is_julian ? yearly_moment::form::day_without_leap : yearly_moment::form::day_of_year;
      read.day = static_cast<std::uint16_t>(*n);
    }
    read.time = hours{2};
    if (skip('/')) {
      const auto at = time(most_time_hours);
      if (!at)
        return std::nullopt;
      read.time = *at;
    }
    return read;
  }

private:
  std::string_view rest_;
};

error no_rule(const char* reason) {
  return {errc::invalid_request, std::string{"a time zone's rule "} + reason};
}

} // namespace

local_seconds yearly_moment::in(std::chrono::year year) const noexcept {
  const auto new_year = local_days{year / January / 1};
  switch (kind) {
  case form::day_without_leap:
    return new_year + days{day - 1 + (year.is_leap() && day >= 60 ? 1 : 0)} + time;
  case form::day_of_year:
    return new_year + days{day} + time;
  case form::weekday_of_month:
    break;
  }
  const std::chrono::month in_month{month};
  const std::chrono::weekday wanted{weekday};
  const auto at =
    week == 5 ? local_days{year / in_month / wanted[last]} : local_days{year / in_month / wanted[week]};
  return at + time;
}

result<posix_time_rule> parse_posix_time_rule(std::string_view text) {
  reader in{text};
  posix_time_rule rule;
  if (!in.name())
    return no_rule("begins with a name of three letters or more");
  const auto west = in.time(most_offset_hours);
  if (!west)
    return no_rule("has an offset after its name, of at most 24 hours");
  rule.offset = -*west;
  if (in.at_end())
    return rule;

  if (!in.name())
    return no_rule("has a second name of three letters or more");
  posix_time_rule::summer dst;
  dst.offset = rule.offset + hours{1};
  if (!in.at_end() && in.peek() != ',') {
    const auto dst_west = in.time(most_offset_hours);
    if (!dst_west)
      return no_rule("has an offset after its second name, of at most 24 hours");
    dst.offset = -*dst_west;
  }
  const auto begin = in.skip(',') ? in.moment() : std::nullopt;
  const auto end = begin && in.skip(',') ? in.moment() : std::nullopt;
  if (!end || !in.at_end())
    return no_rule("says when daylight saving begins and ends, as in M3.2.0,M11.1.0");
  dst.begin = *begin;
  dst.end = *end;
  rule.dst = dst;
  return rule;
}

} // namespace skyengine
