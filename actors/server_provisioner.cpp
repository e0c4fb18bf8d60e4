#include "actors/server_provisioner.hpp"

#include "actors/limit_keeper.hpp"
#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/crash_point.hpp"
#include "actors/runtime/prepare.hpp"
#include "domain/log.hpp"

#include <boost/asio/co_spawn.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace skyengine::actors {

namespace {

struct create_stored {
  std::uint64_t ticket;
  result<db::server_store::created> outcome;
};
struct delete_stored {
  std::uint64_t ticket;
  result<action> outcome;
};
struct control_stored {
  std::uint64_t ticket;
  result<std::optional<action>> outcome;
};
struct saga_reported {
  action_id action;
  saga_report report;
};
struct saga_ended {
  action_id action;
  std::optional<action_id> next;
};
struct sweep_due {};
struct swept {
  result<std::vector<db::saga_store::running_action>> outcome;
};
struct looked_again {
  bool is_worth_repeating;
};
struct patience_over {
  action_id action;
  std::uint64_t waiter;
};
struct join_polled {
  std::uint64_t ticket;
  result<action_outcome> outcome;
};

} // namespace

} // namespace skyengine::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::create_stored)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::delete_stored)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::control_stored)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::saga_reported)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::saga_ended)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::sweep_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::swept)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::looked_again)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::patience_over)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::join_polled)

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
using runtime::open_promise;
using runtime::steady_time;
using namespace std::chrono_literals;

using implementation = server_provisioner_actor::extend<caf::reacts_to<create_stored>,
                                                        caf::reacts_to<delete_stored>,
                                                        caf::reacts_to<control_stored>,
                                                        caf::reacts_to<saga_reported>,
                                                        caf::reacts_to<saga_ended>,
                                                        caf::reacts_to<sweep_due>,
                                                        caf::reacts_to<swept>,
                                                        caf::reacts_to<looked_again>,
                                                        caf::reacts_to<patience_over>,
                                                        caf::reacts_to<join_polled>>;

// What one create has to ask of VirtFusion while people wait: the server and its build. One that is open has
// the first in line already.
constexpr std::int64_t calls_per_create = 2;
constexpr auto join_poll = 500ms;
const std::chrono::milliseconds create_timeout =
  net::virtfusion::traits_of(net::virtfusion::operation::create_server).timeout;

error shutting_down() {
  return {errc::overloaded, "the engine is shutting down", {}, 5s};
}

error nobody_waits() {
  return {errc::deadline_exceeded, "the request came to its turn too late"};
}

/// Everything that stands between an order and its rows.
asio::awaitable<result<db::server_store::created>> admit_and_store(db::server_store& servers,
                                                                   saga_services& services,
                                                                   create_server wanted,
                                                                   std::int64_t calls_ahead,
                                                                   std::chrono::milliseconds max_wait) {
  const auto pace = co_await services.virtfusion.pace(calls_ahead + calls_per_create);
  if (!pace)
    co_return pace.error();
  const auto retry_after = std::max<std::chrono::seconds>(pace->retry_after, 1s);
  if (!pace->is_available)
    co_return error{errc::virtfusion_unavailable, "VirtFusion cannot be used at present", {}, retry_after};
  if (pace->expected_wait > max_wait)
    co_return error{errc::overloaded, "too many servers are being created", {}, retry_after};
  if (!services.lease.is_held())
    co_return error{errc::database_unavailable, "this node is waiting for its lease", {}, 1s};
  if (services.timers.now() > wanted.deadline)
    co_return nobody_waits();
  runtime::crash_point("create.before_commit");
  const auto stored = co_await servers.insert(wanted.order, services.lease.token(), wanted.by, wanted.claim,
                                              services.business.now());
  if (stored)
    runtime::crash_point("create.after_commit");
  co_return stored;
}

asio::awaitable<result<action>>
store_delete(db::server_store& servers, saga_services& services, delete_server wanted) {
  if (!services.lease.is_held())
    co_return error{errc::database_unavailable, "this node is waiting for its lease", {}, 1s};
  runtime::crash_point("delete.before_commit");
  const auto stored = co_await servers.request_delete(wanted.server, wanted.owner, services.lease.token(),
                                                      wanted.by, wanted.claim, services.business.now());
  if (stored)
    runtime::crash_point("delete.after_commit");
  co_return stored;
}

asio::awaitable<result<std::optional<action>>>
store_control(db::server_store& servers, saga_services& services, control_server wanted) {
  if (!services.lease.is_held())
    co_return error{errc::database_unavailable, "this node is waiting for its lease", {}, 1s};
  if (services.timers.now() > wanted.deadline)
    co_return nobody_waits();
  const std::string kind{to_string(wanted.kind)};
  runtime::crash_point(kind + ".before_commit");
  const db::server_store::control_order order{wanted.server, wanted.kind, wanted.owner, wanted.reason,
                                              wanted.to_plan};
  const auto stored = co_await servers.request_control(order, services.lease.token(), wanted.by, wanted.claim,
                                                       services.business.now());
  if (stored)
    runtime::crash_point(kind + ".after_commit");
  co_return stored;
}

/// What runs here from now on: also what a limit has just asked for.
asio::awaitable<result<std::vector<db::saga_store::running_action>>> sweep(db::server_store& servers,
                                                                           saga_services& services) {
  co_await keep_limits(servers, services);
  co_return co_await services.sagas.take_over(services.lease.token(), create_timeout);
}

/// Waits for an action that another node runs, or none any more: its row tells.
asio::awaitable<result<action_outcome>>
poll_action(db::server_store& servers, runtime::steady_timers& timers, join_action wanted) {
  for (;;) {
    const auto found = co_await servers.find_action(wanted.action, std::nullopt);
    if (!found)
      co_return found.error();
    const auto is_taken = found->kind == action_kind::create && found->step >= saga_step::building;
    if (is_over(found->state) || is_taken)
      co_return action_outcome{wanted.action, true, {}};
    if (timers.now() >= wanted.answer_by)
      co_return action_outcome{wanted.action, false, {}};
    co_await runtime::wait_until(timers, std::min(timers.now() + join_poll, wanted.answer_by));
  }
}

struct server_provisioner_state {
  static constexpr const char* name = "server_provisioner";
  explicit server_provisioner_state(implementation::pointer actor) : self(actor) {}
  server_provisioner_state(const server_provisioner_state&) = delete;
  server_provisioner_state& operator=(const server_provisioner_state&) = delete;
  ~server_provisioner_state() {
    // A successor takes the sagas up from their rows once these have come to their next step.
    for (auto& [id, one] : running)
      one.control->stop();
    if (looker)
      looker->stop();
  }

  struct waiter {
    std::uint64_t number;
    open_promise promise;
    /// Only who ordered the server sees its password.
    bool may_see_password;
    runtime::steady_timers::handle alarm;
  };
  struct running_saga {
    server_id server;
    action_kind kind;
    std::shared_ptr<saga_control> control;
    steady_time begun;
    /// VirtFusion has answered create and build.
    bool is_decided = false;
    std::vector<waiter> waiters = {};
    /// As the row had it when the saga was last told.
    std::int64_t calls = 0;
    /// Whoever ordered it has come for its answer: a sweep may find a stored order before.
    bool has_orderer = false;
    /// For an orderer who has yet to come.
    secret password = {};
  };
  struct ticket {
    open_promise promise;
    steady_time answer_by{};
  };

  implementation::behavior_type make_behavior() {
    return {
      [this](const create_server& wanted) { return on_create_server(wanted); },
      [this](const control_server& wanted) { return on_control_server(wanted); },
      [this](const join_action& wanted) { return on_join_action(wanted); },
      [this](const delete_server& wanted) { return on_delete_server(wanted); },
      [this](const nudge_action& wanted) { on_nudge_action(wanted); },
      [this](const lease_lost&) { return on_lease_lost(); },
      [this](const lease_acquired&) { on_lease_acquired(); },
      [this](const drain_sagas&) { return on_drain_sagas(); },
      [this](const provisioner_figures_query&) { return on_provisioner_figures_query(); },
      [this](const create_stored& stored) { on_create_stored(stored); },
      [this](const delete_stored& stored) { on_delete_stored(stored); },
      [this](const control_stored& stored) { on_control_stored(stored); },
      [this](const saga_reported& reported) { on_saga_reported(reported); },
      [this](const saga_ended& ended) { on_saga_ended(ended); },
      [this](const sweep_due&) { on_sweep_due(); },
      [this](const swept& found) { on_swept(found); },
      [this](const looked_again& looked) { on_looked_again(looked); },
      [this](const patience_over& over) { on_patience_over(over); },
      [this](const join_polled& polled) { on_join_polled(polled); },
    };
  }

  caf::result<action_outcome> on_create_server(const create_server& wanted) {
    if (is_draining)
      return refuse(shutting_down());
    if (is_late(wanted.deadline))
      return drop();
    runtime::crash_point("create.in_provisioner");
    if (storing_creates + running_creates() >= options.max_open)
      return refuse({errc::overloaded, "too many servers are being created", {}, 1s});
    auto promise = self->make_response_promise<action_outcome>();
    const auto number = next_number++;
    tickets.emplace(number, ticket{open_promise{promise}, wanted.answer_by});
    const auto ahead = static_cast<std::int64_t>(storing_creates) * calls_per_create +
                       static_cast<std::int64_t>(undecided_creates());
    ++storing_creates;
    spawn_task(admit_and_store(*servers, *services, wanted, ahead, options.max_wait),
               [number](result<db::server_store::created> outcome) {
                 return create_stored{number, std::move(outcome)};
               });
    return promise;
  }

  caf::result<action_outcome> refuse(const error& why) {
    ++figures.refused;
    return runtime::to_caf(why);
  }

  bool is_late(answer_deadline deadline) const { return services->timers.now() > deadline; }

  caf::error drop() {
    ++figures.deadline_dropped;
    return runtime::to_caf(nobody_waits());
  }

  void on_create_stored(const create_stored& stored) {
    auto given = take_ticket(stored.ticket);
    --storing_creates;
    const auto was_over = stored.outcome && over_unheard.erase(stored.outcome->action) > 0;
    if (storing_creates == 0)
      over_unheard.clear();
    if (!stored.outcome) {
      ++(stored.outcome.error().code == errc::deadline_exceeded ? figures.deadline_dropped : figures.refused);
      given.promise.fail(stored.outcome.error());
      return;
    }
    const auto id = stored.outcome->action;
    if (was_over) {
      given.promise.deliver(action_outcome{id, true, {}});
      return;
    }
    auto& one = run(id, stored.outcome->server, action_kind::create);
    one.has_orderer = true;
    if (one.is_decided)
      given.promise.deliver(action_outcome{id, true, std::exchange(one.password, {})});
    else
      add_waiter(id, one, std::move(given), true);
  }

  caf::result<action_outcome> on_join_action(const join_action& wanted) {
    if (is_late(wanted.deadline))
      return drop();
    auto promise = self->make_response_promise<action_outcome>();
    const auto found = running.find(wanted.action);
    if (found != running.end()) {
      if (found->second.is_decided)
        promise.deliver(action_outcome{wanted.action, true, {}});
      else
        add_waiter(wanted.action, found->second, {open_promise{promise}, wanted.answer_by}, false);
      return promise;
    }
    const auto number = next_number++;
    tickets.emplace(number, ticket{open_promise{promise}, wanted.answer_by});
    spawn_task(poll_action(*servers, services->timers, wanted), [number](result<action_outcome> outcome) {
      return join_polled{number, std::move(outcome)};
    });
    return promise;
  }

  void on_join_polled(const join_polled& polled) {
    auto given = take_ticket(polled.ticket);
    if (polled.outcome)
      given.promise.deliver(*polled.outcome);
    else
      given.promise.fail(polled.outcome.error());
  }

  caf::result<action> on_delete_server(const delete_server& wanted) {
    if (is_draining)
      return runtime::to_caf(shutting_down());
    if (is_late(wanted.deadline))
      return drop();
    auto promise = self->make_response_promise<action>();
    const auto number = next_number++;
    tickets.emplace(number, ticket{open_promise{promise}});
    spawn_task(store_delete(*servers, *services, wanted), [number](result<action> outcome) {
      return delete_stored{number, std::move(outcome)};
    });
    return promise;
  }

  void on_delete_stored(const delete_stored& stored) {
    auto given = take_ticket(stored.ticket);
    if (!stored.outcome) {
      given.promise.fail(stored.outcome.error());
      return;
    }
    const auto& wanted = *stored.outcome;
    if (wanted.state == action_state::running)
      run(wanted.id, wanted.server, action_kind::remove);
    else
      for (auto& [id, one] : running)
        if (one.server == wanted.server)
          one.control->nudge();
    given.promise.deliver(wanted);
  }

  caf::result<action_outcome> on_control_server(const control_server& wanted) {
    if (is_draining)
      return runtime::to_caf(shutting_down());
    if (is_late(wanted.deadline))
      return drop();
    auto promise = self->make_response_promise<action_outcome>();
    const auto number = next_number++;
    tickets.emplace(number, ticket{open_promise{promise}, wanted.answer_by});
    spawn_task(store_control(*servers, *services, wanted), [number](result<std::optional<action>> outcome) {
      return control_stored{number, std::move(outcome)};
    });
    return promise;
  }

  void on_control_stored(const control_stored& stored) {
    auto given = take_ticket(stored.ticket);
    if (!stored.outcome) {
      given.promise.fail(stored.outcome.error());
      return;
    }
    if (!*stored.outcome) {
      given.promise.deliver(action_outcome{{}, true, {}});
      return;
    }
    const auto& wanted = **stored.outcome;
    add_waiter(wanted.id, run(wanted.id, wanted.server, wanted.kind), std::move(given), false);
  }

  void on_nudge_action(const nudge_action& wanted) {
    if (const auto found = running.find(wanted.action); found != running.end())
      found->second.control->nudge();
  }

  // -- the sagas of this node --------------------------------------------------

  running_saga& run(action_id id, server_id server, action_kind kind) {
    const auto [found, is_new] =
      running.try_emplace(id, running_saga{server, kind, std::make_shared<saga_control>(services->timers),
                                           services->timers.now()});
    if (!is_new)
      return found->second;
    const implementation handle{self};
    asio::co_spawn(loop,
                   run_saga(*services, id, kind, found->second.control,
                            [handle, id](saga_report report) {
                              caf::anon_send(handle, saga_reported{id, std::move(report)});
                            }),
                   [handle, id](std::exception_ptr bug, std::optional<action_id> next) {
                     if (bug)
                       log::error("a saga failed unexpectedly; it is taken up again",
                                  {{"action_id", id.value}, {"error", runtime::describe(bug)}});
                     caf::anon_send(handle, saga_ended{id, next});
                   });
    if (is_stopping())
      found->second.control->stop();
    return found->second;
  }

  void on_saga_reported(const saga_reported& reported) {
    const auto found = running.find(reported.action);
    if (found == running.end())
      return;
    auto& one = found->second;
    one.is_decided = true;
    if (!one.has_orderer && storing_creates > 0)
      one.password = reported.report.password;
    for (auto& waiting : std::exchange(one.waiters, {})) {
      services->timers.cancel(waiting.alarm);
      waiting.promise.deliver(action_outcome{reported.action, true,
                                             waiting.may_see_password ? reported.report.password : secret{}});
    }
    if (reported.report.stage == saga_stage::building)
      return;
    ++(reported.report.stage == saga_stage::active ? figures.succeeded : figures.failed);
    figures.seconds.observe(std::chrono::duration<double>(services->timers.now() - one.begun).count());
  }

  void on_saga_ended(const saga_ended& ended) {
    const auto found = running.find(ended.action);
    if (found == running.end())
      return;
    const auto server = found->second.server;
    for (auto& waiting : found->second.waiters) {
      services->timers.cancel(waiting.alarm);
      waiting.promise.deliver(action_outcome{ended.action, false, {}});
    }
    if (is_sweeping)
      ended_in_sweep.insert(ended.action);
    if (storing_creates > 0 && found->second.is_decided && !found->second.has_orderer)
      over_unheard.insert(ended.action);
    running.erase(found);
    if (ended.next)
      run(*ended.next, server, action_kind::remove);
    answer_drained();
  }

  void add_waiter(action_id id, running_saga& one, ticket given, bool may_see_password) {
    const auto number = next_number++;
    const implementation handle{self};
    const auto alarm = services->timers.schedule(given.answer_by, [handle, id, number] {
      caf::anon_send(handle, patience_over{id, number});
    });
    one.waiters.push_back({number, std::move(given.promise), may_see_password, alarm});
  }

  void on_patience_over(const patience_over& over) {
    const auto found = running.find(over.action);
    if (found == running.end())
      return;
    auto& waiters = found->second.waiters;
    const auto waiting =
      std::find_if(waiters.begin(), waiters.end(), [&](const auto& w) { return w.number == over.waiter; });
    if (waiting == waiters.end())
      return;
    waiting->promise.deliver(action_outcome{over.action, false, {}});
    waiters.erase(waiting);
  }

  // -- what others left --------------------------------------------------------

  void on_sweep_due() {
    const implementation handle{self};
    sweep_alarm = services->timers.schedule(services->timers.now() + options.sweep,
                                            [handle] { caf::anon_send(handle, sweep_due{}); });
    if (is_stopping() || !services->lease.is_held() || is_sweeping)
      return;
    is_sweeping = true;
    spawn_task(sweep(*servers, *services), [](result<std::vector<db::saga_store::running_action>> outcome) {
      return swept{std::move(outcome)};
    });
    look_again();
  }

  void on_swept(const swept& found) {
    is_sweeping = false;
    const auto ended = std::exchange(ended_in_sweep, {});
    if (!found.outcome || is_stopping())
      return;
    for (const auto& one : *found.outcome) {
      // What was read before its end is old; what must go on all the same is found by the next sweep.
      if (ended.contains(one.action))
        continue;
      auto& saga = run(one.action, one.server, one.kind);
      // Whoever called on it may sit at another node, and the word that this one was sent may be lost.
      if (std::exchange(saga.calls, one.calls) != one.calls)
        saga.control->nudge();
    }
  }

  void look_again() {
    if (looker)
      return;
    looker = std::make_shared<saga_control>(services->timers);
    const implementation handle{self};
    asio::co_spawn(loop, run_second_look(*services, looker), [handle](std::exception_ptr bug, bool looked) {
      if (bug)
        log::error("a second look failed unexpectedly", {{"error", runtime::describe(bug)}});
      caf::anon_send(handle, looked_again{looked && !bug});
    });
  }

  void on_looked_again(const looked_again& looked) {
    looker.reset();
    if (looked.is_worth_repeating && !is_stopping())
      look_again();
    answer_drained();
  }

  // -- lease and end -----------------------------------------------------------

  bool is_stopping() const noexcept { return is_draining || !has_lease; }

  caf::result<void> on_lease_lost() {
    has_lease = false;
    return drained();
  }

  void on_lease_acquired() {
    has_lease = true;
    services->timers.cancel(sweep_alarm);
    on_sweep_due();
  }

  caf::result<void> on_drain_sagas() {
    is_draining = true;
    return drained();
  }

  caf::result<void> drained() {
    auto promise = self->make_response_promise();
    for (auto& [id, one] : running)
      one.control->stop();
    if (looker)
      looker->stop();
    waiting_for_end.emplace_back(promise);
    answer_drained();
    return promise;
  }

  void answer_drained() {
    if (!is_stopping() || !running.empty() || looker)
      return;
    for (auto& promise : std::exchange(waiting_for_end, {}))
      promise.deliver(caf::unit);
  }

  // -- small things ------------------------------------------------------------

  provisioner_figures on_provisioner_figures_query() {
    figures.open_creates = running_creates();
    return figures;
  }

  std::size_t running_creates() const {
    return static_cast<std::size_t>(std::count_if(running.begin(), running.end(), [](const auto& entry) {
      return entry.second.kind == action_kind::create;
    }));
  }

  std::size_t undecided_creates() const {
    return static_cast<std::size_t>(std::count_if(running.begin(), running.end(), [](const auto& entry) {
      return entry.second.kind == action_kind::create && !entry.second.is_decided;
    }));
  }

  ticket take_ticket(std::uint64_t number) {
    const auto found = tickets.find(number);
    auto taken = std::move(found->second);
    tickets.erase(found);
    return taken;
  }

  /// Runs `task` on the loop; what `wrap` makes of its result comes back as a message.
  template <class T, class Wrap>
  void spawn_task(asio::awaitable<result<T>> task, Wrap wrap) {
    const implementation handle{self};
    asio::co_spawn(loop, std::move(task), [handle, wrap](std::exception_ptr bug, result<T> outcome) {
      if (bug) {
        log::error("a task of the provisioner failed unexpectedly", {{"error", runtime::describe(bug)}});
        outcome = error{errc::internal, "unexpected failure"};
      }
      caf::anon_send(handle, wrap(std::move(outcome)));
    });
  }

  implementation::pointer self;
  asio::any_io_executor loop;
  db::server_store* servers = nullptr;
  saga_services* services = nullptr;
  provisioner_options options;

  std::map<action_id, running_saga> running;
  std::map<std::uint64_t, ticket> tickets;
  /// Sagas that have ended since the present sweep asked.
  std::set<action_id> ended_in_sweep;
  /// Creates that were over before their orderer, who is still on his way, came for the answer.
  std::set<action_id> over_unheard;
  /// Tickets of creates on their way into the database.
  std::size_t storing_creates = 0;
  std::uint64_t next_number = 1;
  std::shared_ptr<saga_control> looker;
  std::vector<open_promise> waiting_for_end;
  runtime::steady_timers::handle sweep_alarm{};
  bool is_sweeping = false;
  bool has_lease = false;
  bool is_draining = false;
  provisioner_figures figures;
};

implementation::behavior_type
server_provisioner(implementation::stateful_pointer<server_provisioner_state> self,
                   asio::any_io_executor loop,
                   db::server_store* servers,
                   saga_services* services,
                   provisioner_options options) {
  runtime::prepare(self);
  self->state.loop = std::move(loop);
  self->state.servers = servers;
  self->state.services = services;
  self->state.options = options;
  return self->state.make_behavior();
}

} // namespace

server_provisioner_actor spawn_server_provisioner(caf::actor_system& system,
                                                  asio::any_io_executor loop,
                                                  db::server_store& servers,
                                                  saga_services& services,
                                                  provisioner_options options) {
  return system.spawn(server_provisioner, std::move(loop), &servers, &services, options);
}

} // namespace skyengine::actors
