#include "tests/support/provisioning_rig.hpp"

#include "tests/support/at_end.hpp"

#include <boost/asio/detached.hpp>
#include <caf/send.hpp>

#include <stdexcept>

namespace skyengine::test {

namespace {

namespace vf = net::virtfusion;
using namespace std::chrono_literals;

template <class T>
T must(result<T> outcome) {
  if (outcome.has_error())
    throw std::runtime_error(outcome.error().detail);
  if constexpr (!std::is_void_v<T>)
    return std::move(*outcome);
}

vf::http_transport_options transport_options(const simulated_panel& panel) {
  vf::http_transport_options options;
  options.base = must(vf::parse_api_base(panel.url()));
  options.token = secret{simulated_panel::token};
  return options;
}

} // namespace

asio::awaitable<void> fill_catalogue(db::catalogue_store& catalogue, const clock& business) {
  const auto now = business.now();
  for (std::int64_t id = 1; id <= 3; ++id) {
    user customer{{id}, "User " + std::to_string(id), "user" + std::to_string(id) + "@example.com", {"USD"}};
    must(co_await catalogue.put_user(customer, "test", now));
  }
  plan small;
  small.id = {"small"};
  small.name = "Small";
  small.currency = {"USD"};
  small.terms.monthly_price = {5'000'000};
  small.package = {1};
  must(co_await catalogue.put_plan(small, "test", now));
  const char* names[] = {"north", "south", "tiny"};
  for (std::int64_t group = 1; group <= 3; ++group) {
    region place{{names[group - 1]}, names[group - 1], {group}};
    must(co_await catalogue.put_region(place, "test", now));
  }
}

provisioning_rig::provisioning_rig(const test_database& database,
                                   const simulated_panel& panel,
                                   rig_options options)
    : db(runtime.loop().get_executor(), database.options()),
      transport(runtime.loop().get_executor(), transport_options(panel)),
      gateway(actors::spawn_virtfusion_gateway(
        runtime.system(), runtime.loop().get_executor(), runtime.timers(), transport, options.gateway)),
      caller(runtime.asker(), runtime.timers(), gateway),
      lease(nodes, runtime.timers(), business, options.node),
      services(sagas, caller, lease, business, options.sagas),
      provisioner(actors::spawn_server_provisioner(
        runtime.system(), runtime.loop().get_executor(), servers, services, options.provisioner)) {
  must(run(runtime.loop(), db.connect()));
  run(runtime.loop(), fill_catalogue(catalogue, business));
  must(run(runtime.loop(), lease.acquire()));
  caf::anon_send(provisioner, actors::lease_acquired{});
}

provisioning_rig::~provisioning_rig() {
  at_end([this] {
    auto drained = run(runtime.loop(), runtime.asker().ask<void>(provisioner, 20s, actors::drain_sagas{}));
    static_cast<void>(drained);
    run(runtime.loop(), lease.release());
    caf::anon_send_exit(provisioner, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(gateway, caf::exit_reason::user_shutdown);
    transport.close();
    run(runtime.loop(), db.close(1s));
  });
  provisioner = nullptr;
  gateway = nullptr;
  caller.set_gateway(gateway);
  runtime.shut_down();
}

server_order provisioning_rig::order(std::int64_t user, std::string region) const {
  server_order wanted;
  wanted.user = {user};
  wanted.plan = {"small"};
  wanted.region = {std::move(region)};
  return wanted;
}

actors::create_server provisioning_rig::create_message(server_order wanted,
                                                       std::chrono::milliseconds span) const {
  return {
    std::move(wanted), {"operator", "test-request"}, std::nullopt, std::chrono::steady_clock::now() + span};
}

result<actors::action_outcome> provisioning_rig::create(server_order wanted, std::chrono::milliseconds span) {
  auto message = create_message(std::move(wanted), span);
  return run(runtime.loop(),
             runtime.asker().ask<actors::action_outcome>(provisioner, span + 5s, std::move(message)));
}

result<action> provisioning_rig::remove(server_id id) {
  actors::delete_server message{id, std::nullopt, {"operator", "test-request"}, std::nullopt};
  return run(runtime.loop(), runtime.asker().ask<action>(provisioner, 20s, std::move(message)));
}

action provisioning_rig::load_action(action_id id) {
  return must(run(runtime.loop(), servers.find_action(id, std::nullopt)));
}

server provisioning_rig::load_server(server_id id) {
  return must(run(runtime.loop(), servers.find(id, std::nullopt)));
}

server provisioning_rig::server_of(action_id id) {
  return load_server(load_action(id).server);
}

namespace {
asio::awaitable<action> poll(provisioning_rig& rig, action_id id) {
  for (;;) {
    auto found = must(co_await rig.servers.find_action(id, std::nullopt));
    if (is_over(found.state))
      co_return found;
    co_await actors::runtime::wait_until(rig.runtime.timers(), rig.runtime.timers().now() + 20ms);
  }
}
} // namespace

action provisioning_rig::wait_for(action_id id) {
  return run(runtime.loop(), poll(*this, id));
}

} // namespace skyengine::test
