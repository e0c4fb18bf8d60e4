#pragma once

#include "actors/billing_messages.hpp"
#include "actors/cron_messages.hpp"
#include "actors/protocol.hpp"
#include "actors/provisioning_messages.hpp"
#include "actors/runtime/actor_figures.hpp"
#include "actors/runtime/ask.hpp"
#include "actors/runtime/steady_timers.hpp"
#include "actors/supervisor.hpp"
#include "actors/sync_messages.hpp"
#include "actors/virtfusion_caller.hpp"
#include "db/database.hpp"
#include "db/listener.hpp"
#include "domain/clock.hpp"
#include "domain/error.hpp"
#include "domain/time_zone.hpp"
#include "net/api/key_guard.hpp"
#include "net/http/message.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

namespace skyengine::net::api {

/// How long a request may take besides the patience until what it asks for is stored.
inline constexpr std::chrono::seconds storing_time{20};

struct edge_options {
  /// How long a create's answer may wait for VirtFusion: `http.patience`.
  std::chrono::milliseconds patience{10'000};
  /// Business time for which a key binds its request: `idempotency.keep`.
  std::chrono::milliseconds keep_keys = std::chrono::hours{24};
  /// `http.key_rate` and `http.key_burst`.
  key_guard_options keys = {};
  /// Questions to one actor that may be unanswered; further ones are refused: errc::overloaded.
  std::size_t most_questions = 512;
  /// Event streams at once; further ones are refused: errc::overloaded.
  std::size_t most_streams = 256;
  /// For `build_info` and `/healthz`.
  std::string version = {};
  std::string commit = {};
  /// Business seconds in a real one; when it is not 1, `/healthz` shows the business time.
  std::int64_t clock_rate = 1;
  /// The handlers of schedules that there are.
  std::set<std::string> cron_handlers = {};
};

/// What the edge stands on. Everything referred to must outlive it and the requests under way.
struct edge_services {
  db::database& database;
  actors::runtime::asker& asker;
  actors::runtime::steady_timers& timers;
  actors::virtfusion_caller& virtfusion;
  const clock& business;
  const actors::runtime::actor_figures& actors;
  /// The time zone of this name, as `cron_services` has it.
  std::function<asio::awaitable<result<std::shared_ptr<const time_zone>>>(std::string)> load_zone;
};

struct edge_state;

/// The HTTP API: routes, keys, limits, problem documents. Used on the loop's thread only.
class edge {
public:
  /// It listens on the database for what other nodes say: revoked keys, and actions that operators call on.
  edge(asio::any_io_executor loop, edge_services services, edge_options options);
  ~edge();
  edge(const edge&) = delete;
  edge& operator=(const edge&) = delete;

  /// Handles of the actors behind it; a restarted actor is a new handle. Without one, what needs that actor
  /// is answered errc::overloaded.
  void set_provisioner(actors::server_provisioner_actor provisioner);
  void set_gateway(actors::virtfusion_gateway_actor gateway);
  /// Who fires the schedules.
  void set_cron_timer(actors::cron_timer_actor timer);
  void set_billing(actors::billing_actor billing);
  /// Who looks at the servers, each hour.
  void set_metrics_sync(actors::metrics_sync_actor sync);
  /// Who counts the actors' restarts.
  void set_supervisor(actors::supervisor_actor supervisor);
  /// From now on `/readyz` answers 200.
  void set_ready();
  /// Lets go of the loop and the actors, before those end; requests are no longer taken.
  void close();

  /// Never fails: what goes wrong is a problem document. `request` must outlive the coroutine.
  asio::awaitable<http::response> handle(const http::request& request);
  /// The answer to what the server refused before it was a request.
  http::response reject(const error& why, const std::string& request_id);

private:
  std::unique_ptr<edge_state> state_;
  std::unique_ptr<db::listener> listener_;
};

} // namespace skyengine::net::api
