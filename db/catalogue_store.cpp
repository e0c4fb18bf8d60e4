#include "db/catalogue_store.hpp"

#include <stdexcept>

namespace skyengine::db {

namespace {

constexpr statement insert_user{"user_insert", R"sql(
  INSERT INTO users (id, name, email, currency, tax_basis_points, locale, timezone, created_at, updated_at,
                     alert_at_micros, suspend_at_micros)
  VALUES ($1, $2, $3, $4, $5::integer, $6, $7, $8::timestamptz, $8::timestamptz, $9::bigint, $10::bigint)
  ON CONFLICT (id) DO NOTHING)sql"};
constexpr statement update_user{"user_update", R"sql(
  UPDATE users SET name = $2, email = $3, currency = $4, tax_basis_points = $5::integer, locale = $6, timezone = $7,
                   updated_at = $8::timestamptz, alert_at_micros = $9::bigint, suspend_at_micros = $10::bigint
   WHERE id = $1 AND (name, email, currency, tax_basis_points, locale, timezone, alert_at_micros, suspend_at_micros)
                     IS DISTINCT FROM ($2, $3, $4, $5::integer, $6, $7, $9::bigint, $10::bigint))sql"};

constexpr statement insert_plan{"plan_insert", R"sql(
  INSERT INTO plans (id, name, currency, virtfusion_package_id, os_template_ids, ipv6, active, created_at, updated_at)
  VALUES ($1, $2, $3, $4::bigint, $5::bigint[], $6::boolean, $7::boolean, $8::timestamptz, $8::timestamptz)
  ON CONFLICT (id) DO NOTHING)sql"};
constexpr statement lock_plan{"plan_lock", "SELECT currency FROM plans WHERE id = $1 FOR UPDATE"};
constexpr statement update_plan{"plan_update", R"sql(
  UPDATE plans SET name = $2, virtfusion_package_id = $3::bigint, os_template_ids = $4::bigint[], ipv6 = $5::boolean,
                   active = $6::boolean, updated_at = $7::timestamptz
   WHERE id = $1 AND (name, virtfusion_package_id, os_template_ids, ipv6, active)
                     IS DISTINCT FROM ($2, $3::bigint, $4::bigint[], $5::boolean, $6::boolean))sql"};
// A plan's first terms hold from its beginning, later ones from the first full hour after their commit, and
// never from before those that they take the place of.
constexpr statement put_terms{"plan_put_terms", R"sql(
  INSERT INTO plan_prices (plan_id, valid_from, price_micros, hours_per_month, basis, granularity)
  SELECT $1, CASE WHEN last.plan_id IS NULL THEN date_trunc('hour', $6::timestamptz)
                  ELSE greatest(date_trunc('hour', $6::timestamptz) + interval '1 hour', last.valid_from) END,
         $2::bigint, $3::integer, $4, $5
    FROM (SELECT 1) AS one
    LEFT JOIN LATERAL (SELECT * FROM plan_prices WHERE plan_id = $1 ORDER BY valid_from DESC LIMIT 1) AS last ON true
   WHERE last.plan_id IS NULL
      OR (last.price_micros, last.hours_per_month, last.basis, last.granularity)
         IS DISTINCT FROM ($2::bigint, $3::integer, $4, $5)
  ON CONFLICT (plan_id, valid_from) DO UPDATE
     SET price_micros = excluded.price_micros, hours_per_month = excluded.hours_per_month, basis = excluded.basis,
         granularity = excluded.granularity)sql"};

constexpr statement insert_region{"region_insert", R"sql(
  INSERT INTO regions (id, name, virtfusion_hypervisor_group_id, active, created_at, updated_at)
  VALUES ($1, $2, $3::bigint, $4::boolean, $5::timestamptz, $5::timestamptz)
  ON CONFLICT (id) DO NOTHING)sql"};
constexpr statement update_region{"region_update", R"sql(
  UPDATE regions SET name = $2, virtfusion_hypervisor_group_id = $3::bigint, active = $4::boolean,
                     updated_at = $5::timestamptz
   WHERE id = $1 AND (name, virtfusion_hypervisor_group_id, active) IS DISTINCT FROM ($2, $3::bigint, $4::boolean))sql"};

constexpr statement insert_audit{"audit_insert", R"sql(
  INSERT INTO audit_log (at, actor, action, target) VALUES ($1::timestamptz, $2, $3, $4))sql"};

constexpr statement select_users{"user_list", R"sql(
  SELECT id, name, email, currency, tax_basis_points, locale, timezone, virtfusion_user_id, alert_at_micros,
         suspend_at_micros
    FROM users WHERE id > $1 ORDER BY id LIMIT $2::integer)sql"};
constexpr statement select_plans{"plan_list", R"sql(
  SELECT p.id, p.name, p.currency, p.virtfusion_package_id, p.os_template_ids, p.ipv6, p.active, t.price_micros,
         t.hours_per_month, t.basis, t.granularity
    FROM plans p
    JOIN LATERAL (SELECT * FROM plan_prices WHERE plan_id = p.id ORDER BY valid_from DESC LIMIT 1) AS t ON true
   WHERE p.id > $1 ORDER BY p.id LIMIT $2::integer)sql"};
constexpr statement select_plan{"plan_find", R"sql(
  SELECT p.id, p.name, p.currency, p.virtfusion_package_id, p.os_template_ids, p.ipv6, p.active, t.price_micros,
         t.hours_per_month, t.basis, t.granularity
    FROM plans p
    JOIN LATERAL (SELECT * FROM plan_prices WHERE plan_id = p.id ORDER BY valid_from DESC LIMIT 1) AS t ON true
   WHERE p.id = $1)sql"};
constexpr statement select_regions{"region_list", R"sql(
  SELECT id, name, virtfusion_hypervisor_group_id, active
    FROM regions WHERE id > $1 ORDER BY id LIMIT $2::integer)sql"};
constexpr statement select_user{"user_find", R"sql(
  SELECT id, name, email, currency, tax_basis_points, locale, timezone, virtfusion_user_id, alert_at_micros,
         suspend_at_micros
    FROM users WHERE id = $1)sql"};
constexpr statement select_region{"region_find", R"sql(
  SELECT id, name, virtfusion_hypervisor_group_id, active FROM regions WHERE id = $1)sql"};

std::optional<money> find_money(const row& r, std::string_view column) {
  const auto micros = r.find<std::int64_t>(column);
  return micros ? std::optional{money{*micros}} : std::nullopt;
}

std::optional<std::int64_t> micros_of(const std::optional<money>& sum) {
  return sum ? std::optional{sum->micros} : std::nullopt;
}

user to_user(const row& r) {
  return {r.get<user_id>("id"),
          r.get<std::string>("name"),
          r.get<std::string>("email"),
          r.get<currency_code>("currency"),
          static_cast<int>(r.get<std::int64_t>("tax_basis_points")),
          r.get<std::string>("locale"),
          r.get<std::string>("timezone"),
          r.find<virtfusion_user_id>("virtfusion_user_id"),
          {find_money(r, "alert_at_micros"), find_money(r, "suspend_at_micros")}};
}

plan to_plan(const row& r) {
  plan p;
  p.id = r.get<plan_id>("id");
  p.name = r.get<std::string>("name");
  p.currency = r.get<currency_code>("currency");
  p.terms.monthly_price = {r.get<std::int64_t>("price_micros")};
  p.terms.hours_per_month = static_cast<int>(r.get<std::int64_t>("hours_per_month"));
  p.terms.basis = parse_billing_basis(r.get<std::string_view>("basis")).value();
  p.terms.granularity = parse_billing_granularity(r.get<std::string_view>("granularity")).value();
  p.package = r.get<package_id>("virtfusion_package_id");
  p.os_templates = r.get<std::vector<std::int64_t>>("os_template_ids");
  p.ipv6 = r.get<bool>("ipv6");
  p.active = r.get<bool>("active");
  return p;
}

region to_region(const row& r) {
  return {r.get<region_id>("id"), r.get<std::string>("name"),
          r.get<hypervisor_group_id>("virtfusion_hypervisor_group_id"), r.get<bool>("active")};
}

template <class T>
result<std::vector<T>> to_list(const result<rows>& found, T (*read)(const row&)) {
  if (!found)
    return found.error();
  std::vector<T> items;
  items.reserve(found->size());
  for (std::size_t i = 0; i < found->size(); ++i)
    items.push_back(read((*found)[i]));
  return items;
}

template <class T>
result<T> to_one(const result<rows>& found, T (*read)(const row&), const char* missing) {
  if (!found)
    return found.error();
  if (found->empty())
    return error{errc::not_found, missing};
  return read(found->front());
}

asio::awaitable<result<upsert>>
finish_upsert(transaction& tx, upsert done, std::string actor, std::string target, instant now) {
  if (done == upsert::unchanged)
    co_return done;
  const auto audited =
    co_await tx.run(insert_audit, now, actor, done == upsert::created ? "created" : "changed", target);
  if (!audited)
    co_return audited.error();
  co_return done;
}

asio::awaitable<result<upsert>>
write_plan(transaction& tx, const plan& value, const std::string& actor, instant now) {
  auto done = upsert::created;
  auto written = co_await tx.run(insert_plan, value.id, value.name, value.currency, value.package,
                                 value.os_templates, value.ipv6, value.active, now);
  if (!written)
    co_return written.error();
  if (written->affected() == 0) {
    const auto stored = co_await tx.run(lock_plan, value.id);
    if (!stored)
      co_return stored.error();
    if (stored->front().get<currency_code>("currency") != value.currency)
      co_return error{errc::conflict, "the currency of a plan never changes: make another plan"};
    written = co_await tx.run(update_plan, value.id, value.name, value.package, value.os_templates,
                              value.ipv6, value.active, now);
    if (!written)
      co_return written.error();
    done = written->affected() > 0 ? upsert::changed : upsert::unchanged;
  }
  const auto terms =
    co_await tx.run(put_terms, value.id, value.terms.monthly_price.micros, value.terms.hours_per_month,
                    to_string(value.terms.basis), to_string(value.terms.granularity), now);
  if (!terms)
    co_return terms.error();
  if (done == upsert::unchanged && terms->affected() > 0)
    done = upsert::changed;
  co_return co_await finish_upsert(tx, done, actor, "plan " + value.id.value, now);
}

asio::awaitable<result<upsert>>
write_region(transaction& tx, const region& value, const std::string& actor, instant now) {
  auto done = upsert::created;
  auto written = co_await tx.run(insert_region, value.id, value.name, value.group, value.active, now);
  if (written && written->affected() == 0) {
    written = co_await tx.run(update_region, value.id, value.name, value.group, value.active, now);
    done = written && written->affected() > 0 ? upsert::changed : upsert::unchanged;
  }
  if (!written)
    co_return written.error();
  co_return co_await finish_upsert(tx, done, actor, "region " + value.id.value, now);
}

/// Of a body, which is rolled back. What a failed commit has changed is for the database to say.
error whole_refused(const std::string& what, error why) {
  if (why.detail.ends_with('.'))
    why.detail.pop_back();
  why.detail = what + ": " + why.detail + "; nothing was changed";
  return why;
}

} // namespace

asio::awaitable<result<upsert>> catalogue_store::put_user(user value, std::string actor, instant now) {
  const auto body = [&](transaction& tx) -> asio::awaitable<result<upsert>> {
    auto done = upsert::created;
    const auto alert_at = micros_of(value.limits.alert_at);
    const auto suspend_at = micros_of(value.limits.suspend_at);
    auto written =
      co_await tx.run(insert_user, value.id, value.name, value.email, value.currency, value.tax_basis_points,
                      value.locale, value.timezone, now, alert_at, suspend_at);
    if (written && written->affected() == 0) {
      written =
        co_await tx.run(update_user, value.id, value.name, value.email, value.currency,
                        value.tax_basis_points, value.locale, value.timezone, now, alert_at, suspend_at);
      done = written && written->affected() > 0 ? upsert::changed : upsert::unchanged;
    }
    if (!written)
      co_return written.error();
    co_return co_await finish_upsert(tx, done, actor, "user " + std::to_string(value.id.value), now);
  };
  co_return co_await db_.transact(body);
}

asio::awaitable<result<upsert>> catalogue_store::put_plan(plan value, std::string actor, instant now) {
  const auto body = [&](transaction& tx) { return write_plan(tx, value, actor, now); };
  co_return co_await db_.transact(body);
}

asio::awaitable<result<upsert>> catalogue_store::put_region(region value, std::string actor, instant now) {
  const auto body = [&](transaction& tx) { return write_region(tx, value, actor, now); };
  co_return co_await db_.transact(body);
}

asio::awaitable<result<catalogue_store::all_done>> catalogue_store::put_all(std::vector<plan> plans,
                                                                            std::vector<region> regions,
                                                                            std::string actor,
                                                                            instant now) {
  const auto body = [&](transaction& tx) -> asio::awaitable<result<all_done>> {
    all_done all;
    for (const auto& one : plans) {
      const auto done = co_await write_plan(tx, one, actor, now);
      if (!done)
        co_return whole_refused("plan " + one.id.value, done.error());
      all.plans.push_back(*done);
    }
    for (const auto& one : regions) {
      const auto done = co_await write_region(tx, one, actor, now);
      if (!done)
        co_return whole_refused("region " + one.id.value, done.error());
      all.regions.push_back(*done);
    }
    co_return all;
  };
  co_return co_await db_.transact(body);
}

asio::awaitable<result<user>> catalogue_store::find_user(user_id id) {
  const auto found = co_await db_.run(select_user, id);
  co_return to_one(found, to_user, "no such user");
}

asio::awaitable<result<plan>> catalogue_store::find_plan(plan_id id) {
  const auto found = co_await db_.run(select_plan, id);
  co_return to_one(found, to_plan, "no such plan");
}

asio::awaitable<result<region>> catalogue_store::find_region(region_id id) {
  const auto found = co_await db_.run(select_region, id);
  co_return to_one(found, to_region, "no such region");
}

asio::awaitable<result<std::vector<user>>> catalogue_store::list_users(user_id after, int limit) {
  const auto found = co_await db_.run(select_users, after, limit);
  co_return to_list(found, to_user);
}

asio::awaitable<result<std::vector<plan>>> catalogue_store::list_plans(plan_id after, int limit) {
  const auto found = co_await db_.run(select_plans, after, limit);
  co_return to_list(found, to_plan);
}

asio::awaitable<result<std::vector<region>>> catalogue_store::list_regions(region_id after, int limit) {
  const auto found = co_await db_.run(select_regions, after, limit);
  co_return to_list(found, to_region);
}

} // namespace skyengine::db
