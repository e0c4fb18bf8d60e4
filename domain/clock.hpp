#pragma once

#include <chrono>
#include <cstdint>

namespace skyengine {

/// A point of business time (UTC), to the microsecond, as PostgreSQL keeps it.
using instant = std::chrono::sys_time<std::chrono::microseconds>;

/// Business time: the times of events, hours, months, schedules, kept keys. Never used for waiting: that runs
/// on the steady clock. Implementations are safe to call from any thread.
class clock {
public:
  virtual ~clock() = default;
  virtual instant now() const noexcept = 0;
};

/// The system's clock, sped up: `rate` business seconds pass in one real second from `origin` on.
/// With rate 1 and equal origins it is the system's clock.
class scaled_clock final : public clock {
public:
  scaled_clock() = default;
  scaled_clock(std::int64_t rate, instant real_origin, instant business_origin)
      : rate_(rate), real_origin_(real_origin), business_origin_(business_origin) {}

  instant now() const noexcept override {
    const auto real =
      std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
    return business_origin_ + (real - real_origin_) * rate_;
  }

  std::int64_t rate() const noexcept { return rate_; }

private:
  std::int64_t rate_ = 1;
  instant real_origin_{};
  instant business_origin_{};
};

} // namespace skyengine
