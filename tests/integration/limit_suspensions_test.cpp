#include "db/migrations.hpp"
#include "db/server_store.hpp"
#include "tests/support/billing_rig.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace skyengine::db {
namespace {

using std::chrono::sys_seconds;

/// What a month that has come to `suspendAt` asks for; an hour of the plan `small` costs 6,849 micros.
class LimitSuspensions : public test::billing_rig {
protected:
  void limit(int user, int micros) {
    add_user(user);
    sql("UPDATE users SET suspend_at_micros = " + std::to_string(micros) +
        " WHERE id = " + std::to_string(user));
  }
  /// `user:servers` of whom suspensions have begun.
  std::string begin(sys_seconds now, std::int64_t at_once = 100) {
    const auto begun = test::run(loop, servers.suspend_by_limits(token, at_once, instant{now}));
    if (!begun)
      return begun.error().detail;
    std::string text;
    for (const auto& one : *begun)
      text += std::to_string(one.user.value) + ":" + std::to_string(one.servers) + " ";
    return text;
  }
  bool is_open() { return test::run(loop, servers.has_open_limits()).value(); }
  /// As its saga does it.
  void end_action(int server, const std::string& state, sys_seconds when) {
    sql("UPDATE actions SET state = 'succeeded', step = 'done', finished_at = " + quoted(when) +
        " WHERE server_id = " + std::to_string(server) + " AND state = 'running'");
    become(server, state, when);
  }
  void add_action(int server, const std::string& kind, sys_seconds when) {
    sql("INSERT INTO actions (kind, server_id, state, step, token, to_plan, requested_by, request_id, "
        "created_at) VALUES ('" +
        kind + "', " + std::to_string(server) + ", 'running', 'begin', 1, " +
        (kind == "resize" ? "'large'" : "NULL") + ", 'operator', 'r', " + quoted(when) + ")");
  }
  void unsuspend(int server, sys_seconds when) {
    add_action(server, "unsuspend", when);
    end_action(server, "active", when);
  }
  std::string suspensions() {
    return sql("SELECT coalesce(string_agg(server_id || ' ' || to_char(limit_month AT TIME ZONE 'UTC', "
               "'YYYY-MM'), ', ' ORDER BY id), '') FROM actions WHERE kind = 'suspend'");
  }

  server_store servers{db};
};

TEST_F(LimitSuspensions, BeginOnceAndSayWhoAsked) {
  const auto server = add_active_server(7, at(2, 10));
  limit(7, 13'000);
  close_until(at(2, 11));
  EXPECT_FALSE(is_open());
  close_until(at(2, 12));
  EXPECT_TRUE(is_open());
  EXPECT_EQ(begin(at(2, 12, 1)), "7:1 ");
  EXPECT_FALSE(is_open());
  EXPECT_EQ(begin(at(2, 12, 2)), "");
  const auto id = std::to_string(server);
  EXPECT_EQ(sql("SELECT kind || ' ' || state || ' ' || step || ' ' || requested_by || ' ' || request_id "
                "FROM actions WHERE token = " +
                std::to_string(token) + " AND created_at = " + quoted(at(2, 12, 1))),
            "suspend running begin spending_limit limit-7-2026-11");
  EXPECT_EQ(
    sql("SELECT e.type || ' ' || e.from_state || ' ' || e.to_state || ' ' || (e.detail->>'reason') "
        "|| ' ' || (e.detail->>'requestedBy') FROM server_events e JOIN actions a ON a.id = "
        "e.action_id WHERE e.at = " +
        quoted(at(2, 12, 1))),
    "suspend_requested active active the month 2026-11 has come to the spending limit spending_limit");
  EXPECT_EQ(sql("SELECT actor || ' ' || action || ' ' || target || ' ' || (detail->>'reason') FROM audit_log "
                "WHERE (detail->>'actionId')::bigint = (SELECT id FROM actions)"),
            "spending_limit suspend server " + id + " the month 2026-11 has come to the spending limit");
  EXPECT_EQ(sql("SELECT begun_at = " + quoted(at(2, 12, 1)) + " FROM passed_limits"), "t");
}

TEST_F(LimitSuspensions, OnlyWhatIsActiveAndTheUsersIsSuspended) {
  const auto active = add_active_server(7, at(2, 10));
  for (const auto* state : {"suspended", "deleting", "deleted", "failed"})
    become(add_active_server(7, at(2, 10)), state, at(2, 11));
  add_server(7, at(2, 10));
  add_active_server(8, at(2, 10));
  limit(7, 1);
  limit(8, 1'000'000);
  close_until(at(2, 12));
  EXPECT_EQ(begin(at(2, 12, 1)), "7:1 ");
  EXPECT_EQ(suspensions(), std::to_string(active) + " 2026-11");
}

TEST_F(LimitSuspensions, AServerWithAnotherActionIsSuspendedAfterIt) {
  const auto busy = add_active_server(7, at(2, 10));
  add_active_server(7, at(2, 10));
  add_action(busy, "resize", at(2, 10, 30));
  limit(7, 1);
  close_until(at(2, 11));
  EXPECT_EQ(begin(at(2, 11, 1)), "7:1 ");
  EXPECT_EQ(begin(at(2, 11, 2)), "");
  EXPECT_TRUE(is_open());
  end_action(busy, "active", at(2, 11, 3));
  EXPECT_EQ(begin(at(2, 11, 4)), "7:1 ");
  EXPECT_FALSE(is_open());
}

TEST_F(LimitSuspensions, SoManyAtATimeUntilNoneIsLeft) {
  for (int i = 0; i < 5; ++i)
    add_active_server(7, at(2, 10));
  limit(7, 1);
  close_until(at(2, 11));
  EXPECT_EQ(begin(at(2, 11, 1), 2), "7:2 ");
  EXPECT_EQ(begin(at(2, 11, 2), 2), "7:2 ");
  EXPECT_TRUE(is_open());
  EXPECT_EQ(begin(at(2, 11, 3), 2), "7:1 ");
  EXPECT_FALSE(is_open());
}

TEST_F(LimitSuspensions, WhatBecomesActiveLaterIsSuspendedWithTheNextHour) {
  add_active_server(7, at(2, 10));
  const auto late = add_server(7, at(2, 10));
  limit(7, 1);
  close_until(at(2, 11));
  EXPECT_EQ(begin(at(2, 11, 1)), "7:1 ");
  become(late, "active", at(2, 11, 5));
  EXPECT_EQ(begin(at(2, 11, 6)), "");
  close_until(at(2, 12));
  EXPECT_TRUE(is_open());
  EXPECT_EQ(begin(at(2, 12, 1)), "7:1 ");
  close_until(at(2, 20));
  EXPECT_EQ(begin(at(2, 20, 1)), "") << "its suspension is under way";
  EXPECT_EQ(sql("SELECT count(*) FROM outbox"), "1");
}

TEST_F(LimitSuspensions, WhatAnOperatorLiftsStaysOnForTheMonth) {
  const auto server = add_active_server(7, at(2, 10));
  const auto by_hand = add_active_server(7, at(2, 10));
  become(by_hand, "suspended", at(2, 10, 30));
  limit(7, 1);
  close_until(at(2, 11));
  EXPECT_EQ(begin(at(2, 11, 1)), "7:1 ");
  end_action(server, "suspended", at(2, 11, 2));
  unsuspend(server, at(2, 11, 30));
  unsuspend(by_hand, at(2, 11, 30));
  close_until(at(3, 0));
  EXPECT_TRUE(is_open());
  EXPECT_EQ(begin(at(3, 0, 1)), "");
  EXPECT_FALSE(is_open());
  // The next month is another one.
  close_until(at(31, 1));
  EXPECT_EQ(begin(at(31, 1, 1)), "7:2 ");
  EXPECT_EQ(sql("SELECT count(*) FROM outbox"), "2");
}

TEST_F(LimitSuspensions, ALiftFromBeforeTheLimitCountsForNothing) {
  const auto server = add_active_server(7, at(2, 10));
  become(server, "suspended", at(2, 10, 10));
  unsuspend(server, at(2, 10, 20));
  limit(7, 1);
  close_until(at(2, 11));
  EXPECT_EQ(begin(at(2, 11, 1)), "7:1 ");
}

TEST_F(LimitSuspensions, ARaisedLimitLooksForNothingMore) {
  const auto server = add_active_server(7, at(2, 10));
  limit(7, 1);
  close_until(at(2, 11));
  EXPECT_EQ(begin(at(2, 11, 1)), "7:1 ");
  end_action(server, "suspended", at(2, 11, 2));
  limit(7, 1'000'000);
  add_active_server(7, at(2, 11));
  close_until(at(2, 15));
  EXPECT_FALSE(is_open());
  EXPECT_EQ(sql("SELECT state FROM servers WHERE id = " + std::to_string(server)), "suspended");
}

TEST_F(LimitSuspensions, TheLastHourOfAMonthAsksForThemInTheNext) {
  add_active_server(7, at(30, 23));
  limit(7, 6'000);
  close_until(at(31, 0));
  EXPECT_EQ(begin(at(31, 0, 1)), "7:1 ");
}

TEST_F(LimitSuspensions, TwoMonthsThatAreOpenSuspendOnce) {
  add_active_server(7, at(30, 23));
  limit(7, 1);
  close_until(at(31, 1));
  EXPECT_EQ(sql("SELECT count(*) FROM passed_limits"), "2");
  EXPECT_EQ(begin(at(31, 1, 1)), "7:1 ");
  EXPECT_EQ(begin(at(31, 1, 2)), "");
}

TEST_F(LimitSuspensions, SeveralNodesAtOnceSuspendEachServerOnce) {
  for (int i = 0; i < 40; ++i)
    add_active_server(1 + i % 4, at(2, 10));
  for (int user = 1; user <= 4; ++user)
    limit(user, 1);
  close_until(at(2, 11));
  std::vector<std::thread> nodes_at_once;
  nodes_at_once.reserve(4);
  for (int i = 0; i < 4; ++i)
    nodes_at_once.emplace_back([&] {
      boost::asio::io_context own_loop{1};
      db::database own{own_loop.get_executor(), database.options()};
      server_store one{own};
      ASSERT_TRUE(test::run(own_loop, own.connect()));
      // What another has locked is left to it, so a look may find nothing to begin.
      for (int look = 0; look < 1'000 && test::run(own_loop, one.has_open_limits()).value(); ++look)
        ASSERT_TRUE(test::run(own_loop, one.suspend_by_limits(token, 3, instant{at(2, 11, 1)})));
    });
  for (auto& one : nodes_at_once)
    one.join();
  EXPECT_EQ(sql("SELECT count(*) || ' ' || count(DISTINCT server_id) FROM actions WHERE kind = 'suspend'"),
            "40 40");
}

TEST(LimitSuspensionsMigration, LeavesLimitsOfEarlierMonthsWithoutEffect) {
  const auto all = embedded_migrations();
  const auto own = std::find_if(all.begin(), all.end(), [](const migration& one) {
    return std::string_view{one.name}.ends_with("_suspend_at_limit");
  });
  ASSERT_NE(own, all.end());
  const auto before = static_cast<std::size_t>(own - all.begin());
  const test::test_database database{all.first(before)};
  test::run_sql(database.url(), R"sql(
    INSERT INTO users (id, name, email, created_at, updated_at) VALUES (7, 'u', 'u@example.test', now(), now());
    INSERT INTO billing_accounts (user_id, closed_until) VALUES (7, '2026-12-01T00:00:00Z');
    INSERT INTO passed_limits (user_id, month, kind, currency, limit_micros, month_micros, hour) VALUES
      (7, '2026-10-01T00:00:00Z', 'suspend', 'USD', 1, 1, '2026-10-20T00:00:00Z'),
      (7, '2026-11-01T00:00:00Z', 'alert', 'USD', 1, 1, '2026-11-20T00:00:00Z'),
      (7, '2026-11-01T00:00:00Z', 'suspend', 'USD', 1, 1, '2026-11-20T00:00:00Z'))sql");
  test::run_sql(database.url(), std::string{own->sql});
  EXPECT_EQ(test::run_sql(database.url(), "SELECT string_agg(extract(month FROM month AT TIME ZONE 'UTC') || "
                                          "kind || coalesce(' ' || (begun_at = hour + interval '1 hour'), "
                                          "''), ', ' ORDER BY month, kind) FROM passed_limits"),
            "10suspend true, 11alert, 11suspend");
}

} // namespace
} // namespace skyengine::db
