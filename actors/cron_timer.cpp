#include "actors/cron_timer.hpp"

#include "actors/cron_context.hpp"
#include "actors/cron_runs.hpp"
#include "actors/cron_schedules.hpp"
#include "actors/cron_tables.hpp"
#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/prepare.hpp"
#include "domain/cron_expression.hpp"
#include "domain/log.hpp"
#include "domain/schedule_plan.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <queue>
#include <random>
#include <set>
#include <utility>
#include <vector>

namespace skyengine::actors {

namespace {

struct looked {
  std::uint64_t reading;
  result<table_state> outcome;
};
struct sweep_due {};
struct wake {};
struct fired_batch {
  std::uint64_t incarnation;
  std::uint64_t reading;
  std::uint64_t batch;
  result<std::optional<db::fired>> outcome;
};
struct let_go_done {};

} // namespace

} // namespace skyengine::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::looked)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::sweep_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::wake)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::fired_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::let_go_done)

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
                                                caf::reacts_to<runs_ended>,
                                                caf::reacts_to<let_go_done>>;

// Schedules whose times are written by one statement, and such statements at once.
constexpr std::size_t schedules_per_batch = 256;
constexpr std::size_t rows_per_batch = 5'000;
constexpr std::size_t most_batches = 8;
// Times of one schedule that are written at once; what is left comes next.
constexpr std::size_t times_per_batch = 1'000;

struct cron_timer_state : cron_runs_host {
  static constexpr const char* name = "cron_timer";
  explicit cron_timer_state(implementation::pointer actor) : self(actor) {}
  cron_timer_state(const cron_timer_state&) = delete;
  cron_timer_state& operator=(const cron_timer_state&) = delete;
  ~cron_timer_state() override {
    if (context) {
      context->services.timers.cancel(sweep_alarm);
      context->services.timers.cancel(alarm);
    }
  }

  struct heap_item {
    sys_seconds at;
    schedule_id schedule;
    std::uint32_t generation;
    friend bool operator>(const heap_item& a, const heap_item& b) { return a.at > b.at; }
  };

  implementation::behavior_type make_behavior() {
    return {
      [this](const timer_lease_acquired&) { on_timer_lease_acquired(); },
      [this](const stop_firing&) -> caf::result<void> { return on_stop_firing(); },
      [this](const schedules_changed&) { on_schedules_changed(); },
      [this](const cron_figures_query&) {
        auto figures = runs->figures();
        figures.is_firing = is_holder;
        for (const auto& [id, one] : schedules)
          figures.paused += one.what.is_paused ? 1 : 0;
        figures.schedules = schedules.size() - figures.paused;
        return figures;
      },
      [this](const looked& found) { on_looked(found); },
      [this](const sweep_due&) { on_sweep_due(); },
      [this](const wake&) { on_wake(); },
      [this](const run_due& due) { runs->on_run_due(due); },
      [this](const fired_batch& written) { on_fired_batch(written); },
      [this](const run_begun& begun) { runs->on_run_begun(begun); },
      [this](const run_answered& answered) { runs->on_run_answered(answered); },
      [this](const runs_ended& ended) { runs->on_runs_ended(ended); },
      [this](const let_go_done&) {
        for (auto& one : std::exchange(stopping, {}))
          one.deliver(caf::unit);
      },
    };
  }

  implementation handle() const { return implementation{self}; }

  cron_runs_inbox inbox() const override { return handle(); }
  bool may_begin() const override { return is_holder && !is_holding(); }
  bool is_writing_times() const override { return !batches.empty(); }
  void on_schedule_paused() override { look_now(); }

  caf::result<void> on_stop_firing() {
    const auto has_runs = runs->is_any_under_way();
    has_lease = false;
    // Another node begins them anew.
    runs->cancel_all();
    forget();
    if (!has_runs)
      return caf::unit;
    auto promise = self->make_response_promise();
    stopping.emplace_back(promise);
    context->start("letting go of runs", handle(), context->services.store.let_go(context->holder()),
                   [](result<> done) {
                     if (!done && !is_passing(done.error()))
                       log::error("runs cannot be let go of", {{"error", done.error().detail}});
                     return let_go_done{};
                   });
    return promise;
  }

  void on_timer_lease_acquired() {
    has_lease = true;
    forget();
    on_sweep_due();
  }

  /// The schedules are another's, or this node's under another token.
  void forget() {
    schedules.clear();
    zoneless.clear();
    runs->forget();
    read_anew();
    context->services.timers.cancel(alarm);
    context->services.timers.cancel(sweep_alarm);
  }

  /// What the tables say is not sure any more. Runs that are under way go on.
  void read_anew() {
    ++reading;
    is_holder = false;
    is_change_unseen = false;
    last_change = 0;
    heap = {};
    batches.clear();
    runs->forget_waiting();
    for (auto& [id, one] : schedules) {
      one.is_firing = false;
      one.changed.reset();
    }
  }

  // -- the tables ------------------------------------------------------------

  void on_sweep_due() {
    sweep_in(context->options.sweep);
    look_now();
  }

  void sweep_in(std::chrono::milliseconds span) {
    context->services.timers.cancel(sweep_alarm);
    sweep_alarm = context->services.timers.schedule(
      context->services.timers.now() + span, [handle = handle()] { caf::anon_send(handle, sweep_due{}); });
  }

  void look_now() {
    if (!has_lease || runs->is_looking())
      return;
    runs->on_look_begun();
    is_quiet_look = is_quiet();
    table_question wanted;
    wanted.after = std::exchange(wants_all_changes, false) ? 0 : last_change;
    wanted.only = context->options.only;
    wanted.known = zones;
    wanted.wants_last_successes = !is_holder;
    for (const auto id : zoneless)
      wanted.missing_zones.insert(schedules.at(id).what.timezone);
    context->start("reading the schedules", handle(),
                   read_tables(context->services, context->holder(), std::move(wanted)),
                   [mine = reading](result<table_state> outcome) {
                     return looked{mine, std::move(outcome)};
                   });
  }

  /// Nothing that begins runs is under way.
  bool is_quiet() const { return batches.empty() && !runs->is_any_beginning(); }

  void on_looked(const looked& found) {
    if (found.reading != reading)
      return;
    runs->on_look_over();
    if (std::exchange(is_change_unseen, false))
      caf::anon_send(handle(), schedules_changed{});
    if (!found.outcome) {
      if (!is_passing(found.outcome.error()))
        log::error("the schedules cannot be read", {{"error", found.outcome.error().detail}});
      return;
    }
    const auto& state = *found.outcome;
    if (!state.is_holder) {
      if (is_holder) {
        log::warn("another node fires the schedules");
        forget();
        sweep_in(context->options.sweep);
      }
      return;
    }
    const auto is_first = !std::exchange(is_holder, true);
    if (is_first)
      firing_since = context->services.business.now();
    if (is_first && !context->options.only)
      log::info("this node fires the schedules", {{"schedules", state.changes.schedules.size()}});
    last_change = std::max(last_change, state.changes.last);
    zones = state.zones;
    if (state.last_successes)
      runs->set_last_successes(*state.last_successes);
    for (const auto& one : state.changes.schedules)
      apply(one);
    for (const auto id : std::exchange(zoneless, {}))
      apply(schedule{schedules.at(id).what});
    // What this node runs by the tables and not by what it knows was written by a statement whose answer it
    // has not had, or did not heed: where none is under way, nobody else will tell its handler.
    const auto may_adopt = is_first || (is_quiet_look && is_quiet());
    for (const auto& one : state.runs)
      runs->take_up(one, may_adopt);
    runs->drop_cancelled(state.runs);
    runs->start_all_waiting();
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
    else if (const auto is_new = unreadable.insert(row.id).second; is_new)
      log::error("a schedule cannot be read, and does not fire",
                 {{"alert", "schedule_unreadable"},
                  {"schedule", row.name},
                  {"error", parsed ? "there is no time zone " + row.timezone : parsed.error().detail}});
    if (one.expression && unreadable.erase(row.id) > 0)
      log::info("the schedule can be read again",
                {{"alert_cleared", "schedule_unreadable"}, {"schedule", row.name}});
    if (parsed && !one.zone)
      zoneless.insert(row.id);
    if (row.is_paused || !one.expression || context->options.only)
      return;
    if (row.next_at) {
      push(one);
      return;
    }
    // Its time begins now, which is written at once: what it misses from here on is known.
    const auto now = context->services.business.now();
    one.what.next_at = one.expression->next(std::chrono::floor<std::chrono::seconds>(now), *one.zone);
    one.is_firing = true;
    write({db::firing{row.id, row.version, one.what.next_at, {}}}, now);
  }

  void push(const cron_schedule& one) {
    if (one.what.next_at)
      heap.push({*one.what.next_at, one.what.id, one.generation});
  }

  // -- what is due -----------------------------------------------------------

  bool is_holding() const { return context->services.timers.now() < held_until; }

  void on_wake() {
    alarm = {};
    pump();
  }

  void pump() {
    if (!is_holder || is_holding()) {
      arm();
      return;
    }
    if (is_held)
      runs->start_all_waiting();
    const auto now = context->services.business.now();
    while (batches.size() < most_batches && !heap.empty() && heap.top().at <= now) {
      std::vector<db::firing> batch;
      std::size_t rows = 0;
      while (batch.size() < schedules_per_batch && rows < rows_per_batch && !heap.empty() &&
             heap.top().at <= now) {
        const auto due = heap.top();
        heap.pop();
        const auto found = schedules.find(due.schedule);
        if (found == schedules.end() || found->second.generation != due.generation || found->second.is_firing)
          continue;
        batch.push_back(decide(found->second, now));
        rows += batch.back().runs.size();
      }
      if (!batch.empty())
        write(std::move(batch), now);
    }
    arm();
  }

  void arm() {
    context->services.timers.cancel(alarm);
    if (!has_lease)
      return;
    auto sleep = runtime::steady_duration{context->options.longest_sleep};
    if (is_holder && !is_holding() && !heap.empty() && batches.size() < most_batches) {
      const auto left = heap.top().at - context->services.business.now();
      const auto real =
        std::chrono::ceil<std::chrono::microseconds>(left) / context->options.clock_rate + 1us;
      sleep = std::clamp<runtime::steady_duration>(real, 0us, context->options.longest_sleep);
    }
    alarm = context->services.timers.schedule(context->services.timers.now() + sleep,
                                              [handle = handle()] { caf::anon_send(handle, wake{}); });
  }

  /// What becomes of the schedule's due times.
  db::firing decide(cron_schedule& one, instant now) {
    one.is_firing = true;
    // Where all times are to be run, none that came while nobody fired is subject to the overlap.
    const auto is_behind = one.what.catch_up == catch_up_rule::all && *one.what.next_at < firing_since &&
                           one.what.catch_up_window >= context->punctuality();
    const auto plan = plan_due(one.what, *one.expression, *one.zone, *one.what.next_at, now,
                               is_behind ? 0us : context->punctuality(), times_per_batch);
    db::firing out{one.what.id, one.what.version, plan.next, {}};
    out.runs.reserve(plan.times.size());
    auto [active, queued, backlog] = one.line.count();
    for (const auto& time : plan.times) {
      db::firing::due_run run{time.at, run_state::skipped, std::nullopt, false, "it was missed"};
      const auto joins_backlog = time.is_missed || (backlog > 0 && one.what.catch_up == catch_up_rule::all);
      if (!time.is_run) {
        out.runs.push_back(run);
        continue;
      }
      if (joins_backlog) {
        run.state = run_state::queued;
        run.is_backlog = true;
        ++backlog;
      } else if (active == 0 || one.what.overlap == overlap_rule::allow) {
        run.state = run_state::running;
        if (one.what.jitter > 0s) {
          run.state = run_state::queued;
          std::uniform_int_distribution<std::int64_t> drawn{
            0, std::chrono::microseconds{one.what.jitter}.count()};
          run.not_before = context->options.real_now() + std::chrono::microseconds{drawn(random)};
        }
      } else if (one.what.overlap == overlap_rule::queue && queued == 0) {
        run.state = run_state::queued;
      } else {
        run.reason = "another run was not over";
      }
      queued += run.state == run_state::queued && !run.is_backlog ? 1 : 0;
      active += run.state == run_state::skipped ? 0 : 1;
      out.runs.push_back(run);
    }
    return out;
  }

  void write(std::vector<db::firing> batch, instant now) {
    const auto number = next_batch++;
    context->start(
      "firing", handle(),
      context->services.store.fire(context->holder(), batch, now, context->system_clock()()),
      [mine = runs->incarnation(), read = reading, number](result<std::optional<db::fired>> outcome) {
        return fired_batch{mine, read, number, std::move(outcome)};
      });
    batches.emplace(number, std::move(batch));
  }

  void on_fired_batch(const fired_batch& written) {
    if (written.reading != reading) {
      // It may have begun runs behind the look that came in its place.
      if (written.incarnation == runs->incarnation() && written.outcome && *written.outcome)
        look_anew();
      return;
    }
    auto batch = std::move(batches.extract(written.batch).mapped());
    if (!written.outcome || !*written.outcome) {
      if (!written.outcome && written.outcome.error().detail == db::cron_store::clocks_differ) {
        on_clocks_differ();
        put_back(batch);
        runs->write_ends();
        return;
      }
      // Whether it was written is not known, or it was not, since another node fires: the tables tell.
      look_anew();
      return;
    }
    on_clocks_agree();
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
      } else {
        // It was changed, which the next look should bring; so that it surely does, that reads all.
        wants_all_changes = true;
      }
      for (const auto& run : wanted.runs)
        if (const auto id = added.find({wanted.schedule, run.scheduled_at}); id != added.end())
          runs->add(owner, id->second, run);
      runs->start_waiting(owner);
    }
    pump();
    runs->write_ends();
    if (wants_all_changes)
      on_schedules_changed();
  }

  /// The tables tell what became of what is not known.
  void look_anew() {
    read_anew();
    sweep_in(database_pause);
    runs->write_ends();
  }

  void on_schedules_changed() {
    // What a look under way has read already may be older.
    is_change_unseen = runs->is_looking();
    look_now();
  }

  void on_clocks_differ() override {
    if (!std::exchange(is_held, true))
      log::error(
        "the clocks of this node and of the database differ by more than a minute: no schedule fires",
        {{"alert", "clocks_differ"}});
    held_until = context->services.timers.now() + context->options.longest_sleep;
    arm();
  }

  void put_back(const std::vector<db::firing>& batch) {
    for (const auto& wanted : batch)
      if (const auto found = schedules.find(wanted.schedule); found != schedules.end()) {
        found->second.is_firing = false;
        if (auto row = std::exchange(found->second.changed, std::nullopt))
          apply(*row);
        else
          push(found->second);
      }
  }

  void on_clocks_agree() override {
    if (!std::exchange(is_held, false))
      return;
    log::info("the clocks agree again: the schedules fire", {{"alert_cleared", "clocks_differ"}});
    held_until = {};
    runs->start_all_waiting();
  }

  implementation::pointer self;
  std::optional<cron_context> context;
  std::mt19937_64 random;

  zones_by_name zones;
  cron_schedules schedules;
  std::optional<cron_runs> runs;
  /// Schedules whose zone could not be read so far, and all that cannot be read.
  std::set<schedule_id> zoneless;
  std::set<schedule_id> unreadable;
  std::priority_queue<heap_item, std::vector<heap_item>, std::greater<>> heap;
  /// What is being written.
  std::map<std::uint64_t, std::vector<db::firing>> batches;
  std::uint64_t next_batch = 1;
  /// Answers to what was asked of the tables under an earlier one are of no account.
  std::uint64_t reading = 0;
  std::int64_t last_change = 0;
  /// Who waits for the word that nothing is fired any more.
  std::vector<runtime::open_promise> stopping;
  instant firing_since{};
  bool has_lease = false;
  bool is_holder = false;
  /// The next look reads all schedules.
  bool wants_all_changes = false;
  /// Nothing that begins runs was under way when the look began.
  bool is_quiet_look = false;
  bool is_change_unseen = false;
  bool is_held = false;
  steady_time held_until{};
  runtime::steady_timers::handle alarm{};
  runtime::steady_timers::handle sweep_alarm{};
};

implementation::behavior_type cron_timer(implementation::stateful_pointer<cron_timer_state> self,
                                         asio::any_io_executor loop,
                                         cron_services services,
                                         cron_timer_options options) {
  runtime::prepare(self);
  auto& state = self->state;
  state.random.seed(options.seed);
  state.context.emplace(cron_context{std::move(loop), std::move(services), std::move(options)});
  state.runs.emplace(state, *state.context, state.schedules);
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
