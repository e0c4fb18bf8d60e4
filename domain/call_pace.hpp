#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace skyengine {

/// How long a call will wait for its turn, judged by how long calls held their slots lately.
class call_pace {
public:
  using duration = std::chrono::microseconds;

  /// A call held its slot this long. The last eight or so count.
  constexpr void record(duration held) noexcept { held_ += (held - held_) / 8; }

  constexpr duration usual_hold() const noexcept { return held_; }

  /// How long until the last of `calls` gets a slot, when `free` of `limit` slots are free now and those
  /// under way have held theirs for `average_age`: when nothing comes back, the past is no guide.
  constexpr duration expected_wait(std::int64_t calls,
                                   std::int64_t free,
                                   std::int64_t limit,
                                   duration average_age) const noexcept {
    if (calls <= free)
      return duration::zero();
    return std::max(held_, average_age) * (calls - std::max<std::int64_t>(free, 0)) / limit;
  }

private:
  // Before the first call: what a panel takes for a light one.
  duration held_{200'000};
};

} // namespace skyengine
