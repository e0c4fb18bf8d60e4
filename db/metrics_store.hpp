#pragma once

#include "db/database.hpp"
#include "domain/sync_lanes.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace skyengine::db {

/// One server as a list had it.
struct listed_observation {
  virtfusion_server_id id;
  std::int64_t hypervisor = 0;
};

struct traffic_observation {
  server_id server;
  instant at;
  /// Of the current period, in bytes.
  std::int64_t received = 0;
  std::int64_t sent = 0;
  std::optional<instant> period_begins_at;
};

struct live_observation {
  server_id server;
  instant at;
  /// Nothing where the look did not tell: it says nothing of power then.
  std::optional<bool> is_on;
  std::optional<double> cpu_percent;
  /// In bytes.
  std::optional<std::int64_t> memory_total;
  std::optional<std::int64_t> memory_used;
  std::optional<std::int64_t> disk_total;
  std::optional<std::int64_t> disk_used;
};

/// A server that could not be asked: `at` is when it was tried last.
struct failed_observation {
  server_id server;
  instant at;
};

/// Of one depth, what one statement writes.
template <class Observation>
struct observation_batch {
  std::vector<Observation> seen;
  std::vector<failed_observation> failed;
};

/// What one sync has to look at: what was seen before these times.
struct due_limits {
  /// Nothing: no server is to be looked at.
  std::optional<instant> traffic_before;
  std::optional<instant> live_before;
  /// The same for servers that are charged by the time that they are on.
  instant uptime_before;
  /// What was tried in vain since then is not tried again.
  instant tried_before;
  /// Business time: decides which prices hold.
  instant now;
};

/// Where the next page of what is due begins.
struct due_cursor {
  std::int64_t age = -1;
  std::int64_t server = 0;
};

struct due_page {
  std::vector<due_server> servers;
  due_cursor next;
  bool is_last = true;
};

/// What a sync did not see: how many, and the first of them.
struct due_rest {
  std::int64_t count = 0;
  std::vector<server_id> first;
};

/// What is known of a tick's list before it is read.
struct list_standing {
  /// The list of the tick, or of a later one, was read to its end.
  bool is_read = false;
  /// Of ours that it should show.
  std::int64_t servers = 0;
};

/// What the sync sees of servers, and what is due to be looked at. Servers count that are active or suspended
/// and have their id in VirtFusion.
///
/// Everything written twice is written once, so a batch whose answer was lost is simply written again.
class metrics_store {
public:
  explicit metrics_store(database& db) : db_(db) {}

  /// At most `most` servers, oldest look first; those of hypervisors in `skip` are passed over.
  asio::awaitable<result<due_page>>
  due(sync_depth depth, due_limits limits, due_cursor after, std::set<std::int64_t> skip, std::int64_t most);
  asio::awaitable<result<due_rest>> rest(sync_depth depth, due_limits limits, std::int64_t most);

  /// Servers that are not ours are passed over. Answers how many were ours.
  asio::awaitable<result<std::int64_t>> write_list(std::vector<listed_observation> seen, instant at);
  asio::awaitable<result<list_standing>> find_list(std::chrono::sys_seconds tick);
  asio::awaitable<result<>> note_list_read(std::chrono::sys_seconds tick, instant begun, instant ended);

  asio::awaitable<result<>> write_traffic(observation_batch<traffic_observation> batch);
  /// Also brings `servers.power` up to date where it differs (but where a saga holds the row or has changed
  /// the server since), and the spans in which servers that are charged by uptime were seen on or off.
  asio::awaitable<result<>> write_live(observation_batch<live_observation> batch, instant now);

private:
  asio::awaitable<result<>> ensure_months(std::set<std::chrono::sys_days> months);

  database& db_;
  std::set<std::chrono::sys_days> months_;
};

} // namespace skyengine::db
