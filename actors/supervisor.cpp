#include "actors/supervisor.hpp"

#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/prepare.hpp"
#include "domain/log.hpp"

#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

namespace skyengine::actors {

namespace {
struct restart_due {
  std::size_t child;
};
struct stop_overdue {
  std::size_t child;
};
} // namespace

} // namespace skyengine::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::restart_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::stop_overdue)

namespace skyengine::actors {

namespace {

using implementation = supervisor_actor::extend<caf::reacts_to<restart_due>, caf::reacts_to<stop_overdue>>;

struct supervisor_state {
  static constexpr const char* name = "supervisor";
  explicit supervisor_state(implementation::pointer actor) : self(actor) {}
  supervisor_state(const supervisor_state&) = delete;
  supervisor_state& operator=(const supervisor_state&) = delete;
  ~supervisor_state() {
    // An end that came before the order to stop them, or before it had begun: nobody else knows them all.
    for (const auto& one : children)
      if (one.handle)
        caf::anon_send_exit(one.handle, caf::exit_reason::user_shutdown);
  }

  struct child {
    child_spec spec;
    /// Held strongly: an actor that nobody holds ends.
    caf::strong_actor_ptr handle = nullptr;
    caf::actor_addr address = nullptr;
    std::chrono::milliseconds pause{};
    std::uint64_t restarts = 0;
  };

  implementation::behavior_type make_behavior() {
    self->set_down_handler([this](caf::down_msg& down) { on_down(down); });
    for (std::size_t i = 0; i < children.size(); ++i)
      start(i);
    return {
      [this](const stop_children&) { return on_stop_children(); },
      [this](const restart_counts_query&) { return on_restart_counts_query(); },
      [this](const restart_due& due) {
        if (!is_stopping)
          start(due.child);
      },
      [this](const stop_overdue& overdue) { on_stop_overdue(overdue.child); },
    };
  }

  void start(std::size_t index) {
    auto& one = children[index];
    one.handle = one.spec.start();
    one.address = caf::actor_cast<caf::actor_addr>(one.handle);
    self->monitor(one.address);
  }

  void on_down(const caf::down_msg& down) {
    const auto found = std::find_if(children.begin(), children.end(), [&](const child& one) {
      return one.handle && one.address == down.source;
    });
    if (found == children.end())
      return;
    found->handle = nullptr;
    if (is_stopping) {
      stop_next();
      return;
    }
    log::error(
      "an actor has ended and is started anew",
      {{"actor", found->spec.name}, {"alert", "actor_restarted"}, {"error", caf::to_string(down.reason)}});
    const auto now = timers->now();
    falls.push_back(now);
    while (!falls.empty() && falls.front() + options.window < now)
      falls.pop_front();
    if (falls.size() > options.max_restarts) {
      if (!std::exchange(has_escalated, true))
        escalate("actors end faster than they can be restarted: " + found->spec.name);
      return;
    }
    ++found->restarts;
    found->pause = std::clamp(found->pause * 2, options.first_pause, options.longest_pause);
    later(found->pause, restart_due{static_cast<std::size_t>(found - children.begin())});
  }

  caf::result<void> on_stop_children() {
    auto promise = self->make_response_promise();
    when_stopped.emplace_back(promise);
    if (!std::exchange(is_stopping, true))
      stop_next();
    else
      answer_if_stopped();
    return promise;
  }

  void stop_next() {
    const auto last =
      std::find_if(children.rbegin(), children.rend(), [](const child& one) { return one.handle; });
    if (last == children.rend()) {
      answer_if_stopped();
      return;
    }
    const auto index = static_cast<std::size_t>(children.rend() - last) - 1;
    caf::anon_send_exit(caf::actor_cast<caf::actor>(last->handle), caf::exit_reason::user_shutdown);
    later(last->spec.stop_patience, stop_overdue{index});
  }

  void on_stop_overdue(std::size_t index) {
    auto& one = children[index];
    if (!is_stopping || !one.handle)
      return;
    log::error("an actor did not end in time", {{"actor", one.spec.name}});
    one.handle = nullptr;
    stop_next();
  }

  void answer_if_stopped() {
    if (std::any_of(children.begin(), children.end(), [](const child& one) { return one.handle != nullptr; }))
      return;
    for (auto& promise : std::exchange(when_stopped, {}))
      promise.deliver(caf::unit);
  }

  restart_counts on_restart_counts_query() const {
    restart_counts counts;
    for (const auto& one : children)
      counts.children.push_back({one.spec.name, one.restarts});
    return counts;
  }

  template <class Message>
  void later(std::chrono::milliseconds span, Message message) {
    timers->schedule(timers->now() + span, [address = self->address(), message] {
      if (const auto alive = caf::actor_cast<caf::strong_actor_ptr>(address))
        caf::anon_send(caf::actor_cast<implementation>(alive), message);
    });
  }

  implementation::pointer self;
  runtime::steady_timers* timers = nullptr;
  supervisor_options options;
  std::function<void(std::string)> escalate;
  std::vector<child> children;
  std::deque<runtime::steady_time> falls;
  std::vector<runtime::open_promise> when_stopped;
  bool is_stopping = false;
  bool has_escalated = false;
};

implementation::behavior_type supervisor(implementation::stateful_pointer<supervisor_state> self,
                                         runtime::steady_timers* timers,
                                         const std::vector<child_spec>& children,
                                         supervisor_options options,
                                         std::function<void(std::string)> escalate) {
  runtime::prepare(self);
  auto& state = self->state;
  state.timers = timers;
  state.options = options;
  state.escalate = std::move(escalate);
  for (const auto& spec : children)
    state.children.push_back({spec});
  return state.make_behavior();
}

} // namespace

supervisor_actor spawn_supervisor(caf::actor_system& system,
                                  runtime::steady_timers& timers,
                                  std::vector<child_spec> children,
                                  supervisor_options options,
                                  std::function<void(std::string)> escalate) {
  return system.spawn(supervisor, &timers, std::move(children), options, std::move(escalate));
}

} // namespace skyengine::actors
