#pragma once

#include "db/database.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace skyengine::db {

/// Each observation, or one point for an hour or a day (UTC).
enum class metric_step : std::uint8_t { raw, hour, day };

/// What was observed at a time, or in the step that begins then: there `used` are means.
struct metric_point {
  instant at;
  /// As it was seen last.
  std::optional<bool> is_on;
  /// Live looks in the step, and those that saw it on.
  std::int64_t looks = 0;
  std::int64_t looks_on = 0;
  /// In per cent, as decimal numbers.
  std::optional<std::string> cpu;
  std::optional<std::string> cpu_min;
  std::optional<std::string> cpu_max;
  /// In bytes.
  std::optional<std::int64_t> memory_total;
  std::optional<std::int64_t> memory_used;
  std::optional<std::int64_t> memory_used_min;
  std::optional<std::int64_t> memory_used_max;
  std::optional<std::int64_t> disk_total;
  std::optional<std::int64_t> disk_used;
  std::optional<std::int64_t> disk_used_min;
  std::optional<std::int64_t> disk_used_max;
  /// Since the period began, as it was seen last.
  std::optional<std::int64_t> traffic_in;
  std::optional<std::int64_t> traffic_out;
  std::optional<instant> traffic_period_at;
};

/// What was measured of one server, and its roll-up.
class metric_series_store {
public:
  explicit metric_series_store(database& db) : db_(db) {}

  /// From `from` until before `to`, oldest first. With a step other than raw, both are where steps begin.
  asio::awaitable<result<std::vector<metric_point>>>
  points(server_id server, metric_step step, instant from, instant to, std::int64_t most);

  /// Rolls up the next `servers_at_once` of the oldest day that ended at `until` or before and is not rolled
  /// up; false when there is none. Once rolled up, a day stays as it is.
  asio::awaitable<result<bool>> roll_up(instant until, std::int64_t servers_at_once);
  /// Drops the detail (or, for hours, that roll-up) of months that ended before; what is not rolled up stays.
  /// Answers how many tables that were.
  asio::awaitable<result<std::int64_t>> drop_detail(instant before);
  asio::awaitable<result<std::int64_t>> drop_hours(instant before);

private:
  database& db_;
};

} // namespace skyengine::db
