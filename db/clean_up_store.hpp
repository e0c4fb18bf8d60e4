#pragma once

#include "db/database.hpp"
#include "db/metric_series_store.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>

namespace skyengine::db {

/// Takes away what has had its time, a bounded number of rows at once: each method answers how many.
class clean_up_store {
public:
  explicit clean_up_store(database& db) : db_(db) {}

  /// Idempotency keys from `until` or before, but those whose action is not over.
  asio::awaitable<result<std::int64_t>> delete_keys(instant until, std::int64_t most);
  /// Runs that ended at `until` or before.
  asio::awaitable<result<std::int64_t>> delete_runs(instant until, std::int64_t most);

  /// `metric_series_store`'s.
  asio::awaitable<result<bool>> roll_up_metrics(instant until, std::int64_t servers_at_once) {
    return metrics_.roll_up(until, servers_at_once);
  }
  asio::awaitable<result<std::int64_t>> drop_metrics(instant before) { return metrics_.drop_detail(before); }
  asio::awaitable<result<std::int64_t>> drop_metric_hours(instant before) {
    return metrics_.drop_hours(before);
  }

private:
  database& db_;
  metric_series_store metrics_{db_};
};

} // namespace skyengine::db
