#include "commands/actor_options.hpp"

#include <chrono>
#include <cstdint>
#include <random>

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

actors::billing_options billing_options(const config::settings& settings, const scaled_clock& business) {
  actors::billing_options options;
  options.sync_window = std::chrono::ceil<std::chrono::seconds>(settings.sync.window);
  options.is_system_time = business.rate() == 1;
  return options;
}

actors::gateway_options gateway_options(const config::virtfusion_settings& settings) {
  actors::gateway_options options;
  options.max_in_flight = static_cast<int>(settings.max_in_flight);
  options.rate = static_cast<std::uint32_t>(settings.rate);
  options.burst = static_cast<std::uint32_t>(settings.burst);
  options.queue_interactive = settings.queue_interactive;
  options.queue_control = settings.queue_control;
  options.queue_background = settings.queue_background;
  options.seed = std::random_device{}();
  return options;
}

} // namespace skyengine::commands
