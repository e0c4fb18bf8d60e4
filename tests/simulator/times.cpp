#include "tests/simulator/times.hpp"

#include <array>
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

} // namespace skyengine::simulator
