// What does `POST /v1/servers` add on top of VirtFusion's own time, at 100 creates a second?
//
// VirtFusion's own time is known, not estimated: the simulator takes exactly `latency_ms` before each answer,
// and the create of a user whom the engine meets for the first time makes three calls one after the other
// before it is answered 201 (find the user, make the server, begin its build; the simulator's own count of
// calls is held against that). So what a create adds is
//
//     the time from when it was due until its 201 was read  -  3 x latency_ms
//
// and everything else counts as ours: HTTP on both sides, the idempotency key, the commits, the gateway and
// its slots, what the simulator computes, the imprecision of timers, and whatever the engine has to do beside
// it (it goes on polling the builds of creates before). The load is open: a create begins when it is due,
// whatever has become of the others, each of another user, since creates of one user stand in line by design.
//
// Four commits must be on disk one after the other before the 201: the order before anything is done, the
// attempt before `POST /servers`, VirtFusion's id before the build, the answer's status before the answer. So
// the disk decides, and there are four sides that take turns:
//
//     durable     the engine as it is installed, on its own private PostgreSQL with fsync
//     floor       the same three calls made bare, with those four commits as bare one-row inserts, one after
//     the
//                 other, into the same PostgreSQL: what this disk leaves possible
//     no disk     the engine on a PostgreSQL without fsync: what its own work costs
//     calls       the three calls made bare: what simulator, sockets and machine cost

#include "bench/bench_support.hpp"
#include "bench/open_loop.hpp"
#include "db/database.hpp"
#include "db/private_postgres.hpp"
#include "net/virtfusion/calls.hpp"
#include "tests/support/postgres.hpp"
#include "tests/torture/world.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/json.hpp>

#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace bench = skyengine::bench;
namespace test = skyengine::test;
namespace torture = skyengine::torture;
namespace vf = skyengine::net::virtfusion;

constexpr double rate = 100;
/// Short, since one call in ten at most asks after a build: with longer ones those do not keep up with the
/// rate.
constexpr int latency_ms = 5;
constexpr int calls_per_create = 3;
/// Connections, prepared statements, the templates that the engine keeps.
constexpr std::size_t warm_up_creates = 20;
constexpr double aim_ms = 5;
constexpr skyengine::db::statement bare_commit{"bare_commit",
                                               "INSERT INTO bare_commits (number) VALUES ($1::bigint)"};

struct engine_side {
  bench::http_pool& pool;
  const std::string& key;
};

asio::awaitable<bool> create(engine_side to, std::size_t user) {
  const auto number = std::to_string(user);
  auto body = R"({"planId": "small", "region": "north", "userId": )" + number + "}";
  const bench::http_pool::headers headers{{"Authorization", "Bearer " + to.key},
                                          {"Idempotency-Key", "order-" + number}};
  const auto answer = co_await to.pool.send("POST", "/v1/servers", headers, std::move(body));
  if (answer.status != 201)
    throw std::runtime_error{"a create was answered " + std::to_string(answer.status) + ' ' + answer.body};
  co_return true;
}

/// One call of VirtFusion's, bare; its record.
template <class T>
asio::awaitable<T> call(bench::http_pool& pool, vf::call<T> what) {
  const bench::http_pool::headers headers{
    {"Authorization", std::string{"Bearer "} + test::simulated_panel::token}};
  const std::string method = what.what.op == vf::operation::find_user ? "GET" : "POST";
  auto came = co_await pool.send(method, "/api/v1" + what.what.target, headers, what.what.body);
  const auto read = what.read(vf::answer{came.status, std::move(came.body)});
  if (came.status / 100 != 2 || !read)
    throw std::runtime_error{"VirtFusion answered " + std::to_string(came.status) + " to " +
                             what.what.target};
  co_return *read;
}

/// The calls of a create, with bare commits in between where a database is given.
asio::awaitable<bool>
create_barely(bench::http_pool& pool, skyengine::db::database* database, std::size_t user) {
  const auto number = static_cast<std::int64_t>(user);
  const auto commit = [&]() -> asio::awaitable<void> {
    if (database == nullptr)
      co_return;
    const auto done = co_await database->run(bare_commit, number);
    if (!done)
      throw std::runtime_error{"a bare commit failed: " + done.error().detail};
  };
  co_await commit();
  const auto owner = co_await call(pool, vf::find_user({number}));
  co_await commit();
  const vf::new_server wanted{{1}, owner.id, {1}};
  const auto made = co_await call(pool, vf::create_server(wanted));
  co_await commit();
  const auto name = "vps-" + std::to_string(user);
  const vf::server_build build{{1}, name, name, {}, false};
  const auto begun = co_await call(pool, vf::build_server(made.id, build));
  static_cast<void>(begun);
  co_await commit();
  co_return true;
}

/// Throws unless the simulator has counted as many calls of creates as these make.
void check_calls(const test::simulated_panel& panel, std::size_t creates) {
  std::int64_t calls = 0;
  const auto requests = panel.requests();
  const auto& by_operation = requests.at("byOperation").as_object();
  for (const auto* operation : {"GET /users/{extRelationId}/byExtRelation", "POST /users", "POST /servers",
                                "POST /servers/{serverId}/build", "GET /servers/user/{userId}"})
    if (const auto* found = by_operation.if_contains(operation))
      calls += found->to_number<std::int64_t>();
  if (calls != static_cast<std::int64_t>(creates) * calls_per_create)
    throw std::runtime_error{"the engine made " + std::to_string(calls) + " calls for " +
                             std::to_string(creates) + " creates"};
}

/// An engine in its world, with the users of its creates.
struct site {
  site(asio::io_context& loop, std::size_t users, bool is_durable)
      : world(options_for(users, is_durable)), engine(loop, bench::endpoint_of(world.engine().origin())),
        panel(loop, bench::endpoint_of(world.panel().url().substr(0, world.panel().url().find("/api")))) {}

  /// VirtFusion knows its users before: 1 to `users` are the engine's, as many more those of the bare calls.
  static torture::world_options options_for(std::size_t users, bool is_durable) {
    torture::world_options options;
    options.panel = {"--build-time",           "0.5", "--latency", std::to_string(latency_ms), "--users",
                     std::to_string(2 * users)};
    options.users = static_cast<int>(users);
    options.has_private_database = is_durable;
    // A machine that stalls is to show as time, not as refusals.
    options.settings = {{"SKYENGINE_PROVISIONING_MAX_OPEN", "10000"}};
    return options;
  }

  torture::world world;
  bench::http_pool engine;
  bench::http_pool panel;
};

struct side {
  const char* name;
  const char* label;
  site& on;
  bool is_engine;
  std::function<asio::awaitable<bool>(std::size_t user)> task;
  std::size_t next_user;
  std::vector<double> p50 = {};
  std::vector<double> p99 = {};

  void warm_up(asio::io_context& loop) {
    const auto first = std::exchange(next_user, next_user + warm_up_creates);
    bench::run_open_loop(loop, rate, warm_up_creates, [&](std::size_t i) { return task(first + i); });
  }

  void run(asio::io_context& loop, std::size_t count) {
    const auto first = std::exchange(next_user, next_user + count);
    if (is_engine)
      on.world.panel().reset_requests();
    on.engine.close_idle();
    on.panel.close_idle();
    auto times = bench::run_open_loop(loop, rate, count, [&](std::size_t i) { return task(first + i); });
    if (is_engine)
      check_calls(on.world.panel(), count);
    for (auto& one : times)
      one -= calls_per_create * latency_ms;
    p50.push_back(bench::quantile(times, 0.5));
    p99.push_back(bench::quantile(std::move(times), 0.99));
  }
};

void connect(asio::io_context& loop, skyengine::db::database& database) {
  skyengine::result<> outcome;
  auto is_done = false;
  asio::co_spawn(loop, database.connect(), [&](std::exception_ptr bug, skyengine::result<> came) {
    if (bug)
      std::rethrow_exception(bug);
    outcome = std::move(came);
    is_done = true;
  });
  while (!is_done)
    loop.run_one();
  if (!outcome)
    throw std::runtime_error{outcome.error().detail};
}

int run(const bench::options& how) {
  const std::size_t creates = how.is_smoke ? 25 : 1'000;
  const auto rounds = static_cast<std::size_t>(how.rounds);
  const auto users = warm_up_creates + rounds * creates;
  asio::io_context loop{1};
  site durable{loop, users, true};
  site diskless{loop, users, false};
  auto postgres = skyengine::db::private_postgres::start({durable.world.engine().options().data_dir});
  if (!postgres)
    throw std::runtime_error{postgres.error().detail};
  test::run_sql(postgres->url(), "CREATE TABLE bare_commits (number bigint)");
  skyengine::db::database_options database_options;
  database_options.url = postgres->url();
  skyengine::db::database database{loop.get_executor(), database_options};
  connect(loop, database);

  const auto by_engine = [](site& on) {
    return [&on](std::size_t user) { return create({on.engine, on.world.key()}, user); };
  };
  const auto barely = [](site& on, skyengine::db::database* commits) {
    return [&on, commits](std::size_t user) { return create_barely(on.panel, commits, user); };
  };
  std::vector<side> sides{
    {"durable", "POST /v1/servers, durable", durable, true, by_engine(durable), 1},
    {"floor", "the same calls and 4 commits, bare", durable, false, barely(durable, &database), users + 1},
    {"no_disk", "POST /v1/servers, without fsync", diskless, true, by_engine(diskless), 1},
    {"calls", "the same calls, bare", diskless, false, barely(diskless, nullptr), users + 1}};
  for (auto& one : sides)
    one.warm_up(loop);
  for (std::size_t round = 0; round < rounds; ++round)
    for (auto& one : sides)
      one.run(loop, creates);

  bench::summary line{"create"};
  line.add("rounds", how.rounds)
    .add("creates_per_round", static_cast<double>(creates))
    .add("rate", rate)
    .add("latency_ms", latency_ms)
    .add("load", bench::load_average(), 2);
  std::printf("%-36s %8s %10s %8s %10s\n", "ms beyond VirtFusion's own, 100/s", "p50", "deviation", "p99",
              "deviation");
  std::vector<double> p99;
  for (const auto& one : sides) {
    const auto middle = bench::summarise(one.p50);
    const auto late = bench::summarise(one.p99);
    p99.push_back(late.median);
    std::printf("%-36s %8.2f %10.2f %8.2f %10.2f\n", one.label, middle.median, middle.deviation, late.median,
                late.deviation);
    line.add(std::string{one.name} + "_p50_ms", middle, 3).add(std::string{one.name} + "_p99_ms", late, 3);
  }
  std::printf("p99: durable / floor %.2f, without fsync / aim %.2f (aim %.0f ms)\n", p99[0] / p99[1],
              p99[2] / aim_ms, aim_ms);
  line.add("durable_by_floor", p99[0] / p99[1], 3).add("no_disk_by_aim", p99[2] / aim_ms, 3).print();
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, 3, run);
}
