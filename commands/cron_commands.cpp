#include "commands/commands.hpp"
#include "domain/cron_description.hpp"
#include "domain/cron_expression.hpp"
#include "domain/time_format.hpp"
#include "domain/time_zone_file.hpp"

#include <charconv>
#include <chrono>
#include <string_view>
#include <system_error>

namespace skyengine::commands {

namespace {

constexpr int most_times = 100'000;

error wrong(std::string_view option, const std::string& reason) {
  return {errc::invalid_request, std::string{option} + ": " + reason};
}

result<int> read_count(std::string_view text) {
  int count = 0;
  const auto* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, count);
  if (read.ec != std::errc{} || read.ptr != end || count < 1 || count > most_times)
    return wrong("--count", "a count is a number from 1 to " + std::to_string(most_times));
  return count;
}

/// The first fires after a fraction of a second are those after its whole second.
result<std::chrono::sys_seconds> read_from(const std::optional<std::string>& text) {
  if (!text)
    return std::chrono::floor<std::chrono::seconds>(scaled_clock{}.now());
  const auto from = parse_time(*text);
  if (!from)
    return wrong("--from", from.error().detail);
  return std::chrono::floor<std::chrono::seconds>(*from);
}

} // namespace

result<std::string> cron_next(const cron_next_options& options) {
  const auto expression = parse_cron(options.expression);
  if (!expression)
    return expression.error();
  const auto zone = load_time_zone(options.zone);
  if (!zone)
    return error{zone.error().code, "--tz: " + zone.error().detail};
  auto at = read_from(options.from);
  if (!at)
    return at.error();
  const auto count = read_count(options.count);
  if (!count)
    return count.error();

  std::string times;
  for (int i = 0; i < *count; ++i) {
    const auto next = expression->next(*at, *zone);
    if (!next && i == 0)
      return wrong("expression",
                   "it does not fire in the time zone " + options.zone + " after " + format_time(*at));
    if (!next)
      return wrong("--count", "before the year 10000 it fires " + std::to_string(i) + " times more");
    times += zone->is_utc() ? format_time(*next) : format_time(*next, zone->span_at(*next).offset);
    times += '\n';
    at = *next;
  }
  return times;
}

result<std::string> cron_describe(const std::string& expression) {
  const auto parsed = parse_cron(expression);
  if (!parsed)
    return parsed.error();
  return describe(*parsed) + '\n';
}

} // namespace skyengine::commands
