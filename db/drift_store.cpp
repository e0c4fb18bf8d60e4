#include "db/drift_store.hpp"

#include "domain/time_format.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace skyengine::db {

namespace {

// Nothing else changes a server while none of its actions is open; one that ended after the look was asked
// for makes the look too old.
#define SKYENGINE_IS_SETTLED(server, asked_at)                                                               \
  "NOT EXISTS (SELECT FROM actions a WHERE a.server_id = " server " AND (a.state IN ('pending', 'running')"  \
  " OR a.finished_at >= " asked_at "))"

constexpr statement see_servers{"drift_see", R"sql(
  WITH page AS (
    SELECT * FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS p (virtfusion_id, owner, place)),
  marked AS (
    INSERT INTO server_sightings AS v (server_id, seen_at)
    SELECT s.id, $3::timestamptz FROM servers s
     WHERE s.virtfusion_id = ANY ($1::bigint[]) AND s.state IN ('active', 'suspended') ORDER BY s.id
    ON CONFLICT (server_id) DO UPDATE SET seen_at = greatest(v.seen_at, excluded.seen_at), absences = 0)
  SELECT p.virtfusion_id, s.id, s.state, s.user_id, u.virtfusion_user_id, l.virtfusion_package_id,
         CASE WHEN s.id IS NULL OR s.state IN ('failed', 'deleted')
              THEN coalesce(s.deleted_at < $3::timestamptz, true)
                   AND NOT EXISTS (SELECT FROM create_attempts t JOIN users o ON o.id = t.user_id
                                    WHERE o.virtfusion_user_id = p.owner AND t.state IN ('open', 'looking'))
                   AND NOT EXISTS (SELECT FROM create_attempts t JOIN users o ON o.id = t.user_id
                                    WHERE o.virtfusion_user_id = p.owner AND t.second_look_at IS NOT NULL)
              ELSE s.state IN ('active', 'suspended') END
           AND )sql" SKYENGINE_IS_SETTLED("s.id", "$3::timestamptz") R"sql( AS is_settled,
         coalesce(v.memory_mb, t.memory_mb) AS memory_mb, coalesce(v.storage_gb, t.storage_gb) AS storage_gb,
         coalesce(v.traffic_gb, t.traffic_gb) AS traffic_gb, coalesce(v.cpu_cores, t.cpu_cores) AS cpu_cores,
         (SELECT array_agg(d.kind || '=' || d.seen) FROM drift d
           WHERE d.standing AND d.virtfusion_id = p.virtfusion_id) AS standing
    FROM page p
    LEFT JOIN servers s ON s.virtfusion_id = p.virtfusion_id
    LEFT JOIN users u ON u.id = s.user_id
    LEFT JOIN plans l ON l.id = s.plan_id
    LEFT JOIN server_sightings v ON v.server_id = s.id
    LEFT JOIN LATERAL (
      SELECT c.memory_mb, c.storage_gb, c.traffic_gb, c.cpu_cores
        FROM actions a JOIN create_attempts c ON c.action_id = a.id
       WHERE v.memory_mb IS NULL AND a.server_id = s.id AND c.virtfusion_id = s.virtfusion_id LIMIT 1) AS t ON true
   ORDER BY p.place)sql"};

constexpr statement accept_what_it_has{"drift_accept", R"sql(
  INSERT INTO server_sightings AS v (server_id, memory_mb, storage_gb, traffic_gb, cpu_cores)
  VALUES ($1::bigint, $2::bigint, $3::bigint, $4::bigint, $5::bigint)
  ON CONFLICT (server_id) DO UPDATE
    SET memory_mb = excluded.memory_mb, storage_gb = excluded.storage_gb, traffic_gb = excluded.traffic_gb,
        cpu_cores = excluded.cpu_cores)sql"};

constexpr statement learn_whose{"drift_learn_owner", R"sql(
  UPDATE users SET virtfusion_user_id = $2::bigint, updated_at = $3::timestamptz
   WHERE id = $1::bigint AND virtfusion_user_id IS DISTINCT FROM $2::bigint
     AND NOT EXISTS (SELECT FROM users WHERE virtfusion_user_id = $2::bigint))sql"};

// The servers before their drift, by id: so nobody waits for another in a circle.
constexpr statement lock_servers{"drift_lock_servers", R"sql(
  SELECT s.id
    FROM servers s
    JOIN (SELECT unnest($1::bigint[]) AS id
          UNION
          SELECT server_id FROM drift WHERE standing AND virtfusion_id = ANY ($2::bigint[])) AS w ON w.id = s.id
   ORDER BY s.id FOR UPDATE OF s)sql"};

// Of each server and kind the newest that was seen: a list that shifts names one twice.
#define SKYENGINE_GIVEN_DRIFT                                                                                \
  "WITH given AS (SELECT DISTINCT ON (kind, virtfusion_id) kind, virtfusion_id,"                             \
  " nullif(server_id, 0) AS server_id, seen, detail::jsonb AS detail,"                                       \
  " timestamptz 'epoch' + at * interval '1 microsecond' AS at,"                                              \
  " timestamptz 'epoch' + nullif(right_until, 0) * interval '1 microsecond' AS right_until"                  \
  " FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[],"               \
  " $7::bigint[]) AS g (kind, virtfusion_id, server_id, seen, detail, at, right_until)"                      \
  " ORDER BY kind, virtfusion_id, g.at DESC)"

// What was let be is another matter when it is wrong in another way; and what was to be deleted, when it is
// still there.
constexpr statement outdate_decisions{"drift_outdate", SKYENGINE_GIVEN_DRIFT R"sql(
  UPDATE drift d SET standing = false
    FROM given g
   WHERE d.standing AND d.virtfusion_id = g.virtfusion_id AND d.kind = g.kind AND d.state = 'resolved'
     AND d.last_seen <= g.at
     AND (d.seen <> g.seen OR (d.resolution = 'delete' AND d.ended_at < g.at - interval '10 minutes')))sql"};

constexpr statement write_findings{"drift_found", SKYENGINE_GIVEN_DRIFT R"sql(,
  seen_again AS (
    UPDATE drift d SET last_seen = g.at, seen = g.seen, detail = g.detail
      FROM given g
     WHERE d.standing AND d.virtfusion_id = g.virtfusion_id AND d.kind = g.kind AND d.last_seen <= g.at),
  fresh AS (
    SELECT g.*, s.user_id
      FROM given g LEFT JOIN servers s ON s.id = g.server_id
     WHERE NOT EXISTS (SELECT FROM drift d
                        WHERE d.standing AND d.virtfusion_id = g.virtfusion_id AND d.kind = g.kind)
       AND CASE WHEN g.kind = 'unknown'
                THEN NOT EXISTS (SELECT FROM servers o WHERE o.virtfusion_id = g.virtfusion_id
                                                         AND o.state NOT IN ('failed', 'deleted'))
                ELSE s.state = ANY (CASE g.kind WHEN 'suspended' THEN ARRAY['active']
                                                WHEN 'running' THEN ARRAY['suspended']
                                                ELSE ARRAY['active', 'suspended'] END)
                     AND )sql" SKYENGINE_IS_SETTLED("s.id", "g.at") R"sql( END),
  held AS (
    INSERT INTO holds (server_id, user_id, kind, reason, from_at, created_at, created_by, alerted_at)
    SELECT server_id, user_id, 'drift', 'drift: ' || kind, date_trunc('second', right_until), $8::timestamptz,
           'engine', $8::timestamptz
      FROM fresh WHERE right_until IS NOT NULL
    RETURNING id, server_id, reason),
  added AS (
    INSERT INTO drift (kind, server_id, virtfusion_id, first_seen, last_seen, seen, detail, hold_id)
    SELECT f.kind, f.server_id, f.virtfusion_id, f.at, f.at, f.seen, f.detail, h.id
      FROM fresh f LEFT JOIN held h ON h.server_id = f.server_id AND h.reason = 'drift: ' || f.kind
    ON CONFLICT DO NOTHING
    RETURNING *),
  touched AS (
    UPDATE servers s SET last_event_at = greatest(s.last_event_at, date_trunc('second', a.at))
      FROM (SELECT server_id, max(first_seen) AS at FROM added WHERE server_id IS NOT NULL GROUP BY server_id) AS a
     WHERE s.id = a.server_id
    RETURNING s.id, s.state, s.last_event_at),
  logged AS (
    INSERT INTO server_events (server_id, at, type, from_state, to_state, detail)
    SELECT t.id, t.last_event_at, 'drift_' || a.kind, t.state, t.state,
           jsonb_build_object('drift', a.id, 'seen', a.seen)
      FROM added a JOIN touched t ON t.id = a.server_id),
  told AS (
    INSERT INTO outbox (kind, subject, body, created_at)
    SELECT 'alert', 'drift_' || kind,
           jsonb_strip_nulls(jsonb_build_object('alert', 'drift_' || kind, 'drift', id, 'server_id', server_id,
                                                'virtfusion_id', virtfusion_id, 'seen', seen)),
           $8::timestamptz
      FROM added)
  SELECT id, kind, server_id, virtfusion_id, seen FROM added ORDER BY id)sql"};

// What had been decided about has no more news. A look from before the last that found it says nothing of it.
constexpr statement write_clearances{"drift_cleared", R"sql(
  WITH given AS (
    SELECT kind, virtfusion_id, seen, timestamptz 'epoch' + at * interval '1 microsecond' AS at
      FROM unnest($1::text[], $2::bigint[], $3::text[], $5::bigint[]) AS g (kind, virtfusion_id, seen, at)),
  over AS (
    UPDATE drift d
       SET standing = false, state = CASE d.state WHEN 'open' THEN 'vanished' ELSE d.state END,
           ended_at = coalesce(d.ended_at, $4::timestamptz), ended_by = coalesce(d.ended_by, 'engine')
      FROM given g
     WHERE d.standing AND d.virtfusion_id = g.virtfusion_id AND d.kind = g.kind AND (g.seen = '' OR d.seen = g.seen)
       AND d.last_seen <= g.at AND )sql" SKYENGINE_IS_SETTLED("d.server_id", "g.at") R"sql(
    RETURNING d.*),
  vanished AS (SELECT * FROM over WHERE state = 'vanished'),
  released AS (
    UPDATE holds h
       SET until_at = greatest(h.from_at, date_trunc('second', $4::timestamptz)), ended_by = 'engine',
           -- One that never came back is not charged for the time that it was gone.
           outcome = CASE WHEN v.kind = 'gone' AND s.state IN ('failed', 'deleted') THEN 'written_off'
                          ELSE 'released' END
      FROM vanished v JOIN servers s ON s.id = v.server_id
     WHERE h.id = v.hold_id AND h.outcome IS NULL),
  touched AS (
    UPDATE servers s SET last_event_at = greatest(s.last_event_at, date_trunc('second', $4::timestamptz))
     WHERE s.id IN (SELECT server_id FROM vanished)
    RETURNING s.id, s.state, s.last_event_at),
  logged AS (
    INSERT INTO server_events (server_id, at, type, from_state, to_state, detail)
    SELECT t.id, t.last_event_at, 'drift_vanished', t.state, t.state,
           jsonb_build_object('drift', v.id, 'kind', v.kind, 'seen', v.seen)
      FROM vanished v JOIN touched t ON t.id = v.server_id),
  told AS (
    INSERT INTO outbox (kind, subject, body, created_at)
    SELECT 'alert', 'drift_' || kind,
           jsonb_strip_nulls(jsonb_build_object('alert_cleared', 'drift_' || kind, 'drift', id, 'server_id', server_id,
                                                'virtfusion_id', virtfusion_id)),
           $4::timestamptz
      FROM vanished)
  SELECT id, kind, server_id, virtfusion_id, seen FROM vanished ORDER BY id)sql"};

// A sync notes what it sees also where nothing is compared.
constexpr statement count_missing{"drift_absences", R"sql(
  WITH due AS (
    SELECT s.id, s.virtfusion_id, s.active_at
      FROM servers s LEFT JOIN server_sightings v ON v.server_id = s.id
     WHERE s.id > $2::bigint AND s.state IN ('active', 'suspended') AND s.virtfusion_id IS NOT NULL
       AND s.active_at < $1::timestamptz AND coalesce(v.seen_at < $1::timestamptz, true)
       AND coalesce(v.absent_from < $1::timestamptz, true)
       AND )sql" SKYENGINE_IS_SETTLED("s.id", "$1::timestamptz") R"sql(
     ORDER BY s.id LIMIT $3::integer),
  counted AS (
    INSERT INTO server_sightings AS v (server_id, absences, absent_from)
    SELECT id, 1, $1::timestamptz FROM due ORDER BY id
    ON CONFLICT (server_id) DO UPDATE SET absences = v.absences + 1, absent_from = excluded.absent_from
    RETURNING server_id, absences, seen_at)
  SELECT d.id, d.virtfusion_id, c.absences,
         greatest(c.seen_at, d.active_at, o.listed_at, o.traffic_at, o.live_at) AS last_right,
         EXISTS (SELECT FROM drift f WHERE f.standing AND f.virtfusion_id = d.virtfusion_id AND f.kind = 'gone')
           AS is_known
    FROM due d JOIN counted c ON c.server_id = d.id LEFT JOIN server_observations o ON o.server_id = d.id
   ORDER BY d.id)sql"};

constexpr statement find_unseen{"drift_unseen", R"sql(
  SELECT virtfusion_id FROM drift WHERE standing AND kind = 'unknown' AND last_seen < $1::timestamptz
   ORDER BY last_seen, id LIMIT $2::integer)sql"};

constexpr statement see_again{"drift_see_again", R"sql(
  WITH marked AS (
    UPDATE server_sightings v SET seen_at = greatest(v.seen_at, $2::timestamptz), absences = 0
      FROM servers s WHERE s.virtfusion_id = $1::bigint AND v.server_id = s.id)
  UPDATE drift SET last_seen = greatest(last_seen, $2::timestamptz)
   WHERE standing AND kind = 'unknown' AND virtfusion_id = $1::bigint)sql"};

constexpr statement find_ended{"drift_ended_servers", R"sql(
  SELECT d.kind, d.virtfusion_id FROM drift d JOIN servers s ON s.id = d.server_id
   WHERE d.standing AND s.state IN ('failed', 'deleted') ORDER BY d.id LIMIT 1000)sql"};

constexpr statement count_by_kind{
  "drift_count", "SELECT kind, count(*) AS open FROM drift WHERE state = 'open' GROUP BY kind"};

constexpr statement list_drift{"drift_list", R"sql(
  SELECT d.* FROM drift d
   WHERE d.id < $1::bigint AND ($2::text IS NULL OR d.state = $2::text) AND ($3::text IS NULL OR d.kind = $3::text)
   ORDER BY d.id DESC LIMIT $4::integer)sql"};

constexpr statement find_drift{"drift_find", "SELECT d.* FROM drift d WHERE d.id = $1::bigint"};
constexpr statement lock_drift{
  "drift_lock",
  "SELECT d.*, h.from_at FROM drift d LEFT JOIN holds h ON h.id = d.hold_id WHERE d.id = $1::bigint FOR "
  "UPDATE OF d"};
constexpr statement lock_its_server{"drift_lock_server", R"sql(
  SELECT s.state, EXISTS (SELECT FROM actions a
                           WHERE a.server_id = s.id AND a.state IN ('pending', 'running')) AS is_busy
    FROM servers s WHERE s.id = (SELECT server_id FROM drift WHERE id = $1::bigint) FOR UPDATE OF s)sql"};

constexpr statement change_server{"drift_change_server", R"sql(
  WITH old AS (SELECT id, state, plan_id FROM servers WHERE id = $1::bigint),
  changed AS (
    UPDATE servers s
       SET state = coalesce($2::text, s.state), plan_id = coalesce($3::text, s.plan_id),
           deleted_at = coalesce($5::timestamptz, s.deleted_at),
           last_event_at = greatest(s.last_event_at, date_trunc('second', $4::timestamptz))
      FROM old WHERE s.id = old.id
    RETURNING s.id, s.state, s.plan_id, s.last_event_at, old.state AS old_state, old.plan_id AS old_plan),
  logged AS (
    INSERT INTO server_events (server_id, at, type, from_state, to_state, detail, from_plan, to_plan)
    SELECT id, last_event_at, $6, old_state, state, $7::jsonb, CASE WHEN $3::text IS NOT NULL THEN old_plan END,
           CASE WHEN $3::text IS NOT NULL THEN plan_id END
      FROM changed)
  SELECT last_event_at,
         jsonb_build_object('state', jsonb_build_object('from', old_state, 'to', state),
                            'planId', jsonb_build_object('from', old_plan, 'to', plan_id)) AS changes
    FROM changed)sql"};

// The end of a server is the end of all that stands of it.
constexpr statement end_drift{"drift_end", R"sql(
  WITH ended AS (
    UPDATE drift d
       SET state = 'resolved', resolution = CASE d.state WHEN 'open' THEN $2 ELSE d.resolution END,
           ended_at = coalesce(d.ended_at, $3::timestamptz), ended_by = coalesce(d.ended_by, $4),
           standing = $5::boolean
     WHERE d.id = $1::bigint OR ($6::bigint IS NOT NULL AND d.standing AND d.server_id = $6::bigint)
    RETURNING d.*),
  over AS (
    UPDATE holds h
       SET until_at = greatest(h.from_at, date_trunc('second', $7::timestamptz)), outcome = $8, ended_by = $4
      FROM ended e WHERE h.id = e.hold_id AND h.outcome IS NULL),
  logged AS (
    INSERT INTO audit_log (at, actor, action, target, detail)
    SELECT $3::timestamptz, $4, 'resolved', 'drift ' || id,
           jsonb_build_object('how', $2::text, 'kind', kind, 'seen', seen, 'server_id', server_id,
                              'virtfusion_id', virtfusion_id, 'changes', $9::jsonb)
      FROM ended WHERE id = $1::bigint
    RETURNING id),
  bound AS (
    INSERT INTO idempotency_keys (caller, key, method, path, body_hash, audit_id, created_at)
    SELECT $10, $11, $12, $13, decode($14, 'hex'), id, $3::timestamptz FROM logged WHERE $11::text IS NOT NULL)
  SELECT * FROM ended WHERE id = $1::bigint)sql"};

constexpr statement reopen_drift{"drift_reopen", R"sql(
  WITH again AS (
    UPDATE drift SET state = 'open', resolution = NULL, ended_at = NULL, ended_by = NULL
     WHERE id = $1::bigint AND state = 'resolved' AND resolution = 'delete' AND standing
    RETURNING id),
  said AS (
    SELECT max(l.id) AS id FROM audit_log l, again a
     WHERE l.action = 'resolved' AND l.target = 'drift ' || a.id),
  freed AS (DELETE FROM idempotency_keys k USING said WHERE k.audit_id = said.id)
  INSERT INTO audit_log (at, actor, action, target)
  SELECT $2::timestamptz, 'engine', 'reopened', 'drift ' || id FROM again)sql"};

template <class T>
T known(std::optional<T> value) {
  if (!value)
    throw std::logic_error("a row has a name that its table's check does not allow");
  return *value;
}

drift_kind kind_of(const row& r) {
  return known(parse_drift_kind(r.get<std::string_view>("kind")));
}

std::int64_t micros(instant at) {
  return at.time_since_epoch().count();
}

drift_news to_news(const row& r) {
  return {r.get<std::int64_t>("id"), kind_of(r), r.find<server_id>("server_id"),
          r.get<virtfusion_server_id>("virtfusion_id"), r.get<std::string>("seen")};
}

std::vector<drift_news> to_news(const rows& found) {
  std::vector<drift_news> all;
  all.reserve(found.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    all.push_back(to_news(found[i]));
  return all;
}

drift_match to_match(const row& r) {
  drift_match one;
  one.id = r.get<virtfusion_server_id>("virtfusion_id");
  one.server = r.find<server_id>("id");
  if (const auto state = r.find<std::string_view>("state"))
    one.state = known(parse_server_state(*state));
  one.user = r.find<user_id>("user_id");
  one.owner = r.find<virtfusion_user_id>("virtfusion_user_id");
  one.is_settled = r.get<bool>("is_settled");
  one.package = r.find<package_id>("virtfusion_package_id").value_or(package_id{});
  if (const auto memory = r.find<std::int64_t>("memory_mb"))
    one.accepted = server_resources{*memory, r.get<std::int64_t>("storage_gb"),
                                    r.get<std::int64_t>("traffic_gb"), r.get<std::int64_t>("cpu_cores")};
  for (const auto& text : r.find<std::vector<std::string>>("standing").value_or(std::vector<std::string>{})) {
    const auto sign = text.find('=');
    one.standing.emplace(known(parse_drift_kind(std::string_view{text}.substr(0, sign))),
                         text.substr(sign + 1));
  }
  return one;
}

/// The arrays that `given` of the statements above is made of.
struct finding_columns {
  std::vector<std::string> kinds;
  std::vector<std::int64_t> virtfusion_ids;
  std::vector<std::int64_t> servers;
  std::vector<std::string> seen;
  std::vector<std::string> details;
  std::vector<std::int64_t> times;
  std::vector<std::int64_t> right_until;

  explicit finding_columns(const std::vector<drift_finding>& found) {
    for (const auto& one : found) {
      kinds.emplace_back(to_string(one.kind));
      virtfusion_ids.push_back(one.virtfusion_id.value);
      servers.push_back(one.server.value_or(server_id{}).value);
      seen.push_back(one.seen);
      details.push_back(one.detail);
      times.push_back(micros(one.seen_at));
      right_until.push_back(holds_billing(one.kind) ? micros(one.right_until) : 0);
    }
  }
};

struct clearance_columns {
  std::vector<std::string> kinds;
  std::vector<std::int64_t> virtfusion_ids;
  std::vector<std::string> seen;
  std::vector<std::int64_t> times;

  explicit clearance_columns(const std::vector<drift_clearance>& cleared) {
    for (const auto& one : cleared) {
      kinds.emplace_back(to_string(one.kind));
      virtfusion_ids.push_back(one.virtfusion_id.value);
      seen.push_back(one.seen);
      times.push_back(micros(one.seen_at));
    }
  }
};

asio::awaitable<result<drift_store::reported>>
write(transaction& tx, const finding_columns& found, const clearance_columns& cleared, instant now) {
  drift_store::reported news;
  const auto locked = co_await tx.run(lock_servers, found.servers, cleared.virtfusion_ids);
  if (!locked)
    co_return locked.error();
  if (!cleared.kinds.empty()) {
    const auto over = co_await tx.run(write_clearances, cleared.kinds, cleared.virtfusion_ids, cleared.seen,
                                      now, cleared.times);
    if (!over)
      co_return over.error();
    news.vanished = to_news(*over);
  }
  if (found.kinds.empty())
    co_return news;
  const auto outdated = co_await tx.run(outdate_decisions, found.kinds, found.virtfusion_ids, found.servers,
                                        found.seen, found.details, found.times, found.right_until);
  if (!outdated)
    co_return outdated.error();
  const auto added = co_await tx.run(write_findings, found.kinds, found.virtfusion_ids, found.servers,
                                     found.seen, found.details, found.times, found.right_until, now);
  if (!added)
    co_return added.error();
  news.found = to_news(*added);
  co_return news;
}

/// Whether nothing is under way that an event would come between, and, but for letting it be, its server is
/// still what it was when it was found.
result<> check_server(drift_kind kind, drift_way how, const row& server) {
  if (server.get<bool>("is_busy"))
    return error{errc::conflict, "the server has an action under way"};
  if (how == drift_way::ignore)
    return {};
  const auto state = server.get<std::string_view>("state");
  const auto is_active = state == "active" && kind != drift_kind::running;
  const auto is_suspended = state == "suspended" && kind != drift_kind::suspended;
  if (!is_active && !is_suspended)
    return error{errc::conflict, "the server is " + std::string{state} + " meanwhile"};
  return {};
}

std::string event_detail(const drift_record& one, drift_way how) {
  return "{\"drift\":" + std::to_string(one.id) + ",\"kind\":\"" + std::string{to_string(one.kind)} +
         "\",\"how\":\"" + std::string{to_string(how)} + "\"}";
}

/// What a decision does to our record of the server, and to the time that was held.
struct record_change {
  std::optional<std::string> state;
  std::optional<std::string> plan;
  instant at;
  std::optional<instant> deleted_at;
  const char* event = "drift_resolved";
  const char* outcome = "released";
  /// Until when the hold held: the event's time, else now.
  bool is_held_until_event = false;
};

result<record_change> change_for(const drift_record& one,
                                 const drift_store::decision& what,
                                 std::optional<instant> held_from,
                                 instant now) {
  record_change change;
  change.at = now;
  if (what.how == drift_way::ignore)
    return change;
  switch (one.kind) {
  case drift_kind::gone:
    change.state = "deleted";
    change.deleted_at = held_from.value_or(one.first_seen);
    change.event = "deleted";
    change.outcome = "written_off";
    change.is_held_until_event = true;
    return change;
  case drift_kind::package:
    if (!what.plan)
      return error{errc::internal, "a package is taken over into a plan"};
    change.plan = what.plan->value;
    change.at = one.first_seen;
    change.event = "plan_changed";
    return change;
  case drift_kind::suspended:
    change.state = "suspended";
    change.at = one.first_seen;
    change.event = "suspended";
    change.outcome = "written_off";
    change.is_held_until_event = true;
    return change;
  case drift_kind::running:
    change.state = "active";
    change.event = "unsuspended";
    return change;
  case drift_kind::owner:
  case drift_kind::unknown:
    return change;
  }
  return change;
}

} // namespace

drift_record to_drift(const row& r) {
  drift_record one;
  one.id = r.get<std::int64_t>("id");
  one.kind = kind_of(r);
  one.server = r.find<server_id>("server_id");
  one.virtfusion_id = r.get<virtfusion_server_id>("virtfusion_id");
  one.first_seen = r.get<instant>("first_seen");
  one.last_seen = r.get<instant>("last_seen");
  one.seen = r.get<std::string>("seen");
  one.detail = r.get<std::string>("detail");
  one.state = known(parse_drift_state(r.get<std::string_view>("state")));
  if (const auto how = r.find<std::string_view>("resolution"))
    one.resolution = known(parse_drift_way(*how));
  one.ended_at = r.find<instant>("ended_at");
  one.ended_by = r.find<std::string>("ended_by");
  one.hold = r.find<std::int64_t>("hold_id");
  return one;
}

asio::awaitable<result<std::vector<drift_match>>> drift_store::see(std::vector<sighting> seen,
                                                                   instant asked_at) {
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> owners;
  for (const auto& one : seen) {
    ids.push_back(one.id.value);
    owners.push_back(one.owner.value);
  }
  const auto found = co_await db_.run(see_servers, ids, owners, asked_at);
  if (!found)
    co_return found.error();
  std::vector<drift_match> all;
  all.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i)
    all.push_back(to_match((*found)[i]));
  co_return all;
}

asio::awaitable<result<>> drift_store::accept_resources(server_id id, server_resources has) {
  const auto done =
    co_await db_.run(accept_what_it_has, id, has.memory_mb, has.storage_gb, has.traffic_gb, has.cpu_cores);
  if (!done)
    co_return done.error();
  co_return result<>{};
}

asio::awaitable<result<>> drift_store::learn_owner(user_id user, virtfusion_user_id id, instant now) {
  const auto done = co_await db_.run(learn_whose, user, id, now);
  if (!done)
    co_return done.error();
  co_return result<>{};
}

asio::awaitable<result<drift_store::reported>>
drift_store::report(std::vector<drift_finding> found, std::vector<drift_clearance> cleared, instant now) {
  const finding_columns findings{found};
  const clearance_columns clearances{cleared};
  const auto body = [&](transaction& tx) -> asio::awaitable<result<reported>> {
    co_return co_await write(tx, findings, clearances, now);
  };
  co_return co_await db_.transact(body);
}

asio::awaitable<result<std::vector<drift_store::absentee>>>
drift_store::count_absences(instant begun_at, server_id after, int limit) {
  const auto found = co_await db_.run(count_missing, begun_at, after, limit);
  if (!found)
    co_return found.error();
  std::vector<absentee> all;
  all.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto r = (*found)[i];
    all.push_back({r.get<server_id>("id"), r.get<virtfusion_server_id>("virtfusion_id"),
                   r.get<std::int64_t>("absences"), r.get<instant>("last_right"), r.get<bool>("is_known")});
  }
  co_return all;
}

asio::awaitable<result<std::vector<virtfusion_server_id>>> drift_store::unseen_strangers(instant begun_at,
                                                                                         int limit) {
  const auto found = co_await db_.run(find_unseen, begun_at, limit);
  if (!found)
    co_return found.error();
  std::vector<virtfusion_server_id> all;
  all.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i)
    all.push_back((*found)[i].get<virtfusion_server_id>("virtfusion_id"));
  co_return all;
}

asio::awaitable<result<>> drift_store::see_one(virtfusion_server_id id, instant at) {
  const auto done = co_await db_.run(see_again, id, at);
  if (!done)
    co_return done.error();
  co_return result<>{};
}

asio::awaitable<result<std::vector<drift_news>>> drift_store::end_with_servers(instant now) {
  const auto found = co_await db_.run(find_ended);
  if (!found)
    co_return found.error();
  std::vector<drift_clearance> cleared;
  cleared.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i)
    cleared.push_back({kind_of((*found)[i]), (*found)[i].get<virtfusion_server_id>("virtfusion_id"), now});
  if (cleared.empty())
    co_return std::vector<drift_news>{};
  auto done = co_await report({}, std::move(cleared), now);
  if (!done)
    co_return done.error();
  co_return std::move(done->vanished);
}

asio::awaitable<result<std::map<drift_kind, std::int64_t>>> drift_store::count_open() {
  const auto found = co_await db_.run(count_by_kind);
  if (!found)
    co_return found.error();
  std::map<drift_kind, std::int64_t> counts;
  for (std::size_t i = 0; i < found->size(); ++i)
    counts.emplace(kind_of((*found)[i]), (*found)[i].get<std::int64_t>("open"));
  co_return counts;
}

asio::awaitable<result<std::vector<drift_record>>>
drift_store::list(drift_filter filter, std::optional<std::int64_t> before, int limit) {
  const auto state = filter.state ? std::optional{std::string{to_string(*filter.state)}} : std::nullopt;
  const auto kind = filter.kind ? std::optional{std::string{to_string(*filter.kind)}} : std::nullopt;
  const auto below = before.value_or(std::numeric_limits<std::int64_t>::max());
  const auto found = co_await db_.run(list_drift, below, state, kind, limit);
  if (!found)
    co_return found.error();
  std::vector<drift_record> all;
  all.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i)
    all.push_back(to_drift((*found)[i]));
  co_return all;
}

asio::awaitable<result<drift_record>> drift_store::find(std::int64_t id) {
  const auto found = co_await db_.run(find_drift, id);
  if (!found)
    co_return found.error();
  if (found->empty())
    co_return error{errc::not_found, "no such drift"};
  co_return to_drift(found->front());
}

asio::awaitable<result<drift_record>> drift_store::resolve(decision what, instant now) {
  const auto part = [&](std::string idempotency_claim::*member) {
    return what.claim ? std::optional{(*what.claim).*member} : std::nullopt;
  };
  const auto body = [&](transaction& tx) -> asio::awaitable<result<drift_record>> {
    const auto server = co_await tx.run(lock_its_server, what.id);
    if (!server)
      co_return server.error();
    const auto found = co_await tx.run(lock_drift, what.id);
    if (!found)
      co_return found.error();
    if (found->empty())
      co_return error{errc::not_found, "no such drift"};
    const auto one = to_drift(found->front());
    if (one.state != drift_state::open)
      co_return error{errc::conflict, "this drift is over: it is " + std::string{to_string(one.state)}};
    if (const auto takes = check_way(one.kind, what.how); !takes)
      co_return takes.error();
    if (!server->empty())
      if (const auto fits = check_server(one.kind, what.how, server->front()); !fits)
        co_return fits.error();
    const auto change = change_for(one, what, found->front().find<instant>("from_at"), now);
    if (!change)
      co_return change.error();
    std::string changes = "{}";
    auto held_until = now;
    if (one.server) {
      const auto detail = event_detail(one, what.how);
      const auto changed = co_await tx.run(change_server, *one.server, change->state, change->plan,
                                           change->at, change->deleted_at, change->event, detail);
      if (!changed)
        co_return changed.error();
      changes = changed->front().get<std::string>("changes");
      if (change->is_held_until_event)
        held_until = changed->front().get<instant>("last_event_at");
    }
    if (what.resources && one.server) {
      const auto& has = *what.resources;
      const auto accepted = co_await tx.run(accept_what_it_has, *one.server, has.memory_mb, has.storage_gb,
                                            has.traffic_gb, has.cpu_cores);
      if (!accepted)
        co_return accepted.error();
    }
    const auto how = to_string(what.how);
    // A server that is to be deleted stands until VirtFusion shows it no more.
    const auto stands = what.how == drift_way::ignore || !one.server;
    const auto with_server = change->deleted_at ? one.server : std::nullopt;
    const auto ended = co_await tx.run(end_drift, what.id, how, now, what.actor, stands, with_server,
                                       held_until, change->outcome, changes, part(&idempotency_claim::caller),
                                       part(&idempotency_claim::key), part(&idempotency_claim::method),
                                       part(&idempotency_claim::path), part(&idempotency_claim::body_hash));
    if (!ended)
      co_return ended.error();
    co_return to_drift(ended->front());
  };
  co_return co_await db_.transact(body);
}

asio::awaitable<result<>> drift_store::reopen(std::int64_t id, instant now) {
  const auto done = co_await db_.run(reopen_drift, id, now);
  if (!done)
    co_return done.error();
  co_return result<>{};
}

} // namespace skyengine::db
