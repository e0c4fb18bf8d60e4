#include "actors/metrics_sync.hpp"
#include "actors/virtfusion_gateway.hpp"
#include "tests/support/at_end.hpp"
#include "tests/support/fake_virtfusion.hpp"
#include "tests/support/virtual_provisioning.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/json.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace skyengine::actors {
namespace {

using namespace std::chrono_literals;
using simulator::fault_kind;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using testing::SizeIs;

constexpr const char* list_op = "GET /servers";
constexpr const char* traffic_op = "GET /servers/{serverId}/traffic";
constexpr const char* live_op = "GET /servers/{serverId}";
constexpr sys_seconds noon = sys_days{std::chrono::year{2026} / 3 / 1} + 12h;

/// Business time that passes with the loop's.
class virtual_clock final : public clock {
public:
  virtual_clock(runtime::steady_timers& timers, sys_seconds origin)
      : timers_(timers), begun_(timers.now()), origin_(origin) {}
  instant now() const noexcept override {
    return origin_ + std::chrono::duration_cast<std::chrono::microseconds>(timers_.now() - begun_);
  }

private:
  runtime::steady_timers& timers_;
  runtime::steady_time begun_;
  instant origin_;
};

class noting_observer final : public sync_observer {
public:
  boost::asio::awaitable<void> on_page(listed_page page) override {
    pages.push_back(std::move(page));
    co_return;
  }
  boost::asio::awaitable<void> on_list_end(list_end end) override {
    ends.push_back(end);
    co_return;
  }
  boost::asio::awaitable<void> on_live(live_record seen) override {
    records.push_back(std::move(seen));
    if (throws)
      throw std::runtime_error{"an observer's bug"};
    co_return;
  }
  std::vector<listed_page> pages;
  std::vector<list_end> ends;
  std::vector<live_record> records;
  bool throws = false;
};

metrics_subscriber_actor::behavior_type note_samples(metrics_subscriber_actor::pointer,
                                                     std::vector<metrics_written>* all) {
  return {[all](const metrics_written& message) { all->push_back(message); }};
}

/// A sync over a real database, with the simulated panel's servers as ours. Hypervisors 1 to 4 share them,
/// the fifth has ten.
class MetricsSync : public test::virtual_provisioning {
protected:
  ~MetricsSync() override {
    test::at_end([this] {
      if (sync)
        caf::anon_send_exit(sync, caf::exit_reason::user_shutdown);
      sync = nullptr;
      options.subscribers.clear();
      advance(2min);
    });
  }

  void make_servers(std::int64_t count) {
    panel.look_to_change().seed_servers(count, 3, panel.now());
    sql("INSERT INTO servers (user_id, plan_id, region_id, wants_ipv6, state, virtfusion_id, created_at, "
        "last_event_at) SELECT 1, 'small', 'north', false, 'active', n, '2026-01-01Z', '2026-01-01Z' FROM "
        "generate_series(1, " +
        std::to_string(count) + ") AS n");
    sql("INSERT INTO schedules (name, handler, expression, catch_up, catch_up_window, overlap, timeout) "
        "VALUES ('sync', "
        "'sync', '0 * * * *', 'latest', 60, 'queue', 7200)");
  }
  void spawn() { spawn(observer); }
  void spawn(sync_observer& told) { spawn(caller, told); }
  void spawn(virtfusion_caller& asking, sync_observer& told) {
    options.slots = 16;
    sync = spawn_metrics_sync(runtime.system(), runtime.loop().get_executor(),
                              {asking, store, progress, clock, &told}, options);
  }

  /// A gateway of its own to `panel`; the sync asks there while it lives, and ends with it.
  class other_way {
  public:
    other_way(MetricsSync& owner, net::virtfusion::transport& panel)
        : owner_(owner),
          gateway_(spawn_virtfusion_gateway(
            owner.runtime.system(), owner.runtime.loop().get_executor(), owner.runtime.timers(), panel, {})),
          caller_(owner.runtime.asker(), owner.runtime.timers(), gateway_) {
      owner.spawn(caller_, owner.observer);
    }
    other_way(const other_way&) = delete;
    other_way& operator=(const other_way&) = delete;
    ~other_way() {
      test::at_end([this] {
        caf::anon_send_exit(owner_.sync, caf::exit_reason::user_shutdown);
        caf::anon_send_exit(gateway_, caf::exit_reason::user_shutdown);
        caller_.set_gateway({});
        gateway_ = nullptr;
        owner_.sync = nullptr;
        owner_.advance(1min);
      });
    }

  private:
    MetricsSync& owner_;
    virtfusion_gateway_actor gateway_;
    virtfusion_caller caller_;
  };
  void respawn() {
    caf::anon_send_exit(sync, caf::exit_reason::kill);
    settle();
    spawn();
  }

  using asked_sync = std::shared_ptr<asked<cron_outcome>>;
  asked_sync begin(sys_seconds tick = noon) {
    if (!sync)
      spawn();
    const auto id = std::stoll(
      sql("INSERT INTO runs (schedule_id, scheduled_at, state, token, started_at) SELECT id, to_timestamp(" +
          std::to_string(tick.time_since_epoch().count()) +
          "), 'running', 1, now() FROM schedules WHERE name = 'sync' ON CONFLICT (schedule_id, scheduled_at) "
          "DO UPDATE SET "
          "state = 'running' RETURNING id"));
    run = {id};
    const cron_tick message{run, {1}, tick};
    auto told = std::make_shared<asked<cron_outcome>>();
    boost::asio::co_spawn(runtime.loop(), runtime.asker().ask<cron_outcome>(sync, 24h, message),
                          [this, told](std::exception_ptr, result<cron_outcome> answer) {
                            told->answer = std::move(answer);
                            told->at = runtime.timers().now();
                          });
    settle();
    return told;
  }
  boost::json::object finish(const asked_sync& told, runtime::steady_duration span = 2h) {
    EXPECT_TRUE(advance_until([&] { return told->answer.has_value(); }, span, 50ms));
    if (!told->answer || !*told->answer)
      return {};
    return boost::json::parse((*told->answer)->figures).as_object();
  }
  static std::int64_t number(const boost::json::object& figures, const char* part, const char* name) {
    return figures.at(part).at(name).as_int64();
  }
  static std::int64_t not_seen(const boost::json::object& figures, const char* depth) {
    return figures.at("notSeen").at(depth).at("count").as_int64();
  }
  std::int64_t seen(const std::string& depth) const {
    return std::stoll(sql("SELECT count(*) FROM server_observations WHERE " + depth + "_at IS NOT NULL"));
  }

  virtual_clock clock{runtime.timers(), noon};
  db::metrics_store store{db};
  db::run_progress_store progress{db};
  noting_observer observer;
  metrics_sync_options options;
  metrics_sync_actor sync;
  run_id run;
};

TEST_F(MetricsSync, SeesEveryServerByListTrafficAndLive) {
  make_servers(450);
  const auto figures = finish(begin());
  EXPECT_EQ(figures.at("complete"), true);
  EXPECT_EQ(panel.count(list_op), 3);
  EXPECT_EQ(panel.count(traffic_op), 450);
  EXPECT_EQ(panel.count(live_op), 450);
  EXPECT_EQ(number(figures, "traffic", "seen"), 450);
  EXPECT_EQ(number(figures, "live", "seen"), 450);
  EXPECT_EQ(
    sql(
      "SELECT count(*) FILTER (WHERE listed_at >= '2026-03-01 12:00Z' AND hypervisor_id > 0 AND is_on) FROM "
      "server_observations"),
    "450");
  EXPECT_EQ(sql("SELECT count(*) FROM server_metrics WHERE traffic_in > 0"), "450");
  EXPECT_EQ(
    sql("SELECT count(*) FROM server_metrics WHERE memory_used > 0 AND disk_used > 0 AND cpu_percent IS NOT "
        "NULL"),
    "450");
  EXPECT_EQ(sql("SELECT count(*) FROM servers WHERE power = 'on'"), "450");
}

TEST_F(MetricsSync, AsManyPagesAsOursFillAreAskedForAtOnceAndThoseThatThereAreAreRead) {
  make_servers(450);
  options.traffic_every = options.live_every = 0ms;
  panel.look_to_change().seed_servers(350, 3, panel.now());
  const auto more = finish(begin());
  EXPECT_EQ(more.at("complete"), true);
  EXPECT_EQ(panel.count(list_op), 4) << "800 that VirtFusion has, of which 450 are ours";
  EXPECT_EQ(number(more, "list", "servers"), 450);
  sql("INSERT INTO servers (user_id, plan_id, region_id, wants_ipv6, state, virtfusion_id, created_at, "
      "last_event_at) SELECT 1, 'small', 'north', false, 'active', n, '2026-01-01Z', '2026-01-01Z' FROM "
      "generate_series(801, 1450) AS n");
  const auto fewer = finish(begin(noon + 1h));
  EXPECT_EQ(fewer.at("complete"), true) << "pages behind the last one are empty";
  EXPECT_EQ(panel.count(list_op), 4 + 5);
  EXPECT_EQ(number(fewer, "list", "servers"), 450);
}

TEST_F(MetricsSync, KeepsVirtFusionBusyAndNeverOverrun) {
  make_servers(450);
  const auto begun = runtime.timers().now();
  const auto told = begin();
  finish(told);
  // 903 calls of 20 ms, 16 at once.
  EXPECT_LT(told->at - begun, 903 * 20ms / 16 * 13 / 10 + 400ms);
}

TEST_F(MetricsSync, TheSameTickAgainReadsNothingTwice) {
  make_servers(50);
  finish(begin());
  const auto figures = finish(begin());
  EXPECT_EQ(figures.at("complete"), true);
  EXPECT_EQ(figures.at("list").at("state"), "read_before");
  EXPECT_EQ(panel.count(list_op), 1);
  EXPECT_EQ(panel.count(traffic_op), 50);
  EXPECT_EQ(panel.count(live_op), 50);
}

TEST_F(MetricsSync, EachDepthHasItsAge) {
  make_servers(20);
  sql("UPDATE plan_prices SET valid_from = '2026-01-01Z'");
  for (int hour = 0; hour < 7; ++hour) {
    finish(begin(noon + std::chrono::hours{hour}));
    advance(noon + std::chrono::hours{hour + 1} - clock.now());
  }
  EXPECT_EQ(panel.count(traffic_op), 7 * 20);
  EXPECT_EQ(panel.count(live_op), 2 * 20) << "at noon and at 18:00";
}

TEST_F(MetricsSync, WhatIsChargedByUptimeIsSeenLiveByEachTick) {
  make_servers(20);
  options.traffic_every = 0ms;
  options.live_every = 0ms;
  sql("INSERT INTO plans SELECT 'metered', name, currency, virtfusion_package_id, os_template_ids, ipv6, "
      "active, "
      "created_at, updated_at FROM plans WHERE id = 'small'");
  sql("INSERT INTO plan_prices VALUES ('metered', '2026-01-01Z', 1, 730, 'uptime', 'second')");
  sql("UPDATE servers SET plan_id = 'metered' WHERE id <= 5");
  for (int hour = 0; hour < 3; ++hour) {
    finish(begin(noon + std::chrono::hours{hour}));
    advance(noon + std::chrono::hours{hour + 1} - clock.now());
  }
  EXPECT_EQ(panel.count(traffic_op), 0);
  EXPECT_EQ(panel.count(live_op), 15);
  EXPECT_EQ(
    sql("SELECT count(*) || ' ' || bool_and(is_on AND last_seen >= first_seen + interval '2 hours') FROM "
        "power_spans"),
    "5 true");
}

TEST_F(MetricsSync, ASyncThatIsKilledGoesOnWhereItWas) {
  make_servers(400);
  const auto told = begin();
  ASSERT_TRUE(advance_until([&] { return panel.count(live_op) > 100; }, 1min, 10ms));
  respawn();
  // What stood in the gateway's line goes on without anybody.
  advance(1s);
  const auto written = seen("traffic") + seen("live");
  const auto before = panel.count(traffic_op) + panel.count(live_op);
  EXPECT_GT(written, 0);
  const auto figures = finish(begin());
  EXPECT_EQ(figures.at("complete"), true);
  EXPECT_EQ(panel.count(traffic_op) + panel.count(live_op), before + 800 - written);
  EXPECT_LE(before - written, 300) << "only what was not written yet is read again";
}

TEST_F(MetricsSync, ACancelledSyncEndsSoonAndKeepsWhatItGot) {
  make_servers(400);
  const auto told = begin();
  ASSERT_TRUE(advance_until([&] { return panel.count(live_op) > 100; }, 1min, 10ms));
  caf::anon_send(sync, cron_cancel{run});
  const auto figures = finish(told, 1s);
  EXPECT_EQ(figures.at("complete"), false);
  EXPECT_EQ(number(figures, "traffic", "seen"), seen("traffic"));
  EXPECT_GT(seen("traffic"), 50);
  EXPECT_EQ(not_seen(figures, "traffic"), 400 - seen("traffic"));
}

TEST_F(MetricsSync, WhatTheWindowCutsOffIsNamedAndComesFirst) {
  make_servers(300);
  panel.latency = 2s;
  options.window = 20s;
  options.live_every = 0ms;
  const auto first = finish(begin());
  EXPECT_EQ(first.at("complete"), false);
  const auto left = not_seen(first, "traffic");
  EXPECT_EQ(left, 300 - seen("traffic"));
  EXPECT_GT(left, 100);
  const auto named = first.at("notSeen").at("traffic").at("first").as_array();
  EXPECT_EQ(named.size(), 50U);
  advance(noon + 1h - clock.now());
  const auto next = begin(noon + 1h);
  finish(next);
  EXPECT_EQ(sql("SELECT count(*) FROM server_observations WHERE server_id IN (" +
                [&] {
                  std::string ids;
                  for (const auto& id : named)
                    ids += (ids.empty() ? "" : ",") + std::to_string(id.as_int64());
                  return ids;
                }() +
                ") AND traffic_at >= '2026-03-01 13:00Z'"),
            "50");
}

TEST_F(MetricsSync, ACallThatFailsIsTriedAgain) {
  make_servers(50);
  panel.add_fault(traffic_op, fault_kind::status, 7, {}, 500);
  panel.add_fault(live_op, fault_kind::reset, 7);
  panel.add_fault(list_op, fault_kind::status, 1, {}, 502);
  const auto figures = finish(begin());
  EXPECT_EQ(figures.at("complete"), true);
}

TEST_F(MetricsSync, AFigureThatCannotBeSpoilsNoOther) {
  make_servers(2);
  test::fake_virtfusion odd{runtime.timers()};
  odd.on = [](const net::virtfusion::request& what) {
    const auto is_first = what.target.starts_with("/servers/1");
    if (what.op == net::virtfusion::operation::get_traffic)
      return test::fake_virtfusion::ok(is_first
                                         ? R"({"data":{"monthly":[{"rx":1152921504606846977,"tx":5}]}})"
                                         : R"({"data":{"monthly":[{"rx":4,"tx":5}]}})");
    if (what.op == net::virtfusion::operation::get_server)
      return test::fake_virtfusion::ok(
        is_first ? R"({"data":{"id":1,"state":"complete","remoteState":{"running":true,"cpu":1e300,)"
                   R"("memory":{"memtotal":"9223372036854775807","memavailable":"5"},)"
                   R"("disk":{"vda":{"capacity":"-9223372036854775807","allocation":"-1"}}}}})"
                 : R"({"data":{"id":2,"state":"complete","remoteState":{"running":false,"cpu":3.5}}})");
    return test::fake_virtfusion::ok(R"({"data":[]})");
  };
  const other_way way{*this, odd};
  const auto figures = finish(begin());
  EXPECT_EQ(number(figures, "live", "seen"), 2);
  EXPECT_EQ(number(figures, "traffic", "seen"), 1);
  EXPECT_EQ(number(figures, "traffic", "failed"), 1);
  EXPECT_EQ(sql("SELECT string_agg(concat_ws(' ', server_id, is_on, cpu_percent, memory_total, memory_used, "
                "disk_total, "
                "disk_used), ', ' ORDER BY server_id) FROM server_metrics WHERE is_on IS NOT NULL"),
            "1 t, 2 f 3.5");
}

TEST_F(MetricsSync, AServerThatIsGoneIsNamedAndAskedOnce) {
  make_servers(20);
  ASSERT_TRUE(panel.look_to_change().erase_server(7, panel.now()).has_value());
  const auto figures = finish(begin());
  EXPECT_EQ(figures.at("complete"), false);
  EXPECT_EQ(number(figures, "traffic", "failed"), 1);
  EXPECT_EQ(number(figures, "live", "failed"), 1);
  EXPECT_EQ(not_seen(figures, "live"), 0);
  EXPECT_EQ(figures.at("failedServers"), boost::json::value(boost::json::array{7, 7}));
  EXPECT_EQ(panel.count(traffic_op), 20);
  EXPECT_EQ(
    sql("SELECT live_tried_at IS NOT NULL AND live_at IS NULL FROM server_observations WHERE server_id = 7"),
    "t");
}

TEST_F(MetricsSync, AHypervisorThatHangsCostsTheOthersNothing) {
  make_servers(600);
  options.traffic_every = 0ms;
  panel.add_fault(live_op, fault_kind::stall, 1'000'000, {}, 500, 2);
  const auto begun = runtime.timers().now();
  const auto told = begin();
  std::optional<runtime::steady_time> others_done;
  const auto of_others = std::stoll(sql("SELECT count(*) FROM servers")) -
                         std::count_if(panel.look().servers().begin(), panel.look().servers().end(),
                                       [](const auto* one) { return one->hypervisor == 2; });
  ASSERT_TRUE(advance_until([&] { return seen("live") == of_others; }, 1min, 50ms));
  others_done = runtime.timers().now();
  EXPECT_LT(*others_done - begun, of_others * 20ms / 16 * 13 / 10 + 700ms);
  const auto figures = finish(told);
  EXPECT_EQ(figures.at("complete"), false);
  EXPECT_EQ(not_seen(figures, "live"), 600 - of_others);
  EXPECT_EQ(figures.at("notSeen").at("live").at("hypervisors"), boost::json::value(boost::json::array{2}));
  EXPECT_LT(told->at - begun, 2min) << "nobody waits for what hangs";
}

TEST_F(MetricsSync, WhileNobodyIsAnsweredNoHypervisorIsGivenUp) {
  make_servers(40);
  options.live_every = 0ms;
  finish(begin());
  options.live_every = 6h;
  respawn();
  panel.add_fault("*", fault_kind::stall, 1'000'000);
  advance(noon + 1h - clock.now());
  const auto told = begin(noon + 1h);
  advance(4min);
  panel.clear_faults();
  const auto figures = finish(told);
  EXPECT_EQ(figures.at("complete"), true);
}

TEST_F(MetricsSync, APanelThatHangsInTheMiddleIsWaitedFor) {
  make_servers(200);
  const auto told = begin();
  ASSERT_TRUE(advance_until([&] { return panel.count(live_op) > 20; }, 1min, 10ms));
  panel.add_fault("*", fault_kind::stall, 1'000'000);
  advance(4min);
  panel.clear_faults();
  const auto figures = finish(told);
  EXPECT_EQ(figures.at("complete"), true) << boost::json::serialize(figures);
}

TEST_F(MetricsSync, WhatFailsBesideThePanelItselfIsNotTheServersFault) {
  make_servers(1);
  for (const auto* op : {traffic_op, live_op, "GET /connect"})
    panel.add_fault(op, fault_kind::stall, 1'000'000);
  const auto told = begin();
  advance(50s);
  panel.clear_faults();
  const auto figures = finish(told);
  EXPECT_EQ(figures.at("complete"), true) << boost::json::serialize(figures);
}

TEST_F(MetricsSync, AGuestThatHangsIsGivenUpAloneAndDoesNotStandInTheWayOfOthers) {
  make_servers(60);
  options.traffic_every = 0ms;
  panel.add_fault(live_op, fault_kind::stall, 3, {}, 500, 1);
  const auto figures = finish(begin());
  EXPECT_EQ(seen("live"), 60 - not_seen(figures, "live") - number(figures, "live", "failed"));
  advance(noon + 1h - clock.now());
  const auto second = finish(begin(noon + 1h));
  EXPECT_EQ(second.at("complete"), true);
}

TEST_F(MetricsSync, WithoutVirtFusionItEndsWithAnErrorWhenItsTimeIsOver) {
  make_servers(20);
  options.window = 3min;
  panel.add_fault("*", fault_kind::reset, 1'000'000);
  const auto told = begin();
  finish(told, 10min);
  ASSERT_TRUE(told->answer);
  ASSERT_TRUE(told->answer->has_error());
  EXPECT_EQ(told->answer->error().code, errc::virtfusion_unavailable);
  EXPECT_EQ(observer.ends.at(0).is_complete, false);
}

TEST_F(MetricsSync, ATokenThatMayNotAskStopsThatDepthAlone) {
  make_servers(60);
  panel.add_fault(traffic_op, fault_kind::status, 1'000'000, {}, 403);
  const auto figures = finish(begin());
  EXPECT_EQ(figures.at("refused"), boost::json::value(boost::json::array{"traffic"}));
  EXPECT_EQ(number(figures, "live", "seen"), 60);
  EXPECT_LE(panel.count(traffic_op), 20);
}

TEST_F(MetricsSync, ProgressStandsInTheRunAndInTheFigures) {
  make_servers(400);
  panel.latency = 200ms;
  const auto told = begin();
  ASSERT_TRUE(advance_until([&] { return panel.count(live_op) > 200; }, 1min, 100ms));
  advance(1500ms);
  const auto seen_so_far =
    std::stoll(sql("SELECT figures->'live'->>'seen' FROM runs WHERE state = 'running'"));
  EXPECT_GT(seen_so_far, 100);
  EXPECT_LT(seen_so_far, 400);
  std::optional<result<sync_figures>> figures;
  const sync_figures_query query;
  boost::asio::co_spawn(
    runtime.loop(), runtime.asker().ask<sync_figures>(sync, 1s, query),
    [&](std::exception_ptr, result<sync_figures> answer) { figures = std::move(answer); });
  settle();
  ASSERT_TRUE(figures && *figures);
  EXPECT_TRUE((*figures)->is_running);
  EXPECT_EQ((*figures)->live_seen + (*figures)->live_left, 400U);
  finish(told);
}

TEST_F(MetricsSync, WhatWasWrittenIsToldAsOneMessageABatch) {
  std::vector<metrics_written> told;
  auto subscriber = runtime.system().spawn(note_samples, &told);
  options.subscribers = {subscriber};
  make_servers(50);
  finish(begin());
  settle();
  std::size_t live = 0;
  std::size_t traffic = 0;
  for (const auto& message : told) {
    EXPECT_LE(message.samples.size(), 520U);
    for (const auto& sample : message.samples) {
      EXPECT_NE(sample.is_on.has_value(), sample.traffic_in.has_value());
      ++(sample.is_on ? live : traffic);
    }
  }
  EXPECT_EQ(live, 50U);
  EXPECT_EQ(traffic, 50U);
  EXPECT_LE(told.size(), 10U);
  caf::anon_send_exit(subscriber, caf::exit_reason::user_shutdown);
  subscriber = nullptr;
}

TEST_F(MetricsSync, TheObserverHearsOfAllPagesThenOfTheirEnd) {
  make_servers(250);
  panel.look_to_change().seed_servers(1, 3, panel.now());
  finish(begin());
  ASSERT_THAT(observer.pages, SizeIs(2));
  EXPECT_EQ(observer.pages[0].servers.size() + observer.pages[1].servers.size(), 251U) << "strangers too";
  const auto& one = observer.pages[0].servers[0];
  EXPECT_EQ(one.is_built, true);
  EXPECT_EQ(one.is_suspended, false);
  EXPECT_GT(one.owner->value, 0);
  ASSERT_THAT(observer.ends, SizeIs(1));
  EXPECT_TRUE(observer.ends[0].is_complete);
  EXPECT_EQ(observer.ends[0].begun_at, instant{noon});
  EXPECT_EQ(observer.ends[0].tick, noon);
  EXPECT_THAT(observer.records, SizeIs(250));
}

TEST_F(MetricsSync, AnObserversBugIsItsOwn) {
  make_servers(20);
  observer.throws = true;
  EXPECT_EQ(finish(begin()).at("complete"), true);
}

TEST_F(MetricsSync, AListThatLacksAPageIsNoCompleteOne) {
  make_servers(450);
  panel.add_fault(list_op, fault_kind::status, 1, {}, 422);
  const auto figures = finish(begin());
  EXPECT_EQ(figures.at("list").at("state"), "incomplete");
  EXPECT_FALSE(observer.ends.at(0).is_complete);
  EXPECT_EQ(number(figures, "traffic", "seen"), 450) << "the list is one thing, the servers are another";
  EXPECT_EQ(finish(begin()).at("list").at("state"), "complete") << "and it is read again";
}

TEST_F(MetricsSync, AHypervisorWhoseLooksAreAllAnswered503IsTriedAndNotedAsTried) {
  make_servers(60);
  options.traffic_every = 0ms;
  panel.add_fault(live_op, fault_kind::status, 1'000'000, {}, 503, 2);
  const auto begun = runtime.timers().now();
  const auto told = begin();
  const auto figures = finish(told);
  EXPECT_LT(told->at - begun, 5min) << "took " << (told->at - begun) / 1s << " s; "
                                    << boost::json::serialize(figures);
  EXPECT_GT(number(figures, "live", "failed"), 0)
    << "nothing is noted as tried: the same come first next time";
}

TEST_F(MetricsSync, OneServerThatIsAnswered503HoldsNoOtherUp) {
  make_servers(60);
  // All on one hypervisor, as the list says.
  test::fake_virtfusion odd{runtime.timers()};
  odd.on = [](const net::virtfusion::request& what) {
    const auto is_first = what.target == "/servers/1/traffic" || what.target == "/servers/1?remoteState=true";
    if (is_first)
      return test::fake_virtfusion::status(503);
    if (what.op == net::virtfusion::operation::get_traffic)
      return test::fake_virtfusion::ok(R"({"data":{"monthly":[{"rx":4,"tx":5}]}})");
    if (what.op == net::virtfusion::operation::get_server) {
      const auto id = what.target.substr(9, what.target.find('?') - 9);
      return test::fake_virtfusion::ok(R"({"data":{"id":)" + std::string{id} +
                                       R"(,"state":"complete","remoteState":{"running":true}}})");
    }
    return test::fake_virtfusion::ok(R"({"data":[]})");
  };
  const other_way way{*this, odd};
  for (const auto tick : {noon, noon + 1h}) {
    advance(std::max<runtime::steady_duration>(tick - clock.now(), 0s));
    const auto begun = runtime.timers().now();
    const auto told = begin(tick);
    const auto figures = finish(told);
    EXPECT_EQ(number(figures, "traffic", "seen"), 59) << boost::json::serialize(figures);
    EXPECT_GE(seen("live"), 59);
    EXPECT_LT(told->at - begun, 10min) << "took " << (told->at - begun) / 1s << " s";
  }
}

/// As a drift watcher that looks at 200 servers, one after the other, of a panel that takes 12 s for each.
class slow_observer final : public sync_observer {
public:
  explicit slow_observer(runtime::steady_timers& timers) : timers_(timers) {}
  boost::asio::awaitable<void> on_page(listed_page) override { co_return; }
  boost::asio::awaitable<void> on_list_end(list_end end) override {
    for (int i = 0; i < 200 && end.goes_on(); ++i)
      co_await runtime::wait_until(timers_, timers_.now() + 12s);
  }
  boost::asio::awaitable<void> on_live(live_record) override { co_return; }

private:
  runtime::steady_timers& timers_;
};

TEST_F(MetricsSync, TheLooksOfItsObserverTakeNothingOfTheServersTime) {
  make_servers(20);
  slow_observer slow{runtime.timers()};
  spawn(slow);
  const auto told = begin();
  ASSERT_TRUE(advance_until([&] { return seen("live") == 20; }, 1min, 50ms));
  EXPECT_FALSE(told->answer);
  EXPECT_EQ(finish(told).at("complete"), true);
}

TEST_F(MetricsSync, ACancelledSyncWaitsForNoLookOfItsObserverButTheOneUnderWay) {
  make_servers(20);
  slow_observer slow{runtime.timers()};
  spawn(slow);
  const auto told = begin();
  advance(10s);
  const auto at = runtime.timers().now();
  caf::anon_send(sync, cron_cancel{run});
  finish(told);
  EXPECT_LT(told->at - at, 1min) << "took " << (told->at - at) / 1s << " s";
  advance(1h);
}

TEST_F(MetricsSync, ARunThatIsAskedForAgainWhileItIsBeingCancelledBeginsAnewAfterIt) {
  make_servers(20);
  slow_observer slow{runtime.timers()};
  spawn(slow);
  const auto told = begin();
  advance(10s);
  caf::anon_send(sync, cron_cancel{run});
  settle();
  const auto again = begin();
  finish(told);
  const auto figures = finish(again);
  EXPECT_EQ(figures.at("complete"), true) << boost::json::serialize(figures);
  advance(1h);
}

TEST_F(MetricsSync, AListThatDoesNotTellHowManyThereAreIsNotOneOfNone) {
  make_servers(2);
  panel.leave_out(list_op, {"total"});
  finish(begin());
  ASSERT_THAT(observer.pages, SizeIs(1));
  EXPECT_EQ(observer.pages[0].total, std::nullopt);
  EXPECT_TRUE(observer.ends.at(0).is_complete);
  panel.tell_all();
  finish(begin(noon + 1h));
  EXPECT_EQ(observer.pages.at(1).total, 2);
}

TEST_F(MetricsSync, ARemoteStateThatDoesNotTellThePowerIsNotOff) {
  make_servers(1);
  sql("UPDATE servers SET power = 'on'");
  for (const auto* name : {"running", "state"})
    panel.leave_out(live_op, {"data", "remoteState", name});
  EXPECT_EQ(number(finish(begin()), "live", "seen"), 1);
  EXPECT_EQ(sql("SELECT power FROM servers WHERE id = 1"), "on");
  EXPECT_EQ(sql("SELECT count(is_on) || ' ' || count(cpu_percent) FROM server_metrics"), "0 1");
}

} // namespace
} // namespace skyengine::actors
