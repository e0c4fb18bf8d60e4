#pragma once

#include "db/database.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <utility>

namespace skyengine::db {

/// What a run has counted so far, told while it runs. The figures that it ends with take their place.
class run_progress_store {
public:
  /// Where a tick has several parts, the figures stand under the name of this one, `part`, as in those that
  /// the run ends with. Empty: it is the only one.
  explicit run_progress_store(database& db, std::string part = {}) : db_(db), part_(std::move(part)) {}

  /// `figures` is a JSON object. False when the run is not running.
  asio::awaitable<result<bool>> note(run_id run, std::string figures);

private:
  database& db_;
  std::string part_;
};

} // namespace skyengine::db
