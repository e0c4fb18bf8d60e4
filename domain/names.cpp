#include "domain/names.hpp"

#include "domain/utf8.hpp"

#include <algorithm>
#include <string>

namespace skyengine {

namespace {

constexpr std::size_t short_name_max = 64;

constexpr bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

error wrong(const char* reason) {
  return {errc::invalid_request, reason};
}

} // namespace

result<> check_short_name(std::string_view name) {
  const auto fits = [](char c) { return is_lower(c) || is_digit(c) || c == '-'; };
  if (name.empty() || name.size() > short_name_max || !std::all_of(name.begin(), name.end(), fits))
    return wrong("an id is 1 to 64 lower-case letters, digits and hyphens");
  return {};
}

result<> check_label_name(std::string_view name) {
  const auto fits = [](char c) {
    return is_lower(c) || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '.' || c == '_' || c == '-' ||
           c == '/';
  };
  if (name.empty() || name.size() > label_name_max || !std::all_of(name.begin(), name.end(), fits))
    return wrong("a label's name is 1 to 63 letters, digits, dots, underscores, hyphens and slashes");
  return {};
}

result<> check_label_value(std::string_view value) {
  if (value.size() > text_max)
    return wrong("a text has at most 255 bytes");
  if (!is_plain_text(value))
    return wrong("a text is UTF-8 without control characters");
  return {};
}

result<> check_text(std::string_view text) {
  if (text.empty())
    return wrong("a text is not empty");
  return check_label_value(text);
}

} // namespace skyengine
