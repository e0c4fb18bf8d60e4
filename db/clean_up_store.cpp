#include "db/clean_up_store.hpp"

namespace skyengine::db {

namespace {

constexpr statement delete_expired_keys{"clean_up_keys", R"sql(
  DELETE FROM idempotency_keys k
   USING (SELECT i.caller, i.key FROM idempotency_keys i LEFT JOIN actions a ON a.id = i.action_id
           WHERE i.created_at <= $1::timestamptz AND (a.state IS NULL OR a.state NOT IN ('pending', 'running'))
           LIMIT $2::bigint) AS old
   WHERE k.caller = old.caller AND k.key = old.key)sql"};

// One that was asked for again meanwhile is not over any more.
constexpr statement delete_old_runs{"clean_up_runs", R"sql(
  DELETE FROM runs r
   USING (SELECT id FROM runs
           WHERE ended_at <= $1::timestamptz
             AND NOT EXISTS (SELECT FROM idempotency_keys k WHERE k.run_id = runs.id)
           ORDER BY ended_at LIMIT $2::bigint) AS old
   WHERE r.id = old.id AND r.ended_at <= $1::timestamptz)sql"};

result<std::int64_t> affected(const result<rows>& done) {
  if (!done)
    return done.error();
  return done->affected();
}

} // namespace

asio::awaitable<result<std::int64_t>> clean_up_store::delete_keys(instant until, std::int64_t most) {
  co_return affected(co_await db_.run(delete_expired_keys, until, most));
}

asio::awaitable<result<std::int64_t>> clean_up_store::delete_runs(instant until, std::int64_t most) {
  co_return affected(co_await db_.run(delete_old_runs, until, most));
}

} // namespace skyengine::db
