// 100,000 schedules in the timer of one node, of which 1,000 fire at each second's turn, all at once: how
// late are they, what does one cost, and how much memory does a schedule take?
//
// The timer works on the real loop over a real PostgreSQL with fsync, as in the engine; the handler answers
// at once. Late is when the handler is told, after the commit of its run, beside the turn of the second. What
// a firing costs is this process's own processor time, from the heap to the committed end of the run; the
// database's is not in it. All other schedules wait for New Year. The floor, in turns: the commit of as many
// bare rows by one statement, from the turn of the second.

#include "actors/cron_timer.hpp"
#include "actors/runtime/actor_runtime.hpp"
#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/prepare.hpp"
#include "bench/bench_support.hpp"
#include "db/cron_store.hpp"
#include "db/migrations.hpp"
#include "db/node_store.hpp"
#include "db/private_postgres.hpp"
#include "domain/time_zone.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/temporary_folder.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace actors = skyengine::actors;
namespace asio = boost::asio;
namespace bench = skyengine::bench;
namespace db = skyengine::db;
namespace test = skyengine::test;
using namespace std::chrono_literals;
using skyengine::instant;
using skyengine::result;
using skyengine::time_zone;

constexpr double aim_ms = 20;
constexpr int firing_at_once = 1'000;
constexpr db::statement bare_rows{"bare_rows",
                                  "INSERT INTO bare_rows SELECT n FROM generate_series(1, $1::integer) AS n"};

instant now() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

double milliseconds_since(instant then) {
  return std::chrono::duration<double, std::milli>(now() - then).count();
}

double processor_ms() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto in = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
  };
  return in(used.ru_utime) + in(used.ru_stime);
}

actors::cron_handler_actor::behavior_type note(actors::cron_handler_actor::pointer self,
                                               std::vector<double>* late) {
  actors::runtime::prepare(self);
  return {
    [late](const actors::cron_tick& tick) -> caf::result<actors::cron_outcome> {
      late->push_back(milliseconds_since(tick.scheduled_at));
      return actors::cron_outcome{};
    },
    [](const actors::cron_cancel&) {},
  };
}

asio::awaitable<result<std::shared_ptr<const time_zone>>> load_zone(std::string) {
  co_return std::make_shared<const time_zone>();
}

void must(const result<>& done) {
  if (!done)
    throw std::runtime_error{done.error().detail};
}

asio::awaitable<result<>> commit_bare_rows(db::database& database, std::vector<double>& late) {
  const auto turn = std::chrono::ceil<std::chrono::seconds>(now());
  asio::steady_timer wait{co_await asio::this_coro::executor, turn - now()};
  co_await wait.async_wait(asio::use_awaitable);
  const auto done = co_await database.run(bare_rows, firing_at_once);
  if (!done)
    co_return done.error();
  late.push_back(milliseconds_since(turn));
  co_return result<>{};
}

int run(const bench::options& how) {
  const int schedules = how.is_smoke ? 5'000 : 100'000;
  const std::size_t wanted = static_cast<std::size_t>(firing_at_once) * (how.is_smoke ? 2 : 20);
  const test::temporary_folder folder;
  auto postgres = db::private_postgres::start({folder.path()});
  if (!postgres)
    throw std::runtime_error{postgres.error().detail};
  db::database_options options;
  options.url = postgres->url();

  actors::runtime::actor_runtime runtime;
  const auto migrated = test::run(runtime.loop(), db::migrate(options, db::embedded_migrations()));
  if (!migrated)
    throw std::runtime_error{migrated.error().detail};
  db::database database{runtime.loop().get_executor(), options};
  must(test::run(runtime.loop(), database.connect()));
  test::run_sql(options.url, "CREATE TABLE bare_rows (n bigint); UPDATE schedules SET paused = true");
  // A server that has run for a while has WAL files to use again; a new one makes each as it comes to it.
  for (int i = 0; i < 5; ++i)
    test::run_sql(options.url, "INSERT INTO bare_rows VALUES (0); SELECT pg_switch_wal()");
  test::run_sql(options.url, "CHECKPOINT");
  db::node_store nodes{database};
  const auto token = test::run(runtime.loop(), nodes.acquire("bench", 1h, now())).value();

  std::vector<double> floor;
  for (int i = 0; i < (how.is_smoke ? 1 : 10); ++i)
    must(test::run(runtime.loop(), commit_bare_rows(database, floor)));

  // The next second's turn is too near for so many rows: those that fire begin a while from now.
  const auto insert = [&](int count, const std::string& name, const std::string& expression) {
    test::run_sql(
      options.url,
      "INSERT INTO schedules (name, handler, expression, catch_up, catch_up_window, overlap, timeout, "
      "next_at) SELECT '" +
        name + " ' || n, 'bench', '" + expression +
        "', 'none', 60, 'allow', 60, date_trunc('year', now()) + interval '1 year' "
        "FROM generate_series(1, " +
        std::to_string(count) + ") AS n");
  };
  insert(schedules - firing_at_once, "idle", "0 0 1 1 *");

  std::vector<double> late;
  late.reserve(2 * wanted);
  auto handler = runtime.system().spawn(note, &late);
  skyengine::scaled_clock business;
  db::postgres_cron_store store{database};
  actors::cron_services services{store,
                                 [token] {
                                   return db::timer_holder{"bench", token};
                                 },
                                 business,
                                 runtime.timers(),
                                 runtime.asker(),
                                 load_zone,
                                 {{"bench", [handler] { return handler; }}}};
  const auto before = bench::memory_of(getpid(), "VmRSS");
  auto timer = actors::spawn_cron_timer(runtime.system(), runtime.loop().get_executor(), services, {});
  caf::anon_send(timer, actors::timer_lease_acquired{});
  const auto count = [&] {
    const actors::cron_figures_query query;
    return test::run(runtime.loop(), runtime.asker().ask<actors::cron_figures>(timer, 10s, query))
      .value()
      .schedules;
  };
  while (count() < static_cast<std::uint64_t>(schedules - firing_at_once))
    runtime.loop().run_one();
  const auto after = bench::memory_of(getpid(), "VmRSS");
  insert(firing_at_once, "each second", "* * * * * *");
  test::run_sql(options.url,
                "UPDATE schedules SET next_at = date_trunc('second', now()) + interval '3 s', version = "
                "version + 1, change = nextval('schedule_changes') WHERE name LIKE 'each second%'");

  // The first second's turn warms up.
  while (late.size() < static_cast<std::size_t>(firing_at_once))
    runtime.loop().run_one();
  late.clear();
  const auto begun = processor_ms();
  while (late.size() < wanted)
    runtime.loop().run_one();
  const auto used = processor_ms() - begun;
  const auto p50 = bench::quantile(late, 0.5);
  const auto p99 = bench::quantile(late, 0.99);
  const auto bare = bench::quantile(floor, 0.5);
  const auto bytes = static_cast<double>(after - before) * 1'024 / (schedules - firing_at_once);
  const auto each = used * 1e3 / static_cast<double>(late.size());
  std::printf("%d schedules, %d of which fire at each second's turn, %zu firings\n", schedules,
              firing_at_once, late.size());
  std::printf("late, ms                 p50 %8.2f   p99 %8.2f   (aim: p99 <= %.0f)\n", p50, p99, aim_ms);
  std::printf("a bare commit of so many rows, ms %8.2f   p99 / that %.2f\n", bare, p99 / bare);
  std::printf("processor time a firing  %8.1f us\n", each);
  std::printf("memory a schedule        %8.0f bytes\n", bytes);
  bench::summary line{"cron_timer"};
  line.add("schedules", schedules)
    .add("at_once", firing_at_once)
    .add("load", bench::load_average(), 2)
    .add("late_p50_ms", p50, 2)
    .add("late_p99_ms", p99, 2)
    .add("p99_by_aim", p99 / aim_ms, 3)
    .add("bare_commit_ms", bare, 2)
    .add("processor_us", each, 1)
    .add("bytes", bytes)
    .print();
  caf::anon_send_exit(timer, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(handler, caf::exit_reason::user_shutdown);
  timer = nullptr;
  services.handlers.clear();
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, 1, run);
}
