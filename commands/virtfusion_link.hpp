#pragma once

#include "actors/virtfusion_caller.hpp"
#include "actors/virtfusion_gateway.hpp"
#include "commands/database_session.hpp"
#include "config/settings.hpp"
#include "net/virtfusion/guarded_transport.hpp"
#include "net/virtfusion/http_transport.hpp"

#include <functional>
#include <memory>

namespace skyengine::commands {

/// What the settings say of the way to VirtFusion. errc::invalid_request names the one that is missing or
/// cannot be used.
result<net::virtfusion::http_transport_options>
virtfusion_transport_options(const config::virtfusion_settings& settings);

/// A node's way to VirtFusion: the connections, a guard that lets changes through only while `may_send`
/// holds, the gateway, and the caller that all others ask by. `session` ends before it does.
class virtfusion_link {
public:
  /// Nothing is sent yet.
  virtfusion_link(database_session& session,
                  const net::virtfusion::http_transport_options& transport,
                  actors::gateway_options limits,
                  std::function<bool()> may_send);
  virtfusion_link(const virtfusion_link&) = delete;
  virtfusion_link& operator=(const virtfusion_link&) = delete;

  actors::virtfusion_caller& caller() noexcept { return caller_; }
  /// The present one.
  const actors::virtfusion_gateway_actor& gateway() const noexcept { return gateway_; }

  /// Spawns the gateway, which the caller asks from then on.
  const actors::virtfusion_gateway_actor& start_gateway();
  /// Tells the gateway to end and closes the connections; before the session ends.
  void close();

private:
  database_session& session_;
  actors::gateway_options limits_;
  std::unique_ptr<net::virtfusion::http_transport> transport_;
  net::virtfusion::guarded_transport guarded_;
  actors::virtfusion_caller caller_;
  actors::virtfusion_gateway_actor gateway_;
};

} // namespace skyengine::commands
