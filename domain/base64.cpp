#include "domain/base64.hpp"

#include <cstdint>

namespace skyengine {

namespace {

constexpr std::string_view standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view for_urls = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode(std::string_view bytes, std::string_view alphabet) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char byte : bytes) {
    bits = bits << 8 | static_cast<std::uint8_t>(byte);
    for (count += 8; count >= 6; count -= 6)
      text += alphabet[bits >> (count - 6) & 0x3f];
  }
  if (count > 0)
    text += alphabet[bits << (6 - count) & 0x3f];
  return text;
}

int value_of(char c, std::string_view alphabet) {
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  if (c == alphabet[62])
    return 62;
  return c == alphabet[63] ? 63 : -1;
}

std::optional<std::string> decode(std::string_view text, std::string_view alphabet) {
  if (text.size() % 4 == 1)
    return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const auto value = value_of(c, alphabet);
    if (value < 0)
      return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes += static_cast<char>(bits >> count & 0xff);
    }
  }
  // Bits that encode nothing must be zero, else two texts would mean the same bytes.
  if ((bits & ((1U << count) - 1)) != 0)
    return std::nullopt;
  return bytes;
}

} // namespace

std::string base64_encode(std::string_view bytes) {
  auto text = encode(bytes, standard);
  text.resize((text.size() + 3) / 4 * 4, '=');
  return text;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0)
    return std::nullopt;
  if (text.ends_with("=="))
    text.remove_suffix(2);
  else if (text.ends_with('='))
    text.remove_suffix(1);
  return decode(text, standard);
}

std::string base64url_encode(std::string_view bytes) {
  return encode(bytes, for_urls);
}

std::optional<std::string> base64url_decode(std::string_view text) {
  return decode(text, for_urls);
}

} // namespace skyengine
