#pragma once

#include "domain/catalogue.hpp"
#include "domain/money.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// What the time of a server costs, in integers alone. A month is one of UTC, an hour a full one of the
/// clock.
namespace skyengine {

/// Seconds of a month under one version of a plan's terms.
struct rated_time {
  money monthly_price;
  int hours_per_month = 730;
  std::int64_t seconds = 0;
};

/// What so much of one month costs: Σ price · seconds / (hours · 3600), rounded half up once over the sum,
/// and never more than the dearest price of them. Parts without a second count for nothing.
money accrued(std::span<const rated_time> parts);

/// A time for which a server is paid for, under one version of terms: [begin, end).
struct billable_span {
  std::chrono::sys_seconds begin;
  std::chrono::sys_seconds end;
  /// Which of the versions.
  std::size_t terms = 0;
};

/// What a month has come to.
struct month_standing {
  money accrued;
  /// By version of terms; with `hour` granularity full hours.
  std::vector<std::int64_t> seconds;
};

/// `spans` in order and apart from each other; what lies before `month`, or at or after `until`, does not
/// count. `until` is a full hour inside the month, or its end.
///
/// Where any version that a clock hour touches has the granularity `hour`, that hour counts in full, for the
/// one of them that is the dearest by the hour (of equals the last).
month_standing accrue_month(std::span<const plan_terms> versions,
                            std::span<const billable_span> spans,
                            std::chrono::sys_seconds month,
                            std::chrono::sys_seconds until);

/// One hour of a server in which something was billable.
struct rated_hour {
  std::chrono::sys_seconds hour;
  std::int64_t seconds = 0;
  money charge;
  /// The version that it counted for; of several the last.
  std::size_t terms = 0;

  friend bool operator==(const rated_hour&, const rated_hour&) = default;
};

/// The hours of `spans`, which are as above and may be of many months: what each hour has added to what its
/// month accrued, so that the hours of a month add up to it.
std::vector<rated_hour> rate_hours(std::span<const plan_terms> versions,
                                   std::span<const billable_span> spans);

/// When the month of `at` began, and when the one after it begins.
std::chrono::sys_seconds month_of(std::chrono::sys_seconds at);
std::chrono::sys_seconds month_after(std::chrono::sys_seconds at);

} // namespace skyengine
