#pragma once

#include "actors/cron_messages.hpp"
#include "db/clean_up_store.hpp"
#include "db/hold_store.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <caf/actor_system.hpp>

#include <chrono>

namespace skyengine::actors {

struct cleaner_options {
  /// `idempotency.keep`
  std::chrono::milliseconds keep_keys{std::chrono::hours{24}};
  /// `cron.keep_runs`
  std::chrono::milliseconds keep_runs{std::chrono::hours{2'160}};
  /// `metrics.keep_detail` and `metrics.keep_hours`
  std::chrono::milliseconds keep_detail{std::chrono::hours{2'160}};
  std::chrono::milliseconds keep_hours{std::chrono::hours{17'568}};
  /// Rows that one statement deletes.
  std::int64_t rows_at_once = 1'000;
  /// Servers whose day one statement rolls up.
  std::int64_t servers_at_once = 500;
};

/// Takes the ticks of `daily-clean-up`: metrics of days that are over are rolled up, what has had its time by
/// the tick's is deleted, and each hold of billing that is open has its alert of the day. Figures: `keys`,
/// `runs`, `partitions` (months of metrics) and `holds`. Both stores must outlive it.
cron_handler_actor spawn_cleaner(caf::actor_system& system,
                                 boost::asio::any_io_executor loop,
                                 db::clean_up_store& store,
                                 db::hold_store& holds,
                                 cleaner_options options);

} // namespace skyengine::actors
