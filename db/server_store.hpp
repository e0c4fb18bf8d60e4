#pragma once

#include "db/database.hpp"
#include "domain/action.hpp"
#include "domain/requester.hpp"
#include "domain/server.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace skyengine::db {

/// What a key is bound to.
struct idempotency_binding {
  std::string method;
  std::string path;
  std::string body_hash;
  std::optional<action_id> action;
  std::optional<api_key_id> api_key;
  std::optional<run_id> run;
  /// The line of the audit log that says what was done.
  std::optional<std::int64_t> audit_line;
  std::optional<int> first_status;
};

struct server_filter {
  /// nullopt: everybody's.
  std::optional<user_id> user;
  std::vector<server_state> states;
  std::optional<std::pair<std::string, std::string>> label;
  std::optional<std::string> external_reference;
};

/// The `servers` aggregate as users see it: servers, their events, their actions, and the keys bound to
/// those. What moves a saga on is in `saga_store`.
class server_store {
public:
  explicit server_store(database& db) : db_(db) {}

  struct created {
    server_id server;
    action_id action;
  };
  /// Stores the server (`requested`), its create action run by `token`, the first event and the key, all or
  /// none. errc::conflict with detail `idempotency_keys_pkey` when the key is taken, with a foreign key's
  /// name when plan, region or user are not there.
  asio::awaitable<result<created>> insert(server_order order,
                                          std::int64_t token,
                                          requester by,
                                          std::optional<idempotency_claim> claim,
                                          instant now);

  /// Stores the wish to delete: the delete action runs at once under `token`, or waits behind the running
  /// one. The server is `deleting` from here, but where a create runs. An open delete is answered as it is.
  /// errc::not_found when there is no such server or it is not `owner`'s; errc::conflict when it is over
  /// (`failed`, `deleted`), or, with detail `idempotency_keys_pkey`, the key is taken.
  asio::awaitable<result<action>> request_delete(server_id id,
                                                 std::optional<user_id> owner,
                                                 std::int64_t token,
                                                 requester by,
                                                 std::optional<idempotency_claim> claim,
                                                 instant now);

  /// Suspend, unsuspend or resize a server.
  struct control_order {
    server_id server;
    action_kind kind = action_kind::suspend;
    /// nullopt: the operator asks.
    std::optional<user_id> owner;
    /// Of a suspend, for the server's history; nullopt when none was given.
    std::optional<std::string> reason;
    /// Of a resize.
    std::optional<plan_id> to_plan;
  };
  /// Stores the order as an action run by `token`, its event, its line in the audit log and its key, all or
  /// none; nullopt, with nothing stored, when the server is as wanted already. errc::not_found when there is
  /// no such server or it is not the owner's; errc::conflict when its state does not allow it, another action
  /// is open, or, with detail `idempotency_keys_pkey`, the key is taken.
  asio::awaitable<result<std::optional<action>>> request_control(control_order order,
                                                                 std::int64_t token,
                                                                 requester by,
                                                                 std::optional<idempotency_claim> claim,
                                                                 instant now);

  /// Servers of a user whose suspension has begun.
  struct limited_user {
    user_id user;
    std::int64_t servers = 0;
  };
  /// Whether a user's month has come to `suspendAt`, and servers of that user may be left to suspend.
  asio::awaitable<result<bool>> has_open_limits();
  /// Stores the suspensions that such limits ask for, of at most `at_once` servers, as actions run by
  /// `token`: of what is active, without another open action, and was neither suspended by the same limit in
  /// the same month nor unsuspended since the month came to it. What cannot be suspended yet is left for a
  /// later call; it waits for nobody.
  asio::awaitable<result<std::vector<limited_user>>>
  suspend_by_limits(std::int64_t token, std::int64_t at_once, instant now);

  /// Stores that an operator gives `id` up, writes it down in the audit log, and tells the node that runs it.
  /// A delete that only waits is over by this; anything else ends as its saga sees fit. errc::not_found;
  /// errc::conflict when the action is over, when it is a delete of a server that was never finished (there
  /// is no state to go back to), or, with detail `idempotency_keys_pkey`, the key is taken.
  asio::awaitable<result<action>>
  request_abandon(action_id id, std::string actor, std::optional<idempotency_claim> claim, instant now);

  /// errc::not_found when there is none, or it is not `owner`'s (nullopt: anybody's).
  asio::awaitable<result<server>> find(server_id id, std::optional<user_id> owner);
  /// By id, those after `after`, at most `limit`.
  asio::awaitable<result<std::vector<server>>> list(server_filter filter, server_id after, int limit);
  /// Oldest first, those after `after`, at most `limit`.
  asio::awaitable<result<std::vector<server_event>>> events(server_id id, event_id after, int limit);

  /// errc::not_found when there is none, or its server is not `owner`'s.
  asio::awaitable<result<action>> find_action(action_id id, std::optional<user_id> owner);

  /// An action's rows as they are now.
  struct standing {
    skyengine::server server;
    skyengine::action action;
  };
  /// errc::not_found.
  asio::awaitable<result<standing>> find_standing(action_id id);
  /// Newest first, those before `before` (nullopt: from the newest), at most `limit`.
  asio::awaitable<result<std::vector<action>>>
  actions_of(server_id id, std::optional<action_id> before, int limit);

  /// nullopt when the caller has not used the key since `expired`: an older binding is dropped, so that the
  /// key can be bound anew, unless what it made is still under way.
  asio::awaitable<result<std::optional<idempotency_binding>>>
  find_key(std::string caller, std::string key, instant expired);
  /// Remembers the status of the first answer; answers the one that was first.
  asio::awaitable<result<int>> set_first_status(std::string caller, std::string key, int status);

  /// How many servers are in each state.
  asio::awaitable<result<std::map<server_state, std::int64_t>>> count_by_state();

private:
  database& db_;
};

} // namespace skyengine::db
