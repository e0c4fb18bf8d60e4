// How long does one sync take, beside what the gateway's limits allow, and what does it cost when things
// fail?
//
// 10,000 servers (`--servers N` for others) on ten hypervisors of the simulator, which takes exactly
// `latency_ms` before each answer. With `slots` calls at once nothing can be done faster than
//
//     calls x latency_ms / slots
//
// and each figure is held against that: everything above it is ours (the sync, the gateway, HTTP on both
// sides, the commits, and what the simulator computes, which runs on the same processors). PostgreSQL is
// private and has fsync. The peer in the same run is the loop that asks for one server after the other.
//
// With faults: 2 % of all calls are answered with 500, which lowers the gateway's limit of calls at once each
// time (AIMD), so the mean of the limit that held is printed beside it; and the process that syncs is killed
// by SIGKILL in the middle; another process goes on with the same tick. Missed are servers that nobody has
// seen then; asked again are calls that were answered with success and whose outcome was lost with the
// process.
//
// With one of ten hypervisors hanging (its live calls are never answered), the others' time is until the last
// of their servers was seen.

#include "actors/metrics_sync.hpp"
#include "actors/runtime/actor_runtime.hpp"
#include "actors/virtfusion_gateway.hpp"
#include "bench/bench_support.hpp"
#include "db/migrations.hpp"
#include "db/private_postgres.hpp"
#include "net/virtfusion/http_transport.hpp"
#include "tests/support/at_end.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/simulator.hpp"
#include "tests/support/temporary_folder.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>
#include <caf/send.hpp>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace actors = skyengine::actors;
namespace asio = boost::asio;
namespace bench = skyengine::bench;
namespace db = skyengine::db;
namespace json = boost::json;
namespace test = skyengine::test;
namespace vf = skyengine::net::virtfusion;
using namespace std::chrono_literals;
using skyengine::result;
using steady = std::chrono::steady_clock;

constexpr int latency_ms = 20;
constexpr int slots = 16;
constexpr std::int64_t hanging_hypervisor = 3;
constexpr std::int64_t serial_calls = 500;
constexpr double aim = 1.3;
constexpr const char* list_op = "GET /servers";
constexpr const char* live_op = "GET /servers/{serverId}";

std::int64_t servers_wanted = 0;

double seconds_since(steady::time_point then) {
  return std::chrono::duration<double>(steady::now() - then).count();
}

template <class T>
T must(result<T> outcome) {
  if (!outcome)
    throw std::runtime_error{outcome.error().detail};
  if constexpr (!std::is_void_v<T>)
    return std::move(*outcome);
}

/// Runs the loop until `task` has ended, however long that takes.
template <class T>
T run_to_end(asio::io_context& loop, asio::awaitable<T> task) {
  std::optional<T> value;
  asio::co_spawn(loop, std::move(task), [&](std::exception_ptr bug, T came) {
    if (bug)
      std::rethrow_exception(bug);
    value = std::move(came);
  });
  loop.restart();
  while (!value)
    loop.run_one();
  return std::move(*value);
}

/// When the last server of each hypervisor was seen live.
class last_looks final : public actors::sync_observer {
public:
  asio::awaitable<void> on_page(actors::listed_page) override { co_return; }
  asio::awaitable<void> on_list_end(actors::list_end) override { co_return; }
  asio::awaitable<void> on_live(actors::live_record seen) override {
    at[seen.record.hypervisor] = steady::now();
    co_return;
  }
  double until_others(steady::time_point begun) const {
    auto last = begun;
    for (const auto& [hypervisor, when] : at)
      if (hypervisor != hanging_hypervisor)
        last = std::max(last, when);
    return std::chrono::duration<double>(last - begun).count();
  }
  std::map<std::int64_t, steady::time_point> at;
};

/// What an engine has of the sync: everything from the database to the actor, made anew.
struct node {
  node(const std::string& database_url, const std::string& panel_url, actors::metrics_sync_options options)
      : database(runtime.loop().get_executor(), with_url(database_url)),
        transport(runtime.loop().get_executor(), to_panel(panel_url)) {
    must(test::run(runtime.loop(), database.connect()));
    actors::gateway_options limits;
    limits.max_in_flight = slots;
    gateway = actors::spawn_virtfusion_gateway(runtime.system(), runtime.loop().get_executor(),
                                               runtime.timers(), transport, limits);
    caller.set_gateway(gateway);
    options.slots = slots;
    sync = actors::spawn_metrics_sync(runtime.system(), runtime.loop().get_executor(),
                                      {caller, store, progress, business, &looks}, std::move(options));
  }
  ~node() {
    test::at_end([this] {
      caf::anon_send_exit(sync, caf::exit_reason::user_shutdown);
      caf::anon_send_exit(gateway, caf::exit_reason::user_shutdown);
      sync = nullptr;
      gateway = nullptr;
      caller.set_gateway(gateway);
      test::run(runtime.loop(), database.close(1s));
      transport.close();
      runtime.shut_down();
    });
  }
  node(const node&) = delete;
  node& operator=(const node&) = delete;

  static db::database_options with_url(const std::string& url) {
    db::database_options options;
    options.url = url;
    return options;
  }
  static vf::http_transport_options to_panel(const std::string& url) {
    vf::http_transport_options options;
    options.base = must(vf::parse_api_base(url));
    options.token = skyengine::secret{test::simulated_panel::token};
    return options;
  }

  json::object synchronise(std::int64_t tick) {
    limits_sum = 0;
    limits_seen = 0;
    asio::co_spawn(runtime.loop(), watch_limit(), asio::detached);
    const actors::cron_tick message{{1}, {1}, std::chrono::sys_seconds{std::chrono::seconds{tick}}};
    auto asked = runtime.asker().ask<actors::cron_outcome>(sync, 2h, message);
    return json::parse(must(run_to_end(runtime.loop(), std::move(asked))).figures).as_object();
  }
  double mean_limit() const { return limits_sum / std::max(limits_seen, 1.0); }
  asio::awaitable<void> watch_limit() {
    asio::steady_timer timer{runtime.loop()};
    for (const actors::gateway_figures_query query; gateway;) {
      if (const auto now_is = co_await runtime.asker().ask<actors::gateway_figures>(gateway, 1s, query)) {
        limits_sum += static_cast<double>(now_is->limit);
        limits_seen += 1;
      }
      timer.expires_after(50ms);
      co_await timer.async_wait(asio::use_awaitable);
    }
  }
  actors::sync_figures figures() {
    const actors::sync_figures_query query;
    return must(run_to_end(runtime.loop(), runtime.asker().ask<actors::sync_figures>(sync, 10s, query)));
  }

  actors::runtime::actor_runtime runtime;
  db::database database;
  vf::http_transport transport;
  skyengine::scaled_clock business;
  actors::virtfusion_gateway_actor gateway;
  actors::virtfusion_caller caller{runtime.asker(), runtime.timers(), {}};
  db::metrics_store store{database};
  db::run_progress_store progress{database};
  last_looks looks;
  double limits_sum = 0;
  double limits_seen = 0;
  actors::metrics_sync_actor sync;
};

/// The process that is killed: syncs, and says so once half of the looks are done.
int be_killed(const std::string& database_url, const std::string& panel_url, std::int64_t tick) {
  node here{database_url, panel_url, {}};
  const actors::cron_tick message{{1}, {1}, std::chrono::sys_seconds{std::chrono::seconds{tick}}};
  auto is_done = false;
  asio::co_spawn(here.runtime.loop(), here.runtime.asker().ask<actors::cron_outcome>(here.sync, 2h, message),
                 [&](std::exception_ptr, const result<actors::cron_outcome>&) { is_done = true; });
  auto has_told = false;
  while (!is_done) {
    here.runtime.loop().run_one_for(10ms);
    const auto now_is = here.figures();
    const auto seen = static_cast<std::int64_t>(now_is.traffic_seen + now_is.live_seen);
    if (!has_told && seen >= servers_wanted) {
      std::printf("half\n");
      std::fflush(stdout);
      has_told = true;
    }
  }
  return 1;
}

/// PostgreSQL, the panel and the servers of both.
struct world {
  world() : postgres(must(db::private_postgres::start({folder.path()}))), panel(panel_arguments()) {
    asio::io_context loop{1};
    const auto migrated =
      test::run(loop, db::migrate(node::with_url(postgres.url()), db::embedded_migrations()));
    if (!migrated)
      throw std::runtime_error{migrated.error().detail};
    const auto count = std::to_string(servers_wanted);
    sql("INSERT INTO users (id, name, email, created_at, updated_at) SELECT n, 'u', 'u' || n, now(), now() "
        "FROM "
        "generate_series(1, " +
        std::to_string(users()) +
        ") AS n; INSERT INTO plans (id, name, currency, virtfusion_package_id, created_at, updated_at) "
        "VALUES ('p', "
        "'p', 'USD', 1, now(), now()); INSERT INTO plan_prices VALUES ('p', '2020-01-01Z', 1, 730, "
        "'allocated', "
        "'second'); INSERT INTO regions VALUES ('r', 'r', 1, true, now(), now()); INSERT INTO servers "
        "(user_id, "
        "plan_id, region_id, wants_ipv6, state, power, virtfusion_id, created_at, last_event_at) SELECT 1 + "
        "n % " +
        std::to_string(users()) +
        ", 'p', 'r', false, 'active', 'on', n, now(), now() FROM generate_series(1, " + count +
        ") AS n; ANALYZE");
  }

  static std::int64_t users() { return std::max<std::int64_t>(servers_wanted / 10, 1); }
  static std::vector<std::string> panel_arguments() {
    return {
      "--servers", std::to_string(servers_wanted), "--users", std::to_string(users()), "--hypervisors", "10",
      "--latency", std::to_string(latency_ms)};
  }
  std::string sql(const std::string& text) const { return test::run_sql(postgres.url(), text); }
  void forget() {
    sql("TRUNCATE server_observations, server_lists, server_metrics");
    panel.clear_faults();
    panel.reset_requests();
  }
  std::int64_t calls() const { return panel.requests().at("total").to_number<std::int64_t>(); }
  std::int64_t calls_of(const char* operation) const { return count_in("byOperation", operation); }
  std::int64_t answered(const char* status) const { return count_in("byStatus", status); }
  std::int64_t count_in(const char* table, const char* name) const {
    const auto requests = panel.requests();
    const auto* const found = requests.at(table).as_object().if_contains(name);
    return found ? found->to_number<std::int64_t>() : 0;
  }

  test::temporary_folder folder;
  db::private_postgres postgres;
  test::simulated_panel panel;
};

std::int64_t now_in_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
    .count();
}

actors::metrics_sync_options depths(bool traffic, bool live) {
  actors::metrics_sync_options options;
  if (!traffic)
    options.traffic_every = 0ms;
  if (!live)
    options.live_every = 0ms;
  return options;
}

double floor_of(std::int64_t calls) {
  return static_cast<double>(calls) * latency_ms / 1e3 / slots;
}

void check_complete(const json::object& figures) {
  if (figures.at("complete") != true)
    throw std::runtime_error{"a sync is not complete: " + json::serialize(figures)};
}

struct measured {
  double wall = 0;
  double others = 0;
  std::int64_t calls = 0;
  std::int64_t list_calls = 0;
  json::object figures = {};
};

measured
measure(world& on, const char* label, const char* name, bool traffic, bool live, bench::summary& line) {
  const auto before = bench::memory_of(getpid(), "VmRSS");
  node here{on.postgres.url(), on.panel.url(), depths(traffic, live)};
  const auto begun = steady::now();
  measured out;
  out.figures = here.synchronise(now_in_seconds());
  out.wall = seconds_since(begun);
  out.others = here.looks.until_others(begun);
  out.calls = on.calls();
  out.list_calls = on.calls_of(list_op);
  const auto after = bench::memory_of(getpid(), "VmRSS");
  const auto ratio = out.wall / floor_of(out.calls);
  std::printf("%-34s %7ld calls %9.2f s   %.2f x what the limits allow   RSS %ld -> %ld KiB\n", label,
              out.calls, out.wall, ratio, before, after);
  std::fflush(stdout);
  line.add(std::string{name} + "_calls", static_cast<double>(out.calls))
    .add(std::string{name} + "_s", out.wall, 3)
    .add(std::string{name} + "_ratio", ratio, 3)
    .add(std::string{name} + "_rss_before_kib", static_cast<double>(before))
    .add(std::string{name} + "_rss_after_kib", static_cast<double>(after));
  return out;
}

/// The pages of the list, `slots` at once, with nothing done about them.
double list_bare(world& on, std::int64_t pages) {
  asio::io_context loop{1};
  vf::http_transport transport{loop.get_executor(), node::to_panel(on.panel.url())};
  std::int64_t next = 1;
  int left = slots;
  auto ask_on = [&]() -> asio::awaitable<void> {
    while (next <= pages) {
      auto what = vf::list_servers(next++);
      const auto came = co_await transport.exchange(std::move(what.what), 15s);
      if (!came || !came->is_success())
        throw std::runtime_error{"a call of the bare list failed"};
    }
    if (--left == 0)
      loop.stop();
  };
  const auto begun = steady::now();
  for (int i = 0; i < slots; ++i)
    asio::co_spawn(loop, ask_on(), [](std::exception_ptr failed) {
      if (failed)
        std::rethrow_exception(failed);
    });
  loop.run();
  const auto wall = seconds_since(begun);
  transport.close();
  return wall;
}

void with_faults_and_a_kill(world& on, bench::summary& line) {
  on.forget();
  on.panel.add_fault({{"operation", "*"}, {"kind", "status"}, {"status", 500}, {"share", 0.02}});
  const auto tick = now_in_seconds();
  const auto begun = steady::now();
  {
    test::process first{
      {std::filesystem::read_symlink("/proc/self/exe").string(),
       {"--killed", on.postgres.url(), on.panel.url(), std::to_string(tick), std::to_string(servers_wanted)},
       {},
       "/dev/null"}};
    if (!first.read_line(10min))
      throw std::runtime_error{"the process that is to be killed did not come to its half"};
    first.kill();
  }
  const auto by_first = on.calls();
  const auto second_begun = steady::now();
  const auto written = on.sql("SELECT count(traffic_at) + count(live_at) FROM server_observations");
  node here{on.postgres.url(), on.panel.url(), {}};
  const auto figures = here.synchronise(tick);
  const auto wall = seconds_since(begun);
  const auto second_s = seconds_since(second_begun);
  const auto failed = on.answered("500");
  const auto calls = on.calls();
  const std::int64_t missed =
    std::stol(on.sql("SELECT count(*) FROM servers s LEFT JOIN server_observations o ON o.server_id "
                     "= s.id WHERE o.traffic_at IS NULL OR o.live_at IS NULL"));
  const auto looks = calls - on.calls_of(list_op) - on.calls_of("GET /connect") - failed;
  std::printf(
    "list, traffic and live, with 2 %% of 500 and a kill in the middle: %ld calls (%ld failed) %9.2f s   "
    "%.2f "
    "x\n    the first process made %ld calls and had committed %s looks when it was killed\n    servers "
    "missed: %ld   looks asked again after the kill: %ld of %ld (under way or not yet committed)\n",
    calls, failed, wall, wall / floor_of(calls), by_first, written.c_str(), missed,
    looks - 2 * servers_wanted, 2 * servers_wanted);
  std::fflush(stdout);
  const auto second_floor = floor_of(calls - by_first) * slots / here.mean_limit();
  std::printf("    the second process: mean limit %.1f calls at once, %.2f s, %.2f x what that allows\n",
              here.mean_limit(), second_s, second_s / second_floor);
  if (missed > 0)
    throw std::runtime_error{"servers were missed: " + json::serialize(figures)};
  line.add("faults_calls", static_cast<double>(calls))
    .add("faults_failed", static_cast<double>(failed))
    .add("faults_s", wall, 3)
    .add("faults_ratio", wall / floor_of(calls), 3)
    .add("faults_mean_limit", here.mean_limit(), 1)
    .add("faults_ratio_of_limit", second_s / second_floor, 3)
    .add("faults_missed", static_cast<double>(missed))
    .add("faults_asked_again", static_cast<double>(looks - 2 * servers_wanted));
}

void one_after_the_other(world& on, double live_s, bench::summary& line) {
  asio::io_context loop{1};
  vf::http_transport transport{loop.get_executor(), node::to_panel(on.panel.url())};
  const auto count = std::min(serial_calls, servers_wanted);
  const auto begun = steady::now();
  auto ask_all = [&]() -> asio::awaitable<result<bool>> {
    for (std::int64_t id = 1; id <= count; ++id) {
      auto what = vf::get_server({id}, true);
      const auto came = co_await transport.exchange(std::move(what.what), 15s);
      if (!came || !came->is_success())
        co_return skyengine::error{skyengine::errc::internal, "a call of the serial loop failed"};
    }
    co_return true;
  };
  must(run_to_end(loop, ask_all()));
  const auto all = seconds_since(begun) * static_cast<double>(servers_wanted) / static_cast<double>(count);
  transport.close();
  std::printf("one after the other, live (%ld calls, scaled to all) %9.2f s   %.1f x the sync's time\n",
              count, all, all / live_s);
  std::fflush(stdout);
  line.add("serial_s", all, 2).add("serial_by_sync", all / live_s, 2);
}

void with_one_that_hangs(world& on, const measured& quiet, bench::summary& line) {
  on.forget();
  on.panel.add_fault({{"operation", live_op}, {"kind", "stall"}, {"hypervisor", hanging_hypervisor}});
  const auto hung = measure(on, "list and live, one of ten hangs", "hanging", false, true, line);
  const auto not_seen = hung.figures.at("notSeen").at("live").at("count").to_number<std::int64_t>();
  const auto failed = hung.figures.at("live").at("failed").to_number<std::int64_t>();
  std::printf(
    "    the others' servers after %.2f s, quiet %.2f s: %.2f x (aim: <= %.1f); not seen, and named: %ld\n",
    hung.others, quiet.others, hung.others / quiet.others, aim, not_seen + failed);
  line.add("others_s", hung.others, 3)
    .add("others_quiet_s", quiet.others, 3)
    .add("others_ratio", hung.others / quiet.others, 3)
    .add("hanging_not_seen", static_cast<double>(not_seen + failed));
}

int run(const bench::options& how) {
  if (servers_wanted == 0)
    servers_wanted = how.is_smoke ? 300 : 10'000;
  world on;
  bench::summary line{"sync"};
  line.add("servers", static_cast<double>(servers_wanted))
    .add("latency_ms", latency_ms)
    .add("slots", slots)
    .add("load", bench::load_average(), 2);
  std::printf("%ld servers, latency %d ms, %d calls at once\n", servers_wanted, latency_ms, slots);
  on.forget();
  const auto list = measure(on, "list", "list", false, false, line);
  check_complete(list.figures);
  std::printf("    of the list: %ld calls, allowed %ld\n", list.list_calls, servers_wanted / 200 + 5);
  if (list.list_calls > servers_wanted / 200 + 5)
    throw std::runtime_error{"the list took too many calls"};
  const auto bare = list_bare(on, list.list_calls);
  std::printf("    the same calls, nothing done about them %9.2f s   the list took %.2f x\n", bare,
              list.wall / bare);
  std::fflush(stdout);
  line.add("list_bare_s", bare, 3).add("list_by_bare", list.wall / bare, 2);
  on.forget();
  check_complete(measure(on, "list and traffic", "traffic", true, false, line).figures);
  on.forget();
  const auto live = measure(on, "list and live", "live", false, true, line);
  check_complete(live.figures);
  one_after_the_other(on, live.wall, line);
  with_faults_and_a_kill(on, line);
  // What hangs takes its time-outs, a minute in all.
  if (!how.is_smoke)
    with_one_that_hangs(on, live, line);
  line.print();
  return 0;
}

/// Takes `--servers N` out of the arguments.
std::vector<char*> take_servers(int argc, char** argv) {
  std::vector<char*> rest;
  for (int i = 0; i < argc; ++i) {
    if (std::string_view{argv[i]} != "--servers" || i + 1 == argc) {
      rest.push_back(argv[i]);
      continue;
    }
    const std::string_view count = argv[++i];
    std::from_chars(count.data(), count.data() + count.size(), servers_wanted);
  }
  return rest;
}

} // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 6 && std::string_view{argv[1]} == "--killed") {
      servers_wanted = std::stoll(argv[5]);
      return be_killed(argv[2], argv[3], std::stoll(argv[4]));
    }
    auto rest = take_servers(argc, argv);
    return bench::run(static_cast<int>(rest.size()), rest.data(), 1, run);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
