#pragma once

#include "domain/class_queues.hpp"
#include "domain/error.hpp"
#include "domain/ids.hpp"
#include "net/virtfusion/failure.hpp"
#include "net/virtfusion/request.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/optional.hpp>
#include <caf/type_id.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

/// Every typed message and interface of the engine's actors. Type ids are appended to the block at the end,
/// never moved: nodes of two versions talk to each other.
namespace skyengine::actors {

/// Registers every message type of this header with `config`.
void add_message_types(caf::actor_system_config& config);

/// One call to VirtFusion. It is begun before `deadline` or not at all; once sent it takes its own time.
/// The gateway's messages stay on their node: they name points of its steady clock.
struct virtfusion_call {
  call_class priority = call_class::interactive;
  net::virtfusion::request request;
  std::chrono::steady_clock::time_point deadline;
  /// On whose behalf; 0 for the engine's own.
  user_id user;
  std::string request_id;
  /// Sent once, also where it is safe to repeat: who asks looks first what came of it.
  bool is_sent_once = false;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, virtfusion_call& x) {
    return f(x.priority, x.request, x.deadline, x.user, x.request_id, x.is_sent_once);
  }
};

/// What came of it: VirtFusion's answer (a 2xx), or why there is none.
struct virtfusion_answer {
  /// Empty when there is a failure.
  net::virtfusion::answer given;
  caf::optional<net::virtfusion::call_failure> failure;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, virtfusion_answer& x) {
    return f(x.given, x.failure);
  }
};

/// How long would `calls` more interactive calls wait?
struct gateway_pace_query {
  std::int64_t calls = 1;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, gateway_pace_query& x) {
    return f(x.calls);
  }
};

struct gateway_pace {
  /// Until the last of them is sent, behind what is queued now, at the pace of late; a stop by Retry-After
  /// counts in.
  std::chrono::milliseconds expected_wait{};
  /// False while the breaker is not closed.
  bool is_available = true;
  /// When it is worth asking again.
  std::chrono::seconds retry_after{};

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, gateway_pace& x) {
    return f(x.expected_wait, x.is_available, x.retry_after);
  }
};

struct gateway_figures_query {
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, gateway_figures_query&) {
    return f();
  }
};

/// One series of virtfusion_requests_total: exchanges, so repeats and probes too. `outcome`: `ok`, or a
/// call_failure::kind.
struct gateway_request_count {
  std::string operation;
  std::string outcome;
  std::uint64_t count = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, gateway_request_count& x) {
    return f(x.operation, x.outcome, x.count);
  }
};

struct gateway_class_figures {
  std::uint64_t queue_depth = 0;
  std::uint64_t rejected = 0;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, gateway_class_figures& x) {
    return f(x.queue_depth, x.rejected);
  }
};

/// The gateway's metrics. Counts are since its start.
struct gateway_figures {
  /// Slots in use: calls under way, and those that timed out and may still be worked on.
  std::uint64_t in_flight = 0;
  std::uint64_t max_in_flight_seen = 0;
  std::uint64_t limit = 0;
  /// 0 closed, 1 half-open, 2 open.
  std::uint64_t breaker_state = 0;
  /// Why VirtFusion cannot be used, for an operator; empty while the breaker is closed.
  std::string trouble;
  std::uint64_t deadline_dropped = 0;
  /// By call_class.
  std::vector<gateway_class_figures> classes;
  std::vector<gateway_request_count> requests;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, gateway_figures& x) {
    return f(x.in_flight, x.max_in_flight_seen, x.limit, x.breaker_state, x.trouble, x.deadline_dropped,
             x.classes, x.requests);
  }
};

/// The only way to VirtFusion.
using virtfusion_gateway_actor = caf::typed_actor<
  // Answers always, never with an error for what can be foreseen.
  caf::replies_to<virtfusion_call>::with<virtfusion_answer>,
  caf::replies_to<gateway_pace_query>::with<gateway_pace>,
  caf::replies_to<gateway_figures_query>::with<gateway_figures>>;

} // namespace skyengine::actors

CAF_BEGIN_TYPE_ID_BLOCK(skyengine, first_custom_type_id)

  CAF_ADD_TYPE_ID(skyengine, (skyengine::field_error))
  CAF_ADD_TYPE_ID(skyengine, (std::vector<skyengine::field_error>))
  CAF_ADD_TYPE_ID(skyengine, (skyengine::actors::virtfusion_call))
  CAF_ADD_TYPE_ID(skyengine, (skyengine::actors::virtfusion_answer))
  CAF_ADD_TYPE_ID(skyengine, (skyengine::actors::gateway_pace_query))
  CAF_ADD_TYPE_ID(skyengine, (skyengine::actors::gateway_pace))
  CAF_ADD_TYPE_ID(skyengine, (skyengine::actors::gateway_figures_query))
  CAF_ADD_TYPE_ID(skyengine, (skyengine::actors::gateway_figures))

CAF_END_TYPE_ID_BLOCK(skyengine)
