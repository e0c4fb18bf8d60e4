#include "db/api_key_store.hpp"

#include "db/claim_parts.hpp"

namespace skyengine::db {

namespace {

#define SKYENGINE_API_KEY_COLUMNS " id, name, user_id, scopes, created_at, revoked_at "

constexpr statement insert_one{"api_key_insert", R"sql(
  WITH k AS (
    INSERT INTO api_keys (hash, name, user_id, scopes, created_at)
    VALUES (decode($1, 'hex'), $2, $3::bigint, $4::text[], $5::timestamptz)
    RETURNING *),
  logged AS (
    INSERT INTO audit_log (at, actor, action, target) SELECT $5::timestamptz, $6, 'created', 'api key ' || id FROM k)
  SELECT)sql" SKYENGINE_API_KEY_COLUMNS "FROM k"};
constexpr statement bind_claim{"idempotency_insert_api_key", R"sql(
  INSERT INTO idempotency_keys (caller, key, method, path, body_hash, api_key_id, created_at)
  VALUES ($1, $2, $3, $4, decode($5, 'hex'), $6::bigint, $7::timestamptz))sql"};
constexpr statement select_one{"api_key_find",
                               "SELECT" SKYENGINE_API_KEY_COLUMNS "FROM api_keys WHERE id = $1"};
constexpr statement select_by_hash{"api_key_find_by_hash",
                                   "SELECT" SKYENGINE_API_KEY_COLUMNS
                                   "FROM api_keys WHERE hash = decode($1, 'hex') AND revoked_at IS NULL"};
constexpr statement select_many{"api_key_list", "SELECT" SKYENGINE_API_KEY_COLUMNS
                                                "FROM api_keys WHERE id > $1 ORDER BY id LIMIT $2::integer"};
constexpr statement revoke_one{"api_key_revoke", R"sql(
  WITH k AS (
    UPDATE api_keys SET revoked_at = $2::timestamptz WHERE id = $1 AND revoked_at IS NULL RETURNING id),
  bound AS (
    INSERT INTO idempotency_keys (caller, key, method, path, body_hash, api_key_id, created_at)
    SELECT $4, $5, $6, $7, decode($8, 'hex'), id, $2::timestamptz
      FROM api_keys WHERE id = $1 AND $5::text IS NOT NULL)
  INSERT INTO audit_log (at, actor, action, target)
  SELECT $2::timestamptz, $3, 'revoked', 'api key ' || id FROM k)sql"};

api_key to_api_key(const row& r) {
  return {r.get<api_key_id>("id"),      r.get<std::string>("name"),
          r.find<user_id>("user_id"),   r.get<std::vector<std::string>>("scopes"),
          r.get<instant>("created_at"), r.find<instant>("revoked_at")};
}

} // namespace

asio::awaitable<result<api_key>> api_key_store::insert(std::string hash,
                                                       std::string name,
                                                       std::optional<user_id> user,
                                                       std::vector<std::string> scopes,
                                                       std::string actor,
                                                       std::optional<idempotency_claim> claim,
                                                       instant now) {
  const auto body = [&](transaction& tx) -> asio::awaitable<result<api_key>> {
    const auto inserted = co_await tx.run(insert_one, hash, name, user, scopes, now, actor);
    if (!inserted)
      co_return inserted.error();
    const auto key = to_api_key(inserted->front());
    if (claim) {
      const auto bound = co_await tx.run(bind_claim, claim->caller, claim->key, claim->method, claim->path,
                                         claim->body_hash, key.id, now);
      if (!bound)
        co_return bound.error();
    }
    co_return key;
  };
  co_return co_await db_.transact(body);
}

asio::awaitable<result<api_key>> api_key_store::find(api_key_id id) {
  const auto found = co_await db_.run(select_one, id);
  if (!found)
    co_return found.error();
  if (found->empty())
    co_return error{errc::not_found, "no such API key"};
  co_return to_api_key(found->front());
}

asio::awaitable<result<std::optional<api_key>>> api_key_store::find_by_hash(std::string hash) {
  const auto found = co_await db_.run(select_by_hash, hash);
  if (!found)
    co_return found.error();
  if (found->empty())
    co_return std::optional<api_key>{};
  co_return std::optional{to_api_key(found->front())};
}

asio::awaitable<result<std::vector<api_key>>> api_key_store::list(api_key_id after, int limit) {
  const auto found = co_await db_.run(select_many, after, limit);
  if (!found)
    co_return found.error();
  std::vector<api_key> keys;
  for (std::size_t i = 0; i < found->size(); ++i)
    keys.push_back(to_api_key((*found)[i]));
  co_return keys;
}

asio::awaitable<result<api_key>>
api_key_store::revoke(api_key_id id, std::string actor, std::optional<idempotency_claim> claim, instant now) {
  const claim_parts part{claim};
  const auto revoked = co_await db_.run(revoke_one, id, now, actor, part.caller, part.key, part.method,
                                        part.path, part.body_hash);
  if (!revoked)
    co_return revoked.error();
  co_return co_await find(id);
}

} // namespace skyengine::db
