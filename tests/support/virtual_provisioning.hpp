#pragma once

#include "actors/node_lease.hpp"
#include "actors/server_provisioner.hpp"
#include "actors/virtfusion_caller.hpp"
#include "actors/virtfusion_gateway.hpp"
#include "db/catalogue_store.hpp"
#include "db/node_store.hpp"
#include "db/saga_store.hpp"
#include "db/server_store.hpp"
#include "net/virtfusion/guarded_transport.hpp"
#include "tests/support/panel_transport.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/provisioning_rig.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace skyengine::test {

/// The system's clock, moved on by hand.
class shifted_clock final : public clock {
public:
  instant now() const noexcept override { return real_clock{}.now() + shift; }

  std::chrono::microseconds shift{};
};

/// Provisioner, gateway and lease of one node, over a real database, with the panel's work done in virtual
/// time: settle times and build times pass as soon as nothing else is left to do.
class virtual_provisioning : public testing::Test {
protected:
  virtual_provisioning();
  ~virtual_provisioning() override;

  /// Runs all that is ready, and waits for what the database still works on; virtual time stands still.
  void settle();
  /// Moves time on, and runs all that falls due, in order.
  void advance(actors::runtime::steady_duration span);
  /// Moves time on until `holds`; false when it does not within `span`.
  template <class Condition>
  bool advance_until(Condition holds,
                     actors::runtime::steady_duration span = std::chrono::minutes{10},
                     actors::runtime::steady_duration step = std::chrono::milliseconds{100}) {
    const auto limit = runtime.timers().now() + span;
    for (settle(); !holds(); advance(step))
      if (runtime.timers().now() >= limit)
        return false;
    return true;
  }

  /// What an asker has been told; nothing while it waits.
  template <class T>
  struct asked {
    std::optional<result<T>> answer;
    actors::runtime::steady_time at{};
  };
  std::shared_ptr<asked<actors::action_outcome>>
  order(std::int64_t user = 1, std::chrono::milliseconds span = std::chrono::seconds{10});
  std::shared_ptr<asked<action>> remove(server_id id);
  /// `to_plan` of a resize.
  std::shared_ptr<asked<actors::action_outcome>>
  control(action_kind kind,
          server_id id,
          std::optional<std::string> to_plan = std::nullopt,
          std::chrono::milliseconds span = std::chrono::seconds{10});

  /// Lets a provisioner that has ended be followed by a new one, as the supervisor does.
  void spawn_provisioner();
  /// The lease is another's from now on, as if this node had slept: it learns so when it renews.
  void steal_lease();

  // What the database holds, at once.
  std::string sql(const std::string& question) const { return run_sql(database.url(), question); }
  /// Of what an action said when it was stored last: its state, and why it failed.
  std::string end_of(std::int64_t action) const {
    return sql("SELECT state || coalesce(' ' || error_code, '') FROM actions WHERE id = " +
               std::to_string(action));
  }
  std::string state_of(std::int64_t server) const {
    return sql("SELECT state FROM servers WHERE id = " + std::to_string(server));
  }
  /// Ids of the servers that the panel has and does not delete.
  std::vector<std::int64_t> living();
  /// `skyengine audit`'s invariants that do not hold.
  std::vector<std::string> broken_invariants();

  test_database database;
  actors::runtime::actor_runtime runtime{actors::runtime::steady_timers::mode::manual};
  shifted_clock business;
  db::database db;
  db::server_store servers{db};
  db::saga_store sagas{db};
  db::catalogue_store catalogue{db};
  db::node_store nodes{db};
  panel_transport panel{runtime.timers(), {.seed = 7, .build_time = std::chrono::seconds{5}}};
  std::unique_ptr<net::virtfusion::guarded_transport> guarded;
  actors::virtfusion_gateway_actor gateway;
  actors::virtfusion_caller caller{runtime.asker(), runtime.timers(), {}};
  actors::node_lease lease{nodes, runtime.timers(), business, "node-1"};
  std::unique_ptr<actors::saga_services> services;
  actors::server_provisioner_actor provisioner;
};

} // namespace skyengine::test
