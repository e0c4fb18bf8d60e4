#include "tests/support/virtual_provisioning.hpp"

#include "db/audit.hpp"
#include "tests/support/at_end.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <caf/send.hpp>

#include <stdexcept>
#include <utility>

namespace skyengine::test {

namespace {

using namespace std::chrono_literals;

asio::awaitable<void> drain(actors::runtime::asker& asker, actors::server_provisioner_actor& provisioner) {
  const auto stopped = co_await asker.ask<void>(provisioner, 1h, actors::lease_lost{});
  EXPECT_TRUE(stopped);
}

} // namespace

virtual_provisioning::virtual_provisioning() : db(runtime.loop().get_executor(), database.options()) {
  if (const auto connected = run(runtime.loop(), db.connect()); !connected)
    throw std::runtime_error{connected.error().detail};
  run(runtime.loop(), fill_catalogue(catalogue, business));
  if (const auto leased = run(runtime.loop(), lease.acquire()); !leased)
    throw std::runtime_error{leased.error().detail};
  guarded = std::make_unique<net::virtfusion::guarded_transport>(panel, [this] { return lease.is_held(); });
  gateway = actors::spawn_virtfusion_gateway(runtime.system(), runtime.loop().get_executor(),
                                             runtime.timers(), *guarded, {});
  caller.set_gateway(gateway);
  actors::saga_options options;
  options.seed = 7;
  options.real_now = [this] {
    return std::chrono::time_point_cast<std::chrono::microseconds>(panel.now().real);
  };
  services = std::make_unique<actors::saga_services>(sagas, caller, lease, business, options);
  spawn_provisioner();
  asio::co_spawn(runtime.loop(),
                 lease.keep([this]() -> asio::awaitable<void> { return drain(runtime.asker(), provisioner); },
                            [this](std::int64_t) { caf::anon_send(provisioner, actors::lease_acquired{}); }),
                 asio::detached);
  settle();
}

virtual_provisioning::~virtual_provisioning() {
  at_end([this] {
    bool is_drained = false;
    panel.clear_faults();
    asio::co_spawn(runtime.loop(), runtime.asker().ask<void>(provisioner, 1h, actors::drain_sagas{}),
                   [&](std::exception_ptr, const result<void>&) { is_drained = true; });
    EXPECT_TRUE(advance_until([&] { return is_drained; })) << "the sagas do not end";
    asio::co_spawn(runtime.loop(), lease.release(), asio::detached);
    settle();
    caf::anon_send_exit(provisioner, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(gateway, caf::exit_reason::user_shutdown);
    provisioner = nullptr;
    gateway = nullptr;
    caller.set_gateway(gateway);
    settle();
    run(runtime.loop(), db.close(1s));
    runtime.shut_down();
  });
}

void virtual_provisioning::settle() {
  auto& loop = runtime.loop();
  const auto limit = std::chrono::steady_clock::now() + patience;
  for (;;) {
    loop.restart();
    while (loop.poll() > 0)
      loop.restart();
    const auto busy = db.counters();
    if (busy.outstanding == 0 && busy.transactions == 0)
      return;
    if (std::chrono::steady_clock::now() >= limit)
      throw std::runtime_error{"the database does not answer"};
    loop.restart();
    loop.run_one_for(20ms);
  }
}

void virtual_provisioning::advance(actors::runtime::steady_duration span) {
  runtime.timers().advance_to(runtime.timers().now() + span, [this] { settle(); });
}

std::shared_ptr<virtual_provisioning::asked<actors::action_outcome>>
virtual_provisioning::order(std::int64_t user, std::chrono::milliseconds span) {
  server_order wanted;
  wanted.user = {user};
  wanted.plan = {"small"};
  wanted.region = {"north"};
  actors::create_server message{
    wanted, {"operator", "test-request"}, std::nullopt, runtime.timers().now() + span};
  auto told = std::make_shared<asked<actors::action_outcome>>();
  asio::co_spawn(runtime.loop(),
                 runtime.asker().ask<actors::action_outcome>(provisioner, 1h, std::move(message)),
                 [this, told](std::exception_ptr, result<actors::action_outcome> answer) {
                   told->answer = std::move(answer);
                   told->at = runtime.timers().now();
                 });
  settle();
  return told;
}

std::shared_ptr<virtual_provisioning::asked<action>> virtual_provisioning::remove(server_id id) {
  actors::delete_server message{id, std::nullopt, {"operator", "test-request"}, std::nullopt};
  auto told = std::make_shared<asked<action>>();
  asio::co_spawn(runtime.loop(), runtime.asker().ask<action>(provisioner, 1h, std::move(message)),
                 [this, told](std::exception_ptr, result<action> answer) {
                   told->answer = std::move(answer);
                   told->at = runtime.timers().now();
                 });
  settle();
  return told;
}

std::shared_ptr<virtual_provisioning::asked<actors::action_outcome>> virtual_provisioning::control(
  action_kind kind, server_id id, std::optional<std::string> to_plan, std::chrono::milliseconds span) {
  actors::control_server message;
  message.server = id;
  message.kind = kind;
  message.by = {"operator", "test-request"};
  if (to_plan)
    message.to_plan = plan_id{*to_plan};
  message.answer_by = runtime.timers().now() + span;
  auto told = std::make_shared<asked<actors::action_outcome>>();
  asio::co_spawn(runtime.loop(),
                 runtime.asker().ask<actors::action_outcome>(provisioner, 1h, std::move(message)),
                 [this, told](std::exception_ptr, result<actors::action_outcome> answer) {
                   told->answer = std::move(answer);
                   told->at = runtime.timers().now();
                 });
  settle();
  return told;
}

void virtual_provisioning::spawn_provisioner() {
  provisioner =
    actors::spawn_server_provisioner(runtime.system(), runtime.loop().get_executor(), servers, *services, {});
  caf::anon_send(provisioner, actors::lease_acquired{});
}

void virtual_provisioning::steal_lease() {
  sql("UPDATE nodes SET token = nextval('fencing_tokens') RETURNING token");
}

std::vector<std::int64_t> virtual_provisioning::living() {
  std::vector<std::int64_t> ids;
  for (const auto* server : panel.look().servers())
    ids.push_back(server->id);
  return ids;
}

std::vector<std::string> virtual_provisioning::broken_invariants() {
  const auto checked = run(runtime.loop(), db::audit(db));
  if (!checked)
    return {checked.error().detail};
  std::vector<std::string> broken;
  for (const auto& one : *checked)
    if (one.violations > 0)
      broken.push_back(one.name);
  return broken;
}

} // namespace skyengine::test
