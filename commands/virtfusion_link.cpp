#include "commands/virtfusion_link.hpp"

#include "commands/actor_options.hpp"

#include <caf/send.hpp>

#include <utility>

namespace skyengine::commands {

namespace {

namespace vf = net::virtfusion;

} // namespace

result<vf::http_transport_options> virtfusion_transport_options(const config::virtfusion_settings& settings) {
  if (settings.api_url.empty())
    return error{errc::invalid_request, "virtfusion.api_url is not set (VIRTFUSION_API_URL)"};
  const auto base = vf::parse_api_base(settings.api_url);
  if (!base)
    return base.error();
  if (const auto usable = vf::check_ca_file(settings.ca_file); !usable)
    return usable.error();
  vf::http_transport_options options;
  options.base = *base;
  options.token = secret{settings.api_token};
  options.verify_tls = settings.ssl_verify;
  options.ca_file = settings.ca_file;
  options.max_connections = settings.max_in_flight;
  return options;
}

virtfusion_link::virtfusion_link(database_session& session,
                                 const vf::http_transport_options& transport,
                                 actors::gateway_options limits,
                                 std::function<bool()> may_send)
    : session_(session), limits_(limits),
      transport_(std::make_unique<vf::http_transport>(session.loop().get_executor(), transport)),
      guarded_(*transport_, std::move(may_send)),
      caller_(session.runtime().asker(), session.runtime().timers(), actors::virtfusion_gateway_actor{}) {}

const actors::virtfusion_gateway_actor& virtfusion_link::start_gateway() {
  gateway_ = actors::spawn_virtfusion_gateway(session_.runtime().system(), session_.loop().get_executor(),
                                              session_.runtime().timers(), guarded_, limits_);
  caller_.set_gateway(gateway_);
  return gateway_;
}

void virtfusion_link::close() {
  if (gateway_)
    caf::anon_send_exit(gateway_, caf::exit_reason::user_shutdown);
  gateway_ = nullptr;
  caller_.set_gateway(gateway_);
  transport_.reset();
}

} // namespace skyengine::commands
