#pragma once

#include "db/audit_money.hpp"
#include "db/billing_store.hpp"
#include "db/node_store.hpp"
#include "domain/time_format.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/postgres.hpp"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace skyengine::test {

/// A database with plans, and levers for what servers in it go through.
class billing_rig : public testing::Test {
protected:
  static constexpr std::chrono::sys_seconds november =
    std::chrono::sys_days{std::chrono::year{2026} / 11 / 1};

  /// Of November 2026; days may be beyond it.
  static constexpr std::chrono::sys_seconds at(int day, int hour, int minute = 0, int second = 0) {
    return november + std::chrono::days{day - 1} + std::chrono::hours{hour} + std::chrono::minutes{minute} +
           std::chrono::seconds{second};
  }

  billing_rig() {
    const auto connected = run(loop, db.connect());
    EXPECT_TRUE(connected);
    token = run(loop, nodes.acquire("node-1", std::chrono::hours{1}, instant{november})).value();
    sql("UPDATE schedules SET paused = false, note = NULL WHERE name = 'hourly-sync-and-billing'");
    sql("INSERT INTO regions VALUES ('eu', 'Europe', 1, true, now(), now())");
    add_plan("small", 5'000'000);
    add_plan("large", 10'000'000);
  }

  std::string sql(const std::string& text) const { return run_sql(database.url(), text); }
  static std::string quoted(std::chrono::sys_seconds when) { return "'" + format_time(instant{when}) + "'"; }

  void add_plan(const std::string& id,
                std::int64_t micros,
                const std::string& basis = "allocated",
                const std::string& granularity = "second",
                const std::string& currency = "USD") {
    sql("INSERT INTO plans (id, name, currency, virtfusion_package_id, created_at, updated_at) VALUES ('" +
        id + "', '" + id + "', '" + currency + "', 1, now(), now())");
    add_price(id, at(-60, 0), micros, basis, granularity);
  }
  void add_price(const std::string& plan,
                 std::chrono::sys_seconds from,
                 std::int64_t micros,
                 const std::string& basis = "allocated",
                 const std::string& granularity = "second") {
    sql("INSERT INTO plan_prices VALUES ('" + plan + "', " + quoted(from) + ", " + std::to_string(micros) +
        ", 730, '" + basis + "', '" + granularity + "')");
  }
  void add_user(int id) {
    sql("INSERT INTO users (id, name, email, created_at, updated_at) VALUES (" + std::to_string(id) +
        ", 'u', 'u" + std::to_string(id) + "@example.test', now(), now()) ON CONFLICT DO NOTHING");
  }
  /// A server that is being built since `when`; its id.
  int add_server(int user, std::chrono::sys_seconds when, const std::string& plan = "small") {
    add_user(user);
    const auto id = sql("INSERT INTO servers (user_id, plan_id, region_id, wants_ipv6, state, created_at, "
                        "last_event_at) VALUES (" +
                        std::to_string(user) + ", '" + plan + "', 'eu', false, 'building', " + quoted(when) +
                        ", " + quoted(when) + ") RETURNING id");
    sql("INSERT INTO server_events (server_id, at, type, to_state) VALUES (" + id + ", " + quoted(when) +
        ", 'building', 'building')");
    return std::stoi(id);
  }
  int add_active_server(int user, std::chrono::sys_seconds when, const std::string& plan = "small") {
    const auto id = add_server(user, when, plan);
    become(id, "active", when);
    return id;
  }
  void become(int server, const std::string& state, std::chrono::sys_seconds when) {
    sql("WITH old AS (SELECT state FROM servers WHERE id = " + std::to_string(server) +
        "), s AS (UPDATE servers SET state = '" + state + "', last_event_at = greatest(last_event_at, " +
        quoted(when) + ") WHERE id = " + std::to_string(server) +
        " RETURNING id, last_event_at) INSERT INTO server_events (server_id, at, type, from_state, to_state) "
        "SELECT s.id, s.last_event_at, '" +
        state + "', old.state, '" + state + "' FROM s, old");
  }
  void change_plan(int server, const std::string& plan, std::chrono::sys_seconds when) {
    sql("WITH old AS (SELECT state, plan_id FROM servers WHERE id = " + std::to_string(server) +
        "), s AS (UPDATE servers SET plan_id = '" + plan + "', last_event_at = greatest(last_event_at, " +
        quoted(when) + ") WHERE id = " + std::to_string(server) +
        " RETURNING id, last_event_at) INSERT INTO server_events (server_id, at, type, from_state, to_state, "
        "from_plan, to_plan) SELECT s.id, s.last_event_at, 'plan_changed', old.state, old.state, "
        "old.plan_id, '" +
        plan + "' FROM s, old");
  }
  /// One server's, or with 0 all of the user.
  int hold(int user, int server, std::chrono::sys_seconds from) {
    return std::stoi(
      sql("INSERT INTO holds (server_id, user_id, kind, reason, from_at, created_at, created_by, "
          "alerted_at) VALUES (" +
          (server == 0 ? "NULL" : std::to_string(server)) + ", " + std::to_string(user) +
          ", 'operator', 'a test', " + quoted(from) + ", " + quoted(from) + ", 'operator', " + quoted(from) +
          ") RETURNING id"));
  }
  void end_hold(int id, std::chrono::sys_seconds until, const std::string& outcome) {
    sql("UPDATE holds SET until_at = " + quoted(until) + ", outcome = '" + outcome +
        "', ended_by = 'operator' WHERE id = " + std::to_string(id));
  }
  void see_power(int server, std::chrono::sys_seconds first, std::chrono::sys_seconds last, bool is_on) {
    sql("INSERT INTO power_spans VALUES (" + std::to_string(server) + ", " + quoted(first) + ", " +
        quoted(last) + (is_on ? ", true)" : ", false)"));
  }

  /// Closes all hours that begin before `until`; how many charges came of it.
  std::int64_t close_until(std::chrono::sys_seconds until) {
    std::int64_t charges = 0;
    for (;;) {
      const auto hour = run(loop, store.next_hour(until, until - std::chrono::hours{1})).value();
      if (!hour)
        return charges;
      EXPECT_TRUE(run(loop, store.ensure_month(hour->hour)));
      std::vector<std::int64_t> users;
      for (const auto& one : hour->users)
        users.push_back(one.user.value);
      const auto closed = run(loop, store.close(token, hour->hour, users));
      if (!closed || closed->users == 0) {
        ADD_FAILURE() << (closed ? "nothing was closed" : closed.error().detail);
        return charges;
      }
      charges += closed->charges;
    }
  }

  /// Of charges and ledger.
  std::vector<db::invariant> audit() {
    auto body = [](db::transaction& t) { return db::audit_money(t); };
    return run(loop, db.transact(body, db::isolation::repeatable_read)).value();
  }

  std::string charge(int server, std::chrono::sys_seconds hour) const {
    return sql("SELECT seconds || ' ' || amount_micros || ' ' || plan_id || CASE WHEN estimated THEN ' "
               "estimated' ELSE "
               "'' END FROM charges WHERE server_id = " +
               std::to_string(server) + " AND hour = " + quoted(hour));
  }
  std::int64_t charged(int server, std::chrono::sys_seconds from, std::chrono::sys_seconds until) const {
    return std::stoll(
      sql("SELECT coalesce(sum(amount_micros), 0) FROM charges WHERE server_id = " + std::to_string(server) +
          " AND hour >= " + quoted(from) + " AND hour < " + quoted(until)));
  }
  std::string unbilled(int user) const {
    return sql("SELECT string_agg(currency || ' ' || unbilled_micros, ', ' ORDER BY currency) FROM "
               "user_balances WHERE "
               "user_id = " +
               std::to_string(user));
  }

  test_database database;
  boost::asio::io_context loop{1};
  db::database db{loop.get_executor(), database.options()};
  db::node_store nodes{db};
  db::billing_store store{db};
  std::int64_t token = 0;
};

} // namespace skyengine::test
