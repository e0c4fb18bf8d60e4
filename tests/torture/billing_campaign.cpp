#include "actors/runtime/crash_point.hpp"
#include "tests/torture/bill_check.hpp"
#include "tests/torture/campaigns.hpp"
#include "tests/torture/checks.hpp"
#include "tests/torture/sync_check.hpp"
#include "tests/torture/world.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <map>
#include <mutex>
#include <numeric>
#include <random>
#include <thread>

namespace skyengine::torture {

namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

/// Two hours pass in a second, and the first month ends soon after the beginning.
constexpr std::int64_t clock_rate = 7'200;
constexpr const char* business_begin = "2026-10-31 06:00:00+00";
/// Others' servers in the panel: the list has three pages.
constexpr const char* strangers = "450";
/// Longer than a sync goes on without telling how far it is.
constexpr int slow_look_ms = 1'300;
constexpr const char* traffic_operation = "GET /servers/{serverId}/traffic";
/// How often a server that goes away meanwhile may be asked for in vain.
constexpr std::int64_t most_tries = 3;
/// Longer than a business day takes.
constexpr auto day_and_more = 15s;

void slow_a_look(world& on) {
  on.panel().add_fault(
    {{"operation", traffic_operation}, {"kind", "delay"}, {"delayMs", slow_look_ms}, {"count", 1}});
}

/// What a panel does meanwhile: one thing after another, whatever comes of it.
class busy_panel {
public:
  busy_panel(world& on, std::uint64_t seed) : on_(on), random_(seed), worker_([this] { work(); }) {}
  ~busy_panel() { stop(); }
  busy_panel(const busy_panel&) = delete;
  busy_panel& operator=(const busy_panel&) = delete;

  void stop() {
    {
      const std::lock_guard lock{mutex_};
      is_over_ = true;
    }
    over_.notify_all();
    if (worker_.joinable())
      worker_.join();
  }
  /// How often each thing was accepted.
  const std::map<std::string, int>& done() const noexcept { return done_; }

private:
  int draw(int least, int most) { return std::uniform_int_distribution{least, most}(random_); }

  /// For so long, or until it is over; whether it is.
  bool rest(std::chrono::milliseconds span) {
    std::unique_lock lock{mutex_};
    return over_.wait_for(lock, span, [this] { return is_over_; });
  }

  /// One of those in this state, by its row; empty when there is none. `column` of it.
  std::string server_in(const std::string& state, const std::string& column = "id") {
    const auto all = test::run_sql(on_.database_url(),
                                   "SELECT string_agg(" + column +
                                     "::text, ' ' ORDER BY id) FROM servers WHERE state = '" + state + "'");
    std::vector<std::string> ids;
    for (std::size_t begin = 0; begin < all.size();) {
      const auto end = std::min(all.find(' ', begin), all.size());
      ids.push_back(all.substr(begin, end - begin));
      begin = end + 1;
    }
    return ids.empty() ? std::string{}
                       : ids[static_cast<std::size_t>(draw(0, static_cast<int>(ids.size()) - 1))];
  }

  bool
  ask(const std::string& what, const std::string& method, const std::string& path, const json::value& body) {
    const auto answer =
      on_.engine().call(method, path, on_.key(), body.is_null() ? "" : json::serialize(body), {}, 5s);
    if (answer.status / 100 != 2)
      return false;
    ++done_[what];
    return true;
  }

  void work() {
    while (!rest(std::chrono::milliseconds{draw(1, 60)})) {
      const auto what = draw(0, 99);
      if (made_ < 15 || (what < 8 && made_ < 100)) {
        const char* plan = draw(0, 3) == 0 ? "metered" : draw(0, 1) == 0 ? "small" : "large";
        if (ask("created", "POST", "/v1/servers",
                {{"planId", plan}, {"region", "north"}, {"userId", draw(1, on_.options().users)}}))
          ++made_;
      } else if (what < 10) {
        ask("deleted", "DELETE", "/v1/servers/" + server_in("active"), nullptr);
      } else if (what < 35) {
        ask("suspended", "POST", "/v1/servers/" + server_in("active") + "/suspend", json::object{});
      } else if (what < 65) {
        ask("unsuspended", "POST", "/v1/servers/" + server_in("suspended") + "/unsuspend", json::object{});
      } else if (what < 85) {
        ask("plans changed", "PUT", "/v1/servers/" + server_in("active") + "/plan",
            {{"planId", draw(0, 1) == 0 ? "small" : "large"}});
      } else if (what < 87) {
        switch_power();
      } else if (what < 88) {
        slow_a_look(on_);
        ++done_["looks slowed down"];
      } else if (what < 93) {
        change_price();
      } else {
        hold_something();
      }
    }
  }

  /// Behind the engine's back: only a look tells.
  void switch_power() {
    const auto id = server_in("active", "virtfusion_id");
    if (id.empty())
      return;
    on_.panel().patch_server(std::stoll(id), {{"power", draw(0, 1) == 0 ? "running" : "stopped"}});
    ++done_["powers switched"];
  }

  void change_price() {
    const auto is_small = draw(0, 1) == 0;
    const auto amount = std::to_string(draw(1, 30)) + '.' + std::to_string(draw(10, 99));
    ask("prices changed", "PUT", is_small ? "/v1/plans/small" : "/v1/plans/large",
        {{"name", is_small ? "Small" : "Large"},
         {"price", {{"amount", amount}, {"currency", "USD"}}},
         {"hoursPerMonth", draw(0, 2) == 0 ? 720 : 730},
         {"virtfusionPackageId", is_small ? 1 : 2}});
  }

  /// From some hours ago on, for a while.
  void hold_something() {
    const auto server = server_in("active");
    if (server.empty())
      return;
    try {
      test::run_sql(
        on_.database_url(),
        "INSERT INTO holds (server_id, user_id, kind, reason, from_at, created_at, created_by, alerted_at) "
        "SELECT s.id, s.user_id, 'operator', 'campaign', date_trunc('second', a.closed_until - interval '" +
          std::to_string(draw(0, 100)) +
          " hours'), a.closed_until, 'operator', a.closed_until FROM servers s JOIN billing_accounts a ON "
          "a.user_id = s.user_id WHERE s.id = " +
          server +
          "; UPDATE holds h SET until_at = greatest(h.from_at, a.closed_until), ended_by = 'operator', "
          "outcome = CASE WHEN h.id % 2 = 0 THEN 'released' ELSE 'written_off' END FROM "
          "billing_accounts a WHERE a.user_id = h.user_id AND h.outcome IS NULL AND h.id % 3 = " +
          std::to_string(draw(0, 2)));
      ++done_["held and ended"];
    } catch (const std::exception&) {
      // It waited for a lock that a killed engine still held.
    }
  }

  world& on_;
  std::mt19937_64 random_;
  std::map<std::string, int> done_;
  int made_ = 0;
  std::mutex mutex_;
  std::condition_variable over_;
  bool is_over_ = false;
  std::thread worker_;
};

/// In a drawn order.
std::vector<std::string> hourly_points([[maybe_unused]] std::mt19937_64& random) {
  std::vector<std::string> points;
#ifdef SKYENGINE_CRASH_POINTS
  for (const auto point : actors::runtime::crash_points())
    if (is_hourly_point(point))
      points.emplace_back(point);
  std::shuffle(points.begin(), points.end(), random);
#endif
  return points;
}

/// That every fact is in, and every hour closed up to some hours behind the last one.
bool is_settled(const world& on) {
  return test::run_sql(on.database_url(), R"sql(
    SELECT NOT EXISTS (SELECT FROM actions WHERE state IN ('pending', 'running'))
           AND NOT EXISTS (SELECT FROM billing_rechecks)
           AND (SELECT min(closed_until) FROM billing_accounts)
               > (SELECT max(at) FROM (SELECT max(at) AS at FROM server_events
                                       UNION ALL SELECT max(valid_from) FROM plan_prices) AS facts)
                 + interval '3 hours')sql") == "t";
}

constexpr const char* syncs =
  "WITH syncs AS (SELECT r.* FROM runs r JOIN schedules s ON s.id = r.schedule_id WHERE s.handler = "
  "'hourly-sync-and-billing' AND r.state <> 'skipped') ";

/// The last tick that was given.
std::string last_tick(const world& on) {
  return test::run_sql(on.database_url(),
                       syncs + std::string{"SELECT coalesce(max(scheduled_at), '-infinity') FROM syncs"});
}

/// That every sync that was due by then has its end, and one that was due later has seen everything.
bool is_synced(const world& on, const std::string& by) {
  return test::run_sql(on.database_url(),
                       syncs +
                         ("SELECT count(*) FILTER (WHERE scheduled_at <= '" + by +
                          "' AND ended_at IS NULL) = 0 AND count(*) FILTER (WHERE scheduled_at > '" + by +
                          "' AND state = 'succeeded' AND figures #>> '{sync,complete}' = 'true') > 0 "
                          "FROM syncs")) == "t";
}

/// How often the panel was asked this.
std::int64_t calls_of(world& on, const char* operation) {
  const auto asked = on.panel().requests();
  const auto* found = asked.at("byOperation").as_object().if_contains(operation);
  return found == nullptr ? 0 : found->to_number<std::int64_t>();
}

bool is_daily(std::string_view point) {
  return point.ends_with("_roll_up");
}

/// How long it is left alone: one that is to end at a point of its own mostly comes to it.
std::chrono::milliseconds life_of(const std::string& planned, std::mt19937_64& random) {
  if (is_daily(planned))
    return day_and_more;
  const auto most = planned.empty() ? 2'500 : 4'000;
  return std::chrono::milliseconds{std::uniform_int_distribution{50, most}(random)};
}

/// When a schedule fires from now on; its refusal, or nothing.
std::string reschedule(world& on, const std::string& name, const char* expression) {
  const auto answer = on.engine().call("PATCH", "/v1/cron/" + name, on.key(),
                                       json::serialize(json::object{{"expression", expression}}));
  return answer.status == 200 ? "" : name + " was not changed: " + answer.body + answer.failure;
}

} // namespace

bool is_hourly_point(std::string_view point) {
  return point.starts_with("billing.") || point.starts_with("sync.") || point.starts_with("run.");
}

report bills(const bill_options& options) {
  world_options how;
  how.seed = options.seed;
  how.engines = options.engines;
  how.users = 6;
  how.panel = {"--build-time", "0.1",     "--latency", "2", "--jitter", "4",
               "--servers",    strangers, "--users",   "30"};
  how.business_begin = business_begin;
  how.settings["SKYENGINE_PROVISIONING_SETTLE"] = "1s";
  // What is accepted is answered before the next kill.
  how.settings["SKYENGINE_HTTP_PATIENCE"] = "100ms";
  how.settings["SKYENGINE_CLOCK_RATE"] = std::to_string(clock_rate);
  world on{how};
  const auto metered = on.engine().call(
    "PUT", "/v1/plans/metered", on.key(),
    R"({"name":"Metered","price":{"amount":"7.30","currency":"USD"},"virtfusionPackageId":3,"basis":"uptime"})");
  report done;
  if (metered.status / 100 != 2) {
    done.differences.push_back("the metered plan was not taken: " + metered.body);
    return done;
  }
  // What two of the users have is suspended with its first hour, and each month anew.
  test::run_sql(on.database_url(), "UPDATE users SET suspend_at_micros = 1 WHERE id <= 2");
  // Late enough that what was seen before midnight is stored, also where a look took long.
  if (const auto refused = reschedule(on, "daily-clean-up", "0 12 * * *"); !refused.empty()) {
    done.differences.push_back(refused);
    return done;
  }
  std::mt19937_64 random{options.seed};
  const auto points = hourly_points(random);
  std::map<std::string, std::int64_t> passed;
  // Where the present life of each engine is to end; empty: nowhere of its own.
  std::vector<std::string> planned(on.engines());
  sync_rules looking;
  busy_panel panel{on, random()};
  for (std::size_t i = 0; i < options.kills; ++i) {
    const auto whom = std::uniform_int_distribution<std::size_t>{0, on.engines() - 1}(random);
    auto& engine = on.engine(whom);
    const auto life = life_of(planned[whom], random);
    if (const auto ended = engine.child().wait(life); ended && *ended != -SIGKILL) {
      done.differences.push_back("an engine ended by itself with " + std::to_string(*ended));
      break;
    } else if (ended) {
      ++passed[planned[whom]];
    } else {
      engine.kill();
    }
    // Every other time it is to end at a point of its own, each in its turn.
    planned[whom] = points.empty() || i % 2 != 0 ? "" : points[(i / 2) % points.size()];
    const auto turn = is_daily(planned[whom]) ? 1 : std::uniform_int_distribution{1, 3}(random);
    // Progress is told of syncs that take a while.
    if (planned[whom].ends_with("_progress"))
      for (int k = 0; k < turn; ++k)
        slow_a_look(on);
    looking.starts.push_back(start_of_sync(on.database_url()));
    engine.launch(planned[whom].empty() ? "" : planned[whom] + ":" + std::to_string(turn));
    engine.wait_ready();
  }
  panel.stop();
  on.panel().clear_faults();
  for (std::size_t i = 0; i < on.engines(); ++i) {
    on.engine(i).kill();
    looking.starts.push_back(start_of_sync(on.database_url()));
    on.engine(i).start();
  }
  const auto tick = last_tick(on);
  if (!on.engine().eventually([&] { return is_settled(on); }))
    done.differences.push_back("the hours are not closed to the end");
  // Where an hour passes sooner than a sync ends, those that were interrupted find no time between.
  if (const auto refused = reschedule(on, "hourly-sync-and-billing", "0 */6 * * *"); !refused.empty())
    done.differences.push_back(refused);
  if (!on.engine().eventually([&] { return is_synced(on, tick); }))
    done.differences.push_back("the syncs did not come to their end");
  for (std::size_t i = 0; i < on.engines(); ++i)
    if (const auto ended = on.engine(i).terminate(); ended != 0)
      done.differences.push_back("an engine did not stop in order");
  if (const auto audited = on.engine().run({"audit"}); audited.code != 0)
    done.differences.push_back("skyengine audit: " + audited.output);
  // A campaign in which nothing happened would hold, too.
  const auto expect = [&](std::int64_t count, const std::string& what) {
    if (count == 0)
      done.differences.push_back("nothing was " + what);
  };
  bill_figures figures;
  const auto more = bill_differences(on.database_url(), figures);
  done.differences.insert(done.differences.end(), more.begin(), more.end());
  expect(figures.charges, "charged");
  sync_figures synced;
  const auto unsynced = sync_differences(on.database_url(), synced, looking);
  done.differences.insert(done.differences.end(), unsynced.begin(), unsynced.end());
  expect(synced.complete, "synchronised");
  expect(synced.traffic_looks, "looked at");
  // What a kill left unanswered is asked for again: of each server once at most.
  const auto servers = std::stoll(test::run_sql(on.database_url(), "SELECT count(*) FROM servers"));
  const auto kills = static_cast<std::int64_t>(options.kills + on.engines());
  const auto asked = calls_of(on, traffic_operation);
  if (asked > synced.traffic_looks + (kills + most_tries) * servers)
    done.differences.push_back(std::to_string(asked) + " looks at traffic were asked for and " +
                               std::to_string(synced.traffic_looks) + " stored");
  const auto at_points = std::accumulate(passed.begin(), passed.end(), std::int64_t{0},
                                         [](auto sum, const auto& one) { return sum + one.second; });
  if (options.kills >= 100) {
    for (const auto* what : {"suspended", "unsuspended", "plans changed", "powers switched", "deleted"})
      expect(panel.done().contains(what) ? panel.done().at(what) : 0, what);
    expect(std::stoll(
             test::run_sql(on.database_url(), "SELECT count(*) FROM actions WHERE limit_month IS NOT NULL")),
           "suspended by a limit");
    expect(figures.negative, "given back");
    expect(figures.corrections, "corrected");
    expect(synced.interrupted, "interrupted");
    expect(synced.live_looks, "looked at live");
    expect(synced.rolled_days, "summed up");
    if (!points.empty())
      expect(at_points, "passed of the crash points");
  }
  done.figures = {{"kills", std::to_string(options.kills)},
                  {"of them at points", std::to_string(at_points)},
                  {"servers", std::to_string(figures.servers)},
                  {"months of servers", std::to_string(figures.months)},
                  {"charges", std::to_string(figures.charges)},
                  {"of them negative", std::to_string(figures.negative)},
                  {"corrections", std::to_string(figures.corrections)},
                  {"total micros", std::to_string(figures.total_micros)},
                  {"syncs", std::to_string(synced.runs)},
                  {"of them interrupted", std::to_string(synced.interrupted)},
                  {"of them complete", std::to_string(synced.complete)},
                  {"looks at traffic", std::to_string(synced.traffic_looks)},
                  {"asked for", std::to_string(asked)},
                  {"looks live", std::to_string(synced.live_looks)},
                  {"stored after a kill", std::to_string(synced.unanswered)},
                  {"days summed up", std::to_string(synced.rolled_days)}};
  for (const auto& [what, times] : panel.done())
    done.figures.emplace_back(what, std::to_string(times));
  for (const auto& [point, times] : passed)
    done.figures.emplace_back("at " + point, std::to_string(times));
  return done;
}

} // namespace skyengine::torture
