#include "db/billing_store.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

namespace skyengine::db {

namespace {

using std::chrono::sys_seconds;

constexpr statement find_permission{"billing_permission", R"sql(
  SELECT EXISTS (SELECT FROM nodes WHERE token = $1::bigint AND lease_until > clock_timestamp()) AS is_lease_held,
         EXISTS (SELECT FROM schedules WHERE handler = 'hourly-sync-and-billing' AND paused) AS is_paused,
         coalesce(abs(extract(epoch FROM clock_timestamp() - $2::timestamptz)) > 60, false) AS do_clocks_differ,
         (SELECT extract(epoch FROM min(closed_until))::bigint FROM billing_accounts) AS closed_until)sql"};

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
     WHERE a.closed_until < to_timestamp($1::bigint) AND a.user_id NOT IN (SELECT user_id FROM waiting)),
  oldest AS (SELECT min(hour) AS hour FROM closable),
  loads AS (
    SELECT s.user_id, count(*) AS servers
      FROM servers s, oldest o WHERE s.state = 'active' OR s.last_event_at >= o.hour GROUP BY s.user_id)
  SELECT extract(epoch FROM o.hour)::bigint AS hour, c.user_id, coalesce(l.servers, 0) AS servers
    FROM oldest o JOIN closable c ON c.hour = o.hour LEFT JOIN loads l ON l.user_id = c.user_id
   ORDER BY c.user_id)sql"};

constexpr statement make_month{"billing_ensure_month",
                               "SELECT ensure_month_partition('charges', to_timestamp($1::bigint))"};

// Facts that come from here on find the hour closed.
constexpr statement lock_accounts{"billing_lock", R"sql(
  SELECT user_id FROM billing_accounts
   WHERE user_id = ANY ($1::bigint[]) AND closed_until = to_timestamp($2::bigint)
     AND EXISTS (SELECT FROM nodes WHERE token = $3::bigint AND lease_until > clock_timestamp())
   ORDER BY user_id FOR NO KEY UPDATE)sql"};

// A server whose last event is older than the month is as it was all the month long.
constexpr statement load_servers{"billing_servers", R"sql(
  SELECT s.id, s.user_id, s.plan_id, s.state = 'active' AND s.last_event_at < to_timestamp($3::bigint) AS is_unchanged,
         EXISTS (SELECT FROM billing_rechecks r WHERE r.server_id = s.id) AS is_rechecked,
         coalesce(c.month_micros, 0) AS month_micros, coalesce(c.month_seconds, 0) AS month_seconds
    FROM servers s
    LEFT JOIN LATERAL (
      SELECT month_micros, month_seconds FROM charges
       WHERE server_id = s.id AND hour >= to_timestamp($3::bigint) AND hour < to_timestamp($2::bigint)
       ORDER BY hour DESC LIMIT 1) AS c ON true
   WHERE s.user_id = ANY ($1::bigint[])
     AND (s.state = 'active' OR s.last_event_at >= to_timestamp($2::bigint)
          OR EXISTS (SELECT FROM billing_rechecks r WHERE r.server_id = s.id)))sql"};

constexpr statement load_events{"billing_events", R"sql(
  SELECT server_id, extract(epoch FROM at)::bigint AS at, to_state IS NOT DISTINCT FROM 'active' AS is_active, from_plan,
         to_plan
    FROM server_events
   WHERE server_id = ANY ($1::bigint[])
     AND ((from_state IS NOT DISTINCT FROM 'active') <> (to_state IS NOT DISTINCT FROM 'active') OR to_plan IS NOT NULL)
   ORDER BY server_id, id)sql"};

constexpr statement load_holds{"billing_holds", R"sql(
  SELECT user_id, server_id, extract(epoch FROM from_at)::bigint AS from_at,
         extract(epoch FROM until_at)::bigint AS until_at
    FROM holds WHERE user_id = ANY ($1::bigint[]) AND outcome IS DISTINCT FROM 'released' ORDER BY from_at)sql"};

// The look before the time in question says what the server was like at its beginning.
constexpr statement load_power{"billing_power", R"sql(
  SELECT p.server_id, extract(epoch FROM p.first_seen)::bigint AS first_seen,
         extract(epoch FROM p.last_seen)::bigint AS last_seen, p.is_on
    FROM power_spans p
   WHERE p.server_id = ANY ($1::bigint[])
     AND p.first_seen >= coalesce((SELECT max(q.first_seen) FROM power_spans q
                                    WHERE q.server_id = p.server_id AND q.first_seen < to_timestamp($2::bigint)),
                                  '-infinity')
   ORDER BY p.server_id, p.first_seen)sql"};

constexpr statement load_prices{"billing_prices", R"sql(
  SELECT v.plan_id, p.currency, extract(epoch FROM v.valid_from)::bigint AS valid_from, v.price_micros,
         v.hours_per_month, v.basis, v.granularity
    FROM plan_prices v JOIN plans p ON p.id = v.plan_id
   WHERE v.plan_id = ANY ($1::text[]) ORDER BY v.plan_id, v.valid_from)sql"};

constexpr statement load_rechecks{"billing_rechecks", R"sql(
  SELECT r.server_id, extract(epoch FROM r.month)::bigint AS month, coalesce(k.sequence, 0) AS corrections,
         coalesce(k.month_micros, c.month_micros, 0) AS month_micros,
         coalesce(k.month_seconds, c.month_seconds, 0) AS month_seconds
    FROM billing_rechecks r
    LEFT JOIN LATERAL (
      SELECT month_micros, month_seconds FROM charges
       WHERE server_id = r.server_id AND hour >= r.month AND hour < r.month + interval '1 month'
       ORDER BY hour DESC LIMIT 1) AS c ON true
    LEFT JOIN LATERAL (
      SELECT sequence, month_micros, month_seconds FROM charge_corrections
       WHERE server_id = r.server_id AND month = r.month ORDER BY sequence DESC LIMIT 1) AS k ON true
   WHERE r.server_id = ANY ($1::bigint[]) ORDER BY r.server_id, r.month)sql"};

constexpr statement forget_rechecks{"billing_forget_rechecks",
                                    "DELETE FROM billing_rechecks WHERE server_id = ANY ($1::bigint[])"};

// Only what is really inserted reaches the ledger.
constexpr statement write_charges{"billing_write_charges", R"sql(
  WITH wanted AS (
    SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::bigint[],
                         $9::bigint[], $10::bigint[], $11::bigint[])
                    AS w (user_id, server_id, currency, plan_id, basis, estimated, seconds, amount_micros, month_seconds,
                          month_micros)),
  inserted AS (
    INSERT INTO charges (server_id, hour, plan_id, basis, estimated, seconds, amount_micros, month_seconds, month_micros)
    SELECT server_id, to_timestamp($1::bigint), plan_id, basis, estimated, seconds, amount_micros, month_seconds,
           month_micros
      FROM wanted
    ON CONFLICT (server_id, hour) DO NOTHING
    RETURNING server_id, amount_micros),
  sums AS (
    SELECT w.user_id, w.currency, sum(i.amount_micros)::bigint AS micros
      FROM inserted i JOIN wanted w ON w.server_id = i.server_id
     GROUP BY w.user_id, w.currency HAVING sum(i.amount_micros) <> 0),
  posted AS (
    INSERT INTO ledger_transactions (user_id, currency, hour, sequence, kind)
    SELECT user_id, currency, to_timestamp($1::bigint), 1, 'charges' FROM sums
    RETURNING id, user_id, currency),
  postings AS (
    INSERT INTO ledger_postings (transaction_id, account, amount_micros)
    SELECT p.id, side.account, side.sign * s.micros
      FROM posted p JOIN sums s ON s.user_id = p.user_id AND s.currency = p.currency,
           (VALUES ('unbilled', 1), ('revenue', -1)) AS side (account, sign)),
  balanced AS (
    INSERT INTO user_balances AS b (user_id, currency, unbilled_micros)
    SELECT user_id, currency, micros FROM sums
    ON CONFLICT (user_id, currency) DO UPDATE SET unbilled_micros = b.unbilled_micros + excluded.unbilled_micros)
  SELECT count(*) AS charges FROM inserted)sql"};

constexpr statement write_corrections{"billing_write_corrections", R"sql(
  WITH wanted AS (
    SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[],
                         $9::bigint[], $10::bigint[], $11::bigint[])
                    AS w (user_id, server_id, currency, month, sequence, plan_id, seconds, amount_micros, month_seconds,
                          month_micros)),
  inserted AS (
    INSERT INTO charge_corrections (server_id, month, sequence, plan_id, posted_hour, seconds, amount_micros,
                                    month_seconds, month_micros)
    SELECT server_id, to_timestamp(month), sequence, plan_id, to_timestamp($1::bigint), seconds, amount_micros,
           month_seconds, month_micros
      FROM wanted),
  sums AS (
    SELECT user_id, currency, sum(amount_micros)::bigint AS micros
      FROM wanted GROUP BY user_id, currency HAVING sum(amount_micros) <> 0),
  posted AS (
    INSERT INTO ledger_transactions (user_id, currency, hour, sequence, kind)
    SELECT user_id, currency, to_timestamp($1::bigint), 2, 'corrections' FROM sums
    RETURNING id, user_id, currency),
  postings AS (
    INSERT INTO ledger_postings (transaction_id, account, amount_micros)
    SELECT p.id, side.account, side.sign * s.micros
      FROM posted p JOIN sums s ON s.user_id = p.user_id AND s.currency = p.currency,
           (VALUES ('unbilled', 1), ('revenue', -1)) AS side (account, sign))
  INSERT INTO user_balances AS b (user_id, currency, unbilled_micros)
  SELECT user_id, currency, micros FROM sums
  ON CONFLICT (user_id, currency) DO UPDATE SET unbilled_micros = b.unbilled_micros + excluded.unbilled_micros)sql"};

constexpr statement move_accounts{"billing_move_accounts", R"sql(
  UPDATE billing_accounts SET closed_until = to_timestamp($2::bigint) WHERE user_id = ANY ($1::bigint[]))sql"};

sys_seconds seconds_in(const row& r, std::string_view column) {
  return sys_seconds{std::chrono::seconds{r.get<std::int64_t>(column)}};
}

std::int64_t since_epoch(sys_seconds at) {
  return at.time_since_epoch().count();
}

charged_month charged_in(const row& r) {
  return {{r.get<std::int64_t>("month_micros")}, r.get<std::int64_t>("month_seconds")};
}

/// Everything that a batch is rated by.
struct loaded_batch {
  std::vector<billed_server> servers;
  price_lists prices;
  std::map<plan_id, std::string> currencies;
  /// Of the servers that a late fact is known of.
  std::vector<std::int64_t> rechecked;
};

/// Reads what a batch is rated by, inside its transaction and with the users' accounts locked.
class batch_loader {
public:
  batch_loader(transaction& t, sys_seconds hour) : t_(t), hour_(hour), month_(month_of(hour)) {}

  asio::awaitable<result<loaded_batch>> load(const std::vector<std::int64_t>& users) {
    if (auto done = co_await load_the_servers(users); !done)
      co_return done.error();
    if (batch_.servers.empty())
      co_return std::move(batch_);
    if (auto done = co_await load_the_rechecks(); !done)
      co_return done.error();
    if (auto done = co_await load_the_events(); !done)
      co_return done.error();
    if (auto done = co_await load_the_holds(users); !done)
      co_return done.error();
    if (auto done = co_await load_the_prices(); !done)
      co_return done.error();
    if (auto done = co_await load_the_power(); !done)
      co_return done.error();
    co_return std::move(batch_);
  }

private:
  asio::awaitable<result<>> load_the_servers(const std::vector<std::int64_t>& users) {
    const auto found = co_await t_.run(load_servers, users, since_epoch(hour_), since_epoch(month_));
    if (!found)
      co_return found.error();
    batch_.servers.reserve(found->size());
    for (std::size_t i = 0; i < found->size(); ++i) {
      const auto r = (*found)[i];
      billed_server one;
      one.id = r.get<server_id>("id");
      one.user = r.get<user_id>("user_id");
      auto plan = r.get<plan_id>("plan_id");
      const auto is_unchanged = r.get<bool>("is_unchanged");
      const auto is_rechecked = r.get<bool>("is_rechecked");
      one.charged = charged_in(r);
      if (is_unchanged && !is_rechecked)
        one.life.changes.push_back({month_, true, plan});
      else
        changed_.push_back(one.id.value);
      if (is_rechecked)
        batch_.rechecked.push_back(one.id.value);
      index_.emplace(one.id, i);
      present_plans_.push_back(std::move(plan));
      batch_.servers.push_back(std::move(one));
    }
    co_return result<>{};
  }

  asio::awaitable<result<>> load_the_rechecks() {
    if (batch_.rechecked.empty())
      co_return result<>{};
    const auto found = co_await t_.run(load_rechecks, batch_.rechecked);
    if (!found)
      co_return found.error();
    for (std::size_t i = 0; i < found->size(); ++i) {
      const auto r = (*found)[i];
      const auto month = seconds_in(r, "month");
      // The month that is under way corrects itself in this hour.
      if (month < month_)
        server_of(r).to_correct.push_back(
          {month, charged_in(r), static_cast<int>(r.get<std::int64_t>("corrections"))});
    }
    co_return result<>{};
  }

  asio::awaitable<result<>> load_the_events() {
    if (changed_.empty())
      co_return result<>{};
    const auto found = co_await t_.run(load_events, changed_);
    if (!found)
      co_return found.error();
    std::unordered_map<server_id, plan_id> first_plans;
    for (std::size_t i = 0; i < found->size(); ++i) {
      const auto r = (*found)[i];
      const auto id = r.get<server_id>("server_id");
      auto& changes = server_of(r).life.changes;
      auto plan = r.find<plan_id>("to_plan");
      if (plan)
        first_plans.try_emplace(id, r.get<plan_id>("from_plan"));
      else if (!changes.empty())
        plan = changes.back().plan;
      changes.push_back({seconds_in(r, "at"), r.get<bool>("is_active"), plan.value_or(plan_id{})});
    }
    for (const auto id : changed_) {
      const auto at = index_.at(server_id{id});
      const auto first = first_plans.find(server_id{id});
      const auto& plan = first == first_plans.end() ? present_plans_[at] : first->second;
      auto& changes = batch_.servers[at].life.changes;
      if (changes.empty())
        changes.push_back({sys_seconds{}, false, plan});
      // Before the first change of plan nothing tells the plan but that change.
      for (auto& change : changes)
        if (change.plan.value.empty())
          change.plan = plan;
    }
    co_return result<>{};
  }

  asio::awaitable<result<>> load_the_holds(const std::vector<std::int64_t>& users) {
    const auto found = co_await t_.run(load_holds, users);
    if (!found)
      co_return found.error();
    for (std::size_t i = 0; i < found->size(); ++i) {
      const auto r = (*found)[i];
      const auto until = r.find<std::int64_t>("until_at");
      const time_span held{seconds_in(r, "from_at"),
                           until ? sys_seconds{std::chrono::seconds{*until}} : sys_seconds::max()};
      if (const auto server = r.find<server_id>("server_id")) {
        if (const auto at = index_.find(*server); at != index_.end())
          batch_.servers[at->second].life.held.push_back(held);
        continue;
      }
      const auto user = r.get<user_id>("user_id");
      for (auto& one : batch_.servers)
        if (one.user == user)
          one.life.held.push_back(held);
    }
    co_return result<>{};
  }

  asio::awaitable<result<>> load_the_prices() {
    std::set<std::string> plans;
    for (const auto& one : batch_.servers)
      for (const auto& change : one.life.changes)
        plans.insert(change.plan.value);
    const std::vector<std::string> names{plans.begin(), plans.end()};
    const auto found = co_await t_.run(load_prices, names);
    if (!found)
      co_return found.error();
    for (std::size_t i = 0; i < found->size(); ++i) {
      const auto r = (*found)[i];
      auto plan = r.get<plan_id>("plan_id");
      plan_terms terms;
      terms.monthly_price = {r.get<std::int64_t>("price_micros")};
      terms.hours_per_month = static_cast<int>(r.get<std::int64_t>("hours_per_month"));
      terms.basis = parse_billing_basis(r.get<std::string_view>("basis")).value();
      terms.granularity = parse_billing_granularity(r.get<std::string_view>("granularity")).value();
      batch_.currencies.try_emplace(plan, r.get<std::string>("currency"));
      batch_.prices[std::move(plan)].push_back({seconds_in(r, "valid_from"), terms});
    }
    co_return result<>{};
  }

  asio::awaitable<result<>> load_the_power() {
    std::vector<std::int64_t> metered;
    auto since = month_;
    for (const auto& one : batch_.servers) {
      const auto is_metered =
        std::any_of(one.life.changes.begin(), one.life.changes.end(), [&](const life_change& change) {
          const auto& list = batch_.prices.at(change.plan);
          return std::any_of(list.begin(), list.end(), [](const price_version& version) {
            return version.terms.basis == billing_basis::uptime;
          });
        });
      if (!is_metered)
        continue;
      metered.push_back(one.id.value);
      if (!one.to_correct.empty())
        since = std::min(since, one.to_correct.front().month);
    }
    if (metered.empty())
      co_return result<>{};
    const auto found = co_await t_.run(load_power, metered, since_epoch(since));
    if (!found)
      co_return found.error();
    for (std::size_t i = 0; i < found->size(); ++i) {
      const auto r = (*found)[i];
      server_of(r).life.power.push_back(
        {seconds_in(r, "first_seen"), seconds_in(r, "last_seen"), r.get<bool>("is_on")});
    }
    co_return result<>{};
  }

  billed_server& server_of(const row& r) { return batch_.servers[index_.at(r.get<server_id>("server_id"))]; }

  transaction& t_;
  sys_seconds hour_;
  sys_seconds month_;
  loaded_batch batch_;
  std::unordered_map<server_id, std::size_t> index_;
  /// By index of the server.
  std::vector<plan_id> present_plans_;
  /// Those whose events tell what they were like.
  std::vector<std::int64_t> changed_;
};

/// Columns of the rows that a batch writes, of charges or of corrections.
struct row_columns {
  std::vector<std::int64_t> users;
  std::vector<std::int64_t> servers;
  std::vector<std::string> currencies;
  std::vector<std::string> plans;
  std::vector<std::string> bases;
  std::vector<bool> estimated;
  std::vector<std::int64_t> months;
  std::vector<std::int64_t> sequences;
  std::vector<std::int64_t> seconds;
  std::vector<std::int64_t> micros;
  std::vector<std::int64_t> month_seconds;
  std::vector<std::int64_t> month_micros;

  bool empty() const noexcept { return servers.empty(); }

  template <class Row>
  void add(user_id user, const std::string& currency, const Row& one, const charged_month& month) {
    users.push_back(user.value);
    servers.push_back(one.server.value);
    currencies.push_back(currency);
    plans.push_back(one.plan.value);
    seconds.push_back(one.seconds);
    micros.push_back(one.amount.micros);
    month_seconds.push_back(month.seconds);
    month_micros.push_back(month.sum.micros);
  }
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

} // namespace

asio::awaitable<result<billing_permission>> billing_store::permission(std::int64_t token,
                                                                      std::optional<instant> system_now) {
  const auto found = co_await db_.run(find_permission, token, system_now);
  if (!found)
    co_return found.error();
  const auto r = found->front();
  billing_permission answer;
  answer.is_lease_held = r.get<bool>("is_lease_held");
  answer.is_paused = r.get<bool>("is_paused");
  answer.do_clocks_differ = r.get<bool>("do_clocks_differ");
  if (r.find<std::int64_t>("closed_until"))
    answer.closed_until = seconds_in(r, "closed_until");
  co_return answer;
}

asio::awaitable<result<std::optional<closable_hour>>> billing_store::next_hour(sys_seconds until,
                                                                               sys_seconds syncs_since) {
  const auto found = co_await db_.run(find_next_hour, since_epoch(until), since_epoch(syncs_since));
  if (!found)
    co_return found.error();
  if (found->empty())
    co_return std::nullopt;
  closable_hour one;
  one.hour = seconds_in(found->front(), "hour");
  one.users.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto r = (*found)[i];
    one.users.push_back({r.get<user_id>("user_id"), r.get<std::int64_t>("servers")});
  }
  co_return one;
}

asio::awaitable<result<>> billing_store::ensure_month(sys_seconds hour) {
  const auto made = co_await db_.run(make_month, since_epoch(hour));
  if (!made)
    co_return made.error();
  co_return result<>{};
}

asio::awaitable<result<closed_batch>>
billing_store::close(std::int64_t token, sys_seconds hour, std::vector<std::int64_t> users) {
  auto body = [&](transaction& t) -> asio::awaitable<result<closed_batch>> {
    const auto locked = co_await t.run(lock_accounts, users, since_epoch(hour), token);
    if (!locked)
      co_return locked.error();
    if (locked->empty())
      co_return closed_batch{};
    passed_("billing.locked");
    std::vector<std::int64_t> mine;
    mine.reserve(locked->size());
    for (std::size_t i = 0; i < locked->size(); ++i)
      mine.push_back((*locked)[i].get<std::int64_t>("user_id"));
    batch_loader loader{t, hour};
    const auto batch = co_await loader.load(mine);
    if (!batch)
      co_return batch.error();

    row_columns charges;
    row_columns corrections;
    for (const auto& one : batch->servers) {
      if (const auto charge = charge_of(one, batch->prices, hour)) {
        charges.add(one.user, batch->currencies.at(charge->plan), *charge, charge->month);
        charges.bases.emplace_back(to_string(charge->basis));
        charges.estimated.push_back(charge->is_estimated);
      }
      for (const auto& past : one.to_correct)
        if (const auto correction = correction_of(one, batch->prices, past)) {
          corrections.add(one.user, batch->currencies.at(correction->plan), *correction, correction->after);
          corrections.months.push_back(since_epoch(correction->month));
          corrections.sequences.push_back(correction->sequence);
        }
    }
    closed_batch closed;
    closed.users = static_cast<std::int64_t>(mine.size());
    closed.corrections = static_cast<std::int64_t>(corrections.servers.size());
    if (!charges.empty()) {
      const auto written =
        co_await t.run(write_charges, since_epoch(hour), charges.users, charges.servers, charges.currencies,
                       charges.plans, charges.bases, boolean_array(charges.estimated), charges.seconds,
                       charges.micros, charges.month_seconds, charges.month_micros);
      if (!written)
        co_return written.error();
      closed.charges = written->front().get<std::int64_t>("charges");
      passed_("billing.charged");
    }
    if (!corrections.empty()) {
      const auto written = co_await t.run(
        write_corrections, since_epoch(hour), corrections.users, corrections.servers, corrections.currencies,
        corrections.months, corrections.sequences, corrections.plans, corrections.seconds, corrections.micros,
        corrections.month_seconds, corrections.month_micros);
      if (!written)
        co_return written.error();
      passed_("billing.corrected");
    }
    if (!batch->rechecked.empty()) {
      const auto forgotten = co_await t.run(forget_rechecks, batch->rechecked);
      if (!forgotten)
        co_return forgotten.error();
    }
    const auto moved = co_await t.run(move_accounts, mine, since_epoch(hour + std::chrono::hours{1}));
    if (!moved)
      co_return moved.error();
    passed_("billing.moved");
    co_return closed;
  };
  auto closed = co_await db_.transact(body);
  if (closed)
    passed_("billing.committed");
  co_return closed;
}

} // namespace skyengine::db
