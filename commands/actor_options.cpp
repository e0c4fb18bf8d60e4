#include "commands/actor_options.hpp"

namespace skyengine::commands {

actors::cleaner_options cleaner_options(const config::settings& settings) {
  actors::cleaner_options options;
  options.keep_keys = settings.idempotency.keep;
  options.keep_runs = settings.cron.keep_runs;
  return options;
}

} // namespace skyengine::commands
