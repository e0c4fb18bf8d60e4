#pragma once

#include "db/database.hpp"

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

private:
  database& db_;
};

} // namespace skyengine::db
