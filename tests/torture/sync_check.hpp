#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace skyengine::torture {

/// What the syncs of a database came to.
struct sync_figures {
  std::int64_t runs = 0;
  /// Begun anew because their node was gone.
  std::int64_t interrupted = 0;
  std::int64_t complete = 0;
  std::int64_t traffic_looks = 0;
  std::int64_t live_looks = 0;
  /// Asked for by an engine that was killed, and stored after the next one began.
  std::int64_t unanswered = 0;
  std::int64_t rolled_days = 0;
};

/// An engine begins, where another may have been killed.
struct sync_start {
  /// Business time, in microseconds since 1970.
  std::int64_t at = 0;
  /// `pg_current_snapshot()` then: what a killed engine had sent, and PostgreSQL still worked on, is not in
  /// it.
  std::string snapshot = {};
};

/// One that begins now.
sync_start start_of_sync(const std::string& database_url);

struct sync_rules {
  /// `sync.traffic_every` and `sync.live_every`; both above 0.
  std::chrono::seconds traffic_every = std::chrono::hours{1};
  std::chrono::seconds live_every = std::chrono::hours{6};
  /// How much later than its time (by the business clock) a change of a server may have been stored.
  std::chrono::seconds slack = std::chrono::hours{4};
  std::vector<sync_start> starts = {};
};

/// Holds what the syncs wrote against runs and `server_events`: no look inside the age of the one before (but
/// where that was not yet stored at a start), no server left out by a run that says it is complete, looks,
/// times of looks and roll-ups of one mind, progress of the form that it has, no run left open by a node that
/// is gone, nothing taken for gone or unknown that is ours. What differs, as a sentence each. Nothing was
/// changed in VirtFusion behind the engine's back but power, no plan has changed its basis, and nobody syncs
/// meanwhile.
std::vector<std::string>
sync_differences(const std::string& database_url, sync_figures& figures, sync_rules rules = {});

} // namespace skyengine::torture
