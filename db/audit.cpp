#include "db/audit.hpp"

#include "db/audit_money.hpp"
#include "domain/server_lifecycle.hpp"

namespace skyengine::db {

namespace {

// A proof reads all that there is, and nobody waits for it.
constexpr statement allow_time{"audit_allow_time", "SET LOCAL statement_timeout = 0"};

constexpr statement check_invariants{"audit", R"sql(
  WITH open_actions AS (
    SELECT s.id, s.state,
           count(a.id) FILTER (WHERE a.state = 'running') AS running,
           count(a.id) FILTER (WHERE a.state = 'pending' AND a.kind = 'delete') AS waiting_deletes,
           count(a.id) FILTER (WHERE a.state = 'pending' AND a.kind <> 'delete') AS waiting_others
      FROM servers s LEFT JOIN actions a ON a.server_id = s.id AND a.state IN ('pending', 'running')
     GROUP BY s.id),
  virtfusion_ids AS (
    SELECT virtfusion_id, count(*) AS servers FROM servers
     WHERE virtfusion_id IS NOT NULL AND state NOT IN ('failed', 'deleted') GROUP BY virtfusion_id),
  chains AS (
    SELECT server_id, at, from_state, to_state,
           lag(to_state) OVER w AS last_state, lag(at) OVER w AS last_at
      FROM server_events WINDOW w AS (PARTITION BY server_id ORDER BY id)),
  last_events AS (
    SELECT DISTINCT ON (server_id) server_id, to_state FROM server_events ORDER BY server_id, id DESC)
  SELECT 'no two live servers share a VirtFusion id' AS name, count(*) AS checked,
         count(*) FILTER (WHERE servers > 1) AS violations
    FROM virtfusion_ids
  UNION ALL
  SELECT 'a server on its way has one running action and at most one delete behind it', count(*),
         count(*) FILTER (WHERE running <> 1 OR waiting_deletes > 1 OR waiting_others > 0)
    FROM open_actions WHERE state IN ('requested', 'creating', 'building', 'deleting')
  UNION ALL
  SELECT 'any other server has at most one open action', count(*),
         count(*) FILTER (WHERE running + waiting_deletes + waiting_others > 1)
    FROM open_actions WHERE state NOT IN ('requested', 'creating', 'building', 'deleting')
  UNION ALL
  SELECT 'every idempotency key points at what was made with it', count(*),
         count(*) FILTER (WHERE num_nonnulls(a.id, k.api_key_id, k.run_id, k.audit_id) <> 1)
    FROM idempotency_keys k LEFT JOIN actions a ON a.id = k.action_id
  UNION ALL
  SELECT 'an active server has an id of VirtFusion', count(*),
         count(*) FILTER (WHERE virtfusion_id IS NULL OR active_at IS NULL)
    FROM servers WHERE state = 'active'
  UNION ALL
  SELECT 'at most one create of a user is unresolved', count(*), count(*) FILTER (WHERE unresolved > 1)
    FROM (SELECT user_id, count(*) AS unresolved FROM create_attempts WHERE state IN ('open', 'looking')
           GROUP BY user_id) AS attempts
  UNION ALL
  SELECT 'an unresolved attempt belongs to a running create', count(*), count(*) FILTER (WHERE a.state <> 'running')
    FROM create_attempts t JOIN actions a ON a.id = t.action_id WHERE t.state = 'open'
  UNION ALL
  SELECT 'each event of a server goes on from the one before, never back in time', count(*),
         count(*) FILTER (WHERE from_state IS DISTINCT FROM last_state OR at < last_at)
    FROM chains
  UNION ALL
  SELECT 'each change of a server''s state is one of its life cycle', count(*),
         count(*) FILTER (WHERE from_state || ' ' || to_state <> ALL ($1::text[]))
    FROM chains WHERE from_state <> to_state
  UNION ALL
  SELECT 'a server is in the state that its last event says', count(*),
         count(*) FILTER (WHERE e.to_state IS DISTINCT FROM s.state)
    FROM servers s LEFT JOIN last_events e ON e.server_id = s.id
  UNION ALL
  SELECT 'an open hold of drift belongs to drift that is open', count(*), count(*) FILTER (WHERE d.id IS NULL)
    FROM holds h LEFT JOIN drift d ON d.hold_id = h.id AND d.state = 'open'
   WHERE h.kind = 'drift' AND h.outcome IS NULL
  UNION ALL
  SELECT 'a suspension by a spending limit has a month that came to it', count(*),
         count(*) FILTER (WHERE p.user_id IS NULL)
    FROM actions a
    JOIN servers s ON s.id = a.server_id
    LEFT JOIN passed_limits p ON p.user_id = s.user_id AND p.month = a.limit_month AND p.kind = 'suspend'
   WHERE a.limit_month IS NOT NULL
  UNION ALL
  -- Its end has a minute to be written. A node that is gone ends nothing: whoever fires next takes its runs over.
  SELECT 'no run is open past its time-out', count(*),
         count(*) FILTER (WHERE r.deadline < clock_timestamp() - interval '1 minute')
    FROM runs r JOIN nodes n ON n.token = r.token AND n.lease_until > clock_timestamp()
   WHERE r.state = 'running')sql"};

/// `from to` of every change that a server's life has.
std::vector<std::string> life_cycle() {
  std::vector<std::string> changes;
  const auto last = static_cast<int>(server_state::deleted);
  for (int i = 0; i <= last; ++i)
    for (int k = 0; k <= last; ++k) {
      const auto from = static_cast<server_state>(i);
      const auto to = static_cast<server_state>(k);
      if (may_become(from, to))
        changes.push_back(std::string{to_string(from)} + ' ' + std::string{to_string(to)});
    }
  return changes;
}

} // namespace

std::vector<invariant> to_invariants(const rows& found) {
  std::vector<invariant> all;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto r = found[i];
    all.push_back(
      {r.get<std::string>("name"), r.get<std::int64_t>("checked"), r.get<std::int64_t>("violations")});
  }
  return all;
}

asio::awaitable<result<std::vector<invariant>>> audit(database& db) {
  const auto changes = life_cycle();
  auto body = [&](transaction& t) -> asio::awaitable<result<std::vector<invariant>>> {
    if (const auto allowed = co_await t.run(allow_time); !allowed)
      co_return allowed.error();
    const auto found = co_await t.run(check_invariants, changes);
    if (!found)
      co_return found.error();
    auto all = to_invariants(*found);
    auto money = co_await audit_money(t);
    if (!money)
      co_return money.error();
    all.insert(all.end(), money->begin(), money->end());
    co_return all;
  };
  co_return co_await db.transact(body, isolation::repeatable_read);
}

} // namespace skyengine::db
