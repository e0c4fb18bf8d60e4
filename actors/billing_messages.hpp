#pragma once

#include "actors/cron_messages.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <cstdint>
#include <optional>

/// What Billing is asked and told; it takes ticks too. The messages stay on their node.
namespace skyengine::actors {

struct billing_figures_query {};

struct billing_figures {
  /// Since the start.
  std::uint64_t hours = 0;
  std::uint64_t charges = 0;
  std::uint64_t corrections = 0;
  /// How long the oldest hour that is not closed is over (business time); nullopt before the first look.
  std::optional<std::chrono::seconds> lag;
};

/// Begin nothing more; answered when what is under way has ended.
struct stop_billing {};
/// The node holds a lease again.
struct resume_billing {};

using billing_actor =
  cron_handler_actor::extend<caf::replies_to<billing_figures_query>::with<billing_figures>,
                             caf::replies_to<stop_billing>::with<void>,
                             caf::reacts_to<resume_billing>>;

} // namespace skyengine::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::billing_figures_query)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::billing_figures)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::stop_billing)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::resume_billing)
