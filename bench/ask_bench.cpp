// What does a coroutine of the loop pay for asking an actor and getting its answer: on our loop, and on CAF's
// own pool?

#include "actors/runtime/actor_runtime.hpp"
#include "bench/bench_support.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace bench = skyengine::bench;
namespace runtime = skyengine::actors::runtime;
using steady = std::chrono::steady_clock;
using namespace std::chrono_literals;

using doubler_actor = caf::typed_actor<caf::replies_to<std::int64_t>::with<std::int64_t>>;

doubler_actor::behavior_type doubler(doubler_actor::pointer) {
  return {[](std::int64_t n) { return 2 * n; }};
}

/// Asks `count` times, `in_flight` at a time; the sum of the answers shows that the work was done.
struct load {
  int count;
  int in_flight;
};

asio::awaitable<void> ask_on_loop(runtime::asker& asker, doubler_actor to, int count, std::int64_t& sum) {
  for (int i = 0; i < count; ++i) {
    const auto answer = co_await asker.ask<std::int64_t>(to, 10s, std::int64_t{i});
    sum += answer.value();
  }
}

double ours(load wanted) {
  runtime::actor_runtime on_loop;
  const auto to = on_loop.system().spawn(doubler);
  std::int64_t sum = 0;
  int running = wanted.in_flight;
  const auto begun = steady::now();
  for (int i = 0; i < wanted.in_flight; ++i)
    asio::co_spawn(on_loop.loop(), ask_on_loop(on_loop.asker(), to, wanted.count / wanted.in_flight, sum),
                   [&](std::exception_ptr) { --running; });
  while (running > 0)
    on_loop.loop().run_one();
  const auto spent = std::chrono::duration<double, std::nano>(steady::now() - begun).count();
  caf::anon_send_exit(to, caf::exit_reason::user_shutdown);
  const std::int64_t each = wanted.count / wanted.in_flight;
  if (sum != wanted.in_flight * each * (each - 1))
    std::abort();
  return spent / wanted.count;
}

/// The same question to an actor on CAF's pool: a helper actor asks, and its answer is posted back to the
/// loop.
asio::awaitable<std::int64_t>
ask_pool(caf::actor_system& system, asio::io_context& loop, doubler_actor to, std::int64_t n) {
  auto initiate = [&](auto handler) {
    auto completion = std::make_shared<decltype(handler)>(std::move(handler));
    system.spawn<caf::hidden>([completion, to, n, &loop](caf::event_based_actor* self) {
      self->request(to, 10s, n).then([completion, &loop](std::int64_t answer) {
        asio::post(loop, [completion, answer] { std::move (*completion)(answer); });
      });
    });
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(std::int64_t)>(
    initiate, asio::use_awaitable);
}

asio::awaitable<void> ask_pool_often(
  caf::actor_system& system, asio::io_context& loop, doubler_actor to, int count, std::int64_t& sum) {
  for (int i = 0; i < count; ++i)
    sum += co_await ask_pool(system, loop, to, i);
}

double peers(load wanted) {
  asio::io_context loop;
  const auto work = asio::make_work_guard(loop);
  caf::actor_system_config config;
  caf::actor_system system{config};
  const auto to = system.spawn(doubler);
  std::int64_t sum = 0;
  int running = wanted.in_flight;
  const auto begun = steady::now();
  for (int i = 0; i < wanted.in_flight; ++i)
    asio::co_spawn(loop, ask_pool_often(system, loop, to, wanted.count / wanted.in_flight, sum),
                   [&](std::exception_ptr) { --running; });
  while (running > 0)
    loop.run_one();
  const auto spent = std::chrono::duration<double, std::nano>(steady::now() - begun).count();
  caf::anon_send_exit(to, caf::exit_reason::user_shutdown);
  const std::int64_t each = wanted.count / wanted.in_flight;
  if (sum != wanted.in_flight * each * (each - 1))
    std::abort();
  return spent / wanted.count;
}

int run(const bench::options& how) {
  const int count = how.is_smoke ? 640 : 64'000;
  bench::summary all{"ask"};
  all.add("rounds", how.rounds);
  for (const int in_flight : {1, 64}) {
    std::vector<double> loop;
    std::vector<double> pool;
    for (int round = 0; round < how.rounds; ++round) {
      loop.push_back(ours({count, in_flight}));
      pool.push_back(peers({count, in_flight}));
    }
    const auto own = bench::summarise(loop);
    const auto peer = bench::summarise(pool);
    std::printf("ask, %2d in flight: loop %8.0f ns (deviation %.0f), CAF's pool %8.0f ns (deviation %.0f), "
                "ratio %.3f\n",
                in_flight, own.median, own.deviation, peer.median, peer.deviation, own.median / peer.median);
    const auto name = "in_flight_" + std::to_string(in_flight);
    all.add(name + "_loop_ns", own)
      .add(name + "_pool_ns", peer)
      .add(name + "_ratio", own.median / peer.median, 3);
  }
  all.print();
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, 7, run);
}
