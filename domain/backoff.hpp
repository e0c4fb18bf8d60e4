#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

namespace skyengine {

/// Exponential back-off with full jitter: the n-th wait is drawn from [0, min(cap, base · 2ⁿ)], so that those
/// who failed together do not come back together.
struct backoff {
  std::chrono::milliseconds base{500};
  std::chrono::milliseconds cap{15'000};

  /// The longest that the wait after `failures` failures (1 or more) can be.
  constexpr std::chrono::milliseconds ceiling(int failures) const noexcept {
    // 2²⁰ bases are beyond every cap; the bound keeps the shift defined.
    const auto doublings = std::clamp(failures - 1, 0, 20);
    return std::min(base * (std::int64_t{1} << doublings), cap);
  }

  template <class Random>
  std::chrono::milliseconds draw(int failures, Random& random) const {
    std::uniform_int_distribution<std::int64_t> jitter{0, ceiling(failures).count()};
    return std::chrono::milliseconds{jitter(random)};
  }
};

} // namespace skyengine
