#include "db/billing_facts.hpp"

#include "db/whole_seconds.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace skyengine::db {

namespace {

using std::chrono::sys_seconds;

// A server whose last event is older than the month is as it was all the month long.
constexpr statement load_servers{"billing_servers", R"sql(
  SELECT s.id, s.user_id, s.plan_id, s.state = 'active' AND s.last_event_at < to_timestamp($3::bigint) AS is_unchanged,
         EXISTS (SELECT FROM billing_rechecks r WHERE r.server_id = s.id) AS is_rechecked,
         coalesce(c.month_micros, 0) AS month_micros, coalesce(c.month_seconds, 0) AS month_seconds
    FROM servers s
   CROSS JOIN last_charge(s.id, to_timestamp($3::bigint), to_timestamp($2::bigint)) AS c
   WHERE s.user_id = ANY ($1::bigint[])
     AND (s.state = 'active' OR s.last_event_at >= to_timestamp($2::bigint)
          OR EXISTS (SELECT FROM billing_rechecks r WHERE r.server_id = s.id)))sql"};

constexpr statement load_all_servers{"billing_all_servers", R"sql(
  SELECT id, user_id, plan_id, false AS is_unchanged, false AS is_rechecked, 0::bigint AS month_micros,
         0::bigint AS month_seconds
    FROM servers WHERE id > $1::bigint ORDER BY id LIMIT $2::integer)sql"};

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
    FROM unnest($1::bigint[], $2::bigint[]) AS wanted (server_id, since)
   CROSS JOIN LATERAL (
      SELECT coalesce((SELECT max(q.first_seen) FROM power_spans q
                        WHERE q.server_id = wanted.server_id AND q.first_seen < to_timestamp(wanted.since)),
                      '-infinity') AS at) AS begin
    JOIN power_spans p ON p.server_id = wanted.server_id AND p.first_seen >= begin.at
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
   CROSS JOIN last_charge(r.server_id, r.month, r.month + interval '1 month') AS c
    LEFT JOIN LATERAL (
      SELECT sequence, month_micros, month_seconds FROM charge_corrections
       WHERE server_id = r.server_id AND month = r.month ORDER BY sequence DESC LIMIT 1) AS k ON true
   WHERE r.server_id = ANY ($1::bigint[]) ORDER BY r.server_id, r.month)sql"};

charged_month charged_in(const row& r) {
  return {{r.get<std::int64_t>("month_micros")}, r.get<std::int64_t>("month_seconds")};
}

/// Reads servers and what happened to them.
class server_loader {
public:
  server_loader(transaction& t, sys_seconds hour) : t_(t), hour_(hour), month_(month_of(hour)) {}

  asio::awaitable<result<loaded_servers>> load(const std::vector<std::int64_t>& users) {
    const auto found = co_await t_.run(load_servers, users, since_epoch(hour_), since_epoch(month_));
    if (!found)
      co_return found.error();
    take_servers(*found);
    if (auto done = co_await load_the_rechecks(); !done)
      co_return done.error();
    co_return co_await load_what_happened(users);
  }

  asio::awaitable<result<loaded_servers>> load_all(server_id after, int limit) {
    const auto found = co_await t_.run(load_all_servers, after, limit);
    if (!found)
      co_return found.error();
    take_servers(*found);
    std::set<std::int64_t> users;
    for (const auto& one : loaded_.servers)
      users.insert(one.user.value);
    co_return co_await load_what_happened({users.begin(), users.end()});
  }

private:
  asio::awaitable<result<loaded_servers>> load_what_happened(std::vector<std::int64_t> users) {
    if (auto done = co_await load_the_events(); !done)
      co_return done.error();
    if (auto done = co_await load_the_holds(users); !done)
      co_return done.error();
    co_return std::move(loaded_);
  }

  void take_servers(const rows& found) {
    loaded_.servers.reserve(found.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      const auto r = found[i];
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
        loaded_.rechecked.push_back(one.id.value);
      index_.emplace(one.id, i);
      present_plans_.push_back(std::move(plan));
      loaded_.servers.push_back(std::move(one));
    }
  }

  asio::awaitable<result<>> load_the_rechecks() {
    if (loaded_.rechecked.empty())
      co_return result<>{};
    const auto found = co_await t_.run(load_rechecks, loaded_.rechecked);
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
      auto& changes = server_of(r).life.changes;
      auto plan = r.find<plan_id>("to_plan");
      if (plan)
        first_plans.try_emplace(r.get<server_id>("server_id"), r.get<plan_id>("from_plan"));
      else if (!changes.empty())
        plan = changes.back().plan;
      changes.push_back({seconds_in(r, "at"), r.get<bool>("is_active"), plan.value_or(plan_id{})});
    }
    for (const auto id : changed_) {
      const auto at = index_.at(server_id{id});
      const auto first = first_plans.find(server_id{id});
      const auto& plan = first == first_plans.end() ? present_plans_[at] : first->second;
      auto& changes = loaded_.servers[at].life.changes;
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
    if (loaded_.servers.empty())
      co_return result<>{};
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
          loaded_.servers[at->second].life.held.push_back(held);
        continue;
      }
      const auto user = r.get<user_id>("user_id");
      for (auto& one : loaded_.servers)
        if (one.user == user)
          one.life.held.push_back(held);
    }
    co_return result<>{};
  }

  billed_server& server_of(const row& r) { return loaded_.servers[index_.at(r.get<server_id>("server_id"))]; }

  transaction& t_;
  sys_seconds hour_;
  sys_seconds month_;
  loaded_servers loaded_;
  std::unordered_map<server_id, std::size_t> index_;
  /// By index of the server.
  std::vector<plan_id> present_plans_;
  /// Those whose events tell what they were like.
  std::vector<std::int64_t> changed_;
};

/// Whether it was on `uptime` terms at any time that is known.
bool is_metered(const billed_server& one, const price_lists& prices) {
  return std::any_of(one.life.changes.begin(), one.life.changes.end(), [&](const life_change& change) {
    const auto& list = prices.at(change.plan);
    return std::any_of(list.begin(), list.end(), [](const price_version& version) {
      return version.terms.basis == billing_basis::uptime;
    });
  });
}

} // namespace

asio::awaitable<result<loaded_prices>> load_prices_of(transaction& t, const std::set<plan_id>& plans) {
  std::vector<std::string> names;
  names.reserve(plans.size());
  for (const auto& plan : plans)
    names.push_back(plan.value);
  const auto found = co_await t.run(load_prices, names);
  if (!found)
    co_return found.error();
  loaded_prices prices;
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto r = (*found)[i];
    auto plan = r.get<plan_id>("plan_id");
    plan_terms terms;
    terms.monthly_price = {r.get<std::int64_t>("price_micros")};
    terms.hours_per_month = static_cast<int>(r.get<std::int64_t>("hours_per_month"));
    terms.basis = parse_billing_basis(r.get<std::string_view>("basis")).value();
    terms.granularity = parse_billing_granularity(r.get<std::string_view>("granularity")).value();
    prices.currencies.try_emplace(plan, r.get<std::string>("currency"));
    prices.lists[std::move(plan)].push_back({seconds_in(r, "valid_from"), terms});
  }
  for (const auto& plan : plans)
    if (!prices.lists.contains(plan))
      co_return error{errc::internal, "the plan " + plan.value + " has no terms"};
  co_return prices;
}

asio::awaitable<result<loaded_servers>>
load_servers_of(transaction& t, const std::vector<std::int64_t>& users, sys_seconds hour) {
  server_loader loader{t, hour};
  co_return co_await loader.load(users);
}

asio::awaitable<result<loaded_servers>> load_servers_after(transaction& t, server_id after, int limit) {
  server_loader loader{t, {}};
  co_return co_await loader.load_all(after, limit);
}

asio::awaitable<result<>> load_power_of(transaction& t,
                                        std::vector<billed_server>& servers,
                                        const price_lists& prices,
                                        sys_seconds since) {
  std::unordered_map<server_id, billed_server*> metered;
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> begins;
  for (auto& one : servers) {
    if (!is_metered(one, prices))
      continue;
    metered.emplace(one.id, &one);
    ids.push_back(one.id.value);
    begins.push_back(
      since_epoch(one.to_correct.empty() ? since : std::min(since, one.to_correct.front().month)));
  }
  if (ids.empty())
    co_return result<>{};
  const auto found = co_await t.run(load_power, ids, begins);
  if (!found)
    co_return found.error();
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto r = (*found)[i];
    metered.at(r.get<server_id>("server_id"))
      ->life.power.push_back({seconds_in(r, "first_seen"), seconds_in(r, "last_seen"), r.get<bool>("is_on")});
  }
  co_return result<>{};
}

void add_plans_of(const std::vector<billed_server>& servers, std::set<plan_id>& plans) {
  for (const auto& one : servers)
    for (const auto& change : one.life.changes)
      plans.insert(change.plan);
}

} // namespace skyengine::db
