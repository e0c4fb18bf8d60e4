#include "db/node_store.hpp"

namespace skyengine::db {

namespace {

constexpr statement acquire_lease{"node_acquire", R"sql(
  INSERT INTO nodes (name, token, lease_until, started_at)
  VALUES ($1, nextval('fencing_tokens'), clock_timestamp() + make_interval(secs => $2::integer), $3::timestamptz)
  ON CONFLICT (name) DO UPDATE
     SET token = excluded.token, lease_until = excluded.lease_until, started_at = excluded.started_at
  RETURNING token)sql"};
constexpr statement renew_lease{"node_renew", R"sql(
  UPDATE nodes SET lease_until = clock_timestamp() + make_interval(secs => $3::integer)
   WHERE name = $1 AND token = $2::bigint AND lease_until > clock_timestamp())sql"};
constexpr statement release_lease{"node_release", R"sql(
  UPDATE nodes SET lease_until = clock_timestamp() WHERE name = $1 AND token = $2::bigint)sql"};

constexpr statement find_token{"node_token", "SELECT token FROM nodes WHERE name = $1"};

} // namespace

asio::awaitable<result<std::int64_t>>
node_store::acquire(std::string name, std::chrono::seconds span, instant now) {
  const auto acquired = co_await db_.run(acquire_lease, name, span.count(), now);
  if (!acquired)
    co_return acquired.error();
  co_return acquired->front().get<std::int64_t>("token");
}

asio::awaitable<result<bool>>
node_store::renew(std::string name, std::int64_t token, std::chrono::seconds span) {
  const auto renewed = co_await db_.run(renew_lease, name, token, span.count());
  if (!renewed)
    co_return renewed.error();
  co_return renewed->affected() > 0;
}

asio::awaitable<result<std::int64_t>> node_store::token_of(std::string name) {
  const auto found = co_await db_.run(find_token, name);
  if (!found)
    co_return found.error();
  co_return found->empty() ? 0 : found->front().get<std::int64_t>("token");
}

asio::awaitable<result<>> node_store::release(std::string name, std::int64_t token) {
  const auto released = co_await db_.run(release_lease, name, token);
  if (!released)
    co_return released.error();
  co_return result<>{};
}

} // namespace skyengine::db
