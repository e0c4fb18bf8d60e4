#pragma once

#include <cstddef>
#include <string_view>

namespace skyengine {

/// The bytes of the well-formed UTF-8 sequence at the front of `text`; 0 when there is none: overlong forms,
/// surrogates and what lies above U+10FFFF are not well-formed.
constexpr std::size_t utf8_sequence(std::string_view text) noexcept {
  const auto byte = [text](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto follows = [&byte](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  const auto lead = byte(0);
  if (text.empty())
    return 0;
  if (lead < 0x80)
    return 1;
  if (lead >= 0xc2 && lead <= 0xdf)
    return follows(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const auto overlong = lead == 0xe0 && byte(1) < 0xa0;
    const auto surrogate = lead == 0xed && byte(1) > 0x9f;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const auto overlong = lead == 0xf0 && byte(1) < 0x90;
    const auto beyond = lead == 0xf4 && byte(1) > 0x8f;
    return follows(1) && follows(2) && follows(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

/// C0 and C1 controls and DEL, given a well-formed sequence: what can move a terminal's cursor or split a
/// line.
constexpr bool is_control(std::string_view sequence) noexcept {
  const auto first = static_cast<unsigned char>(sequence.front());
  if (sequence.size() == 1)
    return first < 0x20 || first == 0x7f;
  return sequence.size() == 2 && first == 0xc2 && static_cast<unsigned char>(sequence[1]) < 0xa0;
}

/// Whether all of `text` is well-formed and none of it a control.
constexpr bool is_plain_text(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto length = utf8_sequence(text);
    if (length == 0 || is_control(text.substr(0, length)))
      return false;
    text.remove_prefix(length);
  }
  return true;
}

} // namespace skyengine
