#include "db/drift_store.hpp"
#include "db/money_store.hpp"
#include "tests/support/billing_rig.hpp"

#include <gtest/gtest.h>

#include <string>

namespace skyengine::db {
namespace {

using namespace std::chrono_literals;

/// What drift and what is decided about it do to what a server costs.
class DriftBilling : public test::billing_rig {
protected:
  /// VirtFusion's id of a server is its id here and 1000.
  int add_known_server() {
    const auto id = add_active_server(1, at(1, 0));
    sql("UPDATE servers SET virtfusion_id = id + 1000, active_at = created_at WHERE id = " +
        std::to_string(id));
    return id;
  }
  void
  find(drift_kind kind, int server, std::chrono::sys_seconds seen, std::chrono::sys_seconds right_until) {
    const std::vector<drift_finding> found{
      {kind, server_id{server}, {server + 1'000}, "seen", "{}", instant{seen}, instant{right_until}}};
    const auto reported = test::run(loop, drift.report(found, {}, instant{seen}));
    ASSERT_TRUE(reported) << reported.error().detail;
    ASSERT_EQ(reported->found.size(), 1u);
  }
  void vanish(drift_kind kind, int server, std::chrono::sys_seconds when) {
    const std::vector<drift_clearance> cleared{{kind, {server + 1'000}, instant{when}}};
    const auto reported = test::run(loop, drift.report({}, cleared, instant{when}));
    ASSERT_TRUE(reported) << reported.error().detail;
    ASSERT_EQ(reported->vanished.size(), 1u);
  }
  void resolve(drift_way how, std::chrono::sys_seconds when, std::optional<plan_id> plan = {}) {
    drift_store::decision what;
    what.id = 1;
    what.how = how;
    what.actor = "operator";
    what.plan = std::move(plan);
    const auto done = test::run(loop, drift.resolve(what, instant{when}));
    ASSERT_TRUE(done) << done.error().detail;
  }

  // 5.00 and 10.00 over 730 h, in micros, by so many full hours.
  static constexpr std::int64_t small_for(std::int64_t hours) {
    return (5'000'000 * hours * 2 + 730) / (2 * 730);
  }

  drift_store drift{db};
};

TEST_F(DriftBilling, AServerThatIsGoneCostsNothingFromWhenItWasLastSeen) {
  const auto server = add_known_server();
  close_until(at(1, 12));
  EXPECT_EQ(charged(server, at(1, 0), at(2, 0)), small_for(12));
  // It was last seen at 10:00; the hours behind that were closed before anybody knew.
  find(drift_kind::gone, server, at(1, 12, 5), at(1, 10));
  close_until(at(1, 20));
  EXPECT_EQ(charged(server, at(1, 0), at(2, 0)), small_for(10));
  resolve(drift_way::delete_server, at(1, 20, 30));
  close_until(at(2, 0));
  EXPECT_EQ(charged(server, at(1, 0), at(2, 0)), small_for(10));
  EXPECT_EQ(sql("SELECT state || ' ' || (deleted_at = " + quoted(at(1, 10)) + ") FROM servers"),
            "deleted true");
}

TEST_F(DriftBilling, WhatIsRightAgainIsChargedAfterAll) {
  const auto server = add_known_server();
  find(drift_kind::owner, server, at(1, 6), at(1, 6));
  close_until(at(1, 12));
  EXPECT_EQ(charged(server, at(1, 0), at(2, 0)), small_for(6));
  vanish(drift_kind::owner, server, at(1, 12, 10));
  close_until(at(1, 14));
  EXPECT_EQ(charged(server, at(1, 0), at(2, 0)), small_for(14));
}

TEST_F(DriftBilling, ASuspensionThatIsTakenOverCostsNothingFromWhenItWasSeen) {
  const auto server = add_known_server();
  find(drift_kind::suspended, server, at(1, 6), at(1, 6));
  resolve(drift_way::take_over, at(1, 9));
  close_until(at(1, 12));
  EXPECT_EQ(charged(server, at(1, 0), at(2, 0)), small_for(6));
}

TEST_F(DriftBilling, APackageThatIsTakenOverCostsItsPlanFromWhenItWasSeen) {
  const auto server = add_known_server();
  find(drift_kind::package, server, at(1, 6), at(1, 6));
  close_until(at(1, 8));
  EXPECT_EQ(charged(server, at(1, 0), at(2, 0)), small_for(6));
  resolve(drift_way::take_over, at(1, 9), plan_id{"large"});
  close_until(at(1, 12));
  // 6 hours of the small plan, 6 of one that costs twice as much.
  EXPECT_EQ(charged(server, at(1, 0), at(2, 0)), small_for(18));
}

TEST_F(DriftBilling, WhatRunsThoughItIsSuspendedHereCostsNothing) {
  const auto server = add_known_server();
  become(server, "suspended", at(1, 6));
  find(drift_kind::running, server, at(1, 8), at(1, 8));
  close_until(at(1, 12));
  EXPECT_EQ(charged(server, at(1, 0), at(2, 0)), small_for(6));
  resolve(drift_way::take_over, at(1, 12));
  close_until(at(1, 14));
  EXPECT_EQ(charged(server, at(1, 0), at(2, 0)), small_for(8));
}

TEST_F(DriftBilling, WhatWasChargedOfAServerThatIsDeletedAsGoneLaterStandsInItsMonth) {
  const auto id = add_active_server(1, at(29, 0));
  sql("UPDATE servers SET virtfusion_id = id + 1000, active_at = created_at");
  find(drift_kind::gone, id, at(29, 12, 5), at(29, 10));
  // An operator lets it be charged for, and only much later decides that it is gone.
  sql("UPDATE holds SET until_at = from_at, outcome = 'released', ended_by = 'operator'");
  close_until(at(62, 12));
  resolve(drift_way::delete_server, at(62, 12, 30));
  close_until(at(62, 13));
  const auto month = at(62, 0);
  EXPECT_GT(charged(id, month, at(62, 13)), 0);
  money_store money{db};
  const auto usage = test::run(loop, money.usage_of({1}, month, month_state::present, {}, 50)).value();
  ASSERT_EQ(usage.currencies.size(), 1u);
  EXPECT_GT(usage.currencies[0].so_far.micros, 0);
  EXPECT_EQ(usage.servers.size(), 1u) << "charged, and told of in no list of servers";
  const auto invoices = test::run(loop, money.preview_invoices({1}, month)).value();
  EXPECT_EQ(invoices.size(), 1u) << "charged, and on no invoice";
}

} // namespace
} // namespace skyengine::db
