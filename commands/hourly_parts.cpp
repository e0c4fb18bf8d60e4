#include "commands/hourly_parts.hpp"

#include "actors/joint_handler.hpp"
#include "actors/runtime/crash_point.hpp"
#include "commands/actor_options.hpp"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>

namespace skyengine::commands {

namespace asio = boost::asio;

namespace {

// What the sync has counted stands under this name, while it runs and in the end.
constexpr const char* sync_part = "sync";

} // namespace

hourly_parts::hourly_parts(database_session& session,
                           const config::settings& settings,
                           actors::virtfusion_caller& virtfusion,
                           const actors::node_lease& lease)
    : session_(session), lease_(lease), virtfusion_(virtfusion), looking_(metrics_sync_options(settings)),
      closing_(billing_options(settings, session.business())), observations_(session.database()),
      progress_(session.database(), sync_part), drift_(session.database()),
      drift_watcher_(virtfusion, drift_, session.business()), drift_observer_(drift_watcher_),
      hours_(session.database(), actors::runtime::crash_point) {}

const actors::metrics_sync_actor& hourly_parts::start_sync() {
  const actors::metrics_sync_services services{virtfusion_, observations_, progress_, session_.business(),
                                               &drift_observer_};
  sync_ = actors::spawn_metrics_sync(session_.runtime().system(), session_.loop().get_executor(), services,
                                     looking_);
  return sync_;
}

const actors::billing_actor& hourly_parts::start_billing() {
  const actors::billing_services services{hours_, [this] { return lease_.token(); }, session_.business(),
                                          session_.runtime().timers()};
  billing_ =
    actors::spawn_billing(session_.runtime().system(), session_.loop().get_executor(), services, closing_);
  return billing_;
}

const actors::cron_handler_actor& hourly_parts::start_handler() {
  handler_ = actors::spawn_joint_handler(
    session_.runtime().system(),
    {{sync_part, [this] { return caf::actor_cast<actors::cron_handler_actor>(sync_); }},
     {"billing", [this] { return caf::actor_cast<actors::cron_handler_actor>(billing_); }}});
  return handler_;
}

asio::awaitable<void> hourly_parts::stop_billing(std::chrono::milliseconds patience) {
  if (billing_)
    static_cast<void>(
      co_await session_.runtime().asker().ask<void>(billing_, patience, actors::stop_billing{}));
}

void hourly_parts::resume_billing() {
  if (billing_)
    caf::anon_send(billing_, actors::resume_billing{});
}

void hourly_parts::close() {
  const auto end = [](auto& actor) {
    if (actor)
      caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    actor = nullptr;
  };
  end(handler_);
  end(billing_);
  end(sync_);
}

} // namespace skyengine::commands
