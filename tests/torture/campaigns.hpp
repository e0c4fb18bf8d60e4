#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skyengine::torture {

/// What came of a campaign.
struct report {
  /// Name and value, in the order of interest.
  std::vector<std::pair<std::string, std::string>> figures = {};
  /// What differs from what must be, as a sentence each; empty: the campaign holds.
  std::vector<std::string> differences = {};
};

struct crash_options {
  std::uint64_t seed = 1;
  /// Empty: all of them.
  std::vector<std::string> points = {};
  /// Scenarios at a time.
  int parallel = 4;
  /// Also each point of create with the answers to `POST /servers` and to the build lost.
  bool has_lost_answers = false;
};

/// For each crash point: a create, delete or second look that passes it, the engine killed there, started
/// again. Needs engines that were built with crash points.
report crash_points(const crash_options& options);

struct kill_options {
  std::uint64_t seed = 1;
  std::size_t kills = 10;
  int clients = 8;
  int engines = 1;
  /// How often, besides, an engine is stopped for longer than its lease lasts, and then goes on.
  std::size_t pauses = 0;
};

/// `SIGKILL`s at drawn moments while clients order and delete, VirtFusion losing answers, being late, showing
/// stale lists, refusing and resetting; with several engines one of them is killed each time.
report kills(const kill_options& options);

struct idempotency_options {
  std::uint64_t seed = 1;
  /// Requests with the same key at a time.
  int requests = 50;
  /// How often the whole is done.
  int rounds = 1;
};

/// One order, many times at once from two groups of connections, the engine killed in between.
report idempotency(const idempotency_options& options);

struct flood_options {
  std::uint64_t seed = 1;
  std::size_t creates = 2'000;
  int clients = 64;
  /// Requests a second that the panel takes.
  int rate_limit = 40;
  /// Connections that only stand there meanwhile.
  int idle_connections = 0;
  /// Most that the resident memory may have grown, in KiB: in the end, and at any time. 0: not looked at.
  long end_growth = 16L * 1024;
  long peak_growth = 64L * 1024;
};

/// Creates from many clients against a panel with latency, lost answers, 503s and a limit of its own.
report flood(const flood_options& options);

struct bill_options {
  std::uint64_t seed = 1;
  std::size_t kills = 10;
  int engines = 1;
};

/// Whether a crash point is passed as hours pass, by nobody's order: of billing, of the sync, of a run.
bool is_hourly_point(std::string_view point);

/// Hours pass quickly while servers are made, deleted, suspended and moved to other plans, prices change and
/// holds come and go; engines are killed, every other time at a crash point of `is_hourly_point`. Then
/// `skyengine audit`, every bill against a reckoning of its own, and what the syncs saw against when they had
/// to look.
report bills(const bill_options& options);

struct crowd_options {
  std::uint64_t seed = 1;
  /// Held all at once: silent, with slow headers and bodies, half-closed.
  int connections = 10'000;
  /// Who works meanwhile, and for how long without and with the crowd.
  int clients = 4;
  std::chrono::milliseconds span = std::chrono::seconds{20};
  /// By how much their p99 may grow; 0: not looked at.
  double most_ratio = 2;
  /// Most that the memory may have grown at any time, in KiB. 0: not looked at.
  long peak_growth = 64L * 1024;
};

/// Clients that ask a question now and then, without and with a crowd of connections that keep to no rule.
report crowd(const crowd_options& options);

} // namespace skyengine::torture
