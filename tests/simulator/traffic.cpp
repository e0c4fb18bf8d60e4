#include "tests/simulator/traffic.hpp"

#include "tests/simulator/randomness.hpp"

#include <algorithm>
#include <chrono>

namespace skyengine::simulator {
namespace {

/// Midnight `periods` months after the day of `first`; a day that a month lacks is its last one.
instant period_boundary(instant first, std::int64_t periods) {
  using namespace std::chrono;
  const auto date = year_month_day{floor<days>(first)};
  const auto month = year_month{date.year(), date.month()} + months{periods};
  const auto last = year_month_day_last{month.year(), month_day_last{month.month()}};
  return sys_days{month.year() / month.month() / std::min(date.day(), last.day())};
}

std::int64_t bytes_in(std::chrono::microseconds span, std::int64_t bytes_per_second) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(span).count() * bytes_per_second / 1000;
}

} // namespace

traffic_meter new_meter(instant created) {
  traffic_meter meter;
  meter.first_day = period_boundary(created, 0);
  meter.counted_until = created;
  meter.period = 1;
  meter.period_start = meter.first_day;
  meter.period_end = period_boundary(created, 1);
  return meter;
}

void count_traffic(
  traffic_meter& meter, std::uint64_t seed, std::int64_t server_id, bool is_running, instant until) {
  const auto character = mix(seed, static_cast<std::uint64_t>(server_id), 0x7261666669633031u);
  const auto rx_per_second = static_cast<std::int64_t>(2'000 + character % 150'000);
  const auto tx_per_second = static_cast<std::int64_t>(1'000 + (character >> 32) % 400'000);
  const auto count = [&](instant to) {
    if (is_running && to > meter.counted_until) {
      meter.rx += bytes_in(to - meter.counted_until, rx_per_second);
      meter.tx += bytes_in(to - meter.counted_until, tx_per_second);
    }
    meter.counted_until = std::max(meter.counted_until, to);
  };
  while (meter.period_end <= until) {
    count(meter.period_end);
    meter.last_start = meter.period_start;
    meter.last_rx = meter.rx;
    meter.last_tx = meter.tx;
    meter.rx = meter.tx = 0;
    meter.period_start = meter.period_end;
    ++meter.period;
    meter.period_end = period_boundary(meter.first_day, meter.period);
  }
  count(until);
}

} // namespace skyengine::simulator
