#include "db/audit_log_store.hpp"

#include "db/claim_parts.hpp"

#include <limits>

namespace skyengine::db {

namespace {

constexpr statement list_entries{"audit_list", R"sql(
  SELECT id, at, actor, action, target, detail FROM audit_log WHERE id < $1 ORDER BY id DESC LIMIT $2::integer)sql"};

constexpr statement insert_retry{"audit_retry", R"sql(
  WITH bound AS (
    INSERT INTO idempotency_keys (caller, key, method, path, body_hash, action_id, created_at)
    SELECT $4, $5, $6, $7, decode($8, 'hex'), $1::bigint, $3::timestamptz WHERE $5::text IS NOT NULL),
  logged AS (
    INSERT INTO audit_log (at, actor, action, target)
    VALUES ($3::timestamptz, $2, 'retried', 'action ' || $1::bigint)),
  called AS (
    UPDATE actions SET calls = calls + 1 WHERE id = $1::bigint AND state IN ('pending', 'running') RETURNING id)
  SELECT pg_notify('action_called', id::text) FROM called)sql"};

} // namespace

asio::awaitable<result<std::vector<audit_entry>>> audit_log_store::list(std::optional<std::int64_t> before,
                                                                        int limit) {
  const auto found =
    co_await db_.run(list_entries, before.value_or(std::numeric_limits<std::int64_t>::max()), limit);
  if (!found)
    co_return found.error();
  std::vector<audit_entry> entries;
  entries.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto r = (*found)[i];
    entries.push_back({r.get<std::int64_t>("id"), r.get<instant>("at"), r.get<std::string>("actor"),
                       r.get<std::string>("action"), r.get<std::string>("target"),
                       r.get<std::string>("detail")});
  }
  co_return entries;
}

asio::awaitable<result<>> audit_log_store::record_retry(action_id action,
                                                        std::string actor,
                                                        std::optional<idempotency_claim> claim,
                                                        instant now) {
  const claim_parts part{claim};
  const auto done = co_await db_.run(insert_retry, action, actor, now, part.caller, part.key, part.method,
                                     part.path, part.body_hash);
  if (!done)
    co_return done.error();
  co_return result<>{};
}

} // namespace skyengine::db
