#include "actors/runtime/crash_point.hpp"
#include "tests/torture/bill_check.hpp"
#include "tests/torture/campaigns.hpp"
#include "tests/torture/checks.hpp"
#include "tests/torture/world.hpp"

#include <boost/json.hpp>

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <random>
#include <thread>

namespace skyengine::torture {

namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

/// Two hours pass in a second, and the first month ends soon after the beginning.
constexpr std::int64_t clock_rate = 7'200;
constexpr const char* business_begin = "2026-10-31 06:00:00+00";

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
      } else if (what < 88) {
        switch_power();
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
          std::to_string(draw(0, 40)) +
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

std::vector<std::string> points_of_billing() {
  std::vector<std::string> points;
#ifdef SKYENGINE_CRASH_POINTS
  for (const auto point : actors::runtime::crash_points())
    if (point.starts_with("billing.") || point.starts_with("sync."))
      points.emplace_back(point);
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

} // namespace

report bills(const bill_options& options) {
  world_options how;
  how.seed = options.seed;
  how.engines = options.engines;
  how.users = 6;
  how.panel = {"--build-time", "0.1", "--latency", "2", "--jitter", "4"};
  how.business_begin = business_begin;
  how.settings["SKYENGINE_PROVISIONING_SETTLE"] = "1s";
  // What is accepted is answered before the next kill.
  how.settings["SKYENGINE_HTTP_PATIENCE"] = "100ms";
  how.settings["SKYENGINE_CLOCK_RATE"] = std::to_string(clock_rate);
  // X how.settings["SKYENGINE_SYNC_LIVE_EVERY"] = "1h";
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
  std::mt19937_64 random{options.seed};
  const auto points = points_of_billing();
  std::size_t passed = 0;
  auto is_planned = false;
  busy_panel panel{on, random()};
  for (std::size_t i = 0; i < options.kills; ++i) {
    // One that is to end at a point of its own mostly comes to it.
    const auto most = is_planned ? 4'000 : 2'500;
    const auto life = std::chrono::milliseconds{std::uniform_int_distribution{50, most}(random)};
    const auto whom = std::uniform_int_distribution<std::size_t>{0, on.engines() - 1}(random);
    auto& engine = on.engine(whom);
    if (const auto ended = engine.child().wait(life); ended && *ended != -SIGKILL) {
      done.differences.push_back("an engine ended by itself with " + std::to_string(*ended));
      break;
    } else if (ended) {
      ++passed;
    } else {
      engine.kill();
    }
    // Every other time it is to end at a point of its own, each in its turn.
    is_planned = !points.empty() && i % 2 == 0;
    const auto turn = std::uniform_int_distribution{1, 3}(random);
    engine.launch(is_planned ? points[(i / 2) % points.size()] + ":" + std::to_string(turn) : std::string{});
    engine.wait_ready();
  }
  panel.stop();
  for (std::size_t i = 0; i < on.engines(); ++i) {
    on.engine(i).kill();
    on.engine(i).start();
  }
  if (!on.engine().eventually([&] { return is_settled(on); }))
    done.differences.push_back("the hours are not closed to the end");
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
  if (options.kills >= 100) {
    for (const auto* what : {"suspended", "unsuspended", "plans changed", "powers switched", "deleted"})
      expect(panel.done().contains(what) ? panel.done().at(what) : 0, what);
    expect(std::stoll(
             test::run_sql(on.database_url(), "SELECT count(*) FROM actions WHERE limit_month IS NOT NULL")),
           "suspended by a limit");
    expect(figures.negative, "given back");
    expect(figures.corrections, "corrected");
    if (!points.empty())
      expect(static_cast<std::int64_t>(passed), "passed of the crash points");
  }
  done.figures = {{"kills", std::to_string(options.kills)},
                  {"of them at points", std::to_string(passed)},
                  {"servers", std::to_string(figures.servers)},
                  {"months of servers", std::to_string(figures.months)},
                  {"charges", std::to_string(figures.charges)},
                  {"of them negative", std::to_string(figures.negative)},
                  {"corrections", std::to_string(figures.corrections)},
                  {"total micros", std::to_string(figures.total_micros)}};
  for (const auto& [what, times] : panel.done())
    done.figures.emplace_back(what, std::to_string(times));
  return done;
}

} // namespace skyengine::torture
