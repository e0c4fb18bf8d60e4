#pragma once

#include <charconv>
#include <concepts>
#include <iterator>
#include <string>
#include <string_view>

/// What both ends of HTTP need to know of characters.
namespace skyengine::net::http {

inline bool is_alphanumeric(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// What must not stand in the value of a header.
inline bool is_control(char c) noexcept {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
}

/// Appends `number` in decimal digits.
void append_number(std::string& out, std::unsigned_integral auto number) {
  char digits[20];
  const auto written = std::to_chars(std::begin(digits), std::end(digits), number);
  out.append(digits, written.ptr);
}

} // namespace skyengine::net::http
