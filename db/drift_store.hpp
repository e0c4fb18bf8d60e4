#pragma once

#include "db/database.hpp"
#include "domain/clock.hpp"
#include "domain/drift.hpp"
#include "domain/ids.hpp"
#include "domain/requester.hpp"
#include "domain/server_lifecycle.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace skyengine::db {

/// One kind of drift of one server, while it lasts.
struct drift_record {
  std::int64_t id = 0;
  drift_kind kind = drift_kind::gone;
  std::optional<server_id> server;
  virtfusion_server_id virtfusion_id;
  instant first_seen;
  instant last_seen;
  /// `drift_verdict::seen`
  std::string seen;
  /// A JSON object.
  std::string detail = "{}";
  drift_state state = drift_state::open;
  std::optional<drift_way> resolution;
  std::optional<instant> ended_at;
  /// `operator`, or `engine` of what has vanished.
  std::optional<std::string> ended_by;
  std::optional<std::int64_t> hold;
};

/// What is known of a server that VirtFusion has shown.
struct drift_match {
  virtfusion_server_id id;
  /// A row of ours has this id.
  std::optional<server_id> server;
  std::optional<server_state> state;
  std::optional<user_id> user;
  std::optional<virtfusion_user_id> owner;
  /// The row is no sagas' to change, and none has changed it since the look was asked for. Of a server that
  /// nobody knows: no create of its owner may be about to take it.
  bool is_settled = false;
  package_id package;
  /// What it had when that was last right, else what its create was to have.
  std::optional<server_resources> accepted;
  /// What stands of it already, open or to be let be.
  std::map<drift_kind, std::string> standing;
};

/// Something that is not as it should be.
struct drift_finding {
  drift_kind kind = drift_kind::gone;
  /// Nothing of an unknown one.
  std::optional<server_id> server;
  virtfusion_server_id virtfusion_id;
  std::string seen;
  std::string detail = "{}";
  instant seen_at;
  /// From when on it is not charged for; not read of kinds that hold nothing.
  instant right_until;
};

/// Something that is as it should be again.
struct drift_clearance {
  drift_kind kind = drift_kind::gone;
  virtfusion_server_id virtfusion_id;
  /// When the look was asked for that shows it: what a newer one has found is not ended by it.
  instant seen_at;
  /// Only when it was wrong in this way; empty: in whatever way.
  std::string seen = {};
};

/// A finding that was not known before, or one that has vanished.
struct drift_news {
  std::int64_t id = 0;
  drift_kind kind = drift_kind::gone;
  std::optional<server_id> server;
  virtfusion_server_id virtfusion_id;
  std::string seen;
};

struct drift_filter {
  /// nullopt: any.
  std::optional<drift_state> state;
  std::optional<drift_kind> kind;
};

/// Drift: what was found and what became of it, with the holds, events and alerts that belong to it.
class drift_store {
public:
  explicit drift_store(database& db) : db_(db) {}

  struct sighting {
    virtfusion_server_id id;
    virtfusion_user_id owner;
  };
  /// Notes that VirtFusion has shown these, and answers what is known of each, in their order. One statement.
  asio::awaitable<result<std::vector<drift_match>>> see(std::vector<sighting> seen, instant asked_at);

  /// What the server had is right.
  asio::awaitable<result<>> accept_resources(server_id id, server_resources has);
  /// VirtFusion calls the user so now.
  asio::awaitable<result<>> learn_owner(user_id user, virtfusion_user_id id, instant now);

  /// Writes down what was found and what has vanished, all or none. What stands already is only seen again.
  /// Of servers that a saga has begun to change, or has changed, meanwhile nothing is written; nor what is
  /// older than what stands.
  struct reported {
    std::vector<drift_news> found;
    std::vector<drift_news> vanished;
  };
  asio::awaitable<result<reported>>
  report(std::vector<drift_finding> found, std::vector<drift_clearance> cleared, instant now);

  struct absentee {
    server_id server;
    virtfusion_server_id virtfusion_id;
    std::int64_t absences = 0;
    /// When VirtFusion last showed it, else since when it is active.
    instant last_right;
    bool is_known_gone = false;
  };
  /// Counts that a full list, begun then, has not shown servers that it should have; by id, those after
  /// `after`, at most `limit`. Of one list each is counted once.
  asio::awaitable<result<std::vector<absentee>>> count_absences(instant begun_at, server_id after, int limit);
  /// Unknown servers that stand and were not seen since `begun_at`.
  asio::awaitable<result<std::vector<virtfusion_server_id>>> unseen_strangers(instant begun_at, int limit);
  /// VirtFusion has shown it by itself.
  asio::awaitable<result<>> see_one(virtfusion_server_id id, instant at);
  /// What stands of servers that have ended meanwhile has vanished.
  asio::awaitable<result<std::vector<drift_news>>> end_with_servers(instant now);

  /// By kind, those that are open.
  asio::awaitable<result<std::map<drift_kind, std::int64_t>>> count_open();
  /// Newest first, those before `before` (nullopt: from the newest), at most `limit`.
  asio::awaitable<result<std::vector<drift_record>>>
  list(drift_filter filter, std::optional<std::int64_t> before, int limit);
  /// errc::not_found
  asio::awaitable<result<drift_record>> find(std::int64_t id);

  struct decision {
    std::int64_t id = 0;
    drift_way how = drift_way::ignore;
    std::string actor;
    std::optional<idempotency_claim> claim = {};
    /// What a package is taken over into.
    std::optional<plan_id> plan = {};
    std::optional<server_resources> resources = {};
  };
  /// Carries out what an operator has decided, but for `adopt` (`adoption_store`) and what is to be done in
  /// VirtFusion. errc::not_found; errc::conflict when it is over or its server has an action under way, or,
  /// with detail `idempotency_keys_pkey`, the key is taken.
  asio::awaitable<result<drift_record>> resolve(decision what, instant now);
  /// Takes back the decision to delete an unknown server, which VirtFusion refuses, and frees its key.
  asio::awaitable<result<>> reopen(std::int64_t id, instant now);

private:
  database& db_;
};

/// Reads a row of `drift d`, of which the stores select all columns.
drift_record to_drift(const row& r);

} // namespace skyengine::db
