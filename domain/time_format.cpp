#include "domain/time_format.hpp"

#include <array>
#include <cstdio>
#include <optional>

namespace skyengine {

namespace {

using namespace std::chrono;

std::string format_seconds(sys_seconds at) {
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss time{at - day};
  std::array<char, 32> text{};
  const auto length =
    std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                  static_cast<int>(time.seconds().count()));
  return {text.data(), static_cast<std::size_t>(length)};
}

template <class Fraction>
std::string format_fraction(Fraction fraction) {
  // The unit in front keeps the leading zeros.
  return '.' + std::to_string((Fraction{seconds{1}} + fraction).count()).substr(1);
}

/// Takes what it reads off the front of the text.
class reader {
public:
  explicit reader(std::string_view text) : rest_(text) {}

  std::optional<int> digits(std::size_t count) {
    if (rest_.size() < count)
      return std::nullopt;
    int value = 0;
    for (const char c : rest_.substr(0, count)) {
      if (c < '0' || c > '9')
        return std::nullopt;
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(count);
    return value;
  }

  bool skip(std::string_view one_of) {
    if (rest_.empty() || one_of.find(rest_.front()) == std::string_view::npos)
      return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool at_end() const { return rest_.empty(); }
  char peek() const { return rest_.empty() ? '\0' : rest_.front(); }

private:
  std::string_view rest_;
};

error no_time(const char* reason) {
  return {errc::invalid_request, std::string{"a time "} + reason};
}

constexpr auto form = "is RFC 3339 with an offset, as in 2026-11-23T10:00:00Z";

struct parsed_time {
  instant at;
  bool has_fraction = false;
};

result<parsed_time> parse(std::string_view text) {
  reader in{text};
  const auto y = in.digits(4);
  const auto date_read = y && in.skip("-");
  const auto mo = date_read ? in.digits(2) : std::nullopt;
  const auto d = mo && in.skip("-") ? in.digits(2) : std::nullopt;
  const auto h = d && in.skip("Tt") ? in.digits(2) : std::nullopt;
  const auto mi = h && in.skip(":") ? in.digits(2) : std::nullopt;
  const auto s = mi && in.skip(":") ? in.digits(2) : std::nullopt;
  if (!s)
    return no_time(form);

  const year_month_day date{year{*y}, month{static_cast<unsigned>(*mo)}, day{static_cast<unsigned>(*d)}};
  if (!date.ok())
    return no_time("names a day that does not exist");
  if (*s == 60)
    return no_time("has no leap second");
  if (*h > 23 || *mi > 59 || *s > 59)
    return no_time("is at most 23:59:59");

  microseconds fraction{0};
  const auto has_fraction = in.skip(".");
  if (has_fraction) {
    if (in.peek() < '0' || in.peek() > '9')
      return no_time(form);
    int unit = 100'000;
    for (; const auto digit = in.digits(1); unit /= 10) {
      if (unit == 0)
        return no_time("has at most six decimals");
      fraction += microseconds{*digit * unit};
    }
  }

  minutes offset{0};
  if (!in.skip("Zz")) {
    const auto is_west = in.peek() == '-';
    if (!in.skip("+-"))
      return no_time(form);
    const auto oh = in.digits(2);
    const auto om = oh && in.skip(":") ? in.digits(2) : std::nullopt;
    if (!om)
      return no_time(form);
    if (*oh > 23 || *om > 59)
      return no_time("has an offset of at most 23:59");
    offset = hours{*oh} + minutes{*om};
    if (is_west)
      offset = -offset;
  }
  if (!in.at_end())
    return no_time(form);

  const auto at = sys_days{date} + hours{*h} + minutes{*mi} + seconds{*s} + fraction - offset;
  if (at < sys_days{year{0} / January / 1} || at >= sys_days{year{10'000} / January / 1})
    return no_time("lies in the years 0000 to 9999, in UTC too");
  return parsed_time{at, has_fraction};
}

} // namespace

std::string format_time(instant at) {
  const auto whole = floor<seconds>(at);
  const auto fraction = at - whole;
  return format_seconds(whole) + (fraction.count() == 0 ? "" : format_fraction(fraction)) + 'Z';
}

std::string format_time(sys_seconds at, seconds offset) {
  const auto whole = duration_cast<minutes>(offset);
  const hh_mm_ss shown{abs(whole)};
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%c%02d:%02d", whole < minutes{0} ? '-' : '+',
                static_cast<int>(shown.hours().count()), static_cast<int>(shown.minutes().count()));
  return format_seconds(at + whole) + text.data();
}

std::string format_time_milliseconds(sys_time<milliseconds> at) {
  const auto whole = floor<seconds>(at);
  return format_seconds(whole) + format_fraction(at - whole) + 'Z';
}

result<instant> parse_time(std::string_view text) {
  const auto parsed = parse(text);
  if (!parsed)
    return parsed.error();
  return parsed->at;
}

result<sys_seconds> parse_whole_seconds(std::string_view text) {
  const auto parsed = parse(text);
  if (!parsed)
    return parsed.error();
  if (parsed->has_fraction)
    return no_time("has whole seconds here");
  return floor<seconds>(parsed->at);
}

} // namespace skyengine
