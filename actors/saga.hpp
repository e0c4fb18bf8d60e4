#pragma once

#include "actors/node_lease.hpp"
#include "actors/runtime/keyed_turns.hpp"
#include "actors/runtime/steady_timers.hpp"
#include "actors/virtfusion_caller.hpp"
#include "db/saga_store.hpp"
#include "domain/clock.hpp"
#include "domain/secret.hpp"
#include "net/virtfusion/calls.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace skyengine::actors {

/// The settings of the same names under `provisioning.`.
struct saga_options {
  /// Longer than VirtFusion goes on working after its caller is gone.
  std::chrono::milliseconds settle{30'000};
  /// Between looks at a build: the first, and what it grows to.
  std::chrono::milliseconds poll_first{2'000};
  std::chrono::milliseconds poll_most{15'000};
  /// How long the gateway may keep trying one call that is safe to repeat, before the saga looks whether it
  /// is still wanted.
  std::chrono::milliseconds call_patience{20'000};
  std::uint64_t seed = 0;
  /// What waits across restarts waits by this.
  std::function<db::real_time()> real_now = [] {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  };
};

/// What all sagas of a node share. Everything referred to outlives them.
struct saga_services {
  saga_services(db::saga_store& store,
                virtfusion_caller& caller,
                node_lease& node,
                const clock& business_clock,
                saga_options limits);

  db::saga_store& sagas;
  virtfusion_caller& virtfusion;
  node_lease& lease;
  const clock& business;
  runtime::steady_timers& timers;
  saga_options options;
  std::mt19937_64 random;
  /// One create of a user at a time within this node; between nodes the attempts' index decides.
  runtime::keyed_turns<user_id> turns;
  /// Sagas under way: a restarted provisioner starts none that its predecessor's run has not left yet.
  std::set<action_id> active;
  /// A second look is under way.
  bool is_looking = false;
  /// Whose lost creates could not be looked for: alerted until they can.
  std::set<action_id> blind;

  /// The first OS template that VirtFusion offers for a package, and a package's resources: kept for ten
  /// minutes.
  template <class T>
  struct kept {
    T value;
    runtime::steady_time until;
  };
  std::map<package_id, kept<os_template_id>> templates;
  std::map<package_id, kept<server_resources>> resources;
};

/// What whoever runs a saga tells it.
struct saga_control {
  explicit saga_control(runtime::steady_timers& timers) : wake(timers) {}

  /// Stop at the next committed step: the lease is lost, or the node is shutting down.
  void stop() {
    is_stopping = true;
    wake.notify();
  }
  /// A delete waits, or an operator wants it tried again now.
  void nudge() { wake.notify(); }

  bool is_stopping = false;
  runtime::nudge wake;
};

/// How far a create has come, for those who wait for it.
enum class saga_stage : std::uint8_t {
  /// VirtFusion has taken the build.
  building,
  active,
  failed,
};

struct saga_report {
  saga_stage stage = saga_stage::building;
  /// Seen once, in VirtFusion's answer to the build; empty when that was lost.
  secret password = {};
};

/// Runs the saga of `action` from its last committed step until it is over, stopped, or another node's.
/// Answers the action to go on with: the delete that a create gave way to.
runtime::asio::awaitable<std::optional<action_id>> run_saga(saga_services& services,
                                                            action_id action,
                                                            action_kind kind,
                                                            std::shared_ptr<saga_control> control,
                                                            std::function<void(saga_report)> report);

/// Looks once for what a repeated `POST /servers` may have left, when such a look is due; true when there was
/// one.
runtime::asio::awaitable<bool> run_second_look(saga_services& services,
                                               std::shared_ptr<saga_control> control);

} // namespace skyengine::actors
