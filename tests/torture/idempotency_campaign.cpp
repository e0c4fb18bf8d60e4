#include "tests/torture/campaigns.hpp"
#include "tests/torture/checks.hpp"
#include "tests/torture/figures.hpp"
#include "tests/torture/history.hpp"
#include "tests/torture/world.hpp"

#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

namespace skyengine::torture {

namespace {

using namespace std::chrono_literals;

constexpr auto persistence = 90s;

/// Repeats the order until it is answered.
void order(world& on, history& told, const std::string& key) {
  const auto limit = std::chrono::steady_clock::now() + persistence;
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock{mutex};
  while (std::chrono::steady_clock::now() < limit) {
    const auto begun = std::chrono::steady_clock::now();
    const auto answer =
      on.engine().call("POST", "/v1/servers", on.key(), R"({"planId":"small","region":"north","userId":1})",
                       {{"Idempotency-Key", key}});
    told.count(answer, std::chrono::duration_cast<std::chrono::milliseconds>(
                         std::chrono::steady_clock::now() - begun));
    if (answer.status == 201 || answer.status == 202) {
      told.acknowledge_create(key, 1, answer);
      told.order_ended();
      return;
    }
    if (answer.status != 0 && answer.status != 503)
      told.complain("a repeat of " + key + " was answered " + std::to_string(answer.status) + ' ' +
                    answer.body);
    never.wait_for(lock, 50ms, [] { return false; });
  }
  told.complain("a repeat of " + key + " was never answered");
}

} // namespace

report idempotency(const idempotency_options& options) {
  world_options how;
  how.seed = options.seed;
  how.users = 1;
  how.panel = {"--build-time", "0.5", "--latency", "60", "--jitter", "40"};
  how.settings["SKYENGINE_PROVISIONING_SETTLE"] = "1s";
  world on{how};
  std::mt19937_64 random{options.seed};
  history told;
  for (int round = 0; round < options.rounds; ++round) {
    const auto key = "same-" + std::to_string(round);
    std::vector<std::thread> group;
    for (int i = 0; i < options.requests / 2; ++i)
      group.emplace_back(order, std::ref(on), std::ref(told), key);
    const std::chrono::milliseconds life{std::uniform_int_distribution{0, 400}(random)};
    on.engine().child().wait(life);
    on.engine().kill();
    on.engine().start();
    // The second half meets an engine that has never heard of the first.
    for (int i = options.requests / 2; i < options.requests; ++i)
      group.emplace_back(order, std::ref(on), std::ref(told), key);
    for (auto& one : group)
      one.join();
  }
  report done;
  outcome_figures ends;
  done.differences = differences(on, told, {}, &ends);
  const auto ended = told.counted().orders_ended;
  const auto wanted = static_cast<std::size_t>(options.requests * options.rounds);
  if (ended != wanted)
    done.differences.push_back(std::to_string(wanted - ended) + " requests were never answered");
  if (told.servers().size() != static_cast<std::size_t>(options.rounds))
    done.differences.push_back(std::to_string(told.servers().size()) + " servers for " +
                               std::to_string(options.rounds) + " orders");
  done.figures = {{"rounds", std::to_string(options.rounds)}};
  append(done.figures, told);
  append(done.figures, ends);
  return done;
}

} // namespace skyengine::torture
