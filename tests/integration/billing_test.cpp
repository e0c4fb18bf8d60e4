#include "actors/billing.hpp"
#include "actors/joint_handler.hpp"
#include "actors/runtime/actor_runtime.hpp"
#include "actors/runtime/prepare.hpp"
#include "tests/support/billing_rig.hpp"
#include "tests/support/log_capture.hpp"

#include <boost/asio/co_spawn.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace skyengine::actors {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_seconds;

/// Stands where it is put.
class set_clock final : public clock {
public:
  instant now() const noexcept override { return at; }
  instant at;
};

/// The actor on its own loop; the rig's levers beside it.
class Billing : public test::billing_rig {
protected:
  ~Billing() override {
    caf::anon_send_exit(billing, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(joint, caf::exit_reason::user_shutdown);
    runtime.loop().restart();
    while (runtime.loop().poll() > 0)
      runtime.loop().restart();
    billing = nullptr;
    joint = nullptr;
  }

  void begin(sys_seconds now, bool is_system_time = false, std::chrono::seconds late_after = 2h) {
    business.at = now;
    ASSERT_TRUE(test::run(runtime.loop(), own_db.connect()));
    billing_options options;
    options.look_every = 5ms;
    options.retry_after = 10ms;
    options.rows_at_once = 3;
    options.is_system_time = is_system_time;
    options.late_after = late_after;
    options.sync_window = late_after == 0s ? -1h : std::chrono::seconds{50min};
    billing_services services{own_store, [this] { return lease_token; }, business, runtime.timers()};
    lease_token = token;
    billing = spawn_billing(runtime.system(), runtime.loop().get_executor(), services, options);
  }
  void run_until(const std::function<bool()>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + test::patience;
    while (!holds()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "it did not come to that";
      runtime.loop().restart();
      runtime.loop().run_one_until(deadline);
    }
  }
  billing_figures figures() {
    const billing_figures_query query;
    return test::run(runtime.loop(), runtime.asker().ask<billing_figures>(billing, 10s, query)).value();
  }
  result<cron_outcome> tick(const cron_handler_actor& to) {
    const cron_tick one{{1}, {1}, std::chrono::floor<std::chrono::seconds>(business.at)};
    return test::run(runtime.loop(), runtime.asker().ask<cron_outcome>(to, 10s, one));
  }
  cron_handler_actor handler() const { return caf::actor_cast<cron_handler_actor>(billing); }
  std::string charges() const { return sql("SELECT count(*) FROM charges"); }

  set_clock business;
  actors::runtime::actor_runtime runtime;
  db::database own_db{runtime.loop().get_executor(), database.options()};
  std::function<void(std::string_view)> passed = [](std::string_view) {};
  db::billing_store own_store{own_db, [this](std::string_view point) { passed(point); }};
  std::int64_t lease_token = 0;
  billing_actor billing;
  cron_handler_actor joint;
};

TEST_F(Billing, ClosesAnHourAMinuteAfterItsEnd) {
  add_active_server(7, at(2, 10));
  begin(at(2, 11, 0, 59));
  EXPECT_EQ(tick(handler())->figures, R"({"hours":0,"charges":0,"corrections":0,"failing":0})");
  EXPECT_EQ(charges(), "0");
  business.at = at(2, 11, 1);
  run_until([&] { return figures().hours == 1; });
  EXPECT_EQ(figures().charges, 1U);
  EXPECT_EQ(figures().lag, 0s);
  business.at = at(2, 12, 30);
  EXPECT_EQ(figures().lag, 1'800s);
}

TEST_F(Billing, ATickClosesWhatCanBeClosed) {
  for (int i = 0; i < 10; ++i)
    add_active_server(1 + i % 4, at(2, 10));
  begin(at(2, 13, 5));
  ASSERT_TRUE(tick(handler()));
  EXPECT_EQ(charges(), "30");
  EXPECT_EQ(figures().hours, 3U);
}

TEST_F(Billing, WhatWasMissedIsCaughtUpExactly) {
  std::vector<int> servers;
  servers.reserve(20);
  for (int i = 0; i < 20; ++i)
    servers.push_back(add_active_server(1 + i % 7, at(29, 20, i)));
  begin(at(29, 23, 10));
  ASSERT_TRUE(tick(handler()));
  // Off for 26 hours, over the end of the month.
  business.at = at(31, 1, 10);
  run_until([&] { return figures().hours == 3 + 26; });
  const price_list prices{{at(1, 0), {{5'000'000}, 730}}};
  for (std::size_t i = 0; i < servers.size(); ++i) {
    const auto begun = at(29, 20, static_cast<int>(i));
    const std::vector<plan_terms> terms{prices.front().terms};
    const std::vector<billable_span> span{{begun, at(31, 1), 0}};
    for (const auto month : {november, at(31, 0)})
      EXPECT_EQ(charged(servers[i], month, month_after(month)),
                accrue_month(terms, span, month, std::min(at(31, 1), month_after(month))).accrued.micros);
  }
}

TEST_F(Billing, WhileTheScheduleIsPausedNothingIsClosed) {
  add_active_server(7, at(2, 10));
  sql("UPDATE schedules SET paused = true WHERE name = 'hourly-sync-and-billing'");
  begin(at(2, 13, 5));
  EXPECT_EQ(tick(handler())->figures, R"({"hours":0,"charges":0,"corrections":0,"failing":0})");
  EXPECT_EQ(figures().lag, 2h + 5min);
  sql("UPDATE schedules SET paused = false WHERE name = 'hourly-sync-and-billing'");
  run_until([&] { return figures().hours == 3; });
}

TEST_F(Billing, WithoutALeaseNothingIsClosed) {
  add_active_server(7, at(2, 10));
  begin(at(2, 9));
  lease_token = token + 1;
  business.at = at(2, 13, 5);
  EXPECT_EQ(tick(handler())->figures, R"({"hours":0,"charges":0,"corrections":0,"failing":0})");
  lease_token = token;
  run_until([&] { return figures().hours == 3; });
}

TEST_F(Billing, AClockThatIsWrongClosesNothingAndIsToldOnce) {
  const test::log_capture log;
  add_active_server(7, at(2, 10));
  begin(at(2, 13, 5), true);
  ASSERT_TRUE(tick(handler()));
  ASSERT_TRUE(tick(handler()));
  EXPECT_EQ(charges(), "0");
  EXPECT_EQ(log.count("alert=billing_clocks_differ"), 1U);
}

TEST_F(Billing, ThatHoursAreNotClosedIsToldUntilTheyAre) {
  const test::log_capture log;
  add_active_server(7, at(2, 10));
  begin(at(2, 11, 5));
  run_until([&] { return figures().hours == 1; });
  // The table that its transactions begin with is away.
  sql("ALTER TABLE billing_accounts RENAME COLUMN facts TO hidden");
  business.at = at(2, 14, 5);
  run_until([&] { return log.count("alert=billing_late") == 1; });
  sql("ALTER TABLE billing_accounts RENAME COLUMN hidden TO facts");
  run_until([&] { return log.count("alert_cleared=billing_late") == 1; });
  EXPECT_EQ(figures().hours, 4U);
  EXPECT_EQ(log.count("alert=billing_late"), 1U);
}

TEST_F(Billing, ThatNoHourWasEverClosedIsTold) {
  const test::log_capture log;
  add_active_server(7, at(2, 10));
  sql("ALTER TABLE billing_accounts RENAME COLUMN closed_until TO hidden");
  begin(at(2, 14, 5), false, 0s);
  run_until([&] { return log.count("alert=billing_late") == 1; });
  sql("ALTER TABLE billing_accounts RENAME COLUMN hidden TO closed_until");
  run_until([&] { return log.count("alert_cleared=billing_late") == 1; });
}

TEST_F(Billing, AUserWhoseHoursCannotBeClosedHoldsNobodyUp) {
  const test::log_capture log;
  const auto broken = add_active_server(1, at(2, 10));
  add_active_server(2, at(2, 10));
  ASSERT_TRUE(test::run(loop, store.ensure_month(at(2, 10))));
  sql("INSERT INTO charges (server_id, hour, user_id, currency, plan_id, basis, estimated, seconds, "
      "amount_micros, "
      "month_seconds, month_micros) VALUES (" +
      std::to_string(broken) + ", " + quoted(at(2, 11)) +
      ", 1, 'USD', 'small', 'allocated', false, 1, 1, 1, 1)");
  begin(at(2, 9));
  business.at = at(2, 13, 5);
  EXPECT_EQ(tick(handler())->figures, R"({"hours":3,"charges":4,"corrections":0,"failing":1})");
  EXPECT_EQ(sql("SELECT string_agg(extract(hour FROM closed_until AT TIME ZONE 'UTC')::text, ' ' ORDER BY "
                "user_id) FROM "
                "billing_accounts"),
            "11 13");
  sql("ALTER TABLE charges DISABLE TRIGGER ALL; DELETE FROM charges WHERE amount_micros = 1; ALTER TABLE "
      "charges ENABLE "
      "TRIGGER ALL");
  run_until([&] { return charges() == "6"; });
  run_until([&] { return log.count("alert_cleared=billing_user_failing") == 1; });
  EXPECT_EQ(log.count("alert=billing_user_failing"), 1U);
}

TEST_F(Billing, APauseStopsACatchUpToo) {
  add_active_server(7, at(2, 10));
  int commits = 0;
  passed = [&](std::string_view point) {
    if (point == "billing.after_commit" && ++commits == 3)
      sql("UPDATE schedules SET paused = true WHERE name = 'hourly-sync-and-billing'");
  };
  begin(at(2, 9));
  business.at = at(5, 13, 5);
  ASSERT_TRUE(tick(handler()));
  EXPECT_EQ(charges(), "3");
}

TEST_F(Billing, AnExceptionInOneLaneEndsNoOther) {
  for (int i = 0; i < 24; ++i)
    add_active_server(1 + i % 8, at(2, 10));
  int turn = 0;
  passed = [&](std::string_view point) {
    if (point == "billing.charged" && ++turn % 3 == 0 && turn < 40)
      throw std::runtime_error{"planned"};
  };
  begin(at(2, 9));
  business.at = at(2, 20, 5);
  run_until([&] { return charges() == "240" && own_db.counters().transactions == 0; });
  for (const auto& one : audit())
    EXPECT_EQ(one.violations, 0) << one.name;
}

TEST_F(Billing, AUserWhoseHoursAreClosedBeyondNowIsToldOf) {
  const test::log_capture log;
  add_active_server(7, at(20, 10));
  begin(at(2, 10));
  ASSERT_TRUE(tick(handler()));
  ASSERT_TRUE(tick(handler()));
  EXPECT_EQ(log.count("alert=billing_ahead"), 1U);
}

TEST_F(Billing, StoppedItBeginsNothingUntilItIsResumed) {
  add_active_server(7, at(2, 10));
  begin(at(2, 9));
  const stop_billing stop;
  ASSERT_TRUE(test::run(runtime.loop(), runtime.asker().ask<void>(billing, 10s, stop)));
  business.at = at(2, 13, 5);
  EXPECT_FALSE(tick(handler()));
  EXPECT_EQ(charges(), "0");
  caf::anon_send(billing, resume_billing{});
  run_until([&] { return figures().hours == 3; });
}

TEST_F(Billing, ATickThatIsStoppedBeforeItsEndHasFailed) {
  add_active_server(7, at(2, 10));
  begin(at(22, 10, 5));
  std::optional<result<cron_outcome>> answer;
  const cron_tick one{{1}, {1}, at(22, 10)};
  boost::asio::co_spawn(runtime.loop(), runtime.asker().ask<cron_outcome>(handler(), 60s, one),
                        [&](std::exception_ptr, result<cron_outcome> told) { answer = std::move(told); });
  run_until([&] { return charges() != "0"; });
  const stop_billing stop;
  ASSERT_TRUE(test::run(runtime.loop(), runtime.asker().ask<void>(billing, 10s, stop)));
  run_until([&] { return answer.has_value(); });
  EXPECT_FALSE(*answer);
  EXPECT_LT(figures().hours, 480U);
  caf::anon_send(billing, resume_billing{});
  run_until([&] { return figures().hours == 480; });
}

// -- with others that a tick is for ------------------------------------------------------

cron_handler_actor::behavior_type other_part(cron_handler_actor::pointer self, result<cron_outcome> outcome) {
  runtime::prepare(self);
  return {
    [outcome](const cron_tick&) -> caf::result<cron_outcome> {
      if (outcome)
        return *outcome;
      return runtime::to_caf(outcome.error());
    },
    [](const cron_cancel&) {},
  };
}

TEST_F(Billing, ATickForSeveralIsOverWhenEachHasDoneItsPart) {
  add_active_server(7, at(2, 10));
  begin(at(2, 11, 5));
  auto other = runtime.system().spawn(other_part, result<cron_outcome>{cron_outcome{R"({"seen":5})"}});
  joint = spawn_joint_handler(
    runtime.system(), {{"sync", [other] { return other; }}, {"billing", [this] { return handler(); }}});
  EXPECT_EQ(tick(joint)->figures,
            R"({"sync":{"seen":5},"billing":{"hours":1,"charges":1,"corrections":0,"failing":0}})");
  caf::anon_send_exit(other, caf::exit_reason::user_shutdown);
}

TEST_F(Billing, APartThatFailsFailsTheTickAndHindersNoOther) {
  add_active_server(7, at(2, 10));
  begin(at(2, 11, 5));
  auto other = runtime.system().spawn(
    other_part, result<cron_outcome>{error{errc::virtfusion_unavailable, "it is away"}});
  joint = spawn_joint_handler(
    runtime.system(), {{"sync", [other] { return other; }}, {"billing", [this] { return handler(); }}});
  const auto outcome = tick(joint);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().detail, "it is away");
  EXPECT_EQ(charges(), "1");
  caf::anon_send_exit(other, caf::exit_reason::user_shutdown);
}

} // namespace
} // namespace skyengine::actors
