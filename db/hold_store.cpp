#include "db/hold_store.hpp"

#include "domain/enum_names.hpp"

#include <limits>
#include <stdexcept>
#include <string_view>

namespace skyengine::db {

namespace {

constexpr auto outcomes = names_up_to<hold_outcome::written_off>("released", "written_off");

constexpr statement list_holds{"hold_list", R"sql(
  SELECT * FROM holds
   WHERE id < $1::bigint AND ($2::boolean IS NULL OR (outcome IS NULL) = $2::boolean)
   ORDER BY id DESC LIMIT $3::integer)sql"};

constexpr statement find_hold{"hold_find", "SELECT * FROM holds WHERE id = $1::bigint"};
constexpr statement find_made_hold{"hold_find_made", R"sql(
  SELECT h.* FROM audit_log l JOIN holds h ON h.id = (l.detail->>'hold')::bigint WHERE l.id = $1::bigint)sql"};

constexpr statement insert_hold{"hold_insert", R"sql(
  WITH whose AS (
    SELECT id AS server_id, user_id FROM servers WHERE id = $1::bigint AND state <> 'deleted'
    UNION ALL
    SELECT NULL::bigint, id FROM users WHERE id = $2::bigint),
  made AS (
    INSERT INTO holds (server_id, user_id, kind, reason, from_at, created_at, created_by, alerted_at)
    SELECT server_id, user_id, 'operator', $3, date_trunc('second', $4::timestamptz), $4::timestamptz, $5,
           $4::timestamptz
      FROM whose
    RETURNING *),
  logged AS (
    INSERT INTO audit_log (at, actor, action, target, detail)
    SELECT $4::timestamptz, $5, 'held', 'hold ' || id,
           jsonb_strip_nulls(jsonb_build_object('hold', id, 'server_id', server_id, 'user_id', user_id, 'reason',
                                                reason))
      FROM made
    RETURNING id),
  bound AS (
    INSERT INTO idempotency_keys (caller, key, method, path, body_hash, audit_id, created_at)
    SELECT $6, $7, $8, $9, decode($10, 'hex'), id, $4::timestamptz FROM logged WHERE $7::text IS NOT NULL)
  SELECT * FROM made)sql"};

constexpr statement find_deleted{"hold_server_deleted", R"sql(
  SELECT FROM servers WHERE id = $1::bigint AND state = 'deleted')sql"};

constexpr statement end_hold{"hold_end", R"sql(
  WITH ended AS (
    UPDATE holds
       SET until_at = greatest(from_at, date_trunc('second', $3::timestamptz)), outcome = $2, ended_by = $4
     WHERE id = $1::bigint AND outcome IS NULL
    RETURNING *),
  logged AS (
    INSERT INTO audit_log (at, actor, action, target, detail)
    SELECT $3::timestamptz, $4, $2, 'hold ' || id,
           jsonb_build_object('hold', id, 'outcome', jsonb_build_object('from', NULL, 'to', outcome),
                              'from', from_at, 'until', until_at)
      FROM ended
    RETURNING id),
  bound AS (
    INSERT INTO idempotency_keys (caller, key, method, path, body_hash, audit_id, created_at)
    SELECT $5, $6, $7, $8, decode($9, 'hex'), id, $3::timestamptz FROM logged WHERE $6::text IS NOT NULL)
  SELECT * FROM ended)sql"};

constexpr statement alert_open_holds{"hold_alert", R"sql(
  WITH due AS (
    SELECT id FROM holds
     WHERE outcome IS NULL AND alerted_at < date_trunc('day', $1::timestamptz, 'UTC')
     ORDER BY id LIMIT $2::bigint FOR UPDATE SKIP LOCKED),
  told AS (
    UPDATE holds h SET alerted_at = $1::timestamptz FROM due d WHERE h.id = d.id RETURNING h.*),
  said AS (
    INSERT INTO outbox (kind, subject, body, created_at)
    SELECT 'alert', 'hold_open',
           jsonb_strip_nulls(jsonb_build_object('alert', 'hold_open', 'hold', id, 'server_id', server_id,
                                                'user_id', user_id, 'reason', reason, 'from', from_at)),
           $1::timestamptz
      FROM told ORDER BY id)
  SELECT * FROM told ORDER BY id)sql"};

hold_record to_hold(const row& r) {
  hold_record one;
  one.id = r.get<std::int64_t>("id");
  one.server = r.find<server_id>("server_id");
  one.user = r.get<user_id>("user_id");
  one.kind = r.get<std::string>("kind");
  one.reason = r.get<std::string>("reason");
  one.from = r.get<instant>("from_at");
  one.created_at = r.get<instant>("created_at");
  one.created_by = r.get<std::string>("created_by");
  one.until = r.find<instant>("until_at");
  if (const auto outcome = r.find<std::string_view>("outcome")) {
    one.outcome = outcomes.find(*outcome);
    if (!one.outcome)
      throw std::logic_error("a hold has an outcome that its table's check does not allow");
  }
  one.ended_by = r.find<std::string>("ended_by");
  return one;
}

std::vector<hold_record> to_holds(const rows& found) {
  std::vector<hold_record> all;
  all.reserve(found.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    all.push_back(to_hold(found[i]));
  return all;
}

result<hold_record> one_of(const result<rows>& found) {
  if (!found)
    return found.error();
  if (found->empty())
    return error{errc::not_found, "no such hold"};
  return to_hold(found->front());
}

error unknown_whose(const hold_store::wanted& what) {
  const std::string field = what.server ? "serverId" : "userId";
  const std::string reason = what.server ? "there is no such server" : "there is no such user";
  return {errc::invalid_request, field + ": " + reason, {{field, reason}}};
}

} // namespace

std::string_view to_string(hold_outcome outcome) noexcept {
  return outcomes.name(outcome);
}

asio::awaitable<result<std::vector<hold_record>>>
hold_store::list(std::optional<bool> is_open, std::optional<std::int64_t> before, int limit) {
  const auto found =
    co_await db_.run(list_holds, before.value_or(std::numeric_limits<std::int64_t>::max()), is_open, limit);
  if (!found)
    co_return found.error();
  co_return to_holds(*found);
}

asio::awaitable<result<hold_record>> hold_store::find(std::int64_t id) {
  co_return one_of(co_await db_.run(find_hold, id));
}

asio::awaitable<result<hold_record>> hold_store::find_made(std::int64_t audit_line) {
  co_return one_of(co_await db_.run(find_made_hold, audit_line));
}

asio::awaitable<result<hold_record>>
hold_store::insert(wanted what, std::string actor, std::optional<idempotency_claim> claim, instant now) {
  const auto part = [&](std::string idempotency_claim::*member) {
    return claim ? std::optional{(*claim).*member} : std::nullopt;
  };
  const auto made = co_await db_.run(insert_hold, what.server, what.user, what.reason, now, actor,
                                     part(&idempotency_claim::caller), part(&idempotency_claim::key),
                                     part(&idempotency_claim::method), part(&idempotency_claim::path),
                                     part(&idempotency_claim::body_hash));
  if (!made)
    co_return made.error();
  if (made->empty()) {
    const auto deleted = co_await db_.run(find_deleted, what.server);
    if (!deleted)
      co_return deleted.error();
    if (!deleted->empty())
      co_return error{errc::conflict, "the server is deleted: there is nothing to hold"};
    co_return unknown_whose(what);
  }
  co_return to_hold(made->front());
}

asio::awaitable<result<hold_record>> hold_store::end(std::int64_t id,
                                                     hold_outcome outcome,
                                                     std::string actor,
                                                     std::optional<idempotency_claim> claim,
                                                     instant now) {
  const auto part = [&](std::string idempotency_claim::*member) {
    return claim ? std::optional{(*claim).*member} : std::nullopt;
  };
  const auto ended =
    co_await db_.run(end_hold, id, to_string(outcome), now, actor, part(&idempotency_claim::caller),
                     part(&idempotency_claim::key), part(&idempotency_claim::method),
                     part(&idempotency_claim::path), part(&idempotency_claim::body_hash));
  if (!ended)
    co_return ended.error();
  if (!ended->empty())
    co_return to_hold(ended->front());
  const auto found = co_await find(id);
  if (!found)
    co_return found.error();
  co_return error{errc::conflict, "the hold has ended: it is " + std::string{to_string(*found->outcome)}};
}

asio::awaitable<result<std::vector<hold_record>>> hold_store::alert_holds(instant now, std::int64_t limit) {
  const auto told = co_await db_.run(alert_open_holds, now, limit);
  if (!told)
    co_return told.error();
  co_return to_holds(*told);
}

} // namespace skyengine::db
