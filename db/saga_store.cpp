#include "db/saga_store.hpp"

#include "db/server_rows.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

namespace skyengine::db {

namespace {

// What was once sent stays what is looked for, whatever the catalogue says by then.
constexpr statement load_action{"saga_load_action",
                                "SELECT" SKYENGINE_ACTION_COLUMNS
                                R"sql(, a.token, a.abandon_requested, a.sent_at, a.to_plan,
         n.virtfusion_package_id AS to_package, s.boots_unsuspended,
         coalesce(f.package_id, p.virtfusion_package_id) AS virtfusion_package_id, p.os_template_ids,
         coalesce(f.group_id, g.virtfusion_hypervisor_group_id) AS virtfusion_hypervisor_group_id, u.name AS user_name, u.email,
         u.virtfusion_user_id, t.number AS attempt, t.mark
    FROM actions a
    JOIN servers s ON s.id = a.server_id
    JOIN plans p ON p.id = s.plan_id
    JOIN regions g ON g.id = s.region_id
    JOIN users u ON u.id = s.user_id
    LEFT JOIN plans n ON n.id = a.to_plan
    LEFT JOIN create_attempts f ON f.action_id = a.id AND f.number = 1
    LEFT JOIN create_attempts t ON t.action_id = a.id AND t.state = 'open'
   WHERE a.id = $1)sql"};

constexpr statement load_server{"saga_load_server",
                                "SELECT" SKYENGINE_SERVER_COLUMNS R"sql(, a.version AS action_version
    FROM servers s JOIN actions a ON a.server_id = s.id WHERE a.id = $1)sql"};

// What a repeat, or a lost attempt, may have left is looked for when all that was sent has had its time.
// The guard locks both rows, so that a delete either is seen here or sees what is written here.
constexpr statement advance_saga{"saga_advance", R"sql(
  WITH guard AS (
    SELECT a.id AS action_id, s.id AS server_id, s.state AS old_state
      FROM actions a JOIN servers s ON s.id = a.server_id
     WHERE a.id = $1 AND a.version = $2::bigint AND a.token = $3::bigint AND a.state = 'running'
       AND NOT ($4::boolean AND s.delete_requested) AND NOT ($19::boolean AND a.abandon_requested)
       FOR UPDATE OF a, s),
  moved AS (
    UPDATE actions a
       SET step = $5, state = $6, version = a.version + 1, builds = a.builds + $7::integer,
           error_code = coalesce($8, a.error_code), error_detail = coalesce($9, a.error_detail),
           finished_at = CASE WHEN $6 IN ('succeeded', 'failed') THEN $10::timestamptz END
      FROM guard g WHERE a.id = g.action_id),
  attempted AS (
    UPDATE create_attempts t
       SET state = $11, virtfusion_id = $12::bigint,
           second_look_at = CASE WHEN t.number > 1 OR $11 = 'lost' THEN
             greatest($20::timestamptz,
                      (SELECT max(e.sender_gone_at) FROM create_attempts e WHERE e.action_id = t.action_id))
               + $21::bigint * interval '1 millisecond' END
      FROM guard g WHERE t.action_id = g.action_id AND t.state = 'open' AND $11::text IS NOT NULL),
  changed AS (
    UPDATE servers s
       SET state = $13, virtfusion_id = coalesce($12::bigint, s.virtfusion_id),
           ipv4 = coalesce($14::text[], s.ipv4), ipv6 = coalesce($15::text[], s.ipv6), power = coalesce($16, s.power),
           active_at = CASE WHEN $13 = 'active' THEN coalesce(s.active_at, $10::timestamptz) ELSE s.active_at END,
           deleted_at = CASE WHEN $13 = 'deleted' THEN $10::timestamptz END,
           last_event_at = greatest(s.last_event_at, date_trunc('second', $10::timestamptz))
      FROM guard g WHERE s.id = g.server_id
    RETURNING s.id, s.last_event_at),
  logged AS (
    INSERT INTO server_events (server_id, at, type, from_state, to_state, action_id, detail)
    SELECT c.id, c.last_event_at, $17, g.old_state, $13, g.action_id, $18::jsonb
      FROM changed c, guard g WHERE $17::text IS NOT NULL)
  SELECT count(*) AS moved FROM guard)sql"};

// A step without an event leaves the time of the last one alone: what counts from earlier can still be told.
constexpr statement advance_one_control{"saga_advance_control", R"sql(
  WITH guard AS (
    SELECT a.id AS action_id, a.to_plan, s.id AS server_id, s.state AS old_state, s.plan_id AS old_plan
      FROM actions a JOIN servers s ON s.id = a.server_id
     WHERE a.id = $1 AND a.version = $2::bigint AND a.token = $3::bigint AND a.state = 'running'
       AND NOT s.delete_requested
       FOR UPDATE OF a, s),
  moved AS (
    UPDATE actions a
       SET step = $4, state = $5, version = a.version + 1, sent_at = coalesce($6::timestamptz, a.sent_at),
           error_code = $7, error_detail = $8,
           finished_at = CASE WHEN $5 IN ('succeeded', 'failed') THEN $9::timestamptz END
      FROM guard g WHERE a.id = g.action_id),
  changed AS (
    UPDATE servers s
       SET state = coalesce($10, s.state), power = coalesce($11, s.power),
           boots_unsuspended = coalesce($12::boolean, s.boots_unsuspended),
           plan_id = CASE WHEN $13::boolean THEN g.to_plan ELSE s.plan_id END,
           last_event_at = CASE WHEN $14::text IS NULL THEN s.last_event_at
                                ELSE greatest(s.last_event_at, date_trunc('second', $15::timestamptz)) END
      FROM guard g WHERE s.id = g.server_id
    RETURNING s.id, s.state, s.last_event_at),
  logged AS (
    INSERT INTO server_events (server_id, at, type, from_state, to_state, action_id, detail, from_plan, to_plan)
    SELECT c.id, c.last_event_at, $14, g.old_state, c.state, g.action_id,
           CASE WHEN $13::boolean THEN jsonb_build_object('fromPlan', g.old_plan, 'toPlan', g.to_plan)
                ELSE '{}' END,
           CASE WHEN $13::boolean THEN g.old_plan END, CASE WHEN $13::boolean THEN g.to_plan END
      FROM changed c, guard g WHERE $14::text IS NOT NULL)
  SELECT count(*) AS moved FROM guard)sql"};

constexpr statement insert_alert{"outbox_saga_alert", R"sql(
  INSERT INTO outbox (kind, subject, body, created_at)
  SELECT 'alert', $1 || ' server ' || $2::bigint,
         jsonb_build_object('alert', $1::text, 'serverId', $2::bigint, 'actionId', $3::bigint, 'userId', $4::bigint,
                            'error', $5::text),
         $6::timestamptz
   WHERE NOT EXISTS (SELECT FROM outbox
                      WHERE subject = $1 || ' server ' || $2::bigint AND body->'actionId' = to_jsonb($3::bigint)))sql"};

// The mark of an action is that of its first attempt: what was made since then may be ours.
constexpr statement open_one_attempt{"saga_open_attempt", R"sql(
  WITH guard AS (
    SELECT a.id AS action_id, s.id AS server_id, s.user_id, s.state AS old_state
      FROM actions a JOIN servers s ON s.id = a.server_id
     WHERE a.id = $1 AND a.version = $2::bigint AND a.token = $3::bigint AND a.state = 'running'
       AND NOT s.delete_requested AND NOT a.abandon_requested
       FOR UPDATE OF a, s),
  lost AS (
    UPDATE create_attempts t SET state = 'lost'
      FROM guard g WHERE t.action_id = g.action_id AND t.state = 'open'
    RETURNING t.number),
  noted AS (
    UPDATE users u SET virtfusion_user_id = $14::bigint, updated_at = $7::timestamptz
      FROM guard g WHERE u.id = g.user_id AND $14::bigint IS NOT NULL),
  moved AS (
    UPDATE actions a SET step = 'attempt', version = a.version + 1 FROM guard g WHERE a.id = g.action_id),
  changed AS (
    UPDATE servers s
       SET state = 'creating', last_event_at = greatest(s.last_event_at, date_trunc('second', $7::timestamptz))
      FROM guard g WHERE s.id = g.server_id
    RETURNING s.id, s.last_event_at),
  logged AS (
    INSERT INTO server_events (server_id, at, type, from_state, to_state, action_id, detail)
    SELECT c.id, c.last_event_at, CASE WHEN $4::integer = 1 THEN 'creating' ELSE 'create_repeated' END, g.old_state,
           'creating', g.action_id, jsonb_build_object('attempt', $4::integer)
      FROM changed c, guard g),
  opened AS (
    INSERT INTO create_attempts (action_id, number, user_id, state, sent_at, mark, second_look_at, package_id, group_id,
                                 memory_mb, storage_gb, traffic_gb, cpu_cores)
    SELECT g.action_id, $4::integer, g.user_id, 'open', $5::timestamptz,
           coalesce((SELECT mark FROM create_attempts WHERE action_id = g.action_id AND number = 1),
                    (SELECT coalesce(max(virtfusion_id), 0) FROM servers)),
           $6::timestamptz, $8::bigint, $9::bigint, $10::bigint, $11::bigint, $12::bigint, $13::bigint
      FROM guard g LEFT JOIN lost ON true
    RETURNING number)
  SELECT count(*) AS moved FROM opened)sql"};

// As when an action ends otherwise: what it repeated, or has not found out of, is looked for.
constexpr statement give_way_to_delete{"saga_give_way", R"sql(
  WITH guard AS (
    SELECT a.id AS action_id, a.kind, s.id AS server_id, s.state AS old_state
      FROM actions a JOIN servers s ON s.id = a.server_id
     WHERE a.id = $1 AND a.version = $2::bigint AND a.token = $3::bigint AND a.state = 'running' AND a.kind <> 'delete'
       AND s.delete_requested
       FOR UPDATE OF a, s),
  ended AS (
    UPDATE actions a
       SET step = 'done', state = 'failed', version = a.version + 1, error_code = 'conflict',
           error_detail = CASE WHEN g.kind = 'create' THEN 'the server was deleted before it was made'
                               ELSE 'the server was deleted meanwhile' END,
           finished_at = $4::timestamptz
      FROM guard g WHERE a.id = g.action_id
    RETURNING a.server_id),
  unresolved AS (
    UPDATE create_attempts t
       SET state = CASE WHEN $7::boolean THEN 'refused' ELSE 'lost' END,
           second_look_at = CASE WHEN t.number > 1 OR NOT $7::boolean THEN
             greatest($5::timestamptz,
                      (SELECT max(e.sender_gone_at) FROM create_attempts e WHERE e.action_id = t.action_id))
               + $6::bigint * interval '1 millisecond' END
      FROM ended, guard g
     WHERE t.action_id = g.action_id AND t.state = 'open'),
  changed AS (
    UPDATE servers s
       SET state = 'deleting', last_event_at = greatest(s.last_event_at, date_trunc('second', $4::timestamptz))
      FROM ended WHERE s.id = ended.server_id
    RETURNING s.id, s.last_event_at),
  logged AS (
    INSERT INTO server_events (server_id, at, type, from_state, to_state, action_id)
    SELECT c.id, c.last_event_at, g.kind || '_abandoned', g.old_state, 'deleting', g.action_id FROM changed c, guard g)
  SELECT server_id FROM ended)sql"};

constexpr statement start_pending{"saga_start_pending", R"sql(
  UPDATE actions SET state = 'running', token = $2::bigint, version = version + 1
   WHERE server_id = $1 AND state = 'pending' RETURNING id)sql"};

// What the server was before is what the request for the delete found.
constexpr statement give_up_delete{"saga_abandon_delete", R"sql(
  WITH guard AS (
    SELECT a.id AS action_id, s.id AS server_id, s.state AS old_state,
           (SELECT e.from_state FROM server_events e
             WHERE e.server_id = s.id AND e.action_id = a.id AND e.type = 'delete_requested') AS former_state
      FROM actions a JOIN servers s ON s.id = a.server_id
     WHERE a.id = $1 AND a.version = $2::bigint AND a.token = $3::bigint AND a.state = 'running' AND a.kind = 'delete'
       AND a.abandon_requested
       FOR UPDATE OF a, s),
  changed AS (
    UPDATE servers s
       SET state = g.former_state, delete_requested = false,
           last_event_at = greatest(s.last_event_at, date_trunc('second', $6::timestamptz))
      FROM guard g WHERE s.id = g.server_id AND g.former_state IN ('active', 'suspended')
    RETURNING s.id, s.state, s.last_event_at),
  ended AS (
    UPDATE actions a
       SET step = 'done', state = 'failed', version = a.version + 1, error_code = $4, error_detail = $5,
           finished_at = $6::timestamptz
      FROM changed c WHERE a.id = $1),
  logged AS (
    INSERT INTO server_events (server_id, at, type, from_state, to_state, action_id)
    SELECT c.id, c.last_event_at, 'delete_abandoned', g.old_state, c.state, g.action_id FROM changed c, guard g)
  SELECT count(*) AS moved FROM changed)sql"};

// A node that has not come back under its name may still live, cut off from the database alone.
constexpr statement take_over_orphans{"saga_take_over", R"sql(
  WITH found AS (
    SELECT a.id, EXISTS (SELECT FROM nodes n WHERE n.token = a.token) AS may_live
      FROM actions a
     WHERE a.state = 'running'
       AND NOT EXISTS (SELECT FROM nodes n WHERE n.token = a.token AND n.lease_until > clock_timestamp())
       FOR UPDATE OF a),
  orphans AS (
    UPDATE actions a SET token = $1::bigint FROM found WHERE a.id = found.id
    RETURNING a.id),
  senders AS (
    UPDATE create_attempts t SET sender_gone_at = t.sent_at + $2::bigint * interval '1 millisecond'
      FROM found WHERE t.action_id = found.id AND t.state = 'open' AND found.may_live),
  mine AS (
    SELECT id FROM orphans
    UNION
    SELECT id FROM actions WHERE state = 'running' AND token = $1::bigint)
  SELECT a.id, a.server_id, a.kind, a.calls + (a.kind <> 'delete' AND s.delete_requested)::integer AS calls
    FROM mine JOIN actions a ON a.id = mine.id JOIN servers s ON s.id = a.server_id
   ORDER BY a.id)sql"};

constexpr statement known_virtfusion_ids{"server_known_virtfusion_ids", R"sql(
  SELECT virtfusion_id FROM servers WHERE virtfusion_id = ANY ($1::bigint[]))sql"};

// An extra that is named is about to be deleted, or was asked to be: nobody adopts it.
constexpr statement claimed_virtfusion_ids{"server_claimed_virtfusion_ids", R"sql(
  SELECT virtfusion_id FROM servers WHERE virtfusion_id = ANY ($1::bigint[])
  UNION
  SELECT extra_id FROM create_attempts WHERE extra_id = ANY ($1::bigint[]))sql"};

constexpr statement resources_of_attempts{"attempt_resources", R"sql(
  SELECT DISTINCT memory_mb, storage_gb, traffic_gb, cpu_cores FROM create_attempts
   WHERE action_id = $1 AND memory_mb IS NOT NULL)sql"};

// Of an order that was given up ("conflict") no attempt became the server: each may have left one.
// A look that was left unfinished, by a node that is gone or by this one, is due again at once.
constexpr statement claim_look{"attempt_claim_second_look", R"sql(
  WITH due AS (
    SELECT t.action_id, t.number FROM create_attempts t
     WHERE t.second_look_at <= $1::timestamptz AND t.state <> 'open'
       AND (t.state <> 'looking' OR t.token = $2::bigint
            OR NOT EXISTS (SELECT FROM nodes n WHERE n.token = t.token AND n.lease_until > clock_timestamp()))
       AND NOT EXISTS (SELECT FROM create_attempts o
                        WHERE o.user_id = t.user_id AND o.state IN ('open', 'looking')
                          AND (o.action_id, o.number) <> (t.action_id, t.number))
     ORDER BY t.second_look_at LIMIT 1 FOR UPDATE SKIP LOCKED),
  claimed AS (
    UPDATE create_attempts t SET state = 'looking', token = $2::bigint
      FROM due WHERE t.action_id = due.action_id AND t.number = due.number
    RETURNING t.*)
  SELECT c.action_id, c.number, c.user_id, c.mark, u.virtfusion_user_id, c.package_id, c.group_id,
         (SELECT max(t.number) - sum(t.extras_deleted)
                 - CASE WHEN count(t.virtfusion_id) > 0 OR a.error_code IS DISTINCT FROM 'conflict' THEN 1 ELSE 0 END
            FROM create_attempts t WHERE t.action_id = c.action_id) AS extras_left,
         (SELECT min(extra_id) FROM create_attempts t WHERE t.action_id = c.action_id) AS extra_id
    FROM claimed c
    JOIN users u ON u.id = c.user_id
    JOIN actions a ON a.id = c.action_id)sql"};

constexpr statement finish_look{"attempt_finish_second_look", R"sql(
  WITH finished AS (
    UPDATE create_attempts
       SET state = CASE WHEN virtfusion_id IS NULL THEN 'lost' ELSE 'made' END, second_look_at = NULL, token = NULL
     WHERE action_id = $1 AND number = $2::integer AND state = 'looking' AND token = $3::bigint
    RETURNING 1)
  SELECT count(*) AS moved FROM finished)sql"};

constexpr statement postpone_look{"attempt_postpone_second_look", R"sql(
  WITH postponed AS (
    UPDATE create_attempts
       SET state = CASE WHEN virtfusion_id IS NULL THEN 'lost' ELSE 'made' END, second_look_at = $4::timestamptz,
           token = NULL
     WHERE action_id = $1 AND number = $2::integer AND state = 'looking' AND token = $3::bigint
    RETURNING 1)
  SELECT count(*) AS moved FROM postponed)sql"};

constexpr statement name_one_extra{"attempt_name_extra", R"sql(
  WITH named AS (
    UPDATE create_attempts SET extra_id = $4::bigint
     WHERE action_id = $1 AND number = $2::integer AND state = 'looking' AND token = $3::bigint
    RETURNING 1)
  SELECT count(*) AS moved FROM named)sql"};

// An extra stays named in the row of the look that began with it, which another look of the action may end.
constexpr statement settle_one_extra{"attempt_settle_extra", R"sql(
  WITH looking AS (
    SELECT action_id FROM create_attempts
     WHERE action_id = $1 AND number = $2::integer AND state = 'looking' AND token = $3::bigint FOR UPDATE),
  settled AS (
    UPDATE create_attempts t SET extra_id = NULL, extras_deleted = t.extras_deleted + $4::integer
      FROM looking l WHERE t.action_id = l.action_id AND t.extra_id IS NOT NULL
    RETURNING 1)
  SELECT count(*) AS moved FROM settled)sql"};

saga_state to_saga_state(const row& r, const row& about_server) {
  saga_state state;
  state.action = to_action(r);
  state.server = to_server(about_server);
  state.token = r.find<std::int64_t>("token").value_or(0);
  state.package = r.get<package_id>("virtfusion_package_id");
  state.group = r.get<hypervisor_group_id>("virtfusion_hypervisor_group_id");
  state.plan_os_templates = r.get<std::vector<std::int64_t>>("os_template_ids");
  state.user_name = r.get<std::string>("user_name");
  state.user_email = r.get<std::string>("email");
  state.virtfusion_user = r.find<virtfusion_user_id>("virtfusion_user_id");
  state.abandon_requested = r.get<bool>("abandon_requested");
  state.sent_at = r.find<instant>("sent_at");
  state.to_plan = r.find<plan_id>("to_plan");
  state.to_package = r.find<package_id>("to_package");
  state.boots_unsuspended = r.get<bool>("boots_unsuspended");
  if (const auto number = r.find<std::int64_t>("attempt"))
    state.attempt = create_attempt{static_cast<int>(*number), r.get<virtfusion_server_id>("mark")};
  return state;
}

result<std::vector<std::int64_t>> ids_in(const result<rows>& found) {
  if (!found)
    return found.error();
  std::vector<std::int64_t> ids;
  for (std::size_t i = 0; i < found->size(); ++i)
    ids.push_back((*found)[i].get<std::int64_t>("virtfusion_id"));
  return ids;
}

result<bool> moved(const result<rows>& answer) {
  if (!answer)
    return answer.error();
  return answer->front().get<std::int64_t>("moved") > 0;
}

} // namespace

asio::awaitable<result<saga_state>> saga_store::load(action_id id) {
  // Read apart, at once: each change of a saga raises the action's version, so rows that name the same one
  // are of the same step.
  using namespace asio::experimental::awaitable_operators;
  for (;;) {
    const auto [about_action, about_server] = co_await (db_.run(load_action, id) && db_.run(load_server, id));
    if (!about_action)
      co_return about_action.error();
    if (!about_server)
      co_return about_server.error();
    if (about_action->empty() || about_server->empty())
      co_return error{errc::not_found, "no such action"};
    auto state = to_saga_state(about_action->front(), about_server->front());
    if (state.action.version == about_server->front().get<std::int64_t>("action_version"))
      co_return state;
  }
}

asio::awaitable<result<bool>>
saga_store::advance(saga_ref ref, saga_change change, settling looks, instant now) {
  std::optional<std::string> code;
  std::optional<std::string> detail;
  if (change.failure) {
    code = to_string(change.failure->code);
    detail = change.failure->detail;
  }
  std::optional<std::string_view> power;
  if (change.power)
    power = to_string(*change.power);
  const auto answer = co_await db_.run(
    advance_saga, ref.action, ref.version, ref.token, change.yields_to_delete, to_string(change.step),
    to_string(change.state), change.counts_build ? 1 : 0, code, detail, now, change.attempt_ends,
    change.virtfusion_id, to_string(change.server), change.ipv4, change.ipv6, power, change.event,
    change.detail, change.yields_to_abandon, looks.from, looks.settle.count());
  co_return moved(answer);
}

asio::awaitable<result<bool>> saga_store::open_attempt(saga_ref ref,
                                                       attempt_order order,
                                                       real_time sent_at,
                                                       std::optional<real_time> second_look_at,
                                                       instant now) {
  std::optional<std::int64_t> memory;
  std::optional<std::int64_t> storage;
  std::optional<std::int64_t> traffic;
  std::optional<std::int64_t> cores;
  if (order.resources) {
    memory = order.resources->memory_mb;
    storage = order.resources->storage_gb;
    traffic = order.resources->traffic_gb;
    cores = order.resources->cpu_cores;
  }
  const auto answer = co_await db_.run(open_one_attempt, ref.action, ref.version, ref.token, order.number,
                                       sent_at, second_look_at, now, order.package, order.group, memory,
                                       storage, traffic, cores, order.new_user);
  co_return moved(answer);
}

asio::awaitable<result<bool>> saga_store::advance_control(saga_ref ref, control_change change, instant now) {
  std::optional<std::string> code;
  std::optional<std::string> detail;
  if (change.failure) {
    code = to_string(change.failure->code);
    detail = change.failure->detail;
  }
  std::optional<std::string_view> server;
  if (change.server)
    server = to_string(*change.server);
  std::optional<std::string_view> power;
  if (change.power)
    power = to_string(*change.power);
  const auto answer = co_await db_.run(advance_one_control, ref.action, ref.version, ref.token,
                                       to_string(change.step), to_string(change.state), change.sent_at, code,
                                       detail, now, server, power, change.boots_unsuspended,
                                       change.changes_plan, change.event, change.event_at.value_or(now));
  co_return moved(answer);
}

asio::awaitable<result<>>
saga_store::raise_alert(saga_state about, std::string kind, std::string why, instant now) {
  const auto raised =
    co_await db_.run(insert_alert, kind, about.server.id, about.action.id, about.server.order.user, why, now);
  if (!raised)
    co_return raised.error();
  co_return result<>{};
}

asio::awaitable<result<std::optional<action_id>>>
saga_store::give_way(saga_ref ref, bool is_resolved, settling looks, instant now) {
  const auto body = [&](transaction& tx) -> asio::awaitable<result<std::optional<action_id>>> {
    const auto ended = co_await tx.run(give_way_to_delete, ref.action, ref.version, ref.token, now,
                                       looks.from, looks.settle.count(), is_resolved);
    if (!ended)
      co_return ended.error();
    if (ended->empty())
      co_return std::optional<action_id>{};
    const auto started =
      co_await tx.run(start_pending, ended->front().get<server_id>("server_id"), ref.token);
    if (!started)
      co_return started.error();
    if (started->empty())
      co_return error{errc::internal, "a delete was asked for and no action waits for it"};
    co_return std::optional{started->front().get<action_id>("id")};
  };
  co_return co_await db_.transact(body);
}

asio::awaitable<result<bool>> saga_store::abandon_delete(saga_ref ref, error why, instant now) {
  const auto answer = co_await db_.run(give_up_delete, ref.action, ref.version, ref.token,
                                       to_string(why.code), why.detail, now);
  co_return moved(answer);
}

asio::awaitable<result<std::vector<saga_store::running_action>>>
saga_store::take_over(std::int64_t token, std::chrono::milliseconds call_timeout) {
  const auto taken = co_await db_.run(take_over_orphans, token, call_timeout.count());
  if (!taken)
    co_return taken.error();
  std::vector<running_action> running;
  for (std::size_t i = 0; i < taken->size(); ++i) {
    const auto r = (*taken)[i];
    running.push_back({r.get<action_id>("id"), r.get<server_id>("server_id"),
                       parse_action_kind(r.get<std::string_view>("kind")).value(),
                       r.get<std::int64_t>("calls")});
  }
  co_return running;
}

asio::awaitable<result<std::vector<std::int64_t>>> saga_store::known_ids(std::vector<std::int64_t> ids) {
  co_return ids_in(co_await db_.run(known_virtfusion_ids, ids));
}

asio::awaitable<result<std::vector<std::int64_t>>> saga_store::claimed_ids(std::vector<std::int64_t> ids) {
  co_return ids_in(co_await db_.run(claimed_virtfusion_ids, ids));
}

asio::awaitable<result<std::vector<server_resources>>> saga_store::resources_sent(action_id action) {
  const auto sent = co_await db_.run(resources_of_attempts, action);
  if (!sent)
    co_return sent.error();
  std::vector<server_resources> found;
  for (std::size_t i = 0; i < sent->size(); ++i) {
    const auto r = (*sent)[i];
    found.push_back({r.get<std::int64_t>("memory_mb"), r.get<std::int64_t>("storage_gb"),
                     r.get<std::int64_t>("traffic_gb"), r.get<std::int64_t>("cpu_cores")});
  }
  co_return found;
}

asio::awaitable<result<std::optional<second_look>>> saga_store::claim_second_look(real_time now,
                                                                                  std::int64_t token) {
  const auto claimed = co_await db_.run(claim_look, now, token);
  if (!claimed) {
    // Another attempt of the user took the place in between: later.
    if (claimed.error().code == errc::conflict)
      co_return std::optional<second_look>{};
    co_return claimed.error();
  }
  if (claimed->empty())
    co_return std::optional<second_look>{};
  const auto r = claimed->front();
  co_return std::optional{second_look{
    r.get<action_id>("action_id"), static_cast<int>(r.get<std::int64_t>("number")), r.get<user_id>("user_id"),
    r.get<virtfusion_user_id>("virtfusion_user_id"), r.get<virtfusion_server_id>("mark"),
    r.get<package_id>("package_id"), r.get<hypervisor_group_id>("group_id"),
    static_cast<int>(r.get<std::int64_t>("extras_left")), r.find<virtfusion_server_id>("extra_id")}};
}

asio::awaitable<result<bool>>
saga_store::name_extra(action_id action, int number, std::int64_t token, virtfusion_server_id extra) {
  const auto answer = co_await db_.run(name_one_extra, action, number, token, extra);
  co_return moved(answer);
}

asio::awaitable<result<bool>>
saga_store::settle_extra(action_id action, int number, std::int64_t token, bool is_gone) {
  const auto answer = co_await db_.run(settle_one_extra, action, number, token, is_gone ? 1 : 0);
  co_return moved(answer);
}

asio::awaitable<result<bool>>
saga_store::postpone_second_look(action_id action, int number, std::int64_t token, real_time when) {
  const auto answer = co_await db_.run(postpone_look, action, number, token, when);
  co_return moved(answer);
}

asio::awaitable<result<bool>>
saga_store::finish_second_look(action_id action, int number, std::int64_t token) {
  const auto answer = co_await db_.run(finish_look, action, number, token);
  co_return moved(answer);
}

} // namespace skyengine::db
