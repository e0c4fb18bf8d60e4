#pragma once

#include "actors/node_lease.hpp"
#include "actors/runtime/actor_runtime.hpp"
#include "actors/server_provisioner.hpp"
#include "actors/virtfusion_caller.hpp"
#include "actors/virtfusion_gateway.hpp"
#include "db/catalogue_store.hpp"
#include "db/node_store.hpp"
#include "db/saga_store.hpp"
#include "db/server_store.hpp"
#include "net/virtfusion/http_transport.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/simulator.hpp"

#include <memory>
#include <string>

namespace skyengine::test {

/// The system's clock as business time.
class real_clock final : public clock {
public:
  instant now() const noexcept override {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  }
};

/// Users 1 to 3, plan `small` (package 1) and regions `north`, `south`, `tiny` (groups 1 to 3).
/// std::runtime_error when they are not taken.
asio::awaitable<void> fill_catalogue(db::catalogue_store& catalogue, const clock& business);

/// What a rig is made with besides a database and a simulated panel.
struct rig_options {
  std::string node = "node-1";
  actors::saga_options sagas{std::chrono::milliseconds{1'500}, std::chrono::milliseconds{50},
                             std::chrono::milliseconds{500}, std::chrono::milliseconds{300}, 1};
  actors::provisioner_options provisioner{};
  actors::gateway_options gateway{};
};

/// Provisioner, gateway and lease of one node in this process, over a real database and a real (simulated)
/// panel, with what `fill_catalogue` makes.
class provisioning_rig {
public:
  provisioning_rig(const test_database& database, const simulated_panel& panel, rig_options options = {});
  ~provisioning_rig();

  server_order order(std::int64_t user = 1, std::string region = "north") const;
  actors::create_server create_message(server_order wanted, std::chrono::milliseconds patience) const;

  /// Orders a server and waits until VirtFusion has decided, or `patience` is over.
  result<actors::action_outcome> create(server_order wanted,
                                        std::chrono::milliseconds patience = std::chrono::seconds{20});
  result<action> remove(server_id id);

  skyengine::action load_action(action_id id);
  skyengine::server load_server(server_id id);
  skyengine::server server_of(action_id id);
  /// Runs the loop until the action is over.
  skyengine::action wait_for(action_id id);

  actors::runtime::actor_runtime runtime;
  real_clock business;
  db::database db;
  db::server_store servers{db};
  db::saga_store sagas{db};
  db::catalogue_store catalogue{db};
  db::node_store nodes{db};
  net::virtfusion::http_transport transport;
  actors::virtfusion_gateway_actor gateway;
  actors::virtfusion_caller caller;
  actors::node_lease lease;
  actors::saga_services services;
  actors::server_provisioner_actor provisioner;
};

} // namespace skyengine::test
