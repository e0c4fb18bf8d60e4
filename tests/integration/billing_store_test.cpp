#include "db/catalogue_store.hpp"
#include "db/migrations.hpp"
#include "tests/support/billing_rig.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace skyengine::db {
namespace {

using namespace std::chrono_literals;

/// Each test ends with the proof that what was charged is what the events say.
class BillingStore : public test::billing_rig {
protected:
  void TearDown() override {
    for (const auto& one : audit())
      EXPECT_EQ(one.violations, 0) << one.name;
  }
};

TEST_F(BillingStore, AnHourIsChargedOnceAndPostedToTheLedger) {
  const auto server = add_active_server(7, at(2, 10));
  EXPECT_EQ(close_until(at(2, 12)), 2);
  EXPECT_EQ(charge(server, at(2, 10)), "3600 6849 small");
  EXPECT_EQ(charge(server, at(2, 11)), "3600 6850 small");
  EXPECT_EQ(unbilled(7), "USD 13699");
  EXPECT_EQ(
    sql("SELECT string_agg(account || ' ' || amount_micros, ', ' ORDER BY transaction_id, account) FROM "
        "ledger_postings"),
    "revenue -6849, unbilled 6849, revenue -6850, unbilled 6850");
  EXPECT_EQ(close_until(at(2, 12)), 0);
}

TEST_F(BillingStore, APartOfAnHourCountsByItsSeconds) {
  const auto server = add_active_server(7, at(2, 10, 30));
  become(server, "deleting", at(2, 11, 0, 1));
  EXPECT_EQ(close_until(at(2, 14)), 2);
  EXPECT_EQ(charge(server, at(2, 10)), "1800 3425 small");
  EXPECT_EQ(charge(server, at(2, 11)), "1 2 small");
}

TEST_F(BillingStore, WhatIsNotActiveCostsNothing) {
  add_server(7, at(2, 10));
  EXPECT_EQ(close_until(at(2, 14)), 0);
  EXPECT_EQ(sql("SELECT count(*) FROM ledger_transactions"), "0");
  EXPECT_EQ(sql("SELECT closed_until = " + quoted(at(2, 14)) + " FROM billing_accounts"), "t");
}

TEST_F(BillingStore, AnHourThatOthersHaveClosedIsLeftAlone) {
  add_active_server(7, at(2, 10));
  ASSERT_EQ(close_until(at(2, 11)), 1);
  const auto again = test::run(loop, store.close(token, at(2, 10), {7}));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->users, 0);
  EXPECT_EQ(sql("SELECT count(*) FROM charges"), "1");
}

TEST_F(BillingStore, WithoutTheLeaseNothingIsClosed) {
  add_active_server(7, at(2, 10));
  ASSERT_TRUE(test::run(loop, store.ensure_month(at(2, 10))));
  EXPECT_EQ(test::run(loop, store.close(token + 1, at(2, 10), {7}))->users, 0);
  sql("UPDATE nodes SET lease_until = clock_timestamp() - interval '1 s'");
  EXPECT_EQ(test::run(loop, store.close(token, at(2, 10), {7}))->users, 0);
  EXPECT_FALSE(test::run(loop, store.permission(token, instant{at(2, 12)}, std::nullopt))->is_lease_held);
}

TEST_F(BillingStore, TwoClosersOfOneHourChargeItOnce) {
  for (int i = 0; i < 40; ++i)
    add_active_server(1 + i % 4, at(2, 10));
  ASSERT_TRUE(test::run(loop, store.ensure_month(at(2, 10))));
  std::vector<std::thread> closers;
  closers.reserve(4);
  for (int i = 0; i < 4; ++i)
    closers.emplace_back([&] {
      boost::asio::io_context own_loop{1};
      db::database own{own_loop.get_executor(), database.options()};
      billing_store one{own};
      ASSERT_TRUE(test::run(own_loop, own.connect()));
      for (int hour = 10; hour < 20; ++hour)
        EXPECT_TRUE(test::run(own_loop, one.close(token, at(2, hour), {1, 2, 3, 4})));
    });
  for (auto& one : closers)
    one.join();
  EXPECT_EQ(sql("SELECT count(*) || ' ' || count(DISTINCT (server_id, hour)) FROM charges"), "400 400");
  // 10 hours of 5.00 at 730 hours a month: 68,493.15.
  EXPECT_EQ(unbilled(1), "USD 684930");
}

TEST_F(BillingStore, ALateFactIsCorrectedInTheNextClosedHour) {
  const auto server = add_active_server(7, at(2, 10));
  ASSERT_EQ(close_until(at(2, 16)), 6);
  become(server, "suspended", at(2, 14, 20));
  EXPECT_EQ(close_until(at(2, 17)), 1);
  // 6 h were charged with 41,096; 4 h 20 min come to 5,000,000 x 15,600 / 2,628,000 = 29,680.4.
  EXPECT_EQ(charge(server, at(2, 16)), "-6000 -11416 small");
  EXPECT_EQ(unbilled(7), "USD 29680");
  EXPECT_EQ(close_until(at(2, 20)), 0);
  EXPECT_EQ(sql("SELECT count(*) FROM billing_rechecks"), "0");
}

TEST_F(BillingStore, ALateFactOfAMonthThatIsOverIsACorrectionOfIt) {
  const auto server = add_active_server(7, at(29, 0));
  ASSERT_EQ(close_until(at(31, 2)), 50);
  become(server, "suspended", at(30, 23));
  EXPECT_EQ(close_until(at(31, 3)), 1);
  EXPECT_EQ(
    sql("SELECT sequence || ' ' || seconds || ' ' || amount_micros || ' ' || plan_id FROM charge_corrections "
        "WHERE month = " +
        quoted(november)),
    "1 -3600 -6849 small");
  // December came to nothing after all.
  EXPECT_EQ(charge(server, at(31, 2)), "-7200 -13699 small");
  // 47 hours of November: 321,917.8
  EXPECT_EQ(unbilled(7), "USD 321918");
  EXPECT_EQ(
    sql("SELECT string_agg(kind || ' ' || sequence, ', ' ORDER BY sequence) FROM ledger_transactions WHERE "
        "hour = " +
        quoted(at(31, 2))),
    "charges 1, corrections 2");
}

TEST_F(BillingStore, AChangeOfPlanCountsEachPlansSeconds) {
  const auto server = add_active_server(7, at(2, 10));
  ASSERT_EQ(close_until(at(2, 11)), 1);
  change_plan(server, "large", at(2, 11, 30));
  EXPECT_EQ(close_until(at(2, 13)), 2);
  // 5,000,000 x 5,400 / 2,628,000 + 10,000,000 x 1,800 / 2,628,000 = 17,123.3
  EXPECT_EQ(charge(server, at(2, 11)), "3600 10274 large");
  EXPECT_EQ(charge(server, at(2, 12)), "3600 13699 large");
}

TEST_F(BillingStore, ANewPriceHoldsFromItsHourOn) {
  const auto server = add_active_server(7, at(2, 10));
  add_price("small", at(2, 12), 10'000'000);
  ASSERT_EQ(close_until(at(2, 13)), 3);
  EXPECT_EQ(charge(server, at(2, 11)), "3600 6850 small");
  EXPECT_EQ(charge(server, at(2, 12)), "3600 13698 small");
}

TEST_F(BillingStore, AMonthEndsAtItsPriceAndTheNextBeginsAnew) {
  const auto server = add_active_server(7, at(0, 0));
  close_until(at(35, 0));
  EXPECT_EQ(charged(server, november, at(31, 0)), 4'931'507);
  EXPECT_EQ(charged(server, at(31, 0), at(35, 0)), 657'534);
}

TEST_F(BillingStore, SeveralCurrenciesOfAUserStandApart) {
  add_plan("euro", 7'300'000, "allocated", "second", "EUR");
  add_active_server(7, at(2, 10));
  add_active_server(7, at(2, 10), "euro");
  ASSERT_EQ(close_until(at(2, 11)), 2);
  EXPECT_EQ(unbilled(7), "EUR 10000, USD 6849");
}

TEST_F(BillingStore, APriceThatIsStoredLateCorrectsWhatIsClosed) {
  add_active_server(7, at(29, 0));
  const auto over = add_active_server(8, at(29, 0));
  become(over, "deleting", at(29, 1));
  ASSERT_EQ(close_until(at(31, 2)), 51);
  // As after a clock that was set back over the end of the month.
  add_price("small", at(30, 22), 10'000'000);
  ASSERT_EQ(close_until(at(31, 3)), 1);
  // Two hours at twice the price; 48 hours had come to 328,767.
  EXPECT_EQ(sql("SELECT server_id || ' ' || amount_micros FROM charge_corrections"), "1 13699");
}

TEST_F(BillingStore, TheTermsThatWerePutLastStand) {
  catalogue_store catalogue{db};
  plan wanted{{"fresh"}, "fresh", {"USD"}, {{5'000'000}, 730}, {1}, {}};
  const auto put = [&](std::int64_t micros, std::chrono::sys_seconds when) {
    wanted.terms.monthly_price = {micros};
    ASSERT_TRUE(test::run(loop, catalogue.put_plan(wanted, "operator", instant{when})));
  };
  put(5'000'000, at(1, 0));
  // The clock was three hours ahead, and is put right.
  put(6'000'000, at(2, 13, 30));
  put(7'000'000, at(2, 10, 30));
  EXPECT_EQ(test::run(loop, catalogue.find_plan({"fresh"}))->terms.monthly_price.micros, 7'000'000);
}

TEST_F(BillingStore, AUserWhoseFirstServerCameUnderAClockThatWasAheadIsChargedFromNowOn) {
  add_server(7, at(20, 0));
  const auto server = add_active_server(7, at(2, 10));
  EXPECT_EQ(close_until(at(2, 12)), 2);
  EXPECT_EQ(charge(server, at(2, 11)), "3600 6850 small");
}

TEST_F(BillingStore, AMonthsTableWaitsForNoReader) {
  add_active_server(7, at(29, 0));
  close_until(at(31, 0));
  auto reading = [&](transaction& t) -> asio::awaitable<result<bool>> {
    const auto read = co_await t.run(statement{"read_charges", "SELECT count(*) FROM charges"});
    if (!read)
      co_return read.error();
    const auto made = co_await store.ensure_month(at(31, 0));
    co_return made.has_value();
  };
  EXPECT_TRUE(test::run(loop, db.transact(reading)).value());
}

// -- spending limits ---------------------------------------------------------------------

class SpendingLimits : public BillingStore {
protected:
  void limit(int user, const std::string& alert_at, const std::string& suspend_at = "NULL") {
    sql("UPDATE users SET alert_at_micros = " + alert_at + ", suspend_at_micros = " + suspend_at +
        " WHERE id = " + std::to_string(user));
  }
  std::string told() {
    return sql("SELECT string_agg(subject || ' ' || (body->>'month') || ' ' || (body->>'soFar') || ' of ' || "
               "(body->>'limit'), ', ' ORDER BY id) FROM outbox");
  }
};

TEST_F(SpendingLimits, AreToldOnceAMonthWhenTheyAreReached) {
  add_active_server(7, at(2, 10));
  limit(7, "13699", "20548");
  close_until(at(2, 11));
  EXPECT_EQ(told(), "");
  close_until(at(2, 12));
  EXPECT_EQ(told(), "spending_alert 7 2026-11 0.013699 of 0.013699");
  EXPECT_EQ(sql("SELECT created_at = " + quoted(at(2, 12)) + " FROM outbox"), "t");
  close_until(at(2, 20));
  EXPECT_EQ(told(), "spending_alert 7 2026-11 0.013699 of 0.013699, "
                    "spending_suspend 7 2026-11 0.020548 of 0.020548");
  EXPECT_EQ(sql("SELECT body->>'note' FROM outbox WHERE subject LIKE 'spending_suspend%'"),
            "the servers of this user are being suspended");
  EXPECT_EQ(sql("SELECT string_agg(kind || ' ' || month_micros, ', ' ORDER BY kind) FROM passed_limits"),
            "alert 13699, suspend 20548");
}

TEST_F(SpendingLimits, AreNamedByTheHourThatCameToThem) {
  add_active_server(7, at(2, 10));
  limit(7, "13699");
  close_until(at(2, 11));
  const auto reached = test::run(loop, store.close(token, at(2, 11), {7})).value().passed;
  ASSERT_EQ(reached.size(), 1u);
  EXPECT_EQ(reached[0].user, user_id{7});
  EXPECT_EQ(reached[0].kind, "alert");
  EXPECT_EQ(reached[0].currency.value, "USD");
  EXPECT_EQ(reached[0].limit.micros, 13'699);
  EXPECT_EQ(reached[0].so_far.micros, 13'699);
  EXPECT_TRUE(test::run(loop, store.close(token, at(2, 12), {7})).value().passed.empty());
}

TEST_F(SpendingLimits, CountEachMonthAnew) {
  add_active_server(7, at(30, 22));
  limit(7, "13699");
  close_until(at(31, 1));
  EXPECT_EQ(told(), "spending_alert 7 2026-11 0.013699 of 0.013699") << "December has but one hour yet";
  close_until(at(31, 2));
  EXPECT_EQ(told(), "spending_alert 7 2026-11 0.013699 of 0.013699, "
                    "spending_alert 7 2026-12 0.013699 of 0.013699");
}

TEST_F(SpendingLimits, OneThatTheMonthHasPassedAlreadyIsToldWithTheNextHour) {
  // November has fewer hours than this plan's month, which so is full on the second day.
  sql("UPDATE plan_prices SET hours_per_month = 24 WHERE plan_id = 'small'");
  add_active_server(7, at(2, 0));
  close_until(at(4, 0));
  limit(7, "4000000");
  close_until(at(4, 1));
  EXPECT_EQ(told(), "spending_alert 7 2026-11 5.00 of 4.00");
}

TEST_F(SpendingLimits, CountWhatIsChargedInTheUsersCurrency) {
  add_plan("euro", 7'300'000'000, "allocated", "second", "EUR");
  add_active_server(7, at(2, 10), "euro");
  add_active_server(8, at(2, 10), "euro");
  sql("UPDATE users SET currency = 'EUR' WHERE id = 8");
  limit(7, "1000000");
  limit(8, "1000000");
  close_until(at(2, 11));
  EXPECT_EQ(told(), "spending_alert 8 2026-11 10.00 of 1.00");
}

TEST_F(SpendingLimits, ACorrectionOfAMonthThatIsOverCountsForNoOther) {
  const auto server = add_active_server(7, at(30, 20));
  const auto held = hold(7, server, at(30, 21));
  ASSERT_EQ(close_until(at(31, 1)), 1);
  end_hold(held, at(31, 0), "released");
  limit(7, "13700");
  ASSERT_EQ(close_until(at(31, 2)), 1);
  EXPECT_EQ(sql("SELECT month_micros FROM user_balances"), "13699");
  EXPECT_EQ(told(), "");
}

TEST_F(SpendingLimits, AnHourThatIsNotClosedTellsNothing) {
  add_active_server(7, at(2, 10));
  limit(7, "1");
  ASSERT_TRUE(test::run(loop, store.ensure_month(at(2, 10))));
  bool has_failed = false;
  billing_store failing{db, [&](std::string_view step) {
                          if (step != "billing.before_commit" || has_failed)
                            return;
                          has_failed = true;
                          throw std::runtime_error("killed");
                        }};
  EXPECT_THROW(static_cast<void>(test::run(loop, failing.close(token, at(2, 10), {7}))), std::runtime_error);
  EXPECT_EQ(told(), "");
  EXPECT_EQ(sql("SELECT count(*) FROM passed_limits"), "0");
  EXPECT_EQ(close_until(at(2, 11)), 1);
  EXPECT_EQ(told(), "spending_alert 7 2026-11 0.006849 of 0.000001");
}

TEST_F(BillingStore, TheMonthsSumIsThatOfItsCharges) {
  const auto server = add_active_server(7, at(29, 0));
  add_active_server(7, at(30, 12), "large");
  close_until(at(30, 20));
  become(server, "suspended", at(30, 2));
  close_until(at(30, 23));
  EXPECT_EQ(sql("SELECT month_micros = (SELECT sum(amount_micros) FROM charges) FROM user_balances"), "t");
  close_until(at(31, 2));
  EXPECT_EQ(sql("SELECT month_micros = (SELECT sum(amount_micros) FROM charges WHERE hour >= month) FROM "
                "user_balances"),
            "t");
}

TEST(SpendingLimitsMigration, KnowsWhatTheMonthHasComeTo) {
  const auto all = embedded_migrations();
  const auto own = std::find_if(all.begin(), all.end(), [](const migration& one) {
    return std::string_view{one.name}.ends_with("_spending_limits");
  });
  ASSERT_NE(own, all.end());
  const auto before = static_cast<std::size_t>(own - all.begin());
  const test::test_database database{all.first(before)};
  test::run_sql(database.url(), R"sql(
    INSERT INTO users (id, name, email, created_at, updated_at) VALUES (7, 'u', 'u@example.test', now(), now());
    INSERT INTO user_balances (user_id, currency, unbilled_micros) VALUES (7, 'USD', 111), (7, 'EUR', 1000);
    WITH t (hour, sequence, kind, currency, micros) AS (
      VALUES ('2026-10-31T23:00:00Z'::timestamptz, 1, 'charges', 'USD', 1),
             ('2026-11-01T00:00:00Z', 1, 'charges', 'USD', 10),
             ('2026-11-01T01:00:00Z', 2, 'corrections', 'USD', 50),
             ('2026-11-01T01:00:00Z', 1, 'charges', 'USD', 50),
             ('2026-10-31T23:00:00Z', 1, 'charges', 'EUR', 1000)),
    posted AS (
      INSERT INTO ledger_transactions (user_id, currency, hour, sequence, kind)
      SELECT 7, currency, hour, sequence, kind FROM t RETURNING id, currency, hour, sequence)
    INSERT INTO ledger_postings
    SELECT p.id, side.account, side.sign * t.micros
      FROM posted p JOIN t USING (currency, hour, sequence),
           (VALUES ('unbilled', 1), ('revenue', -1)) AS side (account, sign))sql");
  boost::asio::io_context loop{1};
  ASSERT_TRUE(test::run(loop, migrate(database.options(), all.first(before + 1))));
  EXPECT_EQ(test::run_sql(database.url(),
                          "SELECT string_agg(currency || ' ' || to_char(month AT TIME ZONE 'UTC', "
                          "'YYYY-MM-DD') || ' ' || month_micros, ', ' ORDER BY currency) FROM user_balances"),
            "EUR 2026-10-01 1000, USD 2026-11-01 60");
}

// -- holds -------------------------------------------------------------------------------

TEST_F(BillingStore, WhatIsHeldIsNotChargedAndIsChargedOnceItIsReleased) {
  const auto server = add_active_server(7, at(2, 10));
  const auto held = hold(7, server, at(2, 11));
  ASSERT_EQ(close_until(at(2, 14)), 1);
  end_hold(held, at(2, 14), "released");
  EXPECT_EQ(close_until(at(2, 15)), 1);
  EXPECT_EQ(charge(server, at(2, 14)), "14400 27398 small");
}

TEST_F(BillingStore, WhatIsWrittenOffIsNeverCharged) {
  const auto server = add_active_server(7, at(2, 10));
  const auto held = hold(7, 0, at(2, 11));
  ASSERT_EQ(close_until(at(2, 14)), 1);
  end_hold(held, at(2, 14), "written_off");
  EXPECT_EQ(close_until(at(2, 15)), 1);
  EXPECT_EQ(charge(server, at(2, 14)), "3600 6850 small");
}

TEST_F(BillingStore, AHoldFromEarlierOnGivesBackWhatWasCharged) {
  const auto server = add_active_server(7, at(2, 10));
  ASSERT_EQ(close_until(at(2, 14)), 4);
  hold(7, server, at(2, 12));
  EXPECT_EQ(close_until(at(2, 15)), 1);
  EXPECT_EQ(charge(server, at(2, 14)), "-7200 -13698 small");
}

TEST_F(BillingStore, AHoldThatBeganEarlierThanWasSaidIsSeen) {
  const auto server = add_active_server(7, at(2, 10));
  const auto held = hold(7, server, at(2, 13));
  ASSERT_EQ(close_until(at(2, 14)), 3);
  sql("UPDATE holds SET from_at = " + quoted(at(2, 11)) + " WHERE id = " + std::to_string(held));
  ASSERT_EQ(close_until(at(2, 15)), 1);
  EXPECT_EQ(charge(server, at(2, 14)), "-7200 -13699 small");
}

TEST_F(BillingStore, AHoldReleasedAfterItsMonthIsACorrection) {
  const auto server = add_active_server(7, at(30, 20));
  const auto held = hold(7, server, at(30, 22));
  ASSERT_EQ(close_until(at(31, 1)), 2);
  end_hold(held, at(31, 0, 30), "released");
  ASSERT_EQ(close_until(at(31, 2)), 1);
  EXPECT_EQ(sql("SELECT seconds || ' ' || amount_micros FROM charge_corrections"), "7200 13698")
    << "4 hours come to 27,397, of which 13,699 were charged";
  EXPECT_EQ(charge(server, at(31, 1)), "7200 13699 small");
}

// -- uptime ------------------------------------------------------------------------------

TEST_F(BillingStore, UptimeCountsWhatWasSeenPoweredOn) {
  add_plan("metered", 7'300'000, "uptime");
  const auto server = add_active_server(7, at(2, 10), "metered");
  see_power(server, at(2, 10, 6), at(2, 10, 6), true);
  see_power(server, at(2, 11, 30), at(2, 11, 30), false);
  ASSERT_EQ(close_until(at(2, 13)), 3);
  EXPECT_EQ(charge(server, at(2, 10)), "3600 10000 metered");
  EXPECT_EQ(charge(server, at(2, 11)), "1800 5000 metered");
  EXPECT_EQ(charge(server, at(2, 12)), "3600 10000 metered estimated");
}

TEST_F(BillingStore, ALookThatComesLateCorrectsItsHour) {
  add_plan("metered", 7'300'000, "uptime");
  const auto server = add_active_server(7, at(2, 10), "metered");
  ASSERT_EQ(close_until(at(2, 11)), 1);
  see_power(server, at(2, 10, 30), at(2, 10, 30), false);
  ASSERT_EQ(close_until(at(2, 12)), 1);
  // The hour before gives back its half, and this one is one that nobody saw.
  EXPECT_EQ(charge(server, at(2, 11)), "1800 5000 metered estimated");
}

TEST_F(BillingStore, UsersWithUptimeServersWaitForTheSyncOfTheHour) {
  add_plan("metered", 7'300'000, "uptime");
  add_active_server(7, at(2, 10), "metered");
  add_active_server(8, at(2, 10));
  const auto run = sql("INSERT INTO runs (schedule_id, scheduled_at, state) SELECT id, " + quoted(at(2, 10)) +
                       ", 'queued' FROM schedules WHERE name = 'hourly-sync-and-billing' RETURNING id");
  const auto closable = [&](std::chrono::sys_seconds syncs_since) {
    const auto hour = test::run(loop, store.next_hour(at(2, 11), syncs_since)).value();
    std::string users;
    if (hour)
      for (const auto& one : hour->users)
        users += std::to_string(one.user.value) + " ";
    return users;
  };
  EXPECT_EQ(closable(at(2, 10)), "8 ");
  EXPECT_EQ(closable(at(2, 10, 0, 1)), "7 8 ") << "its time is over";
  sql("UPDATE runs SET state = 'succeeded', ended_at = now()");
  EXPECT_EQ(closable(at(2, 10)), "7 8 ");
}

// -- what stands in the way, and what never changes --------------------------------------

TEST_F(BillingStore, TellsWhatStandsAgainstClosing) {
  const auto permission = [&](std::optional<instant> now = std::nullopt) {
    return test::run(loop, store.permission(token, instant{at(2, 12)}, now)).value();
  };
  EXPECT_FALSE(permission().closed_until);
  add_active_server(7, at(2, 10, 20));
  EXPECT_TRUE(permission().is_lease_held);
  EXPECT_FALSE(permission().is_paused);
  EXPECT_EQ(permission().closed_until, at(2, 10));
  EXPECT_FALSE(permission().do_clocks_differ);
  EXPECT_TRUE(permission(instant{at(2, 10)}).do_clocks_differ);
  sql("UPDATE schedules SET paused = true WHERE name = 'hourly-sync-and-billing'");
  EXPECT_TRUE(permission().is_paused);
}

TEST_F(BillingStore, TheAuditFindsWhatIsNotAsTheEventsSay) {
  const auto server = add_active_server(7, at(2, 10));
  close_until(at(2, 12));
  const auto violated = [&] {
    std::string names;
    for (const auto& one : audit())
      if (one.violations > 0)
        names += one.name + '\n';
    return names;
  };
  EXPECT_EQ(violated(), "");
  const std::string row =
    std::to_string(server) + ", " + quoted(at(2, 11)) + ", 7, 'USD', 'small', 'allocated', false, ";
  sql("ALTER TABLE charges DISABLE TRIGGER ALL; DELETE FROM charges WHERE hour = " + quoted(at(2, 11)));
  EXPECT_EQ(violated(), "a user's unbilled balance is what was charged and is not invoiced\n"
                        "what limits look at is what the month's hours were charged\n"
                        "what a server was charged for a month is what the month has come to\n");
  sql("INSERT INTO charges VALUES (" + row + "3600, 6851, 7200, 13700)");
  EXPECT_EQ(violated(), "a user's unbilled balance is what was charged and is not invoiced\n"
                        "what limits look at is what the month's hours were charged\n"
                        "what a server was charged for a month is what the month has come to\n");
  sql("UPDATE charges SET amount_micros = 6850, month_micros = 13699 WHERE hour = " + quoted(at(2, 11)));
  EXPECT_EQ(violated(), "");
  sql("UPDATE user_balances SET unbilled_micros = 1");
  EXPECT_EQ(violated(), "a user's unbilled balance is what was posted to it\n"
                        "a user's unbilled balance is what was charged and is not invoiced\n");
  sql("UPDATE user_balances SET unbilled_micros = 13699, month_micros = 13700");
  EXPECT_EQ(violated(), "what limits look at is what the month's hours were charged\n");
  sql("UPDATE user_balances SET month_micros = 13699");
  sql("UPDATE billing_accounts SET closed_until = closed_until - interval '1 hour'");
  EXPECT_EQ(violated(), "no hour is charged that is not closed\n"
                        "what a server was charged for a month is what the month has come to\n");
  sql("UPDATE billing_accounts SET closed_until = closed_until + interval '1 hour'");
}

TEST_F(BillingStore, PostedRowsAreNeverChanged) {
  add_active_server(7, at(2, 10));
  close_until(at(2, 11));
  EXPECT_THROW(sql("UPDATE charges SET amount_micros = 0"), std::runtime_error);
  EXPECT_THROW(sql("DELETE FROM charges"), std::runtime_error);
  EXPECT_THROW(sql("UPDATE ledger_postings SET amount_micros = 1"), std::runtime_error);
  EXPECT_THROW(sql("DELETE FROM ledger_transactions"), std::runtime_error);
}

TEST_F(BillingStore, ALedgerTransactionSumsToZero) {
  add_user(7);
  const std::string transaction = "WITH t AS (INSERT INTO ledger_transactions (user_id, currency, hour, "
                                  "sequence, kind) VALUES (7, 'USD', " +
                                  quoted(at(2, 10)) +
                                  ", 1, 'charges') RETURNING id) INSERT INTO ledger_postings SELECT id, "
                                  "v.account, v.micros FROM t, (VALUES ";
  EXPECT_THROW(sql(transaction + "('unbilled', 5)) AS v (account, micros)"), std::runtime_error);
  EXPECT_THROW(sql(transaction + "('unbilled', 5), ('revenue', -4)) AS v (account, micros)"),
               std::runtime_error);
  EXPECT_NO_THROW(
    sql(transaction + "('receivable', 5), ('revenue', -4), ('tax', -1)) AS v (account, micros)"));
}

} // namespace
} // namespace skyengine::db
