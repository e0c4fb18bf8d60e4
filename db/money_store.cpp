#include "db/money_store.hpp"

#include "db/billing_facts.hpp"
#include "db/whole_seconds.hpp"
#include "domain/forecast.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

namespace skyengine::db {

namespace {

using std::chrono::sys_seconds;

// Charges and corrections of one list, each read by its own key as far as the page needs. Charges come one an
// hour: those behind ($4, $5) are those of later hours than $4.
constexpr statement list_charges{"money_charges", R"sql(
  SELECT * FROM (
    (SELECT extract(epoch FROM hour)::bigint AS hour, 0 AS month, plan_id, currency, seconds, amount_micros, basis,
            estimated
       FROM first_charges($1, greatest(to_timestamp($2::bigint), to_timestamp($4::bigint) + interval '1 hour'),
                          to_timestamp($3::bigint), $6::integer))
    UNION ALL
    (SELECT extract(epoch FROM posted_hour)::bigint, extract(epoch FROM month)::bigint, plan_id, currency, seconds,
            amount_micros, NULL, false
       FROM charge_corrections
      WHERE server_id = $1 AND posted_hour >= to_timestamp($2::bigint) AND posted_hour < to_timestamp($3::bigint)
        AND (posted_hour, month) > (to_timestamp($4::bigint), to_timestamp($5::bigint))
      ORDER BY posted_hour, month LIMIT $6::integer)) AS posted
  ORDER BY posted.hour, posted.month LIMIT $6::integer)sql"};

constexpr statement list_balances{"money_balances", R"sql(
  SELECT b.currency, b.unbilled_micros, b.receivable_micros, b.credit_micros
    FROM users u LEFT JOIN user_balances b ON b.user_id = u.id
   WHERE u.id = $1 ORDER BY b.currency)sql"};

constexpr statement find_account{"money_account", R"sql(
  SELECT u.currency, u.tax_basis_points, coalesce(extract(epoch FROM a.closed_until)::bigint, 0) AS closed_until
    FROM users u LEFT JOIN billing_accounts a ON a.user_id = u.id WHERE u.id = $1)sql"};

// The ledger has one row a user and hour, however many servers there are.
constexpr statement sum_days{"money_days", R"sql(
  SELECT b.currency, extract(epoch FROM date_trunc('day', t.hour, 'UTC'))::bigint AS day,
         sum(p.amount_micros)::bigint AS micros
    FROM user_balances b
    JOIN ledger_transactions t ON t.user_id = b.user_id AND t.currency = b.currency AND t.kind = 'charges'
                              AND t.hour >= to_timestamp($2::bigint) AND t.hour < to_timestamp($3::bigint)
    JOIN ledger_postings p ON p.transaction_id = t.id AND p.account = 'unbilled'
   WHERE b.user_id = $1
   GROUP BY 1, 2 ORDER BY 1, 2)sql"};

constexpr statement sum_corrections{"money_corrections", R"sql(
  SELECT currency, sum(amount_micros)::bigint AS micros
    FROM charge_corrections
   WHERE user_id = $1 AND month = to_timestamp($2::bigint) AND posted_hour < to_timestamp($3::bigint)
   GROUP BY 1)sql"};

// The last charge of a server's month carries the sum of it. A server that never changed its plan has that of
// one plan alone. Servers that came to their end more than a month before have nothing to do with it:
// deleted_at may be long before that was decided, and they were charged until then.
constexpr statement list_servers{"money_servers", R"sql(
  SELECT s.id AS server_id, coalesce(c.plan_id, k.plan_id) AS plan_id, coalesce(c.currency, k.currency) AS currency,
         coalesce(k.month_seconds, c.month_seconds) AS seconds, coalesce(k.month_micros, c.month_micros) AS micros,
         EXISTS (SELECT FROM server_events e WHERE e.server_id = s.id AND e.to_plan IS NOT NULL) AS is_split
    FROM servers s
   CROSS JOIN last_charge(s.id, to_timestamp($2::bigint), to_timestamp($3::bigint)) AS c
    LEFT JOIN LATERAL (
      SELECT plan_id, currency, month_seconds, month_micros FROM charge_corrections
       WHERE server_id = s.id AND month = to_timestamp($2::bigint) AND posted_hour < to_timestamp($4::bigint)
       ORDER BY sequence DESC LIMIT 1) AS k ON true
   WHERE s.user_id = $1 AND s.id > $5
     AND (s.deleted_at IS NULL
          OR greatest(s.deleted_at, s.last_event_at) >= to_timestamp($2::bigint) - interval '1 month')
     AND (c.plan_id IS NOT NULL OR k.plan_id IS NOT NULL)
   ORDER BY s.id LIMIT $6::integer)sql"};

// OFFSET 0: each hour is read by the key, never all charges that there are.
constexpr statement sum_plans{"money_plans", R"sql(
  SELECT server_id, plan_id, currency, sum(seconds)::bigint AS seconds, sum(amount_micros)::bigint AS micros
    FROM (SELECT server_id, plan_id, currency, seconds, amount_micros
            FROM generate_series(to_timestamp($2::bigint), to_timestamp($3::bigint) - interval '1 hour',
                                 interval '1 hour') AS h (hour)
           CROSS JOIN LATERAL (SELECT * FROM charges WHERE hour = h.hour AND server_id = ANY ($1::bigint[]) OFFSET 0) AS c
           UNION ALL
          SELECT server_id, plan_id, currency, seconds, amount_micros
            FROM charge_corrections
           WHERE server_id = ANY ($1::bigint[]) AND month = to_timestamp($2::bigint)
             AND posted_hour < to_timestamp($4::bigint)) AS posted
   GROUP BY 1, 2, 3 ORDER BY 1, 3, 2)sql"};

// Of the servers of a user that are read, or looked at, in one go.
constexpr int servers_at_once = 1'000;

money micros_in(const row& r, std::string_view column) {
  return {r.get<std::int64_t>(column)};
}

/// A user's month as far as it is closed.
struct month_cut {
  user_id user;
  currency_code currency;
  int tax_basis_points = 0;
  sys_seconds month;
  /// Corrections that were posted before it count.
  sys_seconds closed_until;
  /// The month's charges before it count.
  sys_seconds until;
};

asio::awaitable<result<month_cut>> find_cut(transaction& t, user_id user, sys_seconds month) {
  const auto found = co_await t.run(find_account, user);
  if (!found)
    co_return found.error();
  if (found->empty())
    co_return error{errc::not_found, "no such user"};
  const auto r = found->front();
  month_cut cut{
    user,  r.get<currency_code>("currency"), static_cast<int>(r.get<std::int64_t>("tax_basis_points")),
    month, seconds_in(r, "closed_until"),    {}};
  cut.until = std::min(cut.closed_until, month_after(month));
  co_return cut;
}

/// What each currency has come to, without forecasts.
asio::awaitable<result<std::map<currency_code, currency_usage>>> sum_currencies(transaction& t,
                                                                                const month_cut& cut) {
  std::map<currency_code, currency_usage> sums;
  const auto days = co_await t.run(sum_days, cut.user, since_epoch(cut.month), since_epoch(cut.until));
  if (!days)
    co_return days.error();
  for (std::size_t i = 0; i < days->size(); ++i) {
    const auto r = (*days)[i];
    auto& one = sums[r.get<currency_code>("currency")];
    const auto sum = micros_in(r, "micros");
    one.days.push_back({std::chrono::floor<std::chrono::days>(seconds_in(r, "day")), sum});
    one.so_far.micros += sum.micros;
  }
  const auto corrections =
    co_await t.run(sum_corrections, cut.user, since_epoch(cut.month), since_epoch(cut.closed_until));
  if (!corrections)
    co_return corrections.error();
  for (std::size_t i = 0; i < corrections->size(); ++i) {
    const auto r = (*corrections)[i];
    auto& one = sums[r.get<currency_code>("currency")];
    one.corrections = micros_in(r, "micros");
    one.so_far.micros += one.corrections.micros;
  }
  for (auto& [currency, one] : sums) {
    one.currency = currency;
    one.forecast = one.so_far;
  }
  co_return sums;
}

struct server_page {
  std::vector<server_usage> servers;
  bool has_more = false;
  /// Of the last one.
  server_id last;
};

/// Replaces what is said of servers that have changed their plan by what each plan has come to.
asio::awaitable<result<>>
split_by_plan(transaction& t, const month_cut& cut, const std::vector<std::int64_t>& ids, server_page& page) {
  const auto found = co_await t.run(sum_plans, ids, since_epoch(cut.month), since_epoch(cut.until),
                                    since_epoch(cut.closed_until));
  if (!found)
    co_return found.error();
  std::vector<server_usage> split;
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto r = (*found)[i];
    const auto server = r.get<server_id>("server_id");
    auto currency = r.get<currency_code>("currency");
    if (split.empty() || split.back().server != server || split.back().currency != currency)
      split.push_back({server, std::move(currency), {}});
    split.back().plans.push_back(
      {r.get<plan_id>("plan_id"), r.get<std::int64_t>("seconds"), micros_in(r, "micros")});
  }
  const std::set<std::int64_t> replaced{ids.begin(), ids.end()};
  std::erase_if(page.servers, [&](const server_usage& one) { return replaced.contains(one.server.value); });
  page.servers.insert(page.servers.end(), std::make_move_iterator(split.begin()),
                      std::make_move_iterator(split.end()));
  std::stable_sort(page.servers.begin(), page.servers.end(),
                   [](const server_usage& a, const server_usage& b) { return a.server < b.server; });
  co_return result<>{};
}

asio::awaitable<result<server_page>>
load_page(transaction& t, const month_cut& cut, server_id after, int limit) {
  const auto found = co_await t.run(list_servers, cut.user, since_epoch(cut.month), since_epoch(cut.until),
                                    since_epoch(cut.closed_until), after, limit + 1);
  if (!found)
    co_return found.error();
  server_page page;
  page.has_more = found->size() > static_cast<std::size_t>(limit);
  const auto size = std::min(found->size(), static_cast<std::size_t>(limit));
  page.servers.reserve(size);
  std::vector<std::int64_t> split;
  for (std::size_t i = 0; i < size; ++i) {
    const auto r = (*found)[i];
    page.last = r.get<server_id>("server_id");
    if (r.get<bool>("is_split"))
      split.push_back(page.last.value);
    page.servers.push_back(
      {page.last,
       r.get<currency_code>("currency"),
       {{r.get<plan_id>("plan_id"), r.get<std::int64_t>("seconds"), micros_in(r, "micros")}}});
  }
  if (!split.empty())
    if (const auto done = co_await split_by_plan(t, cut, split, page); !done)
      co_return done.error();
  co_return page;
}

struct month_facts {
  std::vector<billed_server> servers;
  loaded_prices prices;
};

/// What decides what the rest of the month will cost, from `from` on.
asio::awaitable<result<month_facts>> load_facts(transaction& t, user_id user, sys_seconds from) {
  const std::vector<std::int64_t> users{user.value};
  auto loaded = co_await load_servers_of(t, users, from);
  if (!loaded)
    co_return loaded.error();
  std::set<plan_id> plans;
  for (const auto& one : loaded->servers)
    for (const auto& change : one.life.changes)
      plans.insert(change.plan);
  auto prices = co_await load_prices_of(t, plans);
  if (!prices)
    co_return prices.error();
  if (const auto read = co_await load_power_of(t, loaded->servers, prices->lists, month_of(from)); !read)
    co_return read.error();
  co_return month_facts{std::move(loaded->servers), std::move(*prices)};
}

/// Adds to each forecast what the rest of the month will add. Others have the loop between the servers.
asio::awaitable<void>
add_forecasts(month_facts facts, sys_seconds from, std::map<currency_code, currency_usage>& sums) {
  int looked_at = 0;
  for (auto& server : facts.servers) {
    if (++looked_at % servers_at_once == 0)
      co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    const auto standing = forecast_month(std::move(server.life), facts.prices.lists, from);
    const auto more = standing.accrued.micros - server.charged.sum.micros;
    if (more == 0)
      continue;
    currency_code currency{facts.prices.currencies.at(standing.plan)};
    auto& one = sums[currency];
    one.currency = std::move(currency);
    one.forecast.micros += more;
  }
}

/// The terms that the last of the month's closed hours was charged by.
const plan_terms& terms_at(const price_list& list, sys_seconds until) {
  const auto next =
    std::lower_bound(list.begin(), list.end(), until,
                     [](const price_version& one, sys_seconds at) { return one.valid_from < at; });
  return next == list.begin() ? next->terms : std::prev(next)->terms;
}

} // namespace

asio::awaitable<result<std::vector<posted_charge>>>
money_store::charges_of(server_id server, charge_range range, int limit) {
  // Before all that there can be, where nothing was read yet.
  const auto after = range.after.value_or(charge_position{range.from - std::chrono::hours{1}, {}});
  const auto found = co_await db_.run(list_charges, server, since_epoch(range.from), since_epoch(range.to),
                                      since_epoch(after.hour), since_epoch(after.month), limit);
  if (!found)
    co_return found.error();
  std::vector<posted_charge> list;
  list.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto r = (*found)[i];
    posted_charge one;
    one.hour = seconds_in(r, "hour");
    if (const auto month = seconds_in(r, "month"); month != sys_seconds{})
      one.month = month;
    one.plan = r.get<plan_id>("plan_id");
    one.currency = r.get<currency_code>("currency");
    one.seconds = r.get<std::int64_t>("seconds");
    one.amount = micros_in(r, "amount_micros");
    if (const auto basis = r.find<std::string_view>("basis"))
      one.basis = parse_billing_basis(*basis).value();
    one.is_estimated = r.get<bool>("estimated");
    list.push_back(std::move(one));
  }
  co_return list;
}

asio::awaitable<result<std::vector<balance>>> money_store::balances_of(user_id user) {
  const auto found = co_await db_.run(list_balances, user);
  if (!found)
    co_return found.error();
  if (found->empty())
    co_return error{errc::not_found, "no such user"};
  std::vector<balance> list;
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto r = (*found)[i];
    // The ledger has what we owe, as credit is, with minus.
    if (auto currency = r.find<currency_code>("currency"))
      list.push_back({std::move(*currency),
                      micros_in(r, "unbilled_micros"),
                      micros_in(r, "receivable_micros"),
                      {-micros_in(r, "credit_micros").micros}});
  }
  co_return list;
}

asio::awaitable<result<month_usage>>
money_store::usage_of(user_id user, sys_seconds month, month_state state, server_id after, int limit) {
  struct reading {
    month_usage usage;
    std::map<currency_code, currency_usage> sums;
    std::optional<month_facts> facts;
    /// The first hour that is open.
    sys_seconds from;
  };
  const auto body = [&](transaction& t) -> asio::awaitable<result<reading>> {
    const auto cut = co_await find_cut(t, user, month);
    if (!cut)
      co_return cut.error();
    reading read;
    read.usage.currency = cut->currency;
    auto sums = co_await sum_currencies(t, *cut);
    if (!sums)
      co_return sums.error();
    read.sums = std::move(*sums);
    auto page = co_await load_page(t, *cut, after, limit);
    if (!page)
      co_return page.error();
    read.usage.servers = std::move(page->servers);
    read.usage.has_more_servers = page->has_more;
    read.from = std::max(cut->closed_until, month);
    if (state == month_state::over || read.from >= month_after(month))
      co_return read;
    auto facts = co_await load_facts(t, user, read.from);
    if (!facts)
      co_return facts.error();
    read.facts = std::move(*facts);
    co_return read;
  };
  auto read = co_await db_.transact(body, isolation::repeatable_read);
  if (!read)
    co_return read.error();
  if (read->facts)
    co_await add_forecasts(std::move(*read->facts), read->from, read->sums);
  for (auto& [currency, one] : read->sums)
    read->usage.currencies.push_back(std::move(one));
  co_return std::move(read->usage);
}

asio::awaitable<result<std::vector<invoice>>> money_store::preview_invoices(user_id user, sys_seconds month) {
  struct reading {
    std::map<currency_code, std::vector<invoice_item>> items;
    int tax_basis_points = 0;
  };
  const auto body = [&](transaction& t) -> asio::awaitable<result<reading>> {
    const auto cut = co_await find_cut(t, user, month);
    if (!cut)
      co_return cut.error();
    reading read;
    read.tax_basis_points = cut->tax_basis_points;
    std::set<plan_id> plans;
    for (server_page page{{}, true, {}}; page.has_more;) {
      auto next = co_await load_page(t, *cut, page.last, servers_at_once);
      if (!next)
        co_return next.error();
      page = std::move(*next);
      for (const auto& server : page.servers)
        for (const auto& plan : server.plans) {
          read.items[server.currency].push_back({server.server, plan.plan, plan.seconds, plan.sum, {}, 0});
          plans.insert(plan.plan);
        }
    }
    const auto prices = co_await load_prices_of(t, plans);
    if (!prices)
      co_return prices.error();
    for (auto& [currency, items] : read.items)
      for (auto& item : items) {
        const auto& terms = terms_at(prices->lists.at(item.plan), cut->until);
        item.monthly_price = terms.monthly_price;
        item.hours_per_month = terms.hours_per_month;
      }
    co_return read;
  };
  auto read = co_await db_.transact(body, isolation::repeatable_read);
  if (!read)
    co_return read.error();
  std::vector<invoice> invoices;
  for (auto& [currency, items] : read->items)
    invoices.push_back(compose_invoice(currency, std::move(items), read->tax_basis_points));
  co_return invoices;
}

} // namespace skyengine::db
