#include "actors/cron_timer.hpp"

#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/prepare.hpp"
#include "domain/cron_expression.hpp"
#include "domain/log.hpp"
#include "domain/schedule_plan.hpp"

#include <boost/asio/co_spawn.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <deque>
#include <queue>
#include <random>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace skyengine::actors {

namespace {

using zones_by_name = std::map<std::string, std::shared_ptr<const time_zone>>;

/// What a look at the tables found.
struct table_state {
  /// False: another node fires.
  bool is_holder = false;
  db::cron_store::changes changes;
  std::vector<db::open_run> runs;
  /// Those of the schedules, as far as they could be read.
  zones_by_name zones;
};
struct looked {
  std::uint64_t reading;
  result<table_state> outcome;
};
struct sweep_due {};
struct wake {};
struct run_due {
  schedule_id schedule;
};
struct fired_batch {
  std::uint64_t reading;
  std::uint64_t batch;
  result<std::optional<db::fired>> outcome;
};
struct run_begun {
  std::uint64_t incarnation;
  run_id run;
  result<bool> outcome;
};
struct run_answered {
  std::uint64_t incarnation;
  run_id run;
  result<cron_outcome> outcome;
};
struct runs_ended {
  std::uint64_t incarnation;
  std::vector<db::run_end> attempts;
  result<std::vector<db::cron_store::ended>> outcome;
};

} // namespace

} // namespace skyengine::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::looked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::sweep_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::wake)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::run_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::fired_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::run_begun)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::run_answered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::runs_ended)

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
using runtime::steady_time;
using std::chrono::sys_seconds;
using namespace std::chrono_literals;

using implementation = cron_timer_actor::extend<caf::reacts_to<looked>,
                                                caf::reacts_to<sweep_due>,
                                                caf::reacts_to<wake>,
                                                caf::reacts_to<run_due>,
                                                caf::reacts_to<fired_batch>,
                                                caf::reacts_to<run_begun>,
                                                caf::reacts_to<run_answered>,
                                                caf::reacts_to<runs_ended>>;

// Schedules whose times are written by one statement, and such statements at once.
constexpr std::size_t schedules_per_batch = 256;
constexpr std::size_t most_batches = 8;
// Times of one schedule that are written at once; what is left comes next.
constexpr std::size_t times_per_batch = 1'000;
constexpr std::size_t ends_per_statement = 256;
constexpr std::size_t most_waiting_ends = 2'000;
constexpr auto database_pause = 500ms;

asio::awaitable<result<table_state>>
look(cron_services services, db::timer_holder who, std::int64_t after, zones_by_name known) {
  table_state found;
  const auto taken = co_await services.store.take_timer(who);
  if (!taken)
    co_return taken.error();
  found.is_holder = *taken;
  if (!found.is_holder)
    co_return found;
  auto changes = co_await services.store.changed_after(after);
  if (!changes)
    co_return changes.error();
  found.changes = std::move(*changes);
  found.zones = std::move(known);
  for (const auto& one : found.changes.schedules) {
    if (found.zones.contains(one.timezone))
      continue;
    if (auto zone = co_await services.load_zone(one.timezone))
      found.zones.emplace(one.timezone, std::move(*zone));
  }
  auto runs = co_await services.store.open_runs(who, services.business.now());
  if (!runs)
    co_return runs.error();
  found.runs = std::move(*runs);
  co_return found;
}

/// Repeats what is safe to repeat while the database is away and this is the lease's token.
template <class T, class Attempt>
asio::awaitable<result<T>>
insist(runtime::steady_timers& timers, std::function<bool()> is_current, Attempt attempt) {
  for (;;) {
    auto done = co_await attempt();
    if (done || done.error().code != errc::database_unavailable || !is_current())
      co_return done;
    co_await runtime::wait_until(timers, timers.now() + database_pause);
  }
}

struct cron_timer_state {
  static constexpr const char* name = "cron_timer";
  explicit cron_timer_state(implementation::pointer actor) : self(actor) {}
  cron_timer_state(const cron_timer_state&) = delete;
  cron_timer_state& operator=(const cron_timer_state&) = delete;
  ~cron_timer_state() {
    if (services) {
      services->timers.cancel(sweep_alarm);
      services->timers.cancel(alarm);
    }
  }

  struct waiting_run {
    run_id run;
    sys_seconds scheduled_at;
    std::optional<db::real_time> not_before;
    int attempts = 0;
    /// Missed, or left by a node that is gone: one after the other, whatever the overlap.
    bool is_backlog = false;
  };
  struct entry {
    schedule what;
    std::optional<cron_expression> expression;
    std::shared_ptr<const time_zone> zone;
    /// Runs that wait, in the order of their times.
    std::deque<waiting_run> queue = {};
    int running = 0;
    /// Items of the heap with another one are outdated.
    std::uint32_t generation = 0;
    bool is_firing = false;
    /// What it was changed to while its times were being written.
    std::optional<schedule> changed = std::nullopt;
  };
  struct running_run {
    schedule_id schedule;
    sys_seconds scheduled_at;
    int attempts = 1;
    bool is_cancelled = false;
  };
  struct heap_item {
    sys_seconds at;
    schedule_id schedule;
    std::uint32_t generation;
    friend bool operator>(const heap_item& a, const heap_item& b) { return a.at > b.at; }
  };

  implementation::behavior_type make_behavior() {
    return {
      [this](const timer_lease_acquired&) { on_timer_lease_acquired(); },
      [this](const stop_firing&) -> caf::result<void> {
        has_lease = false;
        forget();
        return caf::unit;
      },
      [this](const schedules_changed&) {
        // What a look under way has read already may be older.
        is_change_unseen = is_looking;
        look_now();
      },
      [this](const cron_figures_query&) {
        figures.is_firing = is_holder;
        figures.schedules = schedules.size();
        return figures;
      },
      [this](const looked& found) { on_looked(found); },
      [this](const sweep_due&) { on_sweep_due(); },
      [this](const wake&) { on_wake(); },
      [this](const run_due& due) { on_run_due(due); },
      [this](const fired_batch& written) { on_fired_batch(written); },
      [this](const run_begun& begun) { on_run_begun(begun); },
      [this](const run_answered& answered) { on_run_answered(answered); },
      [this](const runs_ended& ended) { on_runs_ended(ended); },
    };
  }

  db::timer_holder holder() const { return services->holder(); }
  std::function<bool()> is_current() const {
    return [holder = services->holder, token = holder().token] { return holder().token == token; };
  }
  implementation handle() const { return implementation{self}; }

  void on_timer_lease_acquired() {
    has_lease = true;
    forget();
    on_sweep_due();
  }

  /// The schedules are another's, or this node's under another token.
  void forget() {
    ++incarnation;
    schedules.clear();
    running.clear();
    ends.clear();
    is_ending = false;
    read_anew();
    services->timers.cancel(alarm);
    services->timers.cancel(sweep_alarm);
  }

  /// What the tables say is not sure any more. Runs that are under way go on.
  void read_anew() {
    ++reading;
    is_holder = false;
    is_looking = false;
    is_change_unseen = false;
    last_change = 0;
    heap = {};
    batches.clear();
    known.clear();
    for (const auto& [id, one] : running)
      known.insert(id);
    for (auto& [id, one] : schedules) {
      one.queue.clear();
      one.is_firing = false;
      one.changed.reset();
    }
  }

  // -- the tables ------------------------------------------------------------

  void on_sweep_due() {
    sweep_in(options.sweep);
    look_now();
  }

  void sweep_in(std::chrono::milliseconds span) {
    services->timers.cancel(sweep_alarm);
    sweep_alarm = services->timers.schedule(services->timers.now() + span,
                                            [handle = handle()] { caf::anon_send(handle, sweep_due{}); });
  }

  void look_now() {
    if (!has_lease || std::exchange(is_looking, true))
      return;
    gone_in_look.clear();
    queued_in_look.clear();
    const auto mine = reading;
    asio::co_spawn(loop, look(*services, holder(), last_change, zones),
                   [handle = handle(), mine](std::exception_ptr bug, result<table_state> outcome) {
                     if (bug)
                       outcome = unexpected("reading the schedules", bug);
                     caf::anon_send(handle, looked{mine, std::move(outcome)});
                   });
  }

  static error unexpected(std::string_view what, const std::exception_ptr& bug) {
    log::error("a task of the timer failed unexpectedly",
               {{"task", what}, {"error", runtime::describe(bug)}});
    return {errc::internal, "unexpected failure"};
  }

  void on_looked(const looked& found) {
    if (found.reading != reading)
      return;
    is_looking = false;
    if (std::exchange(is_change_unseen, false))
      caf::anon_send(handle(), schedules_changed{});
    if (!found.outcome) {
      if (found.outcome.error().code != errc::database_unavailable)
        log::error("the schedules cannot be read", {{"error", found.outcome.error().detail}});
      return;
    }
    const auto& state = *found.outcome;
    if (!state.is_holder) {
      if (is_holder) {
        log::warn("another node fires the schedules");
        forget();
        sweep_in(options.sweep);
      }
      return;
    }
    const auto is_first = !std::exchange(is_holder, true);
    if (is_first && !options.only)
      log::info("this node fires the schedules", {{"schedules", state.changes.schedules.size()}});
    last_change = std::max(last_change, state.changes.last);
    zones = state.zones;
    for (const auto& one : state.changes.schedules)
      apply(one);
    for (const auto& one : state.runs)
      take_up(one, is_first);
    drop_cancelled(state.runs);
    for (auto& [id, one] : schedules)
      start_waiting(one);
    pump();
  }

  void apply(const schedule& row) {
    auto& one = schedules[row.id];
    if (one.is_firing) {
      one.changed = row;
      return;
    }
    ++one.generation;
    one.what = row;
    auto parsed = parse_cron(row.expression);
    const auto zone = zones.find(row.timezone);
    one.zone = zone == zones.end() ? nullptr : zone->second;
    one.expression.reset();
    if (parsed && one.zone)
      one.expression = *parsed;
    else
      log::error("a schedule cannot be read, and does not fire",
                 {{"schedule", row.name},
                  {"error", parsed ? "there is no time zone " + row.timezone : parsed.error().detail}});
    if (row.is_paused || !one.expression || options.only)
      return;
    if (row.next_at) {
      push(one);
      return;
    }
    // Its time begins now, which is written at once: what it misses from here on is known.
    const auto now = services->business.now();
    one.what.next_at = one.expression->next(std::chrono::floor<std::chrono::seconds>(now), *one.zone);
    one.is_firing = true;
    write({db::firing{row.id, row.version, one.what.next_at, {}}}, now);
  }

  void push(const entry& one) {
    if (one.what.next_at)
      heap.push({*one.what.next_at, one.what.id, one.generation});
  }

  /// A run that is not over, as its row has it.
  void take_up(const db::open_run& found, bool is_first_look) {
    const auto id = found.run.id;
    const auto at = schedules.find(found.run.schedule);
    if (at == schedules.end() || gone_in_look.contains(id) || (options.only && id != *options.only))
      return;
    auto& owner = at->second;
    if (found.run.state == run_state::running) {
      const auto mine = running.find(id);
      if (mine != running.end() && found.is_cancel_requested)
        cancel(id, mine->second);
      // Written by a statement whose answer was lost.
      if (mine == running.end() && is_first_look && known.insert(id).second) {
        ++owner.running;
        tell(id, running_run{found.run.schedule, found.run.scheduled_at, found.run.attempts});
      }
      return;
    }
    const auto is_late = services->business.now() - found.run.scheduled_at > punctuality();
    if (known.insert(id).second)
      enqueue(owner, {id, found.run.scheduled_at, found.not_before, found.run.attempts, is_late});
    else if (!queued_in_look.contains(id))
      for (auto& waiting : owner.queue)
        if (waiting.run == id)
          waiting.not_before = found.not_before;
  }

  /// What waited when the look began and is not among the `open` runs any more was cancelled.
  void drop_cancelled(const std::vector<db::open_run>& open) {
    if (open.size() >= static_cast<std::size_t>(db::cron_store::most_open_runs))
      return;
    std::set<run_id> there{queued_in_look};
    for (const auto& one : open)
      there.insert(one.run.id);
    for (auto& [id, owner] : schedules)
      std::erase_if(owner.queue, [&](const waiting_run& r) {
        const auto is_gone = !there.contains(r.run);
        if (is_gone)
          known.erase(r.run);
        return is_gone;
      });
  }

  // -- what is due -----------------------------------------------------------

  std::chrono::microseconds punctuality() const { return options.punctuality * options.clock_rate; }

  void on_wake() {
    alarm = {};
    pump();
  }

  void pump() {
    if (!is_holder || services->timers.now() < held_until) {
      arm();
      return;
    }
    const auto now = services->business.now();
    while (batches.size() < most_batches && !heap.empty() && heap.top().at <= now) {
      std::vector<db::firing> batch;
      while (batch.size() < schedules_per_batch && !heap.empty() && heap.top().at <= now) {
        const auto due = heap.top();
        heap.pop();
        const auto found = schedules.find(due.schedule);
        if (found == schedules.end() || found->second.generation != due.generation || found->second.is_firing)
          continue;
        batch.push_back(decide(found->second, now));
      }
      if (!batch.empty())
        write(std::move(batch), now);
    }
    arm();
  }

  void arm() {
    services->timers.cancel(alarm);
    if (!has_lease)
      return;
    auto sleep = runtime::steady_duration{options.longest_sleep};
    if (is_holder && services->timers.now() >= held_until && !heap.empty() && batches.size() < most_batches) {
      const auto left = heap.top().at - services->business.now();
      const auto real = std::chrono::ceil<std::chrono::microseconds>(left) / options.clock_rate + 1us;
      sleep = std::clamp<runtime::steady_duration>(real, 0us, options.longest_sleep);
    }
    alarm = services->timers.schedule(services->timers.now() + sleep,
                                      [handle = handle()] { caf::anon_send(handle, wake{}); });
  }

  /// What becomes of the schedule's due times.
  db::firing decide(entry& one, instant now) {
    one.is_firing = true;
    const auto plan =
      plan_due(one.what, *one.expression, *one.zone, *one.what.next_at, now, punctuality(), times_per_batch);
    db::firing out{one.what.id, one.what.version, plan.next, {}};
    out.runs.reserve(plan.times.size());
    auto queued = one.queue.size();
    auto active = queued + static_cast<std::size_t>(one.running);
    auto backlog = static_cast<std::size_t>(
      std::count_if(one.queue.begin(), one.queue.end(), [](const auto& r) { return r.is_backlog; }));
    for (const auto& time : plan.times) {
      db::firing::due_run run{time.at, run_state::skipped, std::nullopt};
      const auto joins_backlog = time.is_missed || (backlog > 0 && one.what.catch_up == catch_up_rule::all);
      if (!time.is_run) {
        out.runs.push_back(run);
        continue;
      }
      if (joins_backlog) {
        run.state = run_state::queued;
        ++backlog;
      } else if (active == 0 || one.what.overlap == overlap_rule::allow) {
        run.state = run_state::running;
        if (one.what.jitter > 0s) {
          run.state = run_state::queued;
          std::uniform_int_distribution<std::int64_t> drawn{
            0, std::chrono::microseconds{one.what.jitter}.count()};
          run.not_before = options.real_now() + std::chrono::microseconds{drawn(random)};
        }
      } else if (one.what.overlap == overlap_rule::queue && queued == 0) {
        run.state = run_state::queued;
      }
      queued += run.state == run_state::queued ? 1 : 0;
      active += run.state == run_state::skipped ? 0 : 1;
      out.runs.push_back(run);
    }
    return out;
  }

  void write(std::vector<db::firing> batch, instant now) {
    const auto number = next_batch++;
    const auto mine = reading;
    const auto system_now = options.clock_rate == 1 ? std::optional{options.real_now()} : std::nullopt;
    asio::co_spawn(
      loop, services->store.fire(holder(), batch, now, system_now),
      [handle = handle(), mine, number](std::exception_ptr bug, result<std::optional<db::fired>> outcome) {
        if (bug)
          outcome = unexpected("firing", bug);
        caf::anon_send(handle, fired_batch{mine, number, std::move(outcome)});
      });
    batches.emplace(number, std::move(batch));
  }

  void on_fired_batch(const fired_batch& written) {
    if (written.reading != reading)
      return;
    auto batch = std::move(batches.extract(written.batch).mapped());
    if (!written.outcome || !*written.outcome) {
      if (!written.outcome && written.outcome.error().detail == db::cron_store::clocks_differ) {
        hold(batch);
        return;
      }
      // Whether it was written is not known, or it was not, since another node fires: the tables tell.
      read_anew();
      sweep_in(database_pause);
      return;
    }
    release();
    const auto& done = **written.outcome;
    const std::set<schedule_id> moved{done.moved.begin(), done.moved.end()};
    std::map<std::pair<schedule_id, sys_seconds>, run_id> added;
    for (const auto& one : done.runs)
      added.emplace(std::pair{one.schedule, one.scheduled_at}, one.run);
    for (const auto& wanted : batch) {
      const auto found = schedules.find(wanted.schedule);
      if (found == schedules.end())
        continue;
      auto& owner = found->second;
      owner.is_firing = false;
      if (owner.changed) {
        const auto row = std::move(*std::exchange(owner.changed, std::nullopt));
        apply(row);
      } else if (moved.contains(wanted.schedule)) {
        ++owner.generation;
        owner.what.next_at = wanted.next_at;
        push(owner);
      }
      for (const auto& run : wanted.runs)
        if (const auto id = added.find({wanted.schedule, run.scheduled_at}); id != added.end())
          add(owner, id->second, run);
      start_waiting(owner);
    }
    pump();
    write_ends();
  }

  void add(entry& owner, run_id id, const db::firing::due_run& run) {
    if (run.state == run_state::skipped) {
      count(owner, run_state::skipped);
      return;
    }
    if (!known.insert(id).second)
      return;
    const auto late = services->business.now() - run.scheduled_at;
    if (run.state == run_state::queued) {
      enqueue(owner, {id, run.scheduled_at, run.not_before, 0, late > punctuality()});
      return;
    }
    figures.lateness.observe(std::chrono::duration<double>(late).count() /
                             static_cast<double>(options.clock_rate));
    ++owner.running;
    tell(id, running_run{owner.what.id, run.scheduled_at, 1});
  }

  void hold(const std::vector<db::firing>& batch) {
    if (!std::exchange(is_held, true))
      log::error(
        "the clocks of this node and of the database differ by more than a minute: no schedule fires",
        {{"alert", "clocks_differ"}});
    held_until = services->timers.now() + options.longest_sleep;
    for (const auto& wanted : batch)
      if (const auto found = schedules.find(wanted.schedule); found != schedules.end()) {
        found->second.is_firing = false;
        if (auto row = std::exchange(found->second.changed, std::nullopt))
          apply(*row);
        else
          push(found->second);
      }
    arm();
  }

  void release() {
    if (std::exchange(is_held, false))
      log::info("the clocks agree again: the schedules fire", {{"alert_cleared", "clocks_differ"}});
  }

  // -- runs ------------------------------------------------------------------

  void enqueue(entry& owner, waiting_run one) {
    if (is_looking)
      queued_in_look.insert(one.run);
    const auto at = std::upper_bound(owner.queue.begin(), owner.queue.end(), one.scheduled_at,
                                     [](sys_seconds when, const auto& r) { return when < r.scheduled_at; });
    if (one.not_before && *one.not_before > options.real_now())
      static_cast<void>(services->timers.schedule(
        services->timers.now() + (*one.not_before - options.real_now()),
        [handle = handle(), id = owner.what.id] { caf::anon_send(handle, run_due{id}); }));
    owner.queue.insert(at, one);
  }

  void on_run_due(const run_due& due) {
    if (const auto found = schedules.find(due.schedule); is_holder && found != schedules.end())
      start_waiting(found->second);
  }

  /// Begins what may begin of the runs that wait.
  void start_waiting(entry& owner) {
    const auto may_overlap = owner.what.overlap == overlap_rule::allow;
    const auto real_now = options.real_now();
    for (auto at = owner.queue.begin(); at != owner.queue.end();) {
      const auto is_free = owner.running == 0 || (may_overlap && !at->is_backlog);
      const auto is_time = !at->not_before || *at->not_before <= real_now;
      if (is_free && is_time) {
        ++owner.running;
        begin(*at, owner);
        at = owner.queue.erase(at);
      } else if (may_overlap) {
        ++at;
      } else {
        return;
      }
    }
  }

  void begin(const waiting_run& one, const entry& owner) {
    running.emplace(one.run, running_run{owner.what.id, one.scheduled_at, one.attempts + 1});
    const auto mine = incarnation;
    auto attempt = [&store = services->store, who = holder(), run = one.run, &business = services->business] {
      return store.begin(who, run, business.now());
    };
    asio::co_spawn(loop, insist<bool>(services->timers, is_current(), std::move(attempt)),
                   [handle = handle(), mine, id = one.run](std::exception_ptr bug, result<bool> outcome) {
                     if (bug)
                       outcome = unexpected("beginning a run", bug);
                     caf::anon_send(handle, run_begun{mine, id, std::move(outcome)});
                   });
  }

  void on_run_begun(const run_begun& begun) {
    if (begun.incarnation != incarnation)
      return;
    const auto found = running.find(begun.run);
    if (begun.outcome && *begun.outcome) {
      const auto one = found->second;
      running.erase(found);
      tell(begun.run, one);
      return;
    }
    // Cancelled, or another's.
    leave(begun.run);
  }

  /// The run is over for this node: what waited for it may begin.
  void leave(run_id id) {
    const auto found = running.find(id);
    const auto owner = schedules.find(found->second.schedule);
    running.erase(found);
    known.erase(id);
    if (is_looking)
      gone_in_look.insert(id);
    if (owner == schedules.end())
      return;
    --owner->second.running;
    start_waiting(owner->second);
  }

  void tell(run_id id, const running_run& one) {
    const auto& owner = schedules.at(one.schedule);
    const cron_tick tick{id, one.schedule, one.scheduled_at};
    running.emplace(id, one);
    const auto mine = incarnation;
    const auto whom = handler_of(owner);
    if (!whom) {
      caf::anon_send(
        handle(),
        run_answered{mine, id, error{errc::overloaded, "nobody is there for the schedule's ticks"}});
      return;
    }
    asio::co_spawn(loop, services->asker.ask<cron_outcome>(whom, owner.what.timeout, tick),
                   [handle = handle(), mine, id](std::exception_ptr bug, result<cron_outcome> outcome) {
                     if (bug)
                       outcome = unexpected("a run", bug);
                     caf::anon_send(handle, run_answered{mine, id, std::move(outcome)});
                   });
  }

  cron_handler_actor handler_of(const entry& owner) const {
    const auto found = services->handlers.find(owner.what.handler);
    return found == services->handlers.end() ? cron_handler_actor{} : found->second();
  }

  void cancel(run_id id, running_run& one) {
    if (std::exchange(one.is_cancelled, true))
      return;
    if (const auto whom = handler_of(schedules.at(one.schedule)))
      caf::anon_send(whom, cron_cancel{id});
  }

  void on_run_answered(const run_answered& answered) {
    if (answered.incarnation != incarnation)
      return;
    const auto& one = running.at(answered.run);
    const auto& owner = schedules.at(one.schedule);
    db::run_end how;
    how.run = answered.run;
    if (answered.outcome) {
      how.figures = answered.outcome->figures;
    } else {
      how.failure = answered.outcome.error();
      how.state = how.failure->code == errc::deadline_exceeded ? run_state::timed_out : run_state::failed;
      if (how.state == run_state::timed_out && !one.is_cancelled)
        if (const auto whom = handler_of(owner))
          caf::anon_send(whom, cron_cancel{answered.run});
    }
    if (one.is_cancelled) {
      how.state = run_state::cancelled;
    } else if (how.state != run_state::succeeded && one.attempts <= owner.what.retries) {
      how.state = run_state::queued;
      how.not_before = options.real_now() + retry_delay(one.attempts);
    }
    write_end(std::move(how));
  }

  void write_end(db::run_end how) {
    ends.push_back(std::move(how));
    write_ends();
  }

  /// What ended while the ends before it were written goes into one statement. What is due goes first: only
  /// that is waited for.
  void write_ends() {
    const auto is_wanted = batches.empty() || ends.size() >= most_waiting_ends;
    if (ends.empty() || !is_wanted || std::exchange(is_ending, true))
      return;
    std::vector<db::run_end> attempts;
    std::set<schedule_id> owners;
    for (auto at = ends.begin(); at != ends.end() && attempts.size() < ends_per_statement;) {
      if (owners.insert(running.at(at->run).schedule).second) {
        attempts.push_back(std::move(*at));
        at = ends.erase(at);
      } else {
        ++at;
      }
    }
    write_ends(std::move(attempts));
  }

  void write_ends(std::vector<db::run_end> attempts) {
    const auto mine = incarnation;
    auto attempt = [&store = services->store, who = holder(), attempts, &business = services->business] {
      return store.end(who, attempts, business.now());
    };
    using outcome_type = std::vector<db::cron_store::ended>;
    asio::co_spawn(loop, insist<outcome_type>(services->timers, is_current(), std::move(attempt)),
                   [handle = handle(), mine, attempts](std::exception_ptr bug, result<outcome_type> outcome) {
                     if (bug)
                       outcome = unexpected("ending runs", bug);
                     caf::anon_send(handle, runs_ended{mine, attempts, std::move(outcome)});
                   });
  }

  void on_runs_ended(const runs_ended& ended) {
    if (ended.incarnation != incarnation)
      return;
    const auto is_refused = !ended.outcome && ended.outcome.error().code != errc::database_unavailable;
    if (is_refused && ended.attempts.size() > 1) {
      // One of them is not to be had into the database: the others are none the worse for it.
      for (const auto& one : ended.attempts)
        write_ends({one});
      return;
    }
    is_ending = false;
    if (is_refused && ended.attempts.front().failure != unstorable()) {
      const auto& how = ended.attempts.front();
      log::error("a run's outcome cannot be stored",
                 {{"run_id", how.run.value}, {"error", ended.outcome.error().detail}});
      write_end({how.run, run_state::failed, std::nullopt, "{}", unstorable()});
      return;
    }
    std::map<run_id, db::cron_store::ended> counted;
    if (ended.outcome)
      for (const auto& one : *ended.outcome)
        counted.emplace(one.run, one);
    auto is_any_paused = false;
    for (const auto& how : ended.attempts) {
      const auto found = counted.find(how.run);
      settle(how, found == counted.end() ? nullptr : &found->second);
      is_any_paused |= found != counted.end() && found->second.is_paused;
    }
    if (is_any_paused)
      look_now();
    write_ends();
  }

  /// What stands in the row of a run whose outcome the database does not take.
  static error unstorable() { return {errc::internal, "its outcome could not be stored"}; }

  /// What follows from an attempt's end; `counted` is null when the run has moved on.
  void settle(const db::run_end& how, const db::cron_store::ended* counted) {
    const auto one = running.at(how.run);
    auto& owner = schedules.at(one.schedule);
    if (how.failure)
      log::warn("a run failed", {{"schedule", owner.what.name},
                                 {"run_id", how.run.value},
                                 {"attempt", one.attempts},
                                 {"outcome", to_string(how.state)},
                                 {"error", how.failure->detail}});
    if (counted == nullptr) {
      leave(how.run);
      return;
    }
    if (counted->state == run_state::queued) {
      const waiting_run again{how.run, one.scheduled_at, how.not_before, one.attempts, true};
      running.erase(how.run);
      --owner.running;
      enqueue(owner, again);
      start_waiting(owner);
      return;
    }
    count(owner, counted->state);
    if (counted->state == run_state::succeeded)
      figures.last_success[owner.what.name] =
        std::chrono::floor<std::chrono::seconds>(services->business.now());
    else if (how.failure && counted->failures == owner.what.alert_after)
      log::error("a schedule's runs fail", {{"alert", "cron_failing"},
                                            {"schedule", owner.what.name},
                                            {"failures", counted->failures},
                                            {"error", how.failure->detail}});
    if (counted->is_paused)
      log::error("a schedule is paused, since its runs fail",
                 {{"schedule", owner.what.name}, {"failures", counted->failures}});
    leave(how.run);
  }

  void count(const entry& owner, run_state outcome) { ++figures.runs[{owner.what.name, outcome}]; }

  implementation::pointer self;
  asio::any_io_executor loop;
  std::optional<cron_services> services;
  cron_timer_options options;
  std::mt19937_64 random;

  zones_by_name zones;
  std::unordered_map<schedule_id, entry> schedules;
  std::priority_queue<heap_item, std::vector<heap_item>, std::greater<>> heap;
  std::unordered_map<run_id, running_run> running;
  /// Every run in a queue or under way.
  std::set<run_id> known;
  /// Runs that were over before the look under way told of them.
  std::set<run_id> gone_in_look;
  /// Runs that have waited only since the look under way began.
  std::set<run_id> queued_in_look;
  /// What is being written.
  std::map<std::uint64_t, std::vector<db::firing>> batches;
  std::uint64_t next_batch = 1;
  /// Attempts whose end is to be written, once those before them are.
  std::deque<db::run_end> ends;
  bool is_ending = false;
  /// Answers to what was asked under an earlier one are of no account: of the runs, and of the tables.
  std::uint64_t incarnation = 0;
  std::uint64_t reading = 0;
  std::int64_t last_change = 0;
  bool has_lease = false;
  bool is_holder = false;
  bool is_looking = false;
  bool is_change_unseen = false;
  bool is_held = false;
  steady_time held_until{};
  runtime::steady_timers::handle alarm{};
  runtime::steady_timers::handle sweep_alarm{};
  cron_figures figures;
};

implementation::behavior_type cron_timer(implementation::stateful_pointer<cron_timer_state> self,
                                         asio::any_io_executor loop,
                                         cron_services services,
                                         cron_timer_options options) {
  runtime::prepare(self);
  auto& state = self->state;
  state.loop = std::move(loop);
  state.services.emplace(std::move(services));
  state.random.seed(options.seed);
  state.options = std::move(options);
  return state.make_behavior();
}

} // namespace

cron_timer_actor spawn_cron_timer(caf::actor_system& system,
                                  asio::any_io_executor loop,
                                  cron_services services,
                                  cron_timer_options options) {
  return system.spawn(cron_timer, std::move(loop), std::move(services), std::move(options));
}

} // namespace skyengine::actors
