#include "db/adoption_store.hpp"

#include <string>
#include <utility>

namespace skyengine::db {

namespace {

constexpr statement find_known{"adoption_known", R"sql(
  SELECT virtfusion_id, id, state IN ('failed', 'deleted') AS is_over
    FROM servers WHERE virtfusion_id = ANY ($1::bigint[]))sql"};

constexpr statement find_its_user{"adoption_user", "SELECT 1 FROM users WHERE id = $1::bigint"};

// Locked before the server is there, so that of both decisions one finds the other.
constexpr statement lock_stranger{"adoption_lock_drift", R"sql(
  SELECT id, state = 'resolved' AND resolution = 'delete' AS is_to_go
    FROM drift WHERE standing AND kind = 'unknown' AND virtfusion_id = $1::bigint FOR UPDATE)sql"};

constexpr statement ensure_user{"adoption_ensure_user", R"sql(
  WITH made AS (
    INSERT INTO users (id, name, email, currency, virtfusion_user_id, created_at, updated_at)
    SELECT $1::bigint, $2, $3, p.currency, $4::bigint, $5::timestamptz, $5::timestamptz FROM plans p WHERE p.id = $6
    ON CONFLICT (id) DO UPDATE SET virtfusion_user_id = excluded.virtfusion_user_id
    RETURNING id, created_at)
  INSERT INTO audit_log (at, actor, action, target, detail)
  SELECT $5::timestamptz, $7, 'created', 'user ' || id, '{"adopted": true}' FROM made
   WHERE created_at = $5::timestamptz)sql"};

// What was said of it as of a server that nobody knows is over.
constexpr statement insert_server{"adoption_insert", R"sql(
  WITH s AS (
    INSERT INTO servers (user_id, plan_id, region_id, hostname, os_template_id, wants_ipv6, state, virtfusion_id, ipv4,
                         ipv6, created_at, active_at, last_event_at)
    VALUES ($1::bigint, $2, $3, $4, $5::bigint, cardinality($7::text[]) > 0,
            CASE WHEN $8::boolean THEN 'suspended' ELSE 'active' END, $9::bigint, $6::text[], $7::text[],
            $10::timestamptz, $10::timestamptz, date_trunc('second', $10::timestamptz))
    RETURNING id, state, last_event_at),
  a AS (
    INSERT INTO actions (kind, server_id, state, step, requested_by, request_id, created_at, finished_at)
    SELECT 'create', id, 'succeeded', 'done', $11, $12, $10::timestamptz, $10::timestamptz FROM s
    RETURNING id, server_id),
  e AS (
    INSERT INTO server_events (server_id, at, type, to_state, action_id, detail)
    SELECT s.id, s.last_event_at, 'adopted', s.state, a.id, jsonb_build_object('virtfusionId', $9::bigint)
      FROM s, a),
  v AS (
    INSERT INTO server_sightings (server_id, seen_at, memory_mb, storage_gb, traffic_gb, cpu_cores)
    SELECT id, $10::timestamptz, $13::bigint, $14::bigint, $15::bigint, $16::bigint FROM s),
  d AS (
    UPDATE drift SET state = 'resolved', resolution = 'adopt', ended_at = $10::timestamptz, ended_by = $11,
                     standing = false, server_id = s.id
      FROM s WHERE drift.standing AND drift.kind = 'unknown' AND drift.virtfusion_id = $9::bigint
    RETURNING drift.id),
  l AS (
    INSERT INTO audit_log (at, actor, action, target, detail)
    SELECT $10::timestamptz, $11, 'adopted', 'server ' || s.id,
           jsonb_build_object('virtfusion_id', $9::bigint, 'user_id', $1::bigint, 'plan', $2::text, 'region', $3::text,
                              'drift', (SELECT max(id) FROM d))
      FROM s
    RETURNING id),
  k AS (
    INSERT INTO idempotency_keys (caller, key, method, path, body_hash, audit_id, created_at)
    SELECT $17, $18, $19, $20, decode($21, 'hex'), id, $10::timestamptz FROM l WHERE $18::text IS NOT NULL)
  SELECT id FROM s)sql"};

/// VirtFusion answers a deletion before the server is gone: until lists show it no more, it is to go.
result<> check_stranger(const result<rows>& found) {
  if (!found)
    return found.error();
  if (found->empty() || !found->front().get<bool>("is_to_go"))
    return {};
  return error{errc::conflict, "an operator has decided to delete it (drift " +
                                 std::to_string(found->front().get<std::int64_t>("id")) + ")"};
}

/// In the words of who asked, where somebody else was first.
error taken(const error& why) {
  if (why.code != errc::conflict)
    return why;
  if (why.detail == "servers_virtfusion_id_key")
    return {errc::conflict, "it has become ours meanwhile"};
  if (why.detail == "users_virtfusion_user_id_key")
    return {errc::conflict, "its owner in VirtFusion stands for another user here"};
  return why;
}

} // namespace

asio::awaitable<result<std::map<virtfusion_server_id, adoption_store::row_of_ours>>>
adoption_store::known(std::vector<virtfusion_server_id> ids) {
  std::vector<std::int64_t> asked;
  asked.reserve(ids.size());
  for (const auto id : ids)
    asked.push_back(id.value);
  const auto found = co_await db_.run(find_known, asked);
  if (!found)
    co_return found.error();
  std::map<virtfusion_server_id, row_of_ours> all;
  for (std::size_t i = 0; i < found->size(); ++i)
    all.emplace((*found)[i].get<virtfusion_server_id>("virtfusion_id"),
                row_of_ours{(*found)[i].get<server_id>("id"), (*found)[i].get<bool>("is_over")});
  co_return all;
}

asio::awaitable<result<bool>> adoption_store::has_user(user_id id) {
  const auto found = co_await db_.run(find_its_user, id);
  if (!found)
    co_return found.error();
  co_return !found->empty();
}

asio::awaitable<result<>> adoption_store::check(virtfusion_server_id id) {
  co_return check_stranger(co_await db_.run(lock_stranger, id));
}

asio::awaitable<result<server_id>>
adoption_store::insert(adoption what, requester by, std::optional<idempotency_claim> claim, instant now) {
  const auto part = [&](std::string idempotency_claim::*member) {
    return claim ? std::optional{(*claim).*member} : std::nullopt;
  };
  const auto body = [&](transaction& tx) -> asio::awaitable<result<server_id>> {
    const auto may_be_taken = check_stranger(co_await tx.run(lock_stranger, what.id));
    if (!may_be_taken)
      co_return may_be_taken.error();
    const auto user = co_await tx.run(ensure_user, what.place.user, what.owner_name, what.owner_email,
                                      what.owner, now, what.place.plan, by.name);
    if (!user)
      co_return taken(user.error());
    const auto& has = what.resources;
    const auto made = co_await tx.run(
      insert_server, what.place.user, what.place.plan, what.place.region, what.hostname, what.os_template,
      what.ipv4, what.ipv6, what.is_suspended, what.id, now, by.name, by.request_id, has.memory_mb,
      has.storage_gb, has.traffic_gb, has.cpu_cores, part(&idempotency_claim::caller),
      part(&idempotency_claim::key), part(&idempotency_claim::method), part(&idempotency_claim::path),
      part(&idempotency_claim::body_hash));
    if (!made)
      co_return taken(made.error());
    co_return made->front().get<server_id>("id");
  };
  co_return co_await db_.transact(body);
}

} // namespace skyengine::db
