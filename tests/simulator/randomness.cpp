#include "tests/simulator/randomness.hpp"

#include <array>
#include <cstdio>

namespace skyengine::simulator {
namespace {

/// The output function of splitmix64.
std::uint64_t scramble(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

} // namespace

std::uint64_t mix(std::uint64_t seed, std::uint64_t a, std::uint64_t b) noexcept {
  return scramble(scramble(scramble(seed) ^ a) ^ b);
}

double fraction(std::uint64_t mixed) noexcept {
  return static_cast<double>(mixed >> 11) * 0x1.0p-53;
}

std::string text_from(std::uint64_t mixed, std::size_t length, std::string_view alphabet) {
  std::string text;
  text.reserve(length);
  for (std::size_t i = 0; i < length; ++i)
    text += alphabet[mix(mixed, i) % alphabet.size()];
  return text;
}

std::string secret_from(std::uint64_t mixed, std::size_t length) {
  return text_from(mixed, length, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
}

std::string uuid_from(std::uint64_t high, std::uint64_t low) {
  std::array<char, 37> text{};
  const auto version = (high & 0xffffffffffff0fffu) | 0x4000u;
  const auto variant = (low & 0x3fffffffffffffffu) | 0x8000000000000000u;
  std::snprintf(text.data(), text.size(), "%08x-%04x-%04x-%04x-%012llx", static_cast<unsigned>(version >> 32),
                static_cast<unsigned>((version >> 16) & 0xffffu), static_cast<unsigned>(version & 0xffffu),
                static_cast<unsigned>(variant >> 48),
                static_cast<unsigned long long>(variant & 0xffffffffffffu));
  return text.data();
}

} // namespace skyengine::simulator
