#include "commands/commands.hpp"
#include "domain/rating.hpp"
#include "domain/time_format.hpp"
#include "net/api/json_writer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <system_error>
#include <utility>

namespace skyengine::commands {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::hours longest{100'000};
constexpr int most_hours_per_month = 8'784;

error wrong(std::string_view option, const std::string& reason) {
  return {errc::invalid_request, std::string{option} + ": " + reason};
}

result<int> read_hours_per_month(std::string_view text) {
  int hours = 0;
  const auto* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, hours);
  if (read.ec != std::errc{} || read.ptr != end || hours < 1 || hours > most_hours_per_month)
    return wrong("--hours-per-month", "is not a number from 1 to " + std::to_string(most_hours_per_month));
  return hours;
}

result<plan_terms> read_terms(const billing_preview_options& options) {
  plan_terms terms;
  const auto price = parse_money(options.price);
  if (!price)
    return wrong("--price", price.error().detail);
  terms.monthly_price = *price;
  const auto hours = read_hours_per_month(options.hours_per_month);
  if (!hours)
    return hours.error();
  terms.hours_per_month = *hours;
  const auto granularity = parse_billing_granularity(options.granularity);
  if (!granularity)
    return wrong("--granularity", "is neither second nor hour");
  terms.granularity = *granularity;
  return terms;
}

result<billable_span> read_span(const std::string& text) {
  const auto slash = text.find('/');
  if (slash == std::string::npos)
    return wrong("--active", "is not START/END");
  const auto begin = parse_whole_seconds(std::string_view{text}.substr(0, slash));
  if (!begin)
    return wrong("--active", begin.error().detail);
  const auto end = parse_whole_seconds(std::string_view{text}.substr(slash + 1));
  if (!end)
    return wrong("--active", end.error().detail);
  if (*end < *begin)
    return wrong("--active", "its end is before its start");
  return billable_span{*begin, *end, 0};
}

/// In order, those that overlap or touch as one, empty ones left out.
result<std::vector<billable_span>> read_spans(const std::vector<std::string>& texts) {
  std::vector<billable_span> all;
  for (const auto& text : texts) {
    const auto one = read_span(text);
    if (!one)
      return one.error();
    if (one->begin < one->end)
      all.push_back(*one);
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  std::vector<billable_span> merged;
  for (const auto& one : all) {
    if (!merged.empty() && one.begin <= merged.back().end)
      merged.back().end = std::max(merged.back().end, one.end);
    else
      merged.push_back(one);
  }
  auto length = 0s;
  for (const auto& one : merged)
    length += one.end - one.begin;
  if (length > longest)
    return wrong("--active", "is longer than " + std::to_string(longest.count()) + " hours together");
  return merged;
}

std::string month_text(std::chrono::sys_seconds month) {
  return format_time(instant{month}).substr(0, 7);
}

/// What belongs to one hour or month.
struct sum {
  std::string when;
  std::int64_t seconds = 0;
  money charge;
};

void write(net::api::json_writer& out,
           std::string_view name,
           std::string_view unit,
           const std::vector<sum>& sums) {
  out.key(name);
  out.begin_array();
  for (const auto& one : sums) {
    out.begin_object();
    out.member(unit, one.when);
    out.member("seconds", one.seconds);
    out.member("amountMicros", one.charge.micros);
    out.end_object();
  }
  out.end_array();
}

} // namespace

result<std::string> billing_preview(const billing_preview_options& options) {
  const auto terms = read_terms(options);
  if (!terms)
    return terms.error();
  if (const auto currency = parse_currency(options.currency); !currency)
    return wrong("--currency", currency.error().detail);
  const auto spans = read_spans(options.active);
  if (!spans)
    return spans.error();

  std::vector<sum> hours;
  std::vector<sum> months;
  money total;
  for (const auto& hour : rate_hours(std::array{*terms}, *spans)) {
    hours.push_back({format_time(instant{hour.hour}), hour.seconds, hour.charge});
    auto month = month_text(hour.hour);
    if (months.empty() || months.back().when != month)
      months.push_back({std::move(month), 0, {}});
    months.back().seconds += hour.seconds;
    months.back().charge.micros += hour.charge.micros;
    if (hour.charge.micros > most_money.micros - total.micros)
      return wrong("--price", "the total is beyond what can be counted");
    total.micros += hour.charge.micros;
  }
  net::api::json_writer out;
  out.begin_object();
  out.member("currency", options.currency);
  write(out, "hours", "hour", hours);
  write(out, "months", "month", months);
  out.member("totalMicros", total.micros);
  out.end_object();
  return std::move(out).take() + '\n';
}

} // namespace skyengine::commands
