#include "db/audit_money.hpp"

#include "db/billing_facts.hpp"
#include "db/whole_seconds.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

namespace skyengine::db {

namespace {

using std::chrono::sys_seconds;

constexpr int servers_at_once = 1'000;

constexpr statement check_ledger{"audit_ledger", R"sql(
  WITH sums AS (SELECT transaction_id, sum(amount_micros) AS micros FROM ledger_postings GROUP BY transaction_id),
  posted AS (
    SELECT t.user_id, t.currency, sum(p.amount_micros) AS micros
      FROM ledger_postings p JOIN ledger_transactions t ON t.id = p.transaction_id
     WHERE p.account = 'unbilled' GROUP BY t.user_id, t.currency),
  by_month AS (
    SELECT user_id, currency, date_trunc('month', hour, 'UTC') AS month, sum(amount_micros) AS micros
      FROM charges GROUP BY 1, 2, 3),
  charged AS (
    SELECT user_id, currency, sum(micros) AS micros
      FROM (SELECT user_id, currency, micros FROM by_month
            UNION ALL
            SELECT user_id, currency, sum(amount_micros) FROM charge_corrections GROUP BY user_id, currency) AS c
     GROUP BY user_id, currency)
  SELECT 'the postings of each ledger transaction sum to zero' AS name, count(*) AS checked,
         count(*) FILTER (WHERE s.micros <> 0 OR t.id IS NULL) AS violations
    FROM sums s LEFT JOIN ledger_transactions t ON t.id = s.transaction_id
  UNION ALL
  SELECT 'a user''s unbilled balance is what was posted to it', count(*),
         count(*) FILTER (WHERE coalesce(b.unbilled_micros, 0) <> coalesce(p.micros, 0))
    FROM user_balances b FULL JOIN posted p ON p.user_id = b.user_id AND p.currency = b.currency
  UNION ALL
  SELECT 'a user''s unbilled balance is what was charged and is not invoiced', count(*),
         count(*) FILTER (WHERE coalesce(b.unbilled_micros, 0) <> coalesce(c.micros, 0))
    FROM user_balances b FULL JOIN charged c ON c.user_id = b.user_id AND c.currency = b.currency
  UNION ALL
  SELECT 'what limits look at is what the month''s hours were charged', count(*),
         count(*) FILTER (WHERE b.month_micros <> coalesce(c.micros, 0))
    FROM user_balances b
    LEFT JOIN by_month c ON c.user_id = b.user_id AND c.currency = b.currency AND c.month = b.month
  UNION ALL
  SELECT 'no hour of a server has two charges', count(*), count(*) FILTER (WHERE n > 1)
    FROM (SELECT count(*) AS n FROM charges GROUP BY hour, server_id) AS h
  UNION ALL
  SELECT 'no hour is charged that is not closed', count(*), count(*) FILTER (WHERE c.hour >= a.closed_until)
    FROM charges c JOIN billing_accounts a ON a.user_id = c.user_id)sql"};

// OFFSET 0: each hour is read by the key, never all charges that there are for each batch of servers.
constexpr statement sum_months{"audit_month_sums", R"sql(
  SELECT server_id, extract(epoch FROM month AT TIME ZONE 'UTC')::bigint AS month, sum(micros)::bigint AS micros,
         sum(seconds)::bigint AS seconds
    FROM (SELECT server_id, date_trunc('month', hour AT TIME ZONE 'UTC') AS month, amount_micros AS micros, seconds
            FROM (SELECT generate_series(min(hour), max(hour), interval '1 hour') AS at FROM charges) AS h
           CROSS JOIN LATERAL (SELECT * FROM charges WHERE hour = h.at AND server_id = ANY ($1::bigint[]) OFFSET 0) AS c
          UNION ALL
          SELECT server_id, month AT TIME ZONE 'UTC', amount_micros, seconds
            FROM charge_corrections WHERE server_id = ANY ($1::bigint[])) AS c
   GROUP BY server_id, month)sql"};

constexpr statement find_closed{"audit_closed_until", R"sql(
  SELECT user_id, extract(epoch FROM closed_until)::bigint AS closed_until FROM billing_accounts
   WHERE user_id = ANY ($1::bigint[]))sql"};

constexpr statement find_rechecks{"audit_rechecks", R"sql(
  SELECT server_id, extract(epoch FROM month)::bigint AS month FROM billing_rechecks
   WHERE server_id = ANY ($1::bigint[]))sql"};

using server_month = std::pair<std::int64_t, sys_seconds>;

/// Holds what was charged against what the events say.
class accrual_check {
public:
  explicit accrual_check(transaction& t) : t_(t) {}

  asio::awaitable<result<invariant>> run() {
    invariant one{"what a server was charged for a month is what the month has come to", 0, 0};
    for (server_id last{0};;) {
      auto loaded = co_await load_servers_after(t_, last, servers_at_once);
      if (!loaded)
        co_return loaded.error();
      if (loaded->servers.empty())
        co_return one;
      if (const auto checked = co_await check(loaded->servers, one); !checked)
        co_return checked.error();
      last = loaded->servers.back().id;
    }
  }

private:
  asio::awaitable<result<>> check(std::vector<billed_server>& servers, invariant& one) {
    std::set<plan_id> plans;
    add_plans_of(servers, plans);
    const auto prices = co_await load_prices_of(t_, plans);
    if (!prices)
      co_return prices.error();
    if (const auto read = co_await load_power_of(t_, servers, prices->lists, {}); !read)
      co_return read.error();
    if (const auto read = co_await read_what_was_charged(servers); !read)
      co_return read.error();
    for (const auto& server : servers) {
      const auto until = closed_until_.at(server.user);
      const auto& changes = server.life.changes;
      const auto first =
        std::find_if(changes.begin(), changes.end(), [](const auto& change) { return change.is_active; });
      const auto begin = first == changes.end() ? until : first->at;
      for (auto month = month_of(begin); month < until; month = month_after(month)) {
        const auto charged = charged_.extract({server.id.value, month});
        // A fact that came late is corrected with the next hour that is closed.
        if (rechecked_.contains({server.id.value, month}))
          continue;
        const auto last_hour = std::min(until, month_after(month)) - std::chrono::hours{1};
        const auto standing = standing_after(server.life, prices->lists, last_hour);
        const auto sum = charged ? charged.mapped() : charged_month{};
        ++one.checked;
        one.violations += sum == charged_month{standing.accrued, standing.seconds} ? 0 : 1;
      }
    }
    // What is left is of months in which nothing can have been charged.
    one.checked += static_cast<std::int64_t>(charged_.size());
    one.violations += static_cast<std::int64_t>(charged_.size());
    co_return result<>{};
  }

  asio::awaitable<result<>> read_what_was_charged(const std::vector<billed_server>& servers) {
    std::vector<std::int64_t> ids;
    std::set<std::int64_t> users;
    for (const auto& server : servers) {
      ids.push_back(server.id.value);
      users.insert(server.user.value);
    }
    const std::vector<std::int64_t> user_ids{users.begin(), users.end()};
    const auto closed = co_await t_.run(find_closed, user_ids);
    if (!closed)
      co_return closed.error();
    closed_until_.clear();
    for (std::size_t i = 0; i < closed->size(); ++i)
      closed_until_.emplace((*closed)[i].get<user_id>("user_id"), seconds_in((*closed)[i], "closed_until"));
    const auto sums = co_await t_.run(sum_months, ids);
    if (!sums)
      co_return sums.error();
    charged_.clear();
    for (std::size_t i = 0; i < sums->size(); ++i) {
      const auto r = (*sums)[i];
      charged_.emplace(server_month{r.get<std::int64_t>("server_id"), seconds_in(r, "month")},
                       charged_month{{r.get<std::int64_t>("micros")}, r.get<std::int64_t>("seconds")});
    }
    const auto rechecks = co_await t_.run(find_rechecks, ids);
    if (!rechecks)
      co_return rechecks.error();
    rechecked_.clear();
    for (std::size_t i = 0; i < rechecks->size(); ++i)
      rechecked_.emplace((*rechecks)[i].get<std::int64_t>("server_id"), seconds_in((*rechecks)[i], "month"));
    co_return result<>{};
  }

  transaction& t_;
  std::unordered_map<user_id, sys_seconds> closed_until_;
  std::map<server_month, charged_month> charged_;
  std::set<server_month> rechecked_;
};

} // namespace

asio::awaitable<result<std::vector<invariant>>> audit_money(transaction& t) {
  const auto found = co_await t.run(check_ledger);
  if (!found)
    co_return found.error();
  auto all = to_invariants(*found);
  accrual_check accruals{t};
  const auto months = co_await accruals.run();
  if (!months)
    co_return months.error();
  all.push_back(*months);
  co_return all;
}

} // namespace skyengine::db
