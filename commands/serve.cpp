#include "commands/commands.hpp"
#include "commands/engine.hpp"
#include "domain/log.hpp"

#include <boost/asio/signal_set.hpp>
#include <signal.h>

#include <cstdint>
#include <cstdio>

namespace skyengine::commands {

int serve(const context& given) {
  if (given.settings.virtfusion.api_url.empty()) {
    std::fputs("skyengine: virtfusion.api_url is not set (VIRTFUSION_API_URL): `skyengine demo` brings a "
               "simulated one\n",
               stderr);
    return 1;
  }
  auto started = engine::start(given.settings, given.data_dir, db::panel_kind::real);
  if (!started) {
    std::fprintf(stderr, "skyengine: %s\n", started.error().detail.c_str());
    return 1;
  }
  auto& node = **started;
  const auto wanted = static_cast<std::int64_t>(given.settings.clock.rate);
  if (const auto rate = node.session().business().rate(); rate != wanted)
    log::warn("clock.rate does not hold: this database keeps the rate of its first start",
              {{"clock_rate", wanted}, {"stored_rate", rate}});
  boost::asio::signal_set signals{node.loop(), SIGTERM, SIGINT};
  signals.async_wait([&](boost::system::error_code cancelled, int) {
    if (!cancelled)
      node.stop();
  });
  return node.run();
}

} // namespace skyengine::commands
