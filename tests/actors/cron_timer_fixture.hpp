#pragma once

#include "actors/cron_timer.hpp"
#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/prepare.hpp"
#include "domain/time_format.hpp"
#include "tests/support/memory_cron_store.hpp"
#include "tests/support/virtual_runtime.hpp"

#include <boost/asio/awaitable.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace skyengine::actors {

/// When each test begins.
inline constexpr std::chrono::sys_seconds beginning = std::chrono::sys_days{std::chrono::year{2026} / 1 / 1};

/// What a handler was told, and how it answers.
struct handler_script {
  struct told_tick {
    cron_tick tick;
    runtime::open_promise promise;
  };
  std::vector<cron_tick> ticks = {};
  std::vector<run_id> cancelled = {};
  /// Ticks that wait for `answer`; only where it does not answer at once.
  std::vector<told_tick> open = {};
  bool answers_at_once = true;
  std::optional<error> failure = {};
};

inline cron_handler_actor::behavior_type scripted(cron_handler_actor::pointer self,
                                                  std::shared_ptr<handler_script> script) {
  runtime::prepare(self);
  return {
    [self, script](const cron_tick& tick) -> caf::result<cron_outcome> {
      script->ticks.push_back(tick);
      if (!script->answers_at_once) {
        auto promise = self->make_response_promise<cron_outcome>();
        script->open.push_back({tick, runtime::open_promise{promise}});
        return promise;
      }
      if (script->failure)
        return runtime::to_caf(*script->failure);
      return cron_outcome{R"({"done":1})"};
    },
    [script](const cron_cancel& wanted) { script->cancelled.push_back(wanted.run); },
  };
}

/// Business time that goes with the virtual time, and can be set.
class virtual_clock final : public clock {
public:
  explicit virtual_clock(const runtime::steady_timers& timers) : timers_(timers), begun_(timers.now()) {}
  instant now() const noexcept override {
    return beginning + std::chrono::duration_cast<std::chrono::microseconds>(timers_.now() - begun_) +
           set_ahead;
  }
  std::chrono::microseconds set_ahead{0};

private:
  const runtime::steady_timers& timers_;
  runtime::steady_time begun_;
};

/// CronTimer on one node in virtual time, over tables in memory, with a handler for the schedules `test`.
class cron_timer_fixture : public test::virtual_runtime {
protected:
  cron_timer_fixture() { spawn_handler(); }
  void TearDown() override {
    end_timer();
    caf::anon_send_exit(handler, caf::exit_reason::user_shutdown);
    handler = nullptr;
    script->open.clear();
    settle();
  }

  void spawn_handler() { handler = runtime.system().spawn(scripted, script); }

  /// The node comes up, under a new token.
  void start_timer() {
    ++token;
    cron_services services{store,
                           [this] {
                             return db::timer_holder{"node-1", token};
                           },
                           business,
                           runtime.timers(),
                           runtime.asker(),
                           [this](std::string name) { return load_zone(std::move(name)); },
                           {{"test", [this] { return handler; }}}};
    options.real_now = [this] { return business.now(); };
    timer = spawn_cron_timer(runtime.system(), runtime.loop().get_executor(), services, options);
    caf::anon_send(timer, timer_lease_acquired{});
    settle();
  }
  /// It is gone, and what it was running with it.
  void end_timer() {
    caf::anon_send_exit(timer, caf::exit_reason::kill);
    timer = nullptr;
    settle();
  }
  /// Off for so long.
  void off_for(runtime::steady_duration span) {
    end_timer();
    advance(span);
    start_timer();
    advance(std::chrono::seconds{1});
  }

  schedule hourly() const {
    schedule one;
    one.name = "test";
    one.handler = "test";
    one.expression = "0 * * * *";
    return one;
  }
  schedule every_minute() const {
    auto one = hourly();
    one.expression = "* * * * *";
    return one;
  }

  std::vector<std::string> runs(run_state state) const {
    std::vector<std::string> times;
    for (const auto& [key, one] : store.runs)
      if (one.state == state)
        times.push_back(format_time(instant{key.second}));
    return times;
  }
  std::vector<std::string> told() const {
    std::vector<std::string> times;
    for (const auto& tick : script->ticks)
      times.push_back(format_time(instant{tick.scheduled_at}));
    return times;
  }
  void answer(std::size_t which, std::optional<error> failure = std::nullopt) {
    auto one = std::move(script->open.at(which));
    script->open.erase(script->open.begin() + static_cast<std::ptrdiff_t>(which));
    if (failure)
      one.promise.fail(*failure);
    else
      one.promise.deliver(cron_outcome{});
    settle();
  }
  void lose_answer_of_firing(std::chrono::milliseconds delay = {}) {
    store.fire_faults.push_back({&runtime.timers(), delay, true});
  }
  cron_figures figures() {
    const cron_figures_query query;
    const auto asked = spawn(runtime.asker().ask<cron_figures>(timer, std::chrono::minutes{1}, query));
    return asked->value->value();
  }

  boost::asio::awaitable<result<std::shared_ptr<const time_zone>>> load_zone(std::string name) const {
    if (name != "UTC" && !(name == "Moon/Base" && moon_is_known))
      co_return error{errc::invalid_request, "no such zone"};
    co_return std::make_shared<const time_zone>();
  }

  bool moon_is_known = false;
  std::int64_t token = 0;
  virtual_clock business{runtime.timers()};
  test::memory_cron_store store;
  std::shared_ptr<handler_script> script = std::make_shared<handler_script>();
  cron_handler_actor handler;
  cron_timer_options options;
  cron_timer_actor timer;
};

} // namespace skyengine::actors
