#pragma once

#include "actors/cron_messages.hpp"
#include "domain/clock.hpp"
#include "domain/ids.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

#include <cstdint>
#include <optional>
#include <vector>

/// What MetricsSync tells others. The messages stay on their node.
namespace skyengine::actors {

/// What was measured of one server: its traffic, or all that is asked live.
struct metrics_sample {
  server_id server;
  instant at;
  /// Nothing in a sample of traffic.
  std::optional<bool> is_on;
  std::optional<double> cpu_percent;
  std::optional<std::int64_t> memory_total;
  std::optional<std::int64_t> memory_used;
  std::optional<std::int64_t> disk_total;
  std::optional<std::int64_t> disk_used;
  /// Bytes since the period began; nothing in a live sample.
  std::optional<std::int64_t> traffic_in;
  std::optional<std::int64_t> traffic_out;
};

/// One batch of observations was committed.
struct metrics_written {
  std::vector<metrics_sample> samples;
};

using metrics_subscriber_actor = caf::typed_actor<caf::reacts_to<metrics_written>>;

struct sync_figures_query {};

/// What the sync that is under way has done; all 0 while there is none.
struct sync_figures {
  bool is_running = false;
  std::uint64_t listed = 0;
  std::uint64_t traffic_seen = 0;
  std::uint64_t live_seen = 0;
  /// Due and not seen yet, as far as they were counted at its start.
  std::uint64_t traffic_left = 0;
  std::uint64_t live_left = 0;
};

using metrics_sync_actor =
  cron_handler_actor::extend<caf::replies_to<sync_figures_query>::with<sync_figures>>;

} // namespace skyengine::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::metrics_written)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::sync_figures_query)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::sync_figures)
