#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace skyengine {

/// Counts values by the fixed upper bounds of `Bounds`, a sorted array; one more bucket has the rest.
template <const auto& Bounds>
struct histogram {
  std::array<std::uint64_t, Bounds.size() + 1> buckets{};
  double sum = 0;

  void observe(double value) noexcept {
    const auto bucket = std::lower_bound(Bounds.begin(), Bounds.end(), value);
    ++buckets[static_cast<std::size_t>(bucket - Bounds.begin())];
    sum += value;
  }
};

} // namespace skyengine
