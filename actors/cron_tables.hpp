#pragma once

#include "actors/cron_timer.hpp"
#include "db/cron_store.hpp"
#include "domain/time_zone.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace skyengine::actors {

using zones_by_name = std::map<std::string, std::shared_ptr<const time_zone>>;

/// What a look at the tables is to find.
struct table_question {
  /// The number of the last change that is known; 0: none.
  std::int64_t after = 0;
  std::optional<run_id> only;
  zones_by_name known;
  /// Could not be read so far.
  std::set<std::string> missing_zones;
  bool wants_last_successes = false;
};

/// What a look at the tables found.
struct table_state {
  /// False: another node fires.
  bool is_holder = false;
  db::cron_store::changes changes;
  std::vector<db::open_run> runs;
  /// Those of the schedules, as far as they could be read.
  zones_by_name zones;
  /// At the first look.
  std::optional<std::map<std::string, std::chrono::sys_seconds>> last_successes;
};

/// Makes `who` the one that fires, unless another node is, and then reads what was changed and which runs are
/// open.
boost::asio::awaitable<result<table_state>>
read_tables(cron_services services, db::timer_holder who, table_question wanted);

} // namespace skyengine::actors
