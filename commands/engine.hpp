#pragma once

#include "actors/cleaner.hpp"
#include "actors/cron_timer.hpp"
#include "actors/node_lease.hpp"
#include "actors/server_provisioner.hpp"
#include "actors/supervisor.hpp"
#include "commands/database_session.hpp"
#include "commands/hourly_parts.hpp"
#include "commands/virtfusion_link.hpp"
#include "config/settings.hpp"
#include "db/clean_up_store.hpp"
#include "db/cron_store.hpp"
#include "db/drift_store.hpp"
#include "db/hold_store.hpp"
#include "db/listener.hpp"
#include "db/node_store.hpp"
#include "db/panel_store.hpp"
#include "db/saga_store.hpp"
#include "db/server_store.hpp"
#include "db/session_lock.hpp"
#include "net/api/edge.hpp"
#include "net/http/server.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/thread_pool.hpp>

#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace skyengine::commands {

/// One node: database, lease, actors and HTTP edge, composed and run on one loop. `serve` and `demo` are what
/// runs it.
class engine {
public:
  /// Binds the port, opens the database, takes the node's name and lease, starts the actors. A database that
  /// was begun with the other kind of panel is left alone. Everything that fails is one sentence.
  static result<std::unique_ptr<engine>>
  start(const config::settings& settings, const std::filesystem::path& data_dir, db::panel_kind panel);

  ~engine();
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  boost::asio::io_context& loop() noexcept { return session_->loop(); }
  actors::runtime::steady_timers& timers() noexcept { return session_->runtime().timers(); }
  database_session& session() noexcept { return *session_; }
  boost::asio::ip::tcp::endpoint endpoint() const noexcept { return endpoint_; }

  /// Runs until `stop` has done its work. 0, or 1 after an escalation.
  int run();
  /// Accepts no more, lets what is in flight end within `shutdown_grace`, hands the lease back. Safe to call
  /// twice.
  void stop();

private:
  engine() = default;

  result<> compose(const config::settings& settings);
  boost::asio::awaitable<result<>> take_name_and_lease();
  boost::asio::awaitable<void> become_ready();
  boost::asio::awaitable<void> keep_name();
  boost::asio::awaitable<void> wind_down();
  boost::asio::awaitable<void> watch_database();
  boost::asio::awaitable<void> on_lease_lost();
  actors::cron_services cron_services();
  boost::asio::awaitable<result<std::shared_ptr<const time_zone>>> load_zone(std::string name);
  void fail(std::string why);
  /// What the end of a coroutine is told to without which this node is none: an exception ends the node.
  std::function<void(std::exception_ptr)> needed(std::string what);

  config::settings settings_;
  int data_lock_ = -1;
  std::unique_ptr<database_session> session_;
  std::unique_ptr<db::server_store> servers_;
  std::unique_ptr<db::saga_store> sagas_;
  std::unique_ptr<db::node_store> nodes_;
  std::unique_ptr<db::cron_store> schedules_;
  std::unique_ptr<db::clean_up_store> clean_up_;
  std::unique_ptr<db::hold_store> holds_;
  std::unique_ptr<db::session_lock> name_lock_;
  std::unique_ptr<actors::node_lease> lease_;
  std::unique_ptr<virtfusion_link> virtfusion_;
  std::unique_ptr<hourly_parts> hourly_;
  std::unique_ptr<actors::saga_services> services_;
  std::unique_ptr<net::api::edge> edge_;
  std::unique_ptr<net::http::server> server_;
  actors::server_provisioner_actor provisioner_;
  actors::cron_handler_actor cleaner_;
  actors::cron_timer_actor timer_;
  actors::supervisor_actor supervisor_;
  boost::asio::ip::tcp::endpoint endpoint_;
  /// For what must block.
  boost::asio::thread_pool helper_{1};
  bool is_stopping_ = false;
  bool is_stopped_ = false;
  int exit_code_ = 0;
};

} // namespace skyengine::commands
