#include "db/billing_store.hpp"

#include "db/billing_facts.hpp"
#include "db/whole_seconds.hpp"

#include <map>
#include <set>
#include <string>

namespace skyengine::db {

namespace {

using std::chrono::sys_seconds;

constexpr statement find_permission{"billing_permission", R"sql(
  SELECT EXISTS (SELECT FROM nodes WHERE token = $1::bigint AND lease_until > clock_timestamp()) AS is_lease_held,
         EXISTS (SELECT FROM schedules WHERE handler = 'hourly-sync-and-billing' AND paused) AS is_paused,
         coalesce(abs(extract(epoch FROM clock_timestamp() - $2::timestamptz)) > 60, false) AS do_clocks_differ,
         extract(epoch FROM a.closed_until)::bigint AS closed_until, a.users_ahead
    FROM (SELECT min(closed_until) AS closed_until,
                 count(*) FILTER (WHERE closed_until > $3::timestamptz + interval '1 hour') AS users_ahead
            FROM billing_accounts) AS a)sql"};

constexpr statement find_next_hour{"billing_next_hour", R"sql(
  WITH open_syncs AS (
    SELECT r.scheduled_at AS hour
      FROM runs r JOIN schedules s ON s.id = r.schedule_id
     WHERE s.handler = 'hourly-sync-and-billing' AND r.state IN ('queued', 'running')
       AND r.scheduled_at >= to_timestamp($2::bigint)),
  waiting AS (
    SELECT DISTINCT a.user_id
      FROM open_syncs o
      JOIN billing_accounts a ON a.closed_until = o.hour
      JOIN servers s ON s.user_id = a.user_id
     WHERE s.state = 'active' AND EXISTS (SELECT FROM plan_prices p WHERE p.plan_id = s.plan_id AND p.basis = 'uptime')),
  closable AS (
    SELECT a.user_id, a.closed_until AS hour
      FROM billing_accounts a
     WHERE a.closed_until < to_timestamp($1::bigint) AND a.user_id NOT IN (SELECT user_id FROM waiting)
       AND a.user_id <> ALL ($3::bigint[])),
  oldest AS (SELECT min(hour) AS hour FROM closable)
  SELECT extract(epoch FROM o.hour)::bigint AS hour, c.user_id
    FROM oldest o JOIN closable c ON c.hour = o.hour ORDER BY c.user_id)sql"};

constexpr statement count_servers{"billing_count_servers", R"sql(
  SELECT user_id, count(*) AS servers FROM servers
   WHERE state = 'active' OR last_event_at >= to_timestamp($1::bigint) GROUP BY user_id)sql"};

constexpr statement make_month{"billing_ensure_month",
                               "SELECT ensure_month_partition('charges', to_timestamp($1::bigint))"};

// Facts that come from here on find the hour closed.
// In the order of the users, as everybody locks them who locks several.
constexpr statement claim_accounts{"billing_claim", R"sql(
  WITH open AS (
    SELECT user_id FROM billing_accounts
     WHERE user_id = ANY ($1::bigint[]) AND closed_until = to_timestamp($2::bigint)
       AND EXISTS (SELECT FROM nodes WHERE token = $3::bigint AND lease_until > clock_timestamp())
     ORDER BY user_id FOR NO KEY UPDATE)
  UPDATE billing_accounts a SET closed_until = to_timestamp($2::bigint) + interval '1 hour'
    FROM open WHERE a.user_id = open.user_id
  RETURNING a.user_id, a.facts,
            EXISTS (SELECT FROM users u WHERE u.id = a.user_id
                       AND (u.alert_at_micros IS NOT NULL OR u.suspend_at_micros IS NOT NULL)) AS has_limit)sql"};

constexpr statement forget_rechecks{"billing_forget_rechecks",
                                    "DELETE FROM billing_rechecks WHERE server_id = ANY ($1::bigint[])"};

// Of the month that the hour is of. Who suspends by limits finds the rows of kind `suspend`; what has become
// active since is looked for with each further hour.
constexpr statement tell_passed_limits{"billing_tell_limits", R"sql(
  WITH reached AS (
    SELECT u.id AS user_id, b.month, l.kind, b.currency, l.micros, b.month_micros
      FROM users u
      JOIN user_balances b ON b.user_id = u.id AND b.currency = u.currency
                          AND b.month = date_trunc('month', to_timestamp($2::bigint), 'UTC')
     CROSS JOIN LATERAL (VALUES ('alert', u.alert_at_micros), ('suspend', u.suspend_at_micros)) AS l (kind, micros)
     WHERE u.id = ANY ($1::bigint[]) AND b.month_micros >= l.micros),
  passed AS (
    INSERT INTO passed_limits (user_id, month, kind, currency, limit_micros, month_micros, hour)
    SELECT user_id, month, kind, currency, micros, month_micros, to_timestamp($2::bigint) FROM reached
    ON CONFLICT DO NOTHING
    RETURNING *),
  reopened AS (
    UPDATE passed_limits p SET begun_at = NULL
      FROM reached r
     WHERE r.kind = 'suspend' AND (p.user_id, p.month, p.kind) = (r.user_id, r.month, 'suspend')
       AND p.begun_at IS NOT NULL),
  told AS (
    INSERT INTO outbox (kind, subject, body, created_at)
    SELECT 'alert', 'spending_' || kind || ' ' || user_id,
           jsonb_build_object('alert', 'spending_' || kind, 'userId', user_id,
                              'month', to_char(month AT TIME ZONE 'UTC', 'YYYY-MM'), 'currency', currency,
                              'limit', to_char(limit_micros / 1000000.0, 'FM9999999999990.009999'),
                              'soFar', to_char(month_micros / 1000000.0, 'FM9999999999990.009999'))
           || CASE kind WHEN 'suspend' THEN '{"note": "the servers of this user are being suspended"}'::jsonb
                        ELSE '{}' END,
           hour + interval '1 hour'
      FROM passed ORDER BY user_id, kind)
  SELECT user_id, kind, currency, limit_micros, month_micros FROM passed ORDER BY user_id, kind)sql"};

// A charge that is there already is an error: the account says that the hour was open.
// Each sum has its transaction's id before it is inserted: nothing has to be joined, of which PostgreSQL does
// not know how many rows there will be.
// `of_month`: what of it the hour's own month has come to besides.
#define SKYENGINE_POST_SUMS(kind, sequence, of_month)                                                        \
  R"sql(,
  sums AS MATERIALIZED (
    SELECT nextval('ledger_transactions_id_seq') AS id, user_id, currency, micros
      FROM unnest($2::bigint[], $3::text[], $4::bigint[]) AS s (user_id, currency, micros)),
  posted AS (
    INSERT INTO ledger_transactions (id, user_id, currency, hour, sequence, kind) OVERRIDING SYSTEM VALUE
    SELECT id, user_id, currency, to_timestamp($1::bigint), )sql" sequence ", '" kind "' FROM sums),"        \
  R"sql(
  postings AS (
    INSERT INTO ledger_postings (transaction_id, account, amount_micros)
    SELECT s.id, side.account, side.sign * s.micros
      FROM sums s, (VALUES ('unbilled', 1), ('revenue', -1)) AS side (account, sign))
  INSERT INTO user_balances AS b (user_id, currency, unbilled_micros, month, month_micros)
  SELECT user_id, currency, micros, date_trunc('month', to_timestamp($1::bigint), 'UTC'), )sql" of_month     \
  R"sql(
    FROM sums
  ON CONFLICT (user_id, currency) DO UPDATE
     SET unbilled_micros = b.unbilled_micros + excluded.unbilled_micros, month = excluded.month,
         month_micros = CASE WHEN b.month = excluded.month THEN b.month_micros ELSE 0 END + excluded.month_micros)sql"

constexpr statement write_charges{"billing_write_charges", R"sql(
  WITH inserted AS (
    INSERT INTO charges (server_id, hour, user_id, currency, plan_id, basis, estimated, seconds, amount_micros,
                         month_seconds, month_micros)
    SELECT server_id, to_timestamp($1::bigint), user_id, currency, plan_id, basis, estimated, seconds, amount_micros,
           month_seconds, month_micros
      FROM unnest($5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[],
                  $12::bigint[], $13::text[], $14::boolean[])
             AS w (user_id, server_id, currency, plan_id, seconds, amount_micros, month_seconds, month_micros, basis,
                   estimated)))sql" SKYENGINE_POST_SUMS("charges", "1", "micros")};

constexpr statement write_corrections{"billing_write_corrections", R"sql(
  WITH inserted AS (
    INSERT INTO charge_corrections (server_id, month, sequence, user_id, currency, plan_id, posted_hour, seconds,
                                    amount_micros, month_seconds, month_micros)
    SELECT server_id, to_timestamp(month), sequence, user_id, currency, plan_id, to_timestamp($1::bigint), seconds,
           amount_micros, month_seconds, month_micros
      FROM unnest($5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[],
                  $12::bigint[], $13::bigint[], $14::bigint[])
             AS w (user_id, server_id, currency, plan_id, seconds, amount_micros, month_seconds, month_micros, month,
                   sequence)))sql" SKYENGINE_POST_SUMS("corrections", "2", "0")};

/// Columns of the rows that a batch writes, of charges or of corrections, and their sums.
class written_rows {
public:
  template <class Row>
  void add(user_id user, const std::string& currency, const Row& one, const charged_month& month) {
    users_.push_back(user.value);
    servers_.push_back(one.server.value);
    currencies_.push_back(currency);
    plans_.push_back(one.plan.value);
    seconds_.push_back(one.seconds);
    micros_.push_back(one.amount.micros);
    month_seconds_.push_back(month.seconds);
    month_micros_.push_back(month.sum.micros);
    sums_[{user.value, currency}] += one.amount.micros;
  }

  std::int64_t size() const noexcept { return static_cast<std::int64_t>(servers_.size()); }

  /// What `write_charges` and `write_corrections` have in common.
  std::vector<parameter> parameters(std::chrono::sys_seconds hour) const {
    std::vector<std::int64_t> users;
    std::vector<std::string> currencies;
    std::vector<std::int64_t> micros;
    for (const auto& [whose, sum] : sums_) {
      if (sum == 0)
        continue;
      users.push_back(whose.first);
      currencies.push_back(whose.second);
      micros.push_back(sum);
    }
    return detail::bind(since_epoch(hour), users, currencies, micros, users_, servers_, currencies_, plans_,
                        seconds_, micros_, month_seconds_, month_micros_);
  }

private:
  std::vector<std::int64_t> users_;
  std::vector<std::int64_t> servers_;
  std::vector<std::string> currencies_;
  std::vector<std::string> plans_;
  std::vector<std::int64_t> seconds_;
  std::vector<std::int64_t> micros_;
  std::vector<std::int64_t> month_seconds_;
  std::vector<std::int64_t> month_micros_;
  std::map<std::pair<std::int64_t, std::string>, std::int64_t> sums_;
};

/// `boolean[]`, as PostgreSQL reads it.
std::string boolean_array(const std::vector<bool>& values) {
  std::string text = "{";
  for (const auto value : values) {
    if (text.size() > 1)
      text += ',';
    text += value ? 't' : 'f';
  }
  return text + '}';
}

struct charge_rows {
  written_rows rows;
  std::vector<std::string> bases;
  std::vector<bool> estimated;
};

struct correction_rows {
  written_rows rows;
  std::vector<std::int64_t> months;
  std::vector<std::int64_t> sequences;
};

} // namespace

asio::awaitable<result<billing_permission>>
billing_store::permission(std::int64_t token, instant now, std::optional<instant> system_now) {
  const auto found = co_await db_.run(find_permission, token, system_now, now);
  if (!found)
    co_return found.error();
  const auto r = found->front();
  billing_permission answer;
  answer.is_lease_held = r.get<bool>("is_lease_held");
  answer.is_paused = r.get<bool>("is_paused");
  answer.do_clocks_differ = r.get<bool>("do_clocks_differ");
  if (const auto until = r.find<std::int64_t>("closed_until"))
    answer.closed_until = seconds_in(*until);
  answer.users_ahead = r.get<std::int64_t>("users_ahead");
  co_return answer;
}

asio::awaitable<result<std::optional<closable_hour>>>
billing_store::next_hour(sys_seconds until, sys_seconds syncs_since, std::vector<std::int64_t> but) {
  const auto found = co_await db_.run(find_next_hour, since_epoch(until), since_epoch(syncs_since), but);
  if (!found)
    co_return found.error();
  if (found->empty())
    co_return std::nullopt;
  closable_hour one;
  one.hour = seconds_in(found->front().get<std::int64_t>("hour"));
  one.users.reserve(found->size());
  bool are_all_known = true;
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto user = (*found)[i].get<user_id>("user_id");
    const auto known = known_.find(user.value);
    are_all_known = are_all_known && known != known_.end();
    one.users.push_back(
      {user, known == known_.end() ? 0 : static_cast<std::int64_t>(known->second.servers.size())});
  }
  if (!are_all_known)
    if (const auto counted = co_await count_loads(one); !counted)
      co_return counted.error();
  co_return one;
}

asio::awaitable<result<>> billing_store::count_loads(closable_hour& one) {
  const auto found = co_await db_.run(count_servers, since_epoch(one.hour));
  if (!found)
    co_return found.error();
  std::unordered_map<std::int64_t, std::int64_t> servers;
  for (std::size_t i = 0; i < found->size(); ++i)
    servers.emplace((*found)[i].get<std::int64_t>("user_id"), (*found)[i].get<std::int64_t>("servers"));
  for (auto& load : one.users)
    if (const auto counted = servers.find(load.user.value); counted != servers.end())
      load.servers = counted->second;
  co_return result<>{};
}

asio::awaitable<result<>> billing_store::ensure_month(sys_seconds hour) {
  const auto made = co_await db_.run(make_month, since_epoch(hour));
  if (!made)
    co_return made.error();
  co_return result<>{};
}

billing_store::known_users billing_store::take(const std::vector<std::int64_t>& users) {
  known_users taken;
  for (const auto user : users)
    if (auto known = known_.extract(user))
      taken.insert(std::move(known));
  return taken;
}

asio::awaitable<result<closed_batch>>
billing_store::close(std::int64_t token, sys_seconds hour, std::vector<std::int64_t> users) {
  // What is not known to be committed in the end is forgotten.
  const auto known = take(users);
  known_users closed_users;
  auto body = [&](transaction& t) -> asio::awaitable<result<closed_batch>> {
    closed_users.clear();
    const auto claimed = co_await t.run(claim_accounts, users, since_epoch(hour), token);
    if (!claimed)
      co_return claimed.error();
    passed_("billing.claimed");
    std::vector<std::int64_t> unknown;
    std::vector<std::int64_t> limited;
    for (std::size_t i = 0; i < claimed->size(); ++i) {
      const auto r = (*claimed)[i];
      const auto user = r.get<std::int64_t>("user_id");
      const auto facts = r.get<std::int64_t>("facts");
      auto& now = closed_users[user];
      if (r.get<bool>("has_limit"))
        limited.push_back(user);
      const auto before = known.find(user);
      if (before != known.end() && before->second.facts == facts && before->second.closed_until == hour)
        now.servers = before->second.servers;
      else
        unknown.push_back(user);
      now.facts = facts;
      now.closed_until = hour + std::chrono::hours{1};
    }
    loaded_servers loaded;
    if (!unknown.empty()) {
      auto read = co_await load_servers_of(t, unknown, hour);
      if (!read)
        co_return read.error();
      loaded = std::move(*read);
    }
    std::set<plan_id> plans;
    for (const auto& [user, one] : closed_users)
      add_plans_of(one.servers, plans);
    add_plans_of(loaded.servers, plans);
    if (plans.empty() && limited.empty())
      co_return closed_batch{static_cast<std::int64_t>(closed_users.size()), 0, 0};
    const auto prices = co_await load_prices_of(t, plans);
    if (!prices)
      co_return prices.error();
    if (const auto read = co_await load_power_of(t, loaded.servers, prices->lists, month_of(hour)); !read)
      co_return read.error();
    for (auto& server : loaded.servers)
      closed_users.at(server.user.value).servers.push_back(std::move(server));

    charge_rows charges;
    correction_rows corrections;
    for (auto& [user, one] : closed_users)
      for (auto& server : one.servers) {
        if (month_of(hour) == hour)
          server.charged = {};
        if (const auto charge = charge_of(server, prices->lists, hour)) {
          charges.rows.add(server.user, prices->currencies.at(charge->plan), *charge, charge->month);
          charges.bases.emplace_back(to_string(charge->basis));
          charges.estimated.push_back(charge->is_estimated);
          server.charged = charge->month;
        }
        for (const auto& past : server.to_correct)
          if (const auto correction = correction_of(server, prices->lists, past)) {
            corrections.rows.add(server.user, prices->currencies.at(correction->plan), *correction,
                                 correction->after);
            corrections.months.push_back(since_epoch(correction->month));
            corrections.sequences.push_back(correction->sequence);
          }
        server.to_correct.clear();
      }
    // What is over costs nothing any more; a fact that says otherwise has its user read again.
    for (auto& [user, one] : closed_users)
      std::erase_if(one.servers, [&](const billed_server& server) {
        const auto& last = server.life.changes.back();
        return !last.is_active && last.at <= hour;
      });
    if (charges.rows.size() > 0) {
      auto parameters = charges.rows.parameters(hour);
      parameters.emplace_back(charges.bases);
      parameters.emplace_back(boolean_array(charges.estimated));
      if (const auto written = co_await t.execute(write_charges, std::move(parameters)); !written)
        co_return written.error();
      passed_("billing.charged");
    }
    if (corrections.rows.size() > 0) {
      auto parameters = corrections.rows.parameters(hour);
      parameters.emplace_back(corrections.months);
      parameters.emplace_back(corrections.sequences);
      if (const auto written = co_await t.execute(write_corrections, std::move(parameters)); !written)
        co_return written.error();
      passed_("billing.corrected");
    }
    if (!loaded.rechecked.empty())
      if (const auto forgotten = co_await t.run(forget_rechecks, loaded.rechecked); !forgotten)
        co_return forgotten.error();
    closed_batch batch{static_cast<std::int64_t>(closed_users.size()), charges.rows.size(),
                       corrections.rows.size()};
    if (!limited.empty()) {
      const auto told = co_await t.run(tell_passed_limits, limited, since_epoch(hour));
      if (!told)
        co_return told.error();
      for (std::size_t i = 0; i < told->size(); ++i) {
        const auto r = (*told)[i];
        batch.passed.push_back({r.get<user_id>("user_id"),
                                r.get<std::string>("kind"),
                                r.get<currency_code>("currency"),
                                {r.get<std::int64_t>("limit_micros")},
                                {r.get<std::int64_t>("month_micros")}});
      }
    }
    passed_("billing.before_commit");
    co_return batch;
  };
  const auto closed = co_await db_.transact(body);
  if (closed) {
    passed_("billing.after_commit");
    known_.merge(closed_users);
  }
  co_return closed;
}

} // namespace skyengine::db
