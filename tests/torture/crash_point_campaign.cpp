#include "actors/runtime/crash_point.hpp"
#include "tests/torture/campaigns.hpp"
#include "tests/torture/checks.hpp"
#include "tests/torture/history.hpp"
#include "tests/torture/world.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <functional>
#include <mutex>
#include <thread>

namespace skyengine::torture {

namespace {

using namespace std::chrono_literals;

constexpr auto crash_patience = 30s;
constexpr std::chrono::milliseconds settle = 1s;

struct scenario {
  std::string point;
  bool has_lost_answers = false;

  bool is_delete() const { return point.starts_with("delete."); }
  bool is_suspend() const { return point.starts_with("suspend."); }
  bool is_unsuspend() const { return point.starts_with("unsuspend."); }
  bool is_resize() const { return point.starts_with("resize."); }
  bool is_control() const { return is_suspend() || is_unsuspend() || is_resize(); }
  /// Passed only where a repeated create has left a second server.
  bool is_second_look() const { return point.starts_with("look."); }
  bool is_failure() const {
    return point.ends_with("_cleanup") || point == "create.before_failed" || point == "create.after_failed";
  }
  /// Passed only where a build is asked for once more.
  bool is_second_build() const {
    return point == "create.before_build" || point == "create.after_build_mark";
  }
  std::string name() const { return point + (has_lost_answers ? " with lost answers" : ""); }
  /// Whether a build's second try was sent cannot be known when it was marked and the first one's failure
  /// stands there: it may count as tried.
  bool may_fail() const { return is_failure() || point == "create.after_build_mark"; }
  bool is_good_end(const std::string& state) const {
    if (is_delete())
      return state == "deleted";
    if (is_suspend())
      return state == "suspended";
    return (state == "active" && !is_failure()) || (state == "failed" && may_fail());
  }
};

class scenario_run {
public:
  scenario_run(scenario what, std::uint64_t seed)
      : what_(std::move(what)), world_(options(what_.point, seed)) {}

  std::vector<std::string> play() {
    if (what_.is_failure() || what_.is_second_build())
      world_.panel().add_fault({{"operation", "POST /servers/{serverId}/build"},
                                {"kind", "build_fails"},
                                {"count", what_.is_failure() ? 2 : 1}});
    if (what_.has_lost_answers) {
      world_.panel().add_fault({{"operation", "POST /servers"}, {"kind", "lost_answer"}, {"count", 1}});
      world_.panel().add_fault(
        {{"operation", "POST /servers/{serverId}/build"}, {"kind", "lost_answer"}, {"count", 1}});
      for (const auto* call : {"POST /servers/{serverId}/suspend", "POST /servers/{serverId}/unsuspend",
                               "PUT /servers/{serverId}/package/{packageId}"})
        world_.panel().add_fault({{"operation", call}, {"kind", "lost_answer"}, {"count", 1}});
    }
    if (what_.is_second_look())
      world_.panel().add_fault({{"operation", "POST /servers"},
                                {"kind", "late_effect"},
                                {"count", 1},
                                {"delayMs", (settle + 500ms).count()}});
    if (what_.is_delete() || what_.is_control())
      order();
    if (what_.is_unsuspend())
      ask_control("POST", "suspend", {});
    // Its answer may be lost with the engine; the repeat after the restart has to be the same order.
    std::thread asked{[this] { ask(); }};
    const auto ended = world_.engine().child().wait(crash_patience);
    asked.join();
    if (ended != -SIGKILL) {
      found_.push_back("the point was not passed");
      return found_;
    }
    world_.engine().start();
    if (what_.is_delete() || what_.is_control())
      ask();
    else
      order();
    const auto more = differences(world_, told_, {60s, what_.may_fail()});
    found_.insert(found_.end(), more.begin(), more.end());
    const auto state = server_ == 0 ? std::string{"never made"} : present_state();
    if (!what_.is_good_end(state))
      found_.push_back("the server is " + state + ", which is no end for this");
    if (what_.is_control())
      check_control();
    return found_;
  }

private:
  static world_options options(const std::string& point, std::uint64_t seed) {
    world_options chosen;
    chosen.seed = seed;
    chosen.users = 1;
    chosen.crash_at = point;
    chosen.panel = {"--build-time", "0.2"};
    chosen.settings["SKYENGINE_PROVISIONING_SETTLE"] = std::to_string(settle.count()) + "ms";
    return chosen;
  }

  /// One action of a kind, which came to its end, with one event of that; the machine runs as it should.
  void check_control() {
    const auto sql = [&](const std::string& question) {
      return test::run_sql(world_.database_url(), question);
    };
    if (const auto failed = sql("SELECT count(*) FROM actions WHERE state <> 'succeeded'"); failed != "0")
      found_.push_back(failed + " actions have not succeeded");
    if (const auto twice = sql("SELECT count(*) FROM (SELECT FROM server_events GROUP BY type "
                               "HAVING count(*) > 1) AS events");
        twice != "0")
      found_.push_back(twice + " things happened twice");
    if (what_.is_resize() && sql("SELECT plan_id FROM servers") != "large")
      found_.emplace_back("the plan has not changed");
    const auto power = std::string{world_.panel().state().at("servers").at(0).at("power").as_string()};
    if (power != (what_.is_suspend() ? "stopped" : "running"))
      found_.push_back("the machine is " + power);
  }

  void ask() {
    if (what_.is_delete())
      ask_delete();
    else if (what_.is_resize())
      ask_control("PUT", "plan", R"({"planId":"large"})");
    else if (what_.is_control())
      ask_control("POST", what_.is_suspend() ? "suspend" : "unsuspend", {});
    else
      ask_create();
  }

  test::call_answer ask_create() {
    auto answer = world_.engine().call("POST", "/v1/servers", world_.key(),
                                       R"({"planId":"small","region":"north","userId":1})",
                                       {{"Idempotency-Key", "the-create"}});
    if (answer.status != 0)
      told_.acknowledge_create("the-create", 1, answer);
    return answer;
  }

  /// Ordered, and as far as it goes.
  void order() {
    const auto answer = ask_create();
    if (const auto record = answer.json(); record.is_object())
      if (const auto* id = record.as_object().if_contains("id"))
        server_ = id->to_number<std::int64_t>();
    if (answer.status != 201 && answer.status != 202)
      found_.push_back("the create was answered " + std::to_string(answer.status) + ' ' + answer.body +
                       answer.failure);
    const auto limit = std::chrono::steady_clock::now() + 60s;
    for (auto state = present_state(); state != "active" && state != "failed"; state = present_state())
      if (world_.engine().child().wait(50ms) || std::chrono::steady_clock::now() > limit)
        return;
  }

  void ask_delete() {
    const auto answer = world_.engine().call("DELETE", "/v1/servers/" + std::to_string(server_), world_.key(),
                                             {}, {{"Idempotency-Key", "the-delete"}});
    if (answer.status == 202)
      told_.acknowledge_delete(server_);
    else if (answer.status != 0)
      found_.push_back("the delete was answered " + std::to_string(answer.status) + ' ' + answer.body);
  }

  void ask_control(const char* method, const std::string& what, const std::string& body) {
    const auto answer = world_.engine().call(method, "/v1/servers/" + std::to_string(server_) + '/' + what,
                                             world_.key(), body, {{"Idempotency-Key", "the-" + what}});
    if (answer.status != 0 && answer.status != 200 && answer.status != 202)
      found_.push_back("the " + what + " was answered " + std::to_string(answer.status) + ' ' + answer.body);
  }

  std::string present_state() {
    const auto record =
      world_.engine().call("GET", "/v1/servers/" + std::to_string(server_), world_.key()).json();
    return record.is_object() && record.as_object().contains("state")
             ? std::string{record.as_object().at("state").as_string()}
             : std::string{"unreadable"};
  }

  scenario what_;
  world world_;
  history told_;
  std::vector<std::string> found_;
  std::int64_t server_ = 0;
};

std::vector<scenario> scenarios(const crash_options& options) {
  std::vector<scenario> all;
  auto points = options.points;
  if (points.empty())
    for (const auto point : actors::runtime::crash_points())
      if (!is_hourly_point(point))
        points.emplace_back(point);
  for (const auto& point : points) {
    const scenario plain{point};
    all.push_back(plain);
    if (options.has_lost_answers && !plain.is_delete() && !plain.is_failure() && !plain.is_second_look())
      all.push_back({point, true});
  }
  return all;
}

} // namespace

report crash_points(const crash_options& options) {
  const auto all = scenarios(options);
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  report done;
  const auto work = [&] {
    for (auto i = next++; i < all.size(); i = next++) {
      std::vector<std::string> found;
      try {
        found = scenario_run{all[i], options.seed + i}.play();
      } catch (const std::exception& e) {
        found = {e.what()};
      }
      const std::lock_guard lock{mutex};
      for (const auto& difference : found)
        done.differences.push_back(all[i].name() + ": " + difference);
    }
  };
  std::vector<std::thread> workers;
  workers.reserve(static_cast<std::size_t>(options.parallel));
  for (int i = 0; i < options.parallel; ++i)
    workers.emplace_back(work);
  for (auto& worker : workers)
    worker.join();
  done.figures = {{"crashes", std::to_string(all.size())}};
  return done;
}

} // namespace skyengine::torture
