#include "commands/engine.hpp"

#include "actors/runtime/coroutines.hpp"
#include "actors/zone_loader.hpp"
#include "commands/actor_options.hpp"
#include "commands/build_info.hpp"
#include "domain/log.hpp"
#include "net/virtfusion/calls.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/host_name.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <caf/actor_cast.hpp>
#include <caf/send.hpp>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <system_error>
#include <utility>

namespace skyengine::commands {

namespace {

namespace asio = boost::asio;
namespace vf = net::virtfusion;
using namespace std::chrono_literals;

// A predecessor of this name that was killed frees it when its connection ends; one that lives keeps it.
constexpr auto name_patience = 5s;
// How long the start waits for VirtFusion's first word before the node is ready without it.
constexpr auto first_word = 5s;

/// The lock that keeps a second engine off this data folder; freed when the process ends.
result<int> lock_data_folder(const std::filesystem::path& data_dir) {
  std::error_code failed;
  std::filesystem::create_directories(data_dir, failed);
  const auto path = data_dir / "engine.lock";
  const int descriptor = failed ? -1 : ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor < 0)
    return error{errc::conflict, "cannot write to the data folder " + data_dir.string() + ": " +
                                   (failed ? failed.message() : std::generic_category().message(errno))};
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    ::close(descriptor);
    return error{errc::conflict, "another engine runs on the data folder " + data_dir.string() +
                                   ": stop it, or use another --data-dir"};
  }
  return descriptor;
}

net::http::server_options server_options(const config::http_settings& http) {
  net::http::server_options options;
  options.max_header_bytes = http.max_header;
  options.max_body_bytes = http.max_body;
  options.header_timeout = http.header_timeout;
  options.body_timeout = http.body_timeout;
  options.idle_timeout = http.idle_timeout;
  options.write_timeout = http.write_timeout;
  // Whatever the patience is, what was asked for can still be stored behind it.
  options.request_timeout = http.patience + net::api::storing_time;
  options.max_connections = http.max_connections;
  options.max_connections_per_address = http.connections_per_address;
  options.trusted_proxies = http.trusted_proxies;
  options.tls_certificate = http.tls_cert;
  options.tls_key = http.tls_key;
  return options;
}

} // namespace

result<std::unique_ptr<engine>>
engine::start(const config::settings& settings, const std::filesystem::path& data_dir, db::panel_kind panel) {
  std::unique_ptr<engine> one{new engine};
  one->settings_ = settings;
  auto locked = lock_data_folder(data_dir);
  if (!locked)
    return locked.error();
  one->data_lock_ = *locked;
  auto session = database_session::open(settings, data_dir);
  if (!session)
    return session.error();
  one->session_ = std::move(*session);
  if (const auto claimed = claim_panel(*one->session_, settings, data_dir, panel); !claimed)
    return claimed.error();
  const auto composed = one->compose(settings);
  if (!composed)
    return composed.error();
  return one;
}

result<> engine::compose(const config::settings& settings) {
  const auto transport = virtfusion_transport_options(settings.virtfusion);
  if (!transport)
    return transport.error();
  virtfusion_ = std::make_unique<virtfusion_link>(*session_, *transport, gateway_options(settings.virtfusion),
                                                  [this] { return lease_->is_held(); });
  auto& runtime = session_->runtime();
  auto& database = session_->database();
  const auto executor = loop().get_executor();
  const std::uint64_t seed = std::random_device{}();

  servers_ = std::make_unique<db::server_store>(database);
  sagas_ = std::make_unique<db::saga_store>(database);
  nodes_ = std::make_unique<db::node_store>(database);
  schedules_ = std::make_unique<db::postgres_cron_store>(database);
  clean_up_ = std::make_unique<db::clean_up_store>(database);
  holds_ = std::make_unique<db::hold_store>(database);
  net::api::edge_options edge;
  edge.patience = settings.http.patience;
  edge.keep_keys = settings.idempotency.keep;
  edge.keys.rate = static_cast<std::uint32_t>(settings.http.key_rate);
  edge.keys.burst = static_cast<std::uint32_t>(settings.http.key_burst);
  edge.version = program_version();
  edge.commit = program_commit();
  edge.clock_rate = session_->business().rate();
  for (const auto& [handler, actor] : cron_services().handlers)
    edge.cron_handlers.insert(handler);
  edge_ = std::make_unique<net::api::edge>(
    executor,
    net::api::edge_services{database, runtime.asker(), timers(), virtfusion_->caller(), session_->business(),
                            runtime.figures(),
                            [this](std::string name) { return load_zone(std::move(name)); }},
    edge);
  server_ = std::make_unique<net::http::server>(
    executor, server_options(settings.http),
    [this](const net::http::request& request) { return edge_->handle(request); },
    [this](const error& why, const std::string& id) { return edge_->reject(why, id); });
  const auto listening = server_->listen(settings.http.listen.host, settings.http.listen.port);
  if (!listening)
    return listening.error();
  endpoint_ = *listening;
  if (settings_.node.name.empty())
    settings_.node.name = asio::ip::host_name() + ":" + std::to_string(endpoint_.port());
  lease_ = std::make_unique<actors::node_lease>(*nodes_, timers(), session_->business(), settings_.node.name);
  hourly_ = std::make_unique<hourly_parts>(*session_, settings_, virtfusion_->caller(), *lease_);

  actors::saga_options sagas;
  sagas.settle = settings.provisioning.settle;
  sagas.seed = seed;
  services_ = std::make_unique<actors::saga_services>(*sagas_, virtfusion_->caller(), *lease_,
                                                      session_->business(), sagas);
  const auto leased = run_to_end(loop(), take_name_and_lease());
  if (!leased)
    return leased.error();

  actors::provisioner_options provisioner_limits;
  provisioner_limits.max_open = settings.provisioning.max_open;
  provisioner_limits.max_wait = settings.provisioning.max_wait;
  std::vector<actors::child_spec> children;
  children.push_back({"virtfusion_gateway", [this] {
                        const auto& gateway = virtfusion_->start_gateway();
                        edge_->set_gateway(gateway);
                        return caf::actor_cast<caf::strong_actor_ptr>(gateway);
                      }});
  children.push_back({"server_provisioner", [this, provisioner_limits] {
                        provisioner_ = actors::spawn_server_provisioner(session_->runtime().system(),
                                                                        loop().get_executor(), *servers_,
                                                                        *services_, provisioner_limits);
                        edge_->set_provisioner(provisioner_);
                        caf::anon_send(provisioner_, actors::lease_acquired{});
                        return caf::actor_cast<caf::strong_actor_ptr>(provisioner_);
                      }});
  children.push_back({"cleaner", [this] {
                        cleaner_ = actors::spawn_cleaner(session_->runtime().system(), loop().get_executor(),
                                                         *clean_up_, *holds_, cleaner_options(settings_));
                        return caf::actor_cast<caf::strong_actor_ptr>(cleaner_);
                      }});
  children.push_back({"metrics_sync", [this] {
                        const auto& sync = hourly_->start_sync();
                        edge_->set_metrics_sync(sync);
                        return caf::actor_cast<caf::strong_actor_ptr>(sync);
                      }});
  children.push_back({"billing", [this] {
                        const auto& billing = hourly_->start_billing();
                        edge_->set_billing(billing);
                        return caf::actor_cast<caf::strong_actor_ptr>(billing);
                      }});
  children.push_back(
    {"hourly", [this] { return caf::actor_cast<caf::strong_actor_ptr>(hourly_->start_handler()); }});
  actors::cron_timer_options firing;
  firing.clock_rate = session_->business().rate();
  firing.seed = seed;
  children.push_back({"cron_timer", [this, firing] {
                        timer_ = actors::spawn_cron_timer(session_->runtime().system(), loop().get_executor(),
                                                          cron_services(), firing);
                        edge_->set_cron_timer(timer_);
                        caf::anon_send(timer_, actors::timer_lease_acquired{});
                        return caf::actor_cast<caf::strong_actor_ptr>(timer_);
                      }});
  actors::supervisor_options restarts;
  restarts.max_restarts = settings.supervisor.max_restarts;
  restarts.window = settings.supervisor.window;
  supervisor_ = actors::spawn_supervisor(runtime.system(), timers(), std::move(children), restarts,
                                         [this](std::string why) { fail(std::move(why)); });
  edge_->set_supervisor(supervisor_);

  asio::co_spawn(loop(),
                 lease_->keep([this]() -> asio::awaitable<void> { co_await on_lease_lost(); },
                              [this](std::int64_t) {
                                caf::anon_send(provisioner_, actors::lease_acquired{});
                                hourly_->resume_billing();
                                caf::anon_send(timer_, actors::timer_lease_acquired{});
                              }),
                 needed("the lease"));
  asio::co_spawn(loop(), become_ready(), needed("the start"));
  asio::co_spawn(loop(), watch_database(), needed("the watch over the database"));
  return {};
}

asio::awaitable<result<>> engine::take_name_and_lease() {
  name_lock_ = std::make_unique<db::session_lock>(
    loop().get_executor(), session_->options(), "skyengine node " + settings_.node.name,
    [this] { asio::co_spawn(loop(), keep_name(), needed("the node's name")); });
  const auto named = co_await name_lock_->acquire(name_patience);
  if (!named && named.error().code == errc::conflict)
    co_return error{errc::conflict, "another engine runs under the name " + settings_.node.name +
                                      " on this database: stop it, or set node.name"};
  if (!named)
    co_return named.error();
  co_return co_await lease_->acquire();
}

/// The connection that holds the name was lost: take the name again, or learn that somebody else has it.
asio::awaitable<void> engine::keep_name() {
  while (!is_stopping_) {
    const auto named = co_await name_lock_->acquire(name_patience);
    if (named)
      co_return;
    if (named.error().code == errc::conflict) {
      // A connection of ours that was cut without a word holds it until PostgreSQL notices; who takes it from
      // us begins a lease under it.
      const auto holder = co_await nodes_->token_of(settings_.node.name);
      if (holder && *holder != lease_->token()) {
        fail("another engine has taken the name " + settings_.node.name);
        co_return;
      }
      log::warn("this node's name is still held by a connection of its own that was cut", {});
    }
    co_await actors::runtime::wait_until(timers(), timers().now() + 1s);
  }
}

asio::awaitable<void> engine::become_ready() {
  // The supervisor starts its children on the loop, after this was spawned.
  while (!virtfusion_->gateway() || !provisioner_)
    co_await asio::post(loop(), asio::use_awaitable);
  const actors::call_options how{call_class::interactive, timers().now() + first_word, {}, "start"};
  const auto reached = co_await virtfusion_->caller().call(how, vf::connect());
  if (!reached)
    log::warn("VirtFusion cannot be used at present", {{"error", reached.error().text}});
  edge_->set_ready();
  log::info("ready", {{"address", endpoint_.address().to_string()}, {"port", endpoint_.port()}});
}

/// A private PostgreSQL that died is started again; any other one is its operator's affair.
asio::awaitable<void> engine::watch_database() {
  while (!is_stopping_) {
    co_await actors::runtime::wait_until(timers(), timers().now() + 1s);
    if (is_stopping_ || session_->database().is_up())
      continue;
    // Starting it takes seconds and blocks.
    auto restart = [this]() -> asio::awaitable<result<>> { co_return session_->ensure_running(); };
    const auto running = co_await asio::co_spawn(helper_, restart, asio::use_awaitable);
    if (!running)
      log::error("the private PostgreSQL cannot be started again", {{"error", running.error().detail}});
  }
}

asio::awaitable<result<std::shared_ptr<const time_zone>>> engine::load_zone(std::string name) {
  // It is read from the disk.
  auto read = actors::load_zone(std::move(name));
  co_return co_await asio::co_spawn(helper_, std::move(read), asio::use_awaitable);
}

actors::cron_services engine::cron_services() {
  return {*schedules_,
          [this] {
            return db::timer_holder{lease_->name(), lease_->token()};
          },
          session_->business(),
          timers(),
          session_->runtime().asker(),
          [this](std::string name) { return load_zone(std::move(name)); },
          {{"daily-clean-up", [this] { return cleaner_; }},
           {std::string{hourly_parts::handler_name}, [this] { return hourly_->handler(); }}}};
}

asio::awaitable<void> engine::on_lease_lost() {
  static_cast<void>(co_await session_->runtime().asker().ask<void>(timer_, 5s, actors::stop_firing{}));
  // Each of its transactions looks at the lease for itself.
  co_await hourly_->stop_billing(5s);
  const auto drained = co_await session_->runtime().asker().ask<void>(provisioner_, 1h, actors::lease_lost{});
  if (!drained)
    log::warn("the sagas were not seen to end", {{"error", drained.error().detail}});
  // A lease goes by the node's name: without that, it would be taken from whoever has the name now, also on
  // the way to the end.
  while (!name_lock_->is_held())
    co_await actors::runtime::wait_until(timers(), timers().now() + 200ms);
}

asio::awaitable<void> engine::wind_down() {
  log::info("stopping");
  const auto until = timers().now() + settings_.shutdown_grace;
  co_await server_->stop(settings_.shutdown_grace);
  auto& asker = session_->runtime().asker();
  const auto left = [&] {
    return std::max(std::chrono::ceil<std::chrono::milliseconds>(until - timers().now()), 500ms);
  };
  static_cast<void>(co_await asker.ask<void>(timer_, left(), actors::stop_firing{}));
  co_await hourly_->stop_billing(left());
  if (const auto drained = co_await asker.ask<void>(provisioner_, left(), actors::drain_sagas{}); !drained)
    log::info("some sagas go on at the next start", {});
  static_cast<void>(co_await asker.ask<void>(supervisor_, 10s, actors::stop_children{}));
  co_await lease_->release();
  name_lock_->release();
  log::info("stopped");
  is_stopped_ = true;
}

void engine::stop() {
  if (!std::exchange(is_stopping_, true))
    asio::co_spawn(loop(), wind_down(), [this](std::exception_ptr bug) {
      if (!bug)
        return;
      fail("stopping failed unexpectedly: " + actors::runtime::describe(bug));
      is_stopped_ = true;
    });
}

std::function<void(std::exception_ptr)> engine::needed(std::string what) {
  return [this, what = std::move(what)](std::exception_ptr bug) {
    if (bug)
      fail(what + " failed unexpectedly: " + actors::runtime::describe(bug));
  };
}

void engine::fail(std::string why) {
  log::error(why, {{"alert", "escalation"}});
  exit_code_ = 1;
  stop();
}

int engine::run() {
  loop().restart();
  while (!is_stopped_)
    loop().run_one();
  return exit_code_;
}

engine::~engine() {
  // It may still be starting the private PostgreSQL again, which the session owns.
  helper_.join();
  if (supervisor_) {
    caf::anon_send_exit(supervisor_, caf::exit_reason::user_shutdown);
    // It may not have begun: it does so now, while all that its children need is there.
    loop().restart();
    loop().poll();
    caf::anon_send_exit(timer_, caf::exit_reason::user_shutdown);
    hourly_->close();
    caf::anon_send_exit(cleaner_, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(provisioner_, caf::exit_reason::user_shutdown);
  }
  supervisor_ = nullptr;
  timer_ = nullptr;
  cleaner_ = nullptr;
  provisioner_ = nullptr;
  if (edge_)
    edge_->close();
  // Sockets and timers go before their loop, which goes before the rest: what is still suspended on it refers
  // to that.
  if (virtfusion_)
    virtfusion_->close();
  name_lock_.reset();
  server_.reset();
  session_.reset();
  if (data_lock_ >= 0)
    ::close(data_lock_);
}

} // namespace skyengine::commands
