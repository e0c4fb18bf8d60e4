#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace skyengine::simulator {

/// One well mixed number for each triple: what is random here can be computed again after a restart.
std::uint64_t mix(std::uint64_t seed, std::uint64_t a, std::uint64_t b = 0) noexcept;

/// A number in [0, 1) from the upper bits of `mixed`.
double fraction(std::uint64_t mixed) noexcept;

/// `length` characters of `alphabet` drawn from `mixed`.
std::string text_from(std::uint64_t mixed, std::size_t length, std::string_view alphabet);

/// Letters and digits, `length` of them: passwords and tokens of the simulated panel.
std::string secret_from(std::uint64_t mixed, std::size_t length);

/// A UUID of version 4 from two numbers.
std::string uuid_from(std::uint64_t high, std::uint64_t low);

} // namespace skyengine::simulator
