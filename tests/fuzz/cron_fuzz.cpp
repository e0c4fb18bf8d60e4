// Cron expressions: whatever is written, it is read or refused with a reason that can be shown; what was read
// can be told, and fires at one time after the other with none between.
#include "domain/cron_description.hpp"
#include "domain/cron_expression.hpp"
#include "domain/time_zone_file.hpp"
#include "domain/utf8.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string_view>

using namespace skyengine;

namespace {

constexpr std::size_t most_reason = 300;
constexpr int fires = 3;

void check(bool holds) {
  if (!holds)
    std::abort();
}

/// Asks from an instant that follows from the text.
void check_times(const cron_expression& expression, std::string_view text) {
  static const std::array<time_zone, 4> zones{time_zone{}, load_time_zone("Europe/Berlin").value(),
                                              load_time_zone("Pacific/Apia").value(),
                                              load_time_zone("Australia/Lord_Howe").value()};
  constexpr std::int64_t years_of_1850_to_2450 = std::int64_t{600} * 365 * 86'400;
  constexpr std::int64_t year_1850 = -3'786'825'600;
  const auto mixed = std::hash<std::string_view>{}(text);
  const auto& zone = zones[mixed % zones.size()];
  auto at = std::chrono::sys_seconds{
    std::chrono::seconds{year_1850 + static_cast<std::int64_t>(mixed % years_of_1850_to_2450)}};
  for (int i = 0; i < fires; ++i) {
    const auto next = expression.next(at, zone);
    if (!next) {
      // A period of centuries, or times that the zone always skips.
      check(expression.fields().period > 0 || expression.fields().follows_wall_clock);
      return;
    }
    check(*next > at);
    check(expression.next(*next - std::chrono::seconds{1}, zone) == next);
    check(expression.next(at + (*next - at) / 2, zone) == next || *next - at == std::chrono::seconds{1});
    at = *next;
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(bytes), size};
  const auto expression = parse_cron(text);
  if (!expression) {
    const auto& refused = expression.error();
    check(refused.code == errc::invalid_request);
    check(refused.detail.find(": ") != std::string::npos);
    check(refused.detail.size() < most_reason && is_plain_text(refused.detail));
    return 0;
  }
  const auto sentence = describe(*expression);
  check(!sentence.empty() && is_plain_text(sentence));
  check_times(*expression, text);
  return 0;
}
