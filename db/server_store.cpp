#include "db/server_store.hpp"

#include "db/claim_parts.hpp"
#include "db/server_rows.hpp"
#include "domain/server_control.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/json.hpp>

#include <limits>

namespace skyengine::db {

namespace {

constexpr statement insert_server{"server_insert", R"sql(
  WITH s AS (
    INSERT INTO servers (user_id, plan_id, region_id, hostname, os_template_id, ssh_keys, wants_ipv6, labels,
                         external_reference, state, created_at, last_event_at)
    VALUES ($1, $2, $3, $4, $5, $6::text[], $7, $8::jsonb, $9, 'requested', $10::timestamptz,
            date_trunc('second', $10::timestamptz))
    RETURNING id, last_event_at),
  a AS (
    INSERT INTO actions (kind, server_id, state, step, token, requested_by, request_id, created_at)
    SELECT 'create', id, 'running', 'begin', $11::bigint, $12, $13, $10::timestamptz FROM s
    RETURNING id, server_id),
  e AS (
    INSERT INTO server_events (server_id, at, type, to_state, action_id)
    SELECT s.id, s.last_event_at, 'requested', 'requested', a.id FROM s, a),
  k AS (
    INSERT INTO idempotency_keys (caller, key, method, path, body_hash, action_id, created_at)
    SELECT $14, $15, $16, $17, decode($18, 'hex'), a.id, $10::timestamptz FROM a WHERE $15::text IS NOT NULL)
  SELECT id, server_id FROM a)sql"};

constexpr statement insert_key{"idempotency_insert", R"sql(
  INSERT INTO idempotency_keys (caller, key, method, path, body_hash, action_id, created_at)
  VALUES ($1, $2, $3, $4, decode($5, 'hex'), $6::bigint, $7::timestamptz))sql"};

constexpr statement find_key_of{"idempotency_find", R"sql(
  SELECT method, path, encode(body_hash, 'hex') AS body_hash, action_id, api_key_id, run_id, audit_id, first_status,
         created_at
    FROM idempotency_keys WHERE caller = $1 AND key = $2)sql"};

// What is still under way is nobody's to order again, however old it is.
constexpr statement free_key_of{"idempotency_free", R"sql(
  WITH freed AS (
    DELETE FROM idempotency_keys k
     WHERE caller = $1 AND key = $2 AND created_at <= $3::timestamptz
       AND NOT EXISTS (SELECT FROM actions a WHERE a.id = k.action_id AND a.state IN ('pending', 'running'))
    RETURNING 1)
  SELECT count(*) AS freed FROM freed)sql"};

constexpr statement set_status{"idempotency_first_status", R"sql(
  UPDATE idempotency_keys SET first_status = coalesce(first_status, $3::integer)
   WHERE caller = $1 AND key = $2 RETURNING first_status)sql"};

constexpr statement lock_server{"server_lock", R"sql(
  SELECT id, state, delete_requested, plan_id FROM servers
   WHERE id = $1 AND ($2::bigint IS NULL OR user_id = $2) FOR UPDATE)sql"};

constexpr statement open_delete{"server_open_delete", "SELECT" SKYENGINE_ACTION_COLUMNS R"sql(
    FROM actions a WHERE a.server_id = $1 AND a.kind = 'delete' AND a.state IN ('pending', 'running'))sql"};

// While another action runs the delete waits for it. The server is `deleting`, and so paid for no more, from
// here, but where a create runs: that has yet to find out what it made.
constexpr statement insert_delete{"server_insert_delete", R"sql(
  WITH busy AS (SELECT kind FROM actions WHERE server_id = $1 AND state = 'running'),
  a AS (
    INSERT INTO actions (kind, server_id, state, step, token, requested_by, request_id, created_at)
    SELECT 'delete', $1, CASE WHEN EXISTS (SELECT FROM busy) THEN 'pending' ELSE 'running' END, 'begin',
           CASE WHEN EXISTS (SELECT FROM busy) THEN NULL ELSE $2::bigint END, $3, $4, $5::timestamptz
    RETURNING *),
  s AS (
    UPDATE servers s
       SET delete_requested = true,
           state = CASE WHEN EXISTS (SELECT FROM busy WHERE kind = 'create') THEN s.state ELSE 'deleting' END,
           last_event_at = greatest(s.last_event_at, date_trunc('second', $5::timestamptz))
      FROM a, servers old WHERE s.id = a.server_id AND old.id = s.id
    RETURNING s.id, s.last_event_at, old.state AS old_state, s.state),
  e AS (
    INSERT INTO server_events (server_id, at, type, from_state, to_state, action_id)
    SELECT s.id, s.last_event_at, 'delete_requested', s.old_state, s.state, a.id FROM s, a)
  SELECT)sql" SKYENGINE_ACTION_COLUMNS "FROM a"};

constexpr statement find_open_action{"server_open_action", R"sql(
  SELECT id, kind FROM actions WHERE server_id = $1 AND state IN ('pending', 'running') ORDER BY id LIMIT 1)sql"};

constexpr statement insert_control{"server_insert_control", R"sql(
  WITH a AS (
    INSERT INTO actions (kind, server_id, state, step, token, to_plan, requested_by, request_id, created_at)
    VALUES ($2, $1, 'running', 'begin', $3::bigint, $4, $5, $6, $7::timestamptz)
    RETURNING *),
  s AS (
    UPDATE servers s SET last_event_at = greatest(s.last_event_at, date_trunc('second', $7::timestamptz))
     WHERE s.id = $1
    RETURNING s.id, s.state, s.plan_id, s.last_event_at),
  details AS (
    SELECT jsonb_strip_nulls(jsonb_build_object('reason', $8::text, 'fromPlan', CASE WHEN $4 IS NOT NULL THEN s.plan_id END,
                                                'toPlan', $4::text)) AS detail
      FROM s),
  e AS (
    INSERT INTO server_events (server_id, at, type, from_state, to_state, action_id, detail)
    SELECT s.id, s.last_event_at, $2 || '_requested', s.state, s.state, a.id, d.detail FROM s, a, details d),
  l AS (
    INSERT INTO audit_log (at, actor, action, target, detail)
    SELECT $7::timestamptz, $5, $2, 'server ' || s.id, d.detail || jsonb_build_object('actionId', a.id)
      FROM s, a, details d)
  SELECT)sql" SKYENGINE_ACTION_COLUMNS "FROM a"};

constexpr statement find_open_limits{"limit_open", R"sql(
  SELECT EXISTS (SELECT FROM passed_limits WHERE kind = 'suspend' AND begun_at IS NULL) AS is_open)sql"};

// That limit `p` asks for the suspension of server `s`.
#define SKYENGINE_LIMIT_ASKS                                                                                 \
  R"sql(
           p.kind = 'suspend' AND p.begun_at IS NULL AND s.user_id = p.user_id AND s.state = 'active'
           AND NOT EXISTS (SELECT FROM actions a
                            WHERE a.server_id = s.id
                              AND (a.limit_month = p.month
                                   OR (a.kind = 'unsuspend' AND a.created_at >= p.hour + interval '1 hour'))))sql"
#define SKYENGINE_NOTHING_OPEN                                                                               \
  R"sql(
           AND NOT EXISTS (SELECT FROM actions a WHERE a.server_id = s.id AND a.state IN ('pending', 'running')))sql"

// What somebody else works on at this moment is not waited for.
constexpr statement lock_limited_servers{"limit_lock_servers", R"sql(
  SELECT s.id FROM passed_limits p JOIN servers s ON)sql" SKYENGINE_LIMIT_ASKS SKYENGINE_NOTHING_OPEN R"sql(
   ORDER BY s.id LIMIT $1::bigint FOR NO KEY UPDATE OF s SKIP LOCKED)sql"};

// Looks again: what was stored until the locks were there was not seen.
constexpr statement insert_limit_suspensions{"limit_suspend", R"sql(
  WITH wanted AS (
    SELECT DISTINCT ON (s.id) s.id, s.user_id, p.month, to_char(p.month AT TIME ZONE 'UTC', 'YYYY-MM') AS name
      FROM servers s JOIN passed_limits p ON)sql" SKYENGINE_LIMIT_ASKS SKYENGINE_NOTHING_OPEN R"sql(
     WHERE s.id = ANY ($1::bigint[])
     ORDER BY s.id, p.month),
  a AS (
    INSERT INTO actions (kind, server_id, state, step, token, limit_month, requested_by, request_id, created_at)
    SELECT 'suspend', id, 'running', 'begin', $2::bigint, month, $3::text, 'limit-' || user_id || '-' || name,
           $4::timestamptz
      FROM wanted ORDER BY id
    RETURNING id, server_id),
  s AS (
    UPDATE servers s SET last_event_at = greatest(s.last_event_at, date_trunc('second', $4::timestamptz))
      FROM a WHERE s.id = a.server_id
    RETURNING s.id, s.user_id, s.state, s.last_event_at, a.id AS action_id),
  details AS (
    SELECT s.*, jsonb_build_object('reason', 'the month ' || w.name || ' has come to the spending limit') AS detail
      FROM s JOIN wanted w ON w.id = s.id),
  e AS (
    INSERT INTO server_events (server_id, at, type, from_state, to_state, action_id, detail)
    SELECT id, last_event_at, 'suspend_requested', state, state, action_id,
           detail || jsonb_build_object('requestedBy', $3::text)
      FROM details ORDER BY id),
  l AS (
    INSERT INTO audit_log (at, actor, action, target, detail)
    SELECT $4::timestamptz, $3::text, 'suspend', 'server ' || id, detail || jsonb_build_object('actionId', action_id)
      FROM details ORDER BY id)
  SELECT user_id, count(*) AS servers FROM s GROUP BY user_id ORDER BY user_id)sql"};

// A limit that an hour opens again meanwhile stays open.
constexpr statement close_limits{"limit_close", R"sql(
  WITH done AS (
    SELECT p.user_id, p.month, p.kind FROM passed_limits p
     WHERE p.kind = 'suspend' AND p.begun_at IS NULL
       AND NOT EXISTS (SELECT FROM servers s WHERE)sql" SKYENGINE_LIMIT_ASKS R"sql()
       FOR NO KEY UPDATE OF p SKIP LOCKED)
  UPDATE passed_limits p SET begun_at = $1::timestamptz
    FROM done d WHERE (p.user_id, p.month, p.kind) = (d.user_id, d.month, d.kind))sql"};

// The server first, as the action that gives way to it does. It goes back to what it was when the delete
// came.
constexpr statement abandon_pending{"action_abandon_pending", R"sql(
  WITH s AS (
    SELECT s.id, s.state,
           CASE WHEN s.state = 'deleting'
                THEN (SELECT e.from_state FROM server_events e
                       WHERE e.server_id = s.id AND e.action_id = a.id AND e.type = 'delete_requested')
                ELSE s.state END AS former_state
      FROM servers s JOIN actions a ON a.server_id = s.id WHERE a.id = $1 FOR UPDATE OF s),
  ended AS (
    UPDATE actions a
       SET step = 'done', state = 'failed', version = a.version + 1, error_code = 'conflict',
           error_detail = 'an operator abandoned it', finished_at = $2::timestamptz
      FROM s WHERE a.id = $1 AND a.server_id = s.id AND a.state = 'pending'
    RETURNING a.*),
  freed AS (
    UPDATE servers v
       SET delete_requested = false, state = s.former_state,
           last_event_at = greatest(v.last_event_at, date_trunc('second', $2::timestamptz))
      FROM ended, s WHERE v.id = ended.server_id
    RETURNING v.id, s.state AS old_state, v.state, v.last_event_at),
  logged AS (
    INSERT INTO server_events (server_id, at, type, from_state, to_state, action_id)
    SELECT id, last_event_at, 'delete_abandoned', old_state, state, $1 FROM freed)
  SELECT)sql" SKYENGINE_ACTION_COLUMNS "FROM ended a"};

// A delete of what was never finished has no state to go back to. What a suspension or a change of plan
// brings counts from earlier than now: its event is still to fit in, and when it was asked for is in the
// audit log.
constexpr statement abandon_running{"action_abandon_running", R"sql(
  WITH guard AS (
    SELECT a.id AS action_id, s.id AS server_id, a.kind IN ('suspend', 'resize') AS has_earlier_event
      FROM actions a JOIN servers s ON s.id = a.server_id
     WHERE a.id = $1 AND a.state = 'running'
       AND (a.kind <> 'delete'
            OR (SELECT e.from_state FROM server_events e
                 WHERE e.server_id = s.id AND e.action_id = a.id AND e.type = 'delete_requested')
               IN ('active', 'suspended'))
       FOR UPDATE OF a, s),
  asked AS (
    UPDATE actions a SET abandon_requested = true, calls = a.calls + 1 FROM guard g WHERE a.id = g.action_id
    RETURNING a.*),
  touched AS (
    UPDATE servers s
       SET last_event_at = CASE WHEN g.has_earlier_event THEN s.last_event_at
                                ELSE greatest(s.last_event_at, date_trunc('second', $2::timestamptz)) END
      FROM guard g WHERE s.id = g.server_id
    RETURNING s.id, s.state, s.last_event_at),
  logged AS (
    INSERT INTO server_events (server_id, at, type, from_state, to_state, action_id)
    SELECT id, last_event_at, 'abandon_requested', state, state, $1 FROM touched)
  SELECT)sql" SKYENGINE_ACTION_COLUMNS "FROM asked a"};

constexpr statement log_abandon{"audit_abandon", R"sql(
  WITH logged AS (
    INSERT INTO audit_log (at, actor, action, target)
    VALUES ($3::timestamptz, $2, 'abandoned', 'action ' || $1::bigint))
  SELECT pg_notify('action_called', $1::bigint::text))sql"};

constexpr statement find_server{"server_find", "SELECT" SKYENGINE_SERVER_COLUMNS R"sql(
    FROM servers s WHERE s.id = $1 AND ($2::bigint IS NULL OR s.user_id = $2))sql"};

constexpr statement find_server_of_action{"server_find_of_action", "SELECT" SKYENGINE_SERVER_COLUMNS R"sql(
    FROM actions a JOIN servers s ON s.id = a.server_id WHERE a.id = $1)sql"};

constexpr statement list_servers{"server_list", "SELECT" SKYENGINE_SERVER_COLUMNS R"sql(
    FROM servers s
   WHERE s.id > $1 AND ($2::bigint IS NULL OR s.user_id = $2) AND ($3::text[] IS NULL OR s.state = ANY ($3::text[]))
     AND ($4::jsonb IS NULL OR s.labels @> $4::jsonb) AND ($5::text IS NULL OR s.external_reference = $5)
   ORDER BY s.id LIMIT $6::integer)sql"};

constexpr statement list_events{"server_events", R"sql(
  SELECT id, at, type, from_state, to_state, action_id, detail
    FROM server_events WHERE server_id = $1 AND id > $2 ORDER BY id LIMIT $3::integer)sql"};

constexpr statement find_one_action{"action_find", "SELECT" SKYENGINE_ACTION_COLUMNS R"sql(
    FROM actions a JOIN servers s ON s.id = a.server_id
   WHERE a.id = $1 AND ($2::bigint IS NULL OR s.user_id = $2))sql"};

constexpr statement list_actions{"action_list", "SELECT" SKYENGINE_ACTION_COLUMNS R"sql(
    FROM actions a WHERE a.server_id = $1 AND a.id < $2 ORDER BY a.id DESC LIMIT $3::integer)sql"};

constexpr statement count_states{"server_count_by_state",
                                 "SELECT state, count(*) AS servers FROM servers GROUP BY state"};

asio::awaitable<result<>> bind_key(transaction& tx, idempotency_claim claim, action_id action, instant now) {
  const auto bound = co_await tx.run(insert_key, claim.caller, claim.key, claim.method, claim.path,
                                     claim.body_hash, action, now);
  if (!bound)
    co_return bound.error();
  co_return result<>{};
}

} // namespace

asio::awaitable<result<server_store::created>> server_store::insert(
  server_order order, std::int64_t token, requester by, std::optional<idempotency_claim> claim, instant now) {
  const auto body = [&](transaction& tx) -> asio::awaitable<result<created>> {
    const claim_parts part{claim};
    const auto inserted =
      co_await tx.run(insert_server, order.user, order.plan, order.region, order.hostname, order.os_template,
                      order.ssh_keys, order.ipv6, to_json(order.labels), order.external_reference, now, token,
                      by.name, by.request_id, part.caller, part.key, part.method, part.path, part.body_hash);
    if (!inserted)
      co_return inserted.error();
    co_return created{inserted->front().get<server_id>("server_id"), inserted->front().get<action_id>("id")};
  };
  co_return co_await db_.transact(body);
}

asio::awaitable<result<action>> server_store::request_delete(server_id id,
                                                             std::optional<user_id> owner,
                                                             std::int64_t token,
                                                             requester by,
                                                             std::optional<idempotency_claim> claim,
                                                             instant now) {
  const auto body = [&](transaction& tx) -> asio::awaitable<result<action>> {
    const auto found = co_await tx.run(lock_server, id, owner);
    if (!found)
      co_return found.error();
    if (found->empty())
      co_return error{errc::not_found, "no such server"};
    const auto state = found->front().get<std::string>("state");
    if (state == "failed" || state == "deleted")
      co_return error{errc::conflict, "the server is " + state + ": there is nothing to delete"};
    auto wanted = co_await tx.run(open_delete, id);
    if (!wanted)
      co_return wanted.error();
    if (wanted->empty())
      wanted = co_await tx.run(insert_delete, id, token, by.name, by.request_id, now);
    if (!wanted)
      co_return wanted.error();
    const auto asked = to_action(wanted->front());
    if (claim) {
      const auto bound = co_await bind_key(tx, *claim, asked.id, now);
      if (!bound)
        co_return bound.error();
    }
    co_return asked;
  };
  co_return co_await db_.transact(body);
}

asio::awaitable<result<std::optional<action>>>
server_store::request_control(control_order order,
                              std::int64_t token,
                              requester by,
                              std::optional<idempotency_claim> claim,
                              instant now) {
  const auto body = [&](transaction& tx) -> asio::awaitable<result<std::optional<action>>> {
    const auto found = co_await tx.run(lock_server, order.server, order.owner);
    if (!found)
      co_return found.error();
    if (found->empty())
      co_return error{errc::not_found, "no such server"};
    const auto state = parse_server_state(found->front().get<std::string_view>("state")).value();
    const auto is_needed = needs_control(order.kind, state);
    if (!is_needed)
      co_return is_needed.error();
    const auto open = co_await tx.run(find_open_action, order.server);
    if (!open)
      co_return open.error();
    if (!open->empty())
      co_return error{errc::conflict, "action " + std::to_string(open->front().get<std::int64_t>("id")) +
                                        " (" + open->front().get<std::string>("kind") +
                                        ") is under way on the server: it has to end first"};
    if (!*is_needed || (order.to_plan && found->front().get<plan_id>("plan_id") == *order.to_plan))
      co_return std::optional<action>{};
    const auto inserted = co_await tx.run(insert_control, order.server, to_string(order.kind), token,
                                          order.to_plan, by.name, by.request_id, now, order.reason);
    if (!inserted)
      co_return inserted.error();
    const auto stored = to_action(inserted->front());
    if (claim) {
      const auto bound = co_await bind_key(tx, *claim, stored.id, now);
      if (!bound)
        co_return bound.error();
    }
    co_return std::optional{stored};
  };
  co_return co_await db_.transact(body);
}

asio::awaitable<result<bool>> server_store::has_open_limits() {
  const auto found = co_await db_.run(find_open_limits);
  if (!found)
    co_return found.error();
  co_return found->front().get<bool>("is_open");
}

asio::awaitable<result<std::vector<server_store::limited_user>>>
server_store::suspend_by_limits(std::int64_t token, std::int64_t at_once, instant now) {
  const auto body = [&](transaction& tx) -> asio::awaitable<result<std::vector<limited_user>>> {
    const auto locked = co_await tx.run(lock_limited_servers, at_once);
    if (!locked)
      co_return locked.error();
    std::vector<std::int64_t> servers;
    servers.reserve(locked->size());
    for (std::size_t i = 0; i < locked->size(); ++i)
      servers.push_back((*locked)[i].get<std::int64_t>("id"));
    std::vector<limited_user> begun;
    if (!servers.empty()) {
      const auto stored = co_await tx.run(insert_limit_suspensions, servers, token, spending_limit_name, now);
      if (!stored)
        co_return stored.error();
      for (std::size_t i = 0; i < stored->size(); ++i)
        begun.push_back({(*stored)[i].get<user_id>("user_id"), (*stored)[i].get<std::int64_t>("servers")});
    }
    if (const auto closed = co_await tx.run(close_limits, now); !closed)
      co_return closed.error();
    co_return begun;
  };
  co_return co_await db_.transact(body);
}

asio::awaitable<result<action>> server_store::request_abandon(action_id id,
                                                              std::string actor,
                                                              std::optional<idempotency_claim> claim,
                                                              instant now) {
  const auto body = [&](transaction& tx) -> asio::awaitable<result<action>> {
    // Between two looks a delete that waits may begin: then it is the running one.
    auto taken = co_await tx.run(abandon_pending, id, now);
    if (taken && taken->empty())
      taken = co_await tx.run(abandon_running, id, now);
    if (!taken)
      co_return taken.error();
    if (taken->empty()) {
      const auto found = co_await tx.run(find_one_action, id, std::optional<user_id>{});
      if (!found)
        co_return found.error();
      if (found->empty())
        co_return error{errc::not_found, "no such action"};
      if (is_over(to_action(found->front()).state))
        co_return error{errc::conflict, "the action is over: there is nothing to abandon"};
      co_return error{errc::conflict, "the server was never finished, so there is no state to go back to: "
                                      "remove it in VirtFusion, and this delete ends by itself"};
    }
    const auto given_up = to_action(taken->front());
    const auto told = co_await tx.run(log_abandon, id, actor, now);
    if (!told)
      co_return told.error();
    if (claim) {
      const auto bound = co_await bind_key(tx, *claim, id, now);
      if (!bound)
        co_return bound.error();
    }
    co_return given_up;
  };
  co_return co_await db_.transact(body);
}

asio::awaitable<result<server>> server_store::find(server_id id, std::optional<user_id> owner) {
  const auto found = co_await db_.run(find_server, id, owner);
  if (!found)
    co_return found.error();
  if (found->empty())
    co_return error{errc::not_found, "no such server"};
  co_return to_server(found->front());
}

asio::awaitable<result<std::vector<server>>>
server_store::list(server_filter filter, server_id after, int limit) {
  std::optional<std::vector<std::string>> states;
  if (!filter.states.empty()) {
    states.emplace();
    for (const auto state : filter.states)
      states->emplace_back(to_string(state));
  }
  std::optional<std::string> label;
  if (filter.label)
    label = to_json(std::map<std::string, std::string>{*filter.label});
  const auto found =
    co_await db_.run(list_servers, after, filter.user, states, label, filter.external_reference, limit);
  if (!found)
    co_return found.error();
  std::vector<server> servers;
  servers.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i)
    servers.push_back(to_server((*found)[i]));
  co_return servers;
}

asio::awaitable<result<std::vector<server_event>>>
server_store::events(server_id id, event_id after, int limit) {
  const auto found = co_await db_.run(list_events, id, after, limit);
  if (!found)
    co_return found.error();
  std::vector<server_event> events;
  events.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto r = (*found)[i];
    const auto state = [&](std::string_view column) -> std::optional<server_state> {
      const auto text = r.find<std::string_view>(column);
      return text ? parse_server_state(*text) : std::nullopt;
    };
    events.push_back({r.get<event_id>("id"), r.get<instant>("at"), r.get<std::string>("type"),
                      state("from_state"), state("to_state"), r.find<action_id>("action_id"),
                      r.get<std::string>("detail")});
  }
  co_return events;
}

asio::awaitable<result<server_store::standing>> server_store::find_standing(action_id id) {
  using namespace asio::experimental::awaitable_operators;
  const std::optional<user_id> anybody;
  const auto [about_action, about_server] =
    co_await (db_.run(find_one_action, id, anybody) && db_.run(find_server_of_action, id));
  if (!about_action)
    co_return about_action.error();
  if (!about_server)
    co_return about_server.error();
  if (about_action->empty() || about_server->empty())
    co_return error{errc::not_found, "no such action"};
  co_return standing{to_server(about_server->front()), to_action(about_action->front())};
}

asio::awaitable<result<action>> server_store::find_action(action_id id, std::optional<user_id> owner) {
  const auto found = co_await db_.run(find_one_action, id, owner);
  if (!found)
    co_return found.error();
  if (found->empty())
    co_return error{errc::not_found, "no such action"};
  co_return to_action(found->front());
}

asio::awaitable<result<std::vector<action>>>
server_store::actions_of(server_id id, std::optional<action_id> before, int limit) {
  const auto newest = before.value_or(action_id{std::numeric_limits<std::int64_t>::max()});
  const auto found = co_await db_.run(list_actions, id, newest, limit);
  if (!found)
    co_return found.error();
  std::vector<action> actions;
  actions.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i)
    actions.push_back(to_action((*found)[i]));
  co_return actions;
}

asio::awaitable<result<std::optional<idempotency_binding>>>
server_store::find_key(std::string caller, std::string key, instant expired) {
  const auto found = co_await db_.run(find_key_of, caller, key);
  if (!found)
    co_return found.error();
  if (found->empty())
    co_return std::optional<idempotency_binding>{};
  const auto r = found->front();
  // Gone before anything new is bound; a binding that somebody else has made meanwhile is younger, and stays.
  if (r.get<instant>("created_at") <= expired) {
    const auto freed = co_await db_.run(free_key_of, caller, key, expired);
    if (!freed)
      co_return freed.error();
    if (freed->front().get<std::int64_t>("freed") > 0)
      co_return std::optional<idempotency_binding>{};
  }
  std::optional<int> status;
  if (const auto stored = r.find<std::int64_t>("first_status"))
    status = static_cast<int>(*stored);
  co_return std::optional{idempotency_binding{r.get<std::string>("method"), r.get<std::string>("path"),
                                              r.get<std::string>("body_hash"), r.find<action_id>("action_id"),
                                              r.find<api_key_id>("api_key_id"), r.find<run_id>("run_id"),
                                              r.find<std::int64_t>("audit_id"), status}};
}

asio::awaitable<result<int>> server_store::set_first_status(std::string caller, std::string key, int status) {
  const auto set = co_await db_.run(set_status, caller, key, status);
  if (!set)
    co_return set.error();
  // A key that has expired meanwhile binds nobody.
  if (set->empty())
    co_return status;
  co_return static_cast<int>(set->front().get<std::int64_t>("first_status"));
}

asio::awaitable<result<std::map<server_state, std::int64_t>>> server_store::count_by_state() {
  const auto found = co_await db_.run(count_states);
  if (!found)
    co_return found.error();
  std::map<server_state, std::int64_t> counts;
  for (std::size_t i = 0; i < found->size(); ++i)
    if (const auto state = parse_server_state((*found)[i].get<std::string_view>("state")))
      counts[*state] = (*found)[i].get<std::int64_t>("servers");
  co_return counts;
}

} // namespace skyengine::db
