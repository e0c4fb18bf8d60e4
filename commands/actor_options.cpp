#include "commands/actor_options.hpp"

namespace skyengine::commands {

actors::cleaner_options cleaner_options(const config::settings& settings) {
  actors::cleaner_options options;
  options.keep_keys = settings.idempotency.keep;
  options.keep_runs = settings.cron.keep_runs;
  options.keep_detail = settings.metrics.keep_detail;
  options.keep_hours = settings.metrics.keep_hours;
  return options;
}

actors::metrics_sync_options metrics_sync_options(const config::settings& settings) {
  actors::metrics_sync_options options;
  options.traffic_every = settings.sync.traffic_every;
  options.live_every = settings.sync.live_every;
  options.window = settings.sync.window;
  options.slots = settings.virtfusion.max_in_flight;
  return options;
}

} // namespace skyengine::commands
