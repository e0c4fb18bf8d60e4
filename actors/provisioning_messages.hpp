#pragma once

#include "domain/action.hpp"
#include "domain/histogram.hpp"
#include "domain/requester.hpp"
#include "domain/secret.hpp"
#include "domain/server.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

/// What ServerProvisioner takes and answers. Its messages stay on their node: an order is carried out where
/// it came in, and the actions' rows are what nodes share.
namespace skyengine::actors {

/// When nobody waits for the answer any more: what has not begun by then is dropped, errc::deadline_exceeded.
using answer_deadline = std::chrono::steady_clock::time_point;

/// Order a server. Answered when VirtFusion has answered create and build, when it has come to nothing, or at
/// `answer_by`, whichever is first. Refused before anything is stored: errc::overloaded,
/// errc::virtfusion_unavailable.
struct create_server {
  server_order order;
  requester by;
  std::optional<idempotency_claim> claim;
  std::chrono::steady_clock::time_point answer_by;
  /// Until the order is about to be stored.
  answer_deadline deadline = answer_deadline::max();
};

/// Suspend, unsuspend or resize a server. Answered when that is over, or at `answer_by`, whichever is first;
/// at once, without an action, when the server is as wanted already.
struct control_server {
  server_id server;
  action_kind kind = action_kind::suspend;
  /// nullopt: the operator asks.
  std::optional<user_id> owner;
  requester by;
  /// Of a suspend.
  std::optional<std::string> reason;
  /// Of a resize.
  std::optional<plan_id> to_plan;
  std::optional<idempotency_claim> claim;
  std::chrono::steady_clock::time_point answer_by;
  /// Until the order is about to be stored.
  answer_deadline deadline = answer_deadline::max();
};

/// Wait for an action that somebody else asked for.
struct join_action {
  action_id action;
  std::chrono::steady_clock::time_point answer_by;
  answer_deadline deadline = answer_deadline::max();
};

struct action_outcome {
  /// 0: nothing had to be done.
  action_id action;
  /// It is over, or of a create: VirtFusion has answered create and build; else it is still under way.
  bool is_decided = false;
  /// Root password, for the one who ordered; empty when nobody saw it.
  secret password = {};
};

/// Delete a server; answered with the stored action, when VirtFusion has not heard of it yet.
struct delete_server {
  server_id server;
  /// nullopt: the operator asks.
  std::optional<user_id> owner;
  requester by;
  std::optional<idempotency_claim> claim;
  answer_deadline deadline = answer_deadline::max();
};

/// An operator wants an action looked at again at once; nothing happens where another node runs it.
struct nudge_action {
  action_id action;
};

/// The node's lease is lost: stop all sagas. Answered when none is left.
struct lease_lost {};
/// The node holds a lease under a new token: go on with what is ours or nobody's.
struct lease_acquired {};
/// The node is shutting down: admit nothing more, stop all sagas at their next step. Answered when none is
/// left.
struct drain_sagas {};

struct provisioner_figures_query {};

/// Upper bounds, in seconds, of the buckets of `provisioning_duration_seconds`; one more bucket has the rest.
inline constexpr std::array<double, 12> provisioning_buckets{0.1, 0.25, 0.5, 1,   2.5, 5,
                                                             10,  30,   60,  120, 300, 600};

struct provisioner_figures {
  std::uint64_t open_creates = 0;
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  std::uint64_t refused = 0;
  /// Messages dropped since their deadline had passed.
  std::uint64_t deadline_dropped = 0;
  /// From the stored order to the end of its saga on this node, in real time.
  histogram<provisioning_buckets> seconds;
};

using server_provisioner_actor =
  caf::typed_actor<caf::replies_to<create_server>::with<action_outcome>,
                   caf::replies_to<control_server>::with<action_outcome>,
                   caf::replies_to<join_action>::with<action_outcome>,
                   caf::replies_to<delete_server>::with<action>,
                   caf::reacts_to<nudge_action>,
                   caf::reacts_to<lease_lost>,
                   caf::reacts_to<lease_acquired>,
                   caf::reacts_to<drain_sagas>,
                   caf::replies_to<provisioner_figures_query>::with<provisioner_figures>>;

} // namespace skyengine::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::action)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::create_server)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::control_server)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::join_action)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::action_outcome)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::delete_server)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::nudge_action)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::lease_lost)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::lease_acquired)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::drain_sagas)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::provisioner_figures_query)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::provisioner_figures)
