#pragma once

#include "actors/provisioning_messages.hpp"
#include "actors/saga.hpp"
#include "db/server_store.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <caf/actor_system.hpp>

#include <chrono>
#include <cstddef>

namespace skyengine::actors {

/// The settings of the same names under `provisioning.`.
struct provisioner_options {
  /// Open creates, beyond which further ones are refused before anything is stored.
  std::size_t max_open = 256;
  /// A create that could not begin within this is refused before anything is stored.
  std::chrono::milliseconds max_wait{60'000};
  /// How often to look for sagas that a dead node left, and for second looks that are due.
  std::chrono::milliseconds sweep{2'000};
};

/// Admits creates, stores them, and runs the sagas of this node. Everything referred to must outlive it.
server_provisioner_actor spawn_server_provisioner(caf::actor_system& system,
                                                  runtime::asio::any_io_executor loop,
                                                  db::server_store& servers,
                                                  saga_services& services,
                                                  provisioner_options options);

} // namespace skyengine::actors
