#include "actors/node_lease.hpp"
#include "tests/torture/campaigns.hpp"
#include "tests/torture/checks.hpp"
#include "tests/torture/clients.hpp"
#include "tests/torture/figures.hpp"
#include "tests/torture/history.hpp"
#include "tests/torture/world.hpp"

#include <algorithm>
#include <csignal>
#include <random>

namespace skyengine::torture {

namespace {

using namespace std::chrono_literals;

// A campaign without an answer for so long is stuck.
constexpr auto answer_patience = 60s;

/// Longer effects than these would outlive the settle time of the campaigns' engines.
void add_faults(const test::simulated_panel& panel) {
  const auto add = [&](const char* operation, const char* kind, double share, std::int64_t delay = 0) {
    boost::json::object fault{{"operation", operation}, {"kind", kind}, {"share", share}};
    if (delay > 0)
      fault["delayMs"] = delay;
    panel.add_fault(fault);
  };
  add("POST /servers", "late_effect", 0.10, 800);
  add("POST /servers", "lost_answer", 0.10);
  add("POST /servers/{serverId}/build", "late_effect", 0.05, 800);
  add("POST /servers/{serverId}/build", "lost_answer", 0.05);
  add("GET /servers/user/{userId}", "stale_list", 0.30, 700);
  add("DELETE /servers/{serverId}", "lost_answer", 0.10);
  for (const auto* call : {"POST /servers/{serverId}/suspend", "POST /servers/{serverId}/unsuspend",
                           "PUT /servers/{serverId}/package/{packageId}"}) {
    add(call, "late_effect", 0.05, 800);
    add(call, "lost_answer", 0.10);
  }
  panel.add_fault({{"operation", "*"}, {"kind", "status"}, {"status", 503}, {"share", 0.02}});
  add("*", "reset", 0.02);
}

/// Stops `engine` until its lease has run out, and lets it go on.
void pause(test::engine_process& engine) {
  engine.child().send(SIGSTOP);
  // Nothing tells from outside when a stopped process's lease is over but the clock.
  engine.child().wait(actors::node_lease::span + 1s);
  engine.child().send(SIGCONT);
}

} // namespace

report kills(const kill_options& options) {
  world_options how;
  how.seed = options.seed;
  how.engines = options.engines;
  how.users = options.clients * 3;
  how.panel = {"--build-time", "0.5", "--latency", "5", "--jitter", "20"};
  world on{how};
  add_faults(on.panel());

  history told;
  std::mt19937_64 random{options.seed};
  load_options clients;
  clients.seed = random();
  clients.clients = options.clients;
  load running{on, told, clients};
  report done;
  std::size_t disturbed = 0;
  std::size_t paused = 0;
  for (const auto all = options.kills + options.pauses; disturbed < all; ++disturbed) {
    const auto answers = std::uniform_int_distribution<std::size_t>{1, 24}(random);
    const auto life = std::chrono::milliseconds{std::uniform_int_distribution{0, 400}(random)};
    const auto whom = std::uniform_int_distribution<std::size_t>{0, on.engines() - 1}(random);
    auto& engine = on.engine(whom);
    if (!told.wait_for_answers(answers, answer_patience)) {
      done.differences.push_back("no answers after disturbance " + std::to_string(disturbed));
      break;
    }
    // It lives for a little longer, so that it is not always an answer that comes before its end.
    if (const auto ended = engine.child().wait(life)) {
      done.differences.push_back("the engine ended by itself with " + std::to_string(*ended));
      break;
    }
    // Evenly among the kills.
    if (paused < options.pauses && disturbed * options.pauses >= paused * all) {
      ++paused;
      pause(engine);
      continue;
    }
    engine.kill();
    engine.start();
  }
  running.stop();
  running.join();
  // What is still under way may take its time, but no further fault.
  on.panel().clear_faults();
  outcome_figures ends;
  const auto more = differences(on, told, {}, &ends);
  done.differences.insert(done.differences.end(), more.begin(), more.end());
  done.figures = {{"kills", std::to_string(disturbed - paused)},
                  {"pauses", std::to_string(paused)},
                  {"clients", std::to_string(options.clients)}};
  append(done.figures, told);
  append(done.figures, ends);
  return done;
}

} // namespace skyengine::torture
