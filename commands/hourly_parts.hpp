#pragma once

#include "actors/billing.hpp"
#include "actors/drift_observer.hpp"
#include "actors/drift_watcher.hpp"
#include "actors/metrics_sync.hpp"
#include "actors/node_lease.hpp"
#include "actors/virtfusion_caller.hpp"
#include "commands/database_session.hpp"
#include "config/settings.hpp"
#include "db/billing_store.hpp"
#include "db/drift_store.hpp"
#include "db/metrics_store.hpp"
#include "db/run_progress_store.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <string_view>

namespace skyengine::commands {

/// What carries out `hourly-sync-and-billing` on a node: the sync, billing, and the handler that gives each
/// tick to both. Everything referred to but the session outlives it; the session ends before it does.
class hourly_parts {
public:
  static constexpr std::string_view handler_name = "hourly-sync-and-billing";

  hourly_parts(database_session& session,
               const config::settings& settings,
               actors::virtfusion_caller& virtfusion,
               const actors::node_lease& lease);
  hourly_parts(const hourly_parts&) = delete;
  hourly_parts& operator=(const hourly_parts&) = delete;

  // Each spawns one, which is the present one from then on.
  const actors::metrics_sync_actor& start_sync();
  const actors::billing_actor& start_billing();
  const actors::cron_handler_actor& start_handler();

  /// The present one; null before the first.
  const actors::cron_handler_actor& handler() const noexcept { return handler_; }

  /// Billing begins nothing more; ends when what is under way has ended, or after `patience`.
  boost::asio::awaitable<void> stop_billing(std::chrono::milliseconds patience);
  /// The node holds a lease again.
  void resume_billing();
  /// Tells all of them to end; before the session ends.
  void close();

private:
  database_session& session_;
  const actors::node_lease& lease_;
  actors::virtfusion_caller& virtfusion_;
  actors::metrics_sync_options looking_;
  actors::billing_options closing_;
  db::metrics_store observations_;
  db::run_progress_store progress_;
  db::drift_store drift_;
  actors::drift_watcher drift_watcher_;
  actors::drift_observer drift_observer_;
  db::billing_store hours_;
  actors::metrics_sync_actor sync_;
  actors::billing_actor billing_;
  actors::cron_handler_actor handler_;
};

} // namespace skyengine::commands
