#pragma once

#include "db/database.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>

namespace skyengine::db {

/// What a run has counted so far, told while it runs. The figures that it ends with take their place.
class run_progress_store {
public:
  explicit run_progress_store(database& db) : db_(db) {}

  /// `figures` is a JSON object. False when the run is not running.
  asio::awaitable<result<bool>> note(run_id run, std::string figures);

private:
  database& db_;
};

} // namespace skyengine::db
