#include "net/virtfusion/tolerant_json.hpp"

#include "net/virtfusion/records.hpp"

#include <boost/json.hpp>

#include <charconv>
#include <cmath>
#include <limits>

namespace skyengine::net::virtfusion {

namespace {

namespace json = boost::json;

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

std::optional<double> number_in(std::string_view text) noexcept {
  double value = 0;
  const auto* const end = text.data() + text.size();
  const auto [stopped, failed] = std::from_chars(text.data(), end, value);
  if (failed != std::errc{} || stopped != end || !std::isfinite(value))
    return std::nullopt;
  return value;
}

std::optional<std::int64_t> without_fraction(double value) noexcept {
  // Every whole double of this range fits into an int64.
  constexpr double bound = 9.2e18;
  if (!std::isfinite(value) || value != std::trunc(value) || value > bound || value < -bound)
    return std::nullopt;
  return static_cast<std::int64_t>(value);
}

std::optional<std::int64_t> integer_in(std::string_view text) noexcept {
  std::int64_t value = 0;
  const auto* const end = text.data() + text.size();
  const auto [stopped, failed] = std::from_chars(text.data(), end, value);
  if (failed == std::errc{} && stopped == end)
    return value;
  const auto number = number_in(text);
  return number ? without_fraction(*number) : std::nullopt;
}

} // namespace

const json::value* find(const json::value& in, std::initializer_list<std::string_view> path) noexcept {
  const auto* at = &in;
  for (const auto name : path) {
    const auto* const members = at->if_object();
    at = members == nullptr ? nullptr : members->if_contains(name);
    if (at == nullptr)
      return nullptr;
  }
  return at->is_null() ? nullptr : at;
}

std::optional<std::int64_t> integer_at(const json::value& in, std::initializer_list<std::string_view> path) {
  const auto* const found = find(in, path);
  if (found == nullptr)
    return std::nullopt;
  if (const auto* number = found->if_int64())
    return *number;
  if (const auto* number = found->if_double())
    return without_fraction(*number);
  if (const auto* text = found->if_string())
    return integer_in(trimmed({text->data(), text->size()}));
  return std::nullopt;
}

std::optional<double> number_at(const json::value& in, std::initializer_list<std::string_view> path) {
  const auto* const found = find(in, path);
  if (found == nullptr)
    return std::nullopt;
  if (const auto* text = found->if_string())
    return number_in(trimmed({text->data(), text->size()}));
  if (!found->is_number())
    return std::nullopt;
  const auto value = found->to_number<double>();
  return std::isfinite(value) ? std::optional{value} : std::nullopt;
}

std::optional<bool> flag_at(const json::value& in, std::initializer_list<std::string_view> path) {
  const auto* const found = find(in, path);
  if (found == nullptr)
    return std::nullopt;
  if (const auto* flag = found->if_bool())
    return *flag;
  if (const auto* text = found->if_string()) {
    if (*text == "true")
      return true;
    if (*text == "false")
      return false;
  }
  const auto number = integer_at(in, path);
  return number ? std::optional{*number != 0} : std::nullopt;
}

std::string text_at(const json::value& in, std::initializer_list<std::string_view> path) {
  const auto* const found = find(in, path);
  if (found == nullptr)
    return {};
  if (const auto* text = found->if_string())
    return {text->data(), text->size()};
  return found->is_number() ? json::serialize(*found) : std::string{};
}

std::optional<instant> time_at(const json::value& in, std::initializer_list<std::string_view> path) {
  const auto* const found = find(in, path);
  const auto* const text = found == nullptr ? nullptr : found->if_string();
  return text == nullptr ? std::nullopt : parse_panel_time({text->data(), text->size()});
}

const json::array* list_at(const json::value& in, std::initializer_list<std::string_view> path) noexcept {
  const auto* const found = find(in, path);
  return found == nullptr ? nullptr : found->if_array();
}

std::optional<instant> parse_panel_time(std::string_view text) {
  text = trimmed(text);
  const auto number = [&](std::size_t at, std::size_t length) -> std::optional<int> {
    if (at + length > text.size())
      return std::nullopt;
    int value = 0;
    for (const char c : text.substr(at, length)) {
      if (c < '0' || c > '9')
        return std::nullopt;
      value = value * 10 + (c - '0');
    }
    return value;
  };
  const auto is = [&](std::size_t at, char wanted) { return at < text.size() && text[at] == wanted; };
  const auto year = number(0, 4);
  const auto month = number(5, 2);
  const auto day = number(8, 2);
  const auto hour = number(11, 2);
  const auto minute = number(14, 2);
  const auto second = number(17, 2);
  if (!year || !month || !day || !hour || !minute || !second || !is(4, '-') || !is(7, '-') ||
      !(is(10, 'T') || is(10, ' ')) || !is(13, ':') || !is(16, ':') || *hour > 23 || *minute > 59 ||
      *second > 60)
    return std::nullopt;
  const auto date = std::chrono::year{*year} / *month / *day;
  if (!date.ok())
    return std::nullopt;
  instant at = std::chrono::sys_days{date} + std::chrono::hours{*hour} + std::chrono::minutes{*minute} +
               std::chrono::seconds{*second};
  std::size_t next = 19;
  if (is(next, '.')) {
    ++next;
    std::int64_t micros = 0;
    std::int64_t unit = 100'000;
    const auto first = next;
    for (; next < text.size() && text[next] >= '0' && text[next] <= '9'; ++next, unit /= 10)
      micros += (text[next] - '0') * unit;
    if (next == first)
      return std::nullopt;
    at += std::chrono::microseconds{micros};
  }
  if (next == text.size() || (is(next, 'Z') && next + 1 == text.size()))
    return at;
  if (!is(next, '+') && !is(next, '-'))
    return std::nullopt;
  const auto offset_hours = number(next + 1, 2);
  const auto has_colon = is(next + 3, ':');
  const auto minutes_at = next + (has_colon ? 4 : 3);
  const auto offset_minutes = number(minutes_at, 2);
  if (!offset_hours || !offset_minutes || minutes_at + 2 != text.size() || *offset_hours > 23 ||
      *offset_minutes > 59)
    return std::nullopt;
  const auto offset = std::chrono::hours{*offset_hours} + std::chrono::minutes{*offset_minutes};
  return is(next, '+') ? at - offset : at + offset;
}

} // namespace skyengine::net::virtfusion
