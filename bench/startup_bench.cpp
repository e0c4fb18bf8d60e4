// How long does a start take until `/readyz` says so, on a private database that is there already, and how
// much memory does an engine hold that has nothing to do?
//
// Each round: private PostgreSQL alone, started and stopped as the engine does it (the floor of the engine's
// start, which waits for it); then the program, from its exec to the first 200 of `/readyz`, looked for every
// 20 ms; two seconds without a request; its VmRSS (its PostgreSQL is another process, not counted here);
// SIGTERM, which also stops PostgreSQL. The files are in the page cache: the first start, which makes the
// database, is not counted.

#include "bench/bench_support.hpp"
#include "db/private_postgres.hpp"
#include "tests/support/engine_process.hpp"
#include "tests/support/temporary_folder.hpp"

#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <vector>

namespace {

namespace bench = skyengine::bench;
namespace test = skyengine::test;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr double start_aim_ms = 1'000;
constexpr double memory_aim_mb = 32;

double milliseconds_since(steady::time_point begun) {
  return std::chrono::duration<double, std::milli>(steady::now() - begun).count();
}

void stop(test::engine_process& engine) {
  if (engine.terminate() != 0)
    throw std::runtime_error{"the engine did not stop: " + engine.log()};
}

double start_postgres(const std::filesystem::path& data_dir) {
  const auto begun = steady::now();
  const auto postgres = skyengine::db::private_postgres::start({data_dir});
  if (!postgres)
    throw std::runtime_error{postgres.error().detail};
  return milliseconds_since(begun);
}

int run(const bench::options& how) {
  const auto quiet = how.is_smoke ? 100ms : 2'000ms;
  const test::temporary_folder folder;
  const test::simulated_panel panel;
  test::engine_process engine{panel, {folder.path()}};
  engine.start();
  stop(engine);

  std::vector<double> postgres;
  std::vector<double> starts;
  std::vector<double> memory;
  for (int round = 0; round < how.rounds; ++round) {
    postgres.push_back(start_postgres(folder.path()));
    const auto begun = steady::now();
    engine.start();
    starts.push_back(milliseconds_since(begun));
    if (engine.child().wait(quiet))
      throw std::runtime_error{"the engine ended by itself: " + engine.log()};
    memory.push_back(static_cast<double>(bench::memory_of(engine.child().pid(), "VmRSS")) * 1'024 / 1e6);
    stop(engine);
  }

  const auto start = bench::summarise(starts);
  const auto floor = bench::summarise(postgres);
  const auto idle = bench::summarise(memory);
  std::printf(
    "start to /readyz %.0f ms (deviation %.0f), of which PostgreSQL alone %.0f ms (deviation %.0f); "
    "start / aim %.2f (aim %.0f ms)\n",
    start.median, start.deviation, floor.median, floor.deviation, start.median / start_aim_ms, start_aim_ms);
  std::printf("idle RSS %.1f MB (deviation %.1f); RSS / aim %.2f (aim %.0f MB)\n", idle.median,
              idle.deviation, idle.median / memory_aim_mb, memory_aim_mb);
  bench::summary{"startup"}
    .add("rounds", how.rounds)
    .add("load", bench::load_average(), 2)
    .add("start_ms", start, 1)
    .add("postgres_ms", floor, 1)
    .add("start_by_aim", start.median / start_aim_ms, 3)
    .add("idle_rss_mb", idle, 2)
    .add("rss_by_aim", idle.median / memory_aim_mb, 3)
    .print();
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, 7, run);
}
