#pragma once

#include <algorithm>
#include <chrono>

namespace skyengine {

/// How many calls may be under way at once, found by trying: one more for each window of successes, 0.7 of it
/// when the other side shows that it is too much (additive increase, multiplicative decrease).
class adaptive_limit {
public:
  using time_point = std::chrono::steady_clock::time_point;

  /// Begins at `max`. @pre 1 ≤ min ≤ max
  constexpr adaptive_limit(int min, int max) noexcept : min_(min), max_(max), value_(max) {}

  constexpr int value() const noexcept { return value_; }
  constexpr int max() const noexcept { return max_; }

  /// A window is as many successes as the limit allows calls, with no trouble in between.
  constexpr void on_success() noexcept {
    if (++successes_ < value_)
      return;
    successes_ = 0;
    value_ = std::min(value_ + 1, max_);
  }

  /// `sent_at`: when the call in trouble was sent. Those sent before the last decrease were sent under the
  /// limit that was already found too high: one bad moment with 16 calls under way is one decrease, not 16.
  constexpr void on_trouble(time_point sent_at, time_point now) noexcept {
    successes_ = 0;
    if (sent_at < decreased_at_)
      return;
    decreased_at_ = now;
    value_ = std::max(value_ * 7 / 10, min_);
  }

private:
  int min_;
  int max_;
  int value_;
  int successes_ = 0;
  time_point decreased_at_ = time_point::min();
};

} // namespace skyengine
