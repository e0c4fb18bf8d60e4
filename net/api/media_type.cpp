#include "net/api/media_type.hpp"

#include <algorithm>

namespace skyengine::net::api {

namespace {

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equals_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) noexcept {
  constexpr std::string_view blanks = " \t";
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

/// Cuts off and returns what stands before the next `mark`.
std::string_view take_until(std::string_view& rest, char mark) noexcept {
  const auto at = rest.find(mark);
  const auto part = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view{} : rest.substr(at + 1);
  return trimmed(part);
}

/// `0.8` in thousandths; what is no quality counts as 1.
int parse_quality(std::string_view text) noexcept {
  if (text.empty() || (text[0] != '0' && text[0] != '1'))
    return 1'000;
  auto quality = (text[0] - '0') * 1'000;
  auto unit = 100;
  for (std::size_t i = 2; i < text.size() && text[1] == '.' && unit > 0; ++i, unit /= 10) {
    if (text[i] < '0' || text[i] > '9')
      return 1'000;
    quality += (text[i] - '0') * unit;
  }
  return std::min(quality, 1'000);
}

/// How closely a range names a type: 3 itself, 2 `type/*`, 1 `*/*`, 0 not at all.
int closeness(std::string_view range, std::string_view type) noexcept {
  if (range == "*/*")
    return 1;
  const auto slash = type.find('/');
  if (range.size() == slash + 2 && range.substr(slash + 1) == "*" &&
      equals_ignoring_case(range.substr(0, slash), type.substr(0, slash)))
    return 2;
  return equals_ignoring_case(range, type) ? 3 : 0;
}

int quality_of(std::string_view accept, std::string_view type) noexcept {
  auto closest = 0;
  auto quality = 0;
  while (!accept.empty()) {
    auto item = take_until(accept, ',');
    const auto range = take_until(item, ';');
    const auto close = closeness(range, type);
    if (close <= closest)
      continue;
    closest = close;
    quality = 1'000;
    while (!item.empty()) {
      auto parameter = take_until(item, ';');
      if (const auto name = take_until(parameter, '='); equals_ignoring_case(name, "q"))
        quality = parse_quality(trimmed(parameter));
    }
  }
  return quality;
}

} // namespace

bool is_json(std::string_view content_type) noexcept {
  if (!equals_ignoring_case(take_until(content_type, ';'), "application/json"))
    return false;
  while (!content_type.empty()) {
    auto parameter = take_until(content_type, ';');
    const auto name = take_until(parameter, '=');
    auto charset = trimmed(parameter);
    if (charset.size() >= 2 && charset.front() == '"' && charset.back() == '"')
      charset = charset.substr(1, charset.size() - 2);
    if (equals_ignoring_case(name, "charset") && !equals_ignoring_case(charset, "utf-8"))
      return false;
  }
  return true;
}

std::optional<std::size_t> negotiate(std::string_view accept, std::span<const std::string_view> offers) {
  if (trimmed(accept).empty())
    return 0;
  std::optional<std::size_t> best;
  auto best_quality = 0;
  for (std::size_t i = 0; i < offers.size(); ++i)
    if (const auto quality = quality_of(accept, offers[i]); quality > best_quality) {
      best_quality = quality;
      best = i;
    }
  return best;
}

} // namespace skyengine::net::api
