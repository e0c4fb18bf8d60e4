#include "tests/simulator/times.hpp"

#include <array>
#include <charconv>
#include <cstdio>

namespace skyengine::simulator {
namespace {

struct civil {
  int year;
  unsigned month, day;
  int hour, minute, second, microsecond;
};

civil split(instant t) {
  using namespace std::chrono;
  const auto day = floor<days>(t);
  const year_month_day date{day};
  const hh_mm_ss clock{t - day};
  return {static_cast<int>(date.year()),
          static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()),
          static_cast<int>(clock.hours().count()),
          static_cast<int>(clock.minutes().count()),
          static_cast<int>(clock.seconds().count()),
          static_cast<int>(clock.subseconds().count())};
}

std::string print(instant t, char separator, bool with_fraction, const char* end) {
  const auto c = split(t);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02u%c%02d:%02d:%02d", c.year, c.month, c.day, separator,
                c.hour, c.minute, c.second);
  std::string out = text.data();
  if (with_fraction) {
    std::snprintf(text.data(), text.size(), ".%06d", c.microsecond);
    out += text.data();
  }
  return out + end;
}

/// Takes `digits` digits off the front of `text`.
std::optional<int> number(std::string_view& text, std::size_t digits) {
  int value = 0;
  if (text.size() < digits)
    return {};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + digits, value);
  if (failed != std::errc{} || end != text.data() + digits || text.front() == '-')
    return {};
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == std::string_view::npos)
    return false;
  text.remove_prefix(1);
  return true;
}

} // namespace

std::string with_offset(instant t) {
  return print(t, 'T', false, "+00:00");
}
std::string with_microseconds(instant t) {
  return print(t, 'T', true, "Z");
}
std::string without_zone(instant t) {
  return print(t, ' ', false, "");
}
std::string rfc3339(instant t) {
  return print(t, 'T', false, "Z");
}

std::optional<instant> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  const auto y = number(text, 4);
  if (!y || !take(text, "-"))
    return {};
  const auto mo = number(text, 2);
  if (!mo || !take(text, "-"))
    return {};
  const auto d = number(text, 2);
  if (!d || !take(text, "Tt "))
    return {};
  const auto h = number(text, 2);
  if (!h || !take(text, ":"))
    return {};
  const auto mi = number(text, 2);
  if (!mi || !take(text, ":"))
    return {};
  const auto s = number(text, 2);
  if (!s)
    return {};
  int fraction = 0;
  if (take(text, ".")) {
    int scale = 100'000;
    if (text.empty() || text.front() < '0' || text.front() > '9')
      return {};
    for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; text.remove_prefix(1), scale /= 10)
      fraction += (text.front() - '0') * scale;
  }
  minutes offset{0};
  if (!text.empty() && (text.front() == '+' || text.front() == '-')) {
    const int sign = text.front() == '-' ? -1 : 1;
    text.remove_prefix(1);
    const auto oh = number(text, 2);
    if (!oh || !take(text, ":"))
      return {};
    const auto om = number(text, 2);
    if (!om)
      return {};
    offset = minutes{sign * (*oh * 60 + *om)};
  } else if (!take(text, "Zz")) {
    return {};
  }
  const year_month_day date{year{*y}, month{static_cast<unsigned>(*mo)}, day{static_cast<unsigned>(*d)}};
  if (!text.empty() || !date.ok() || *h > 23 || *mi > 59 || *s > 59)
    return {};
  return sys_days{date} + hours{*h} + minutes{*mi} + seconds{*s} + microseconds{fraction} - offset;
}

} // namespace skyengine::simulator
