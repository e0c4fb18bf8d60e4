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
  /// Rows that one statement deletes.
  std::int64_t rows_at_once = 1'000;
};

/// Takes the ticks of `daily-clean-up`: what has had its time by the tick's is deleted, and each hold of
/// billing that is open has its alert of the day. Figures: `keys`, `runs` and `holds`. Both stores must
/// outlive it.
cron_handler_actor spawn_cleaner(caf::actor_system& system,
                                 boost::asio::any_io_executor loop,
                                 db::clean_up_store& store,
                                 db::hold_store& holds,
                                 cleaner_options options);

} // namespace skyengine::actors
