#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace skyengine {

/// At most `rate` a second in the long run and `burst` at once. Kept as the one time at which the bucket will
/// be full again, so that no fraction of a token is ever lost or made by rounding.
class token_bucket {
public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = std::chrono::steady_clock::duration;

  /// A rate of 0: no limit. A burst of 0 counts as 1, else nothing would ever pass.
  constexpr token_bucket(std::uint32_t rate, std::uint32_t burst) noexcept
      : interval_(rate == 0 ? duration::zero() : duration{std::chrono::seconds{1}} / rate),
        depth_(interval_ * (std::max(burst, 1U) - 1)) {}

  constexpr bool try_take(time_point now) noexcept {
    if (wait(1, now) > duration::zero())
      return false;
    full_at_ = std::max(full_at_, now) + interval_;
    return true;
  }

  /// How long until `count` more could be taken, one after the other; 0 when they can be now.
  constexpr duration wait(std::int64_t count, time_point now) const noexcept {
    const auto full_at = std::max(full_at_, now);
    return std::max(full_at + interval_ * (count - 1) - depth_ - now, duration::zero());
  }

  /// How many could be taken at once now. @pre the rate is not 0
  constexpr std::int64_t available(time_point now) const noexcept {
    return (depth_ + interval_ - (std::max(full_at_, now) - now)) / interval_;
  }

private:
  duration interval_;
  duration depth_;
  time_point full_at_ = time_point::min();
};

} // namespace skyengine
