#include "actors/cron_timer.hpp"

#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/errors.hpp"
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
  /// At the first look.
  std::optional<std::map<std::string, std::chrono::sys_seconds>> last_successes;
};
/// What a look is to find.
struct question {
  std::int64_t after = 0;
  std::optional<run_id> only;
  zones_by_name known;
  /// Could not be read so far.
  std::set<std::string> missing_zones;
  bool wants_last_successes = false;
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
  std::uint64_t incarnation;
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
struct let_go_done {};
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
constexpr std::size_t ends_per_statement = 256;
constexpr std::size_t most_waiting_ends = 2'000;
constexpr auto database_pause = 500ms;

asio::awaitable<result<table_state>> look(cron_services services, db::timer_holder who, question wanted) {
  table_state found;
  const auto taken = co_await services.store.take_timer(who);
  if (!taken)
    co_return taken.error();
  found.is_holder = *taken;
  if (!found.is_holder)
    co_return found;
  auto changes = co_await services.store.changed_after(wanted.after);
  if (!changes)
    co_return changes.error();
  found.changes = std::move(*changes);
  found.zones = std::move(wanted.known);
  auto names = std::move(wanted.missing_zones);
  for (const auto& one : found.changes.schedules)
    names.insert(one.timezone);
  for (const auto& name : names) {
    if (found.zones.contains(name))
      continue;
    if (auto zone = co_await services.load_zone(name))
      found.zones.emplace(name, std::move(*zone));
  }
  if (wanted.wants_last_successes) {
    auto times = co_await services.store.last_successes();
    if (!times)
      co_return times.error();
    found.last_successes = std::move(*times);
  }
  auto runs = co_await services.store.open_runs(who, services.business.now(), wanted.only);
  if (!runs)
    co_return runs.error();
  found.runs = std::move(*runs);
  co_return found;
}

/// Whether the same may be had a little later.
bool is_passing(const error& why) {
  return why.code == errc::database_unavailable || why.code == errc::overloaded;
}

/// Repeats what is safe to repeat while the database is away and this is the lease's token.
template <class T, class Attempt>
asio::awaitable<result<T>>
insist(runtime::steady_timers& timers, std::function<bool()> is_current, Attempt attempt) {
  for (;;) {
    auto done = co_await attempt();
    if (done || !is_passing(done.error()) || !is_current())
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
    int tries = 0;
    /// Missed, asked for later, tried again, or left by a node that is gone: one after the other, whatever
    /// the overlap.
    bool is_backlog = false;
  };
  struct entry {
    schedule what;
    std::optional<cron_expression> expression;
    std::shared_ptr<const time_zone> zone;
    /// Runs that wait, in the order of their times.
    std::deque<waiting_run> queue = {};
    int running = 0;
    /// Of these, those that were backlog.
    int running_backlog = 0;
    /// Items of the heap with another one are outdated.
    std::uint32_t generation = 0;
    bool is_firing = false;
    /// What it was changed to while its times were being written.
    std::optional<schedule> changed = std::nullopt;
  };
  struct running_run {
    schedule_id schedule;
    sys_seconds scheduled_at;
    /// This one too.
    int tries = 1;
    bool is_backlog = false;
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
      [this](const stop_firing&) -> caf::result<void> { return on_stop_firing(); },
      [this](const schedules_changed&) { on_schedules_changed(); },
      [this](const cron_figures_query&) {
        figures.is_firing = is_holder;
        figures.paused = 0;
        for (const auto& [id, one] : schedules)
          figures.paused += one.what.is_paused ? 1 : 0;
        figures.schedules = schedules.size() - figures.paused;
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
      [this](const let_go_done&) {
        for (auto& one : std::exchange(stopping, {}))
          one.deliver(caf::unit);
      },
    };
  }

  db::timer_holder holder() const { return services->holder(); }
  std::function<bool()> is_current() const {
    return [holder = services->holder, token = holder().token] { return holder().token == token; };
  }
  implementation handle() const { return implementation{self}; }

  caf::result<void> on_stop_firing() {
    const auto has_runs = !running.empty();
    has_lease = false;
    forget();
    if (!has_runs)
      return caf::unit;
    auto promise = self->make_response_promise();
    stopping.emplace_back(promise);
    asio::co_spawn(loop, services->store.let_go(holder()),
                   [handle = handle()](std::exception_ptr bug, result<> done) {
                     if (bug)
                       done = unexpected("letting go of runs", bug);
                     if (!done && !is_passing(done.error()))
                       log::error("runs cannot be let go of", {{"error", done.error().detail}});
                     caf::anon_send(handle, let_go_done{});
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
    ++incarnation;
    schedules.clear();
    running.clear();
    beginning = 0;
    ends.clear();
    alone = 0;
    is_ending = false;
    zoneless.clear();
    figures.last_success.clear();
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
      known.emplace(id, std::nullopt);
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
    is_quiet_look = batches.empty() && beginning == 0;
    question wanted{
      std::exchange(wants_all_changes, false) ? 0 : last_change, options.only, zones, {}, !is_holder};
    for (const auto id : zoneless)
      wanted.missing_zones.insert(schedules.at(id).what.timezone);
    const auto mine = reading;
    asio::co_spawn(loop, look(*services, holder(), std::move(wanted)),
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
      if (!is_passing(found.outcome.error()))
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
    if (is_first)
      firing_since = services->business.now();
    if (is_first && !options.only)
      log::info("this node fires the schedules", {{"schedules", state.changes.schedules.size()}});
    last_change = std::max(last_change, state.changes.last);
    zones = state.zones;
    if (state.last_successes)
      figures.last_success = *state.last_successes;
    for (const auto& one : state.changes.schedules)
      apply(one);
    for (const auto id : std::exchange(zoneless, {}))
      apply(schedule{schedules.at(id).what});
    // What this node runs by the tables and not by what it knows was written by a statement whose answer it
    // has not had, or did not heed: where none is under way, nobody else will tell its handler.
    const auto may_adopt = is_first || (is_quiet_look && batches.empty() && beginning == 0);
    for (const auto& one : state.runs)
      take_up(one, may_adopt);
    drop_cancelled(state.runs);
    start_all_waiting();
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

  /// A run as its row has it.
  void take_up(const db::open_run& found, bool may_adopt) {
    const auto id = found.run.id;
    const auto at = schedules.find(found.run.schedule);
    if (at == schedules.end() || gone_in_look.contains(id))
      return;
    auto& owner = at->second;
    if (is_over(found.run.state)) {
      count(owner, found.run.state);
      log::error("a run has failed: its node ended each time",
                 {{"alert", "cron_failing"}, {"schedule", owner.what.name}, {"run_id", id.value}});
      return;
    }
    if (found.run.state == run_state::running) {
      const auto mine = running.find(id);
      if (mine != running.end() && found.is_cancel_requested)
        cancel(id, mine->second);
      if (mine == running.end() && may_adopt && known.emplace(id, std::nullopt).second)
        start(owner, id, {found.run.schedule, found.run.scheduled_at, found.tries, true});
      return;
    }
    const auto is_late = services->business.now() - found.run.scheduled_at > punctuality();
    const auto [place, is_new] = known.emplace(id, found.run.not_before);
    if (is_new) {
      enqueue(owner, {id, found.run.scheduled_at, found.run.not_before, found.tries, is_late});
    } else if (place->second != found.run.not_before && !queued_in_look.contains(id)) {
      place->second = found.run.not_before;
      for (auto& waiting : owner.queue)
        if (waiting.run == id)
          waiting.not_before = found.run.not_before;
    }
  }

  /// What waited when the look began and is not among the `open` runs any more was ended by somebody else. Of
  /// a schedule with many waiting runs only the first are among them.
  void drop_cancelled(const std::vector<db::open_run>& open) {
    std::set<run_id> there{queued_in_look};
    std::unordered_map<schedule_id, std::pair<std::int64_t, sys_seconds>> seen;
    for (const auto& one : open) {
      there.insert(one.run.id);
      if (one.run.state == run_state::queued) {
        auto& [count, last] = seen[one.run.schedule];
        ++count;
        last = one.run.scheduled_at;
      }
    }
    for (auto& [id, owner] : schedules) {
      if (owner.queue.empty())
        continue;
      const auto found = seen.find(id);
      const auto is_cut_off = found != seen.end() && found->second.first >= db::cron_store::most_waiting_runs;
      std::erase_if(owner.queue, [&](const waiting_run& r) {
        const auto is_gone =
          !there.contains(r.run) && (!is_cut_off || r.scheduled_at <= found->second.second);
        if (is_gone)
          known.erase(r.run);
        return is_gone;
      });
    }
  }

  // -- what is due -----------------------------------------------------------

  bool is_holding() const { return services->timers.now() < held_until; }
  std::chrono::microseconds punctuality() const { return options.punctuality * options.clock_rate; }

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
      start_all_waiting();
    const auto now = services->business.now();
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
    services->timers.cancel(alarm);
    if (!has_lease)
      return;
    auto sleep = runtime::steady_duration{options.longest_sleep};
    if (is_holder && !is_holding() && !heap.empty() && batches.size() < most_batches) {
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
    // Where all times are to be run, none that came while nobody fired is subject to the overlap.
    const auto is_behind = one.what.catch_up == catch_up_rule::all && *one.what.next_at < firing_since &&
                           one.what.catch_up_window >= punctuality();
    const auto plan = plan_due(one.what, *one.expression, *one.zone, *one.what.next_at, now,
                               is_behind ? 0us : punctuality(), times_per_batch);
    db::firing out{one.what.id, one.what.version, plan.next, {}};
    out.runs.reserve(plan.times.size());
    auto backlog = static_cast<std::size_t>(
      std::count_if(one.queue.begin(), one.queue.end(), [](const auto& r) { return r.is_backlog; }));
    auto queued = one.queue.size() - backlog;
    auto active = one.queue.size() + static_cast<std::size_t>(one.running);
    backlog += static_cast<std::size_t>(one.running_backlog);
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
          run.not_before = options.real_now() + std::chrono::microseconds{drawn(random)};
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

  /// What is compared with the database's clock: nothing where business time is not the system's.
  std::function<std::optional<db::real_time>()> system_clock() const {
    return [is_system = options.clock_rate == 1, real_now = options.real_now] {
      return is_system ? std::optional{real_now()} : std::nullopt;
    };
  }

  void write(std::vector<db::firing> batch, instant now) {
    const auto number = next_batch++;
    asio::co_spawn(loop, services->store.fire(holder(), batch, now, system_clock()()),
                   [handle = handle(), mine = incarnation, read = reading,
                    number](std::exception_ptr bug, result<std::optional<db::fired>> outcome) {
                     if (bug)
                       outcome = unexpected("firing", bug);
                     caf::anon_send(handle, fired_batch{mine, read, number, std::move(outcome)});
                   });
    batches.emplace(number, std::move(batch));
  }

  void on_fired_batch(const fired_batch& written) {
    if (written.reading != reading) {
      // It may have begun runs behind the look that came in its place.
      if (written.incarnation == incarnation && written.outcome && *written.outcome)
        look_anew();
      return;
    }
    auto batch = std::move(batches.extract(written.batch).mapped());
    if (!written.outcome || !*written.outcome) {
      if (!written.outcome && written.outcome.error().detail == db::cron_store::clocks_differ) {
        hold();
        put_back(batch);
        write_ends();
        return;
      }
      // Whether it was written is not known, or it was not, since another node fires: the tables tell.
      look_anew();
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
      } else {
        // It was changed, which the next look should bring; so that it surely does, that reads all.
        wants_all_changes = true;
      }
      for (const auto& run : wanted.runs)
        if (const auto id = added.find({wanted.schedule, run.scheduled_at}); id != added.end())
          add(owner, id->second, run);
      start_waiting(owner);
    }
    pump();
    write_ends();
    if (wants_all_changes)
      on_schedules_changed();
  }

  /// The tables tell what became of what is not known.
  void look_anew() {
    read_anew();
    sweep_in(database_pause);
    write_ends();
  }

  void on_schedules_changed() {
    // What a look under way has read already may be older.
    is_change_unseen = is_looking;
    look_now();
  }

  void add(entry& owner, run_id id, const db::firing::due_run& run) {
    if (run.state == run_state::skipped) {
      count(owner, run_state::skipped);
      return;
    }
    if (!known.emplace(id, run.not_before).second)
      return;
    if (run.state == run_state::queued) {
      enqueue(owner, {id, run.scheduled_at, run.not_before, 0, run.is_backlog});
      return;
    }
    const auto late = services->business.now() - run.scheduled_at;
    figures.lateness.observe(std::chrono::duration<double>(late).count() /
                             static_cast<double>(options.clock_rate));
    start(owner, id, {owner.what.id, run.scheduled_at, 1, false});
  }

  void hold() {
    if (!std::exchange(is_held, true))
      log::error(
        "the clocks of this node and of the database differ by more than a minute: no schedule fires",
        {{"alert", "clocks_differ"}});
    held_until = services->timers.now() + options.longest_sleep;
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

  void release() {
    if (!std::exchange(is_held, false))
      return;
    log::info("the clocks agree again: the schedules fire", {{"alert_cleared", "clocks_differ"}});
    held_until = {};
    start_all_waiting();
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

  void start_all_waiting() {
    for (auto& [id, one] : schedules)
      if (!one.queue.empty())
        start_waiting(one);
  }

  /// Begins what may begin of the runs that wait.
  void start_waiting(entry& owner) {
    if (!is_holder || is_holding())
      return;
    const auto real_now = options.real_now();
    const auto is_time = [&](const waiting_run& one) {
      return !one.not_before || *one.not_before <= real_now;
    };
    if (owner.what.overlap == overlap_rule::allow) {
      for (auto at = owner.queue.begin(); at != owner.queue.end();) {
        if (is_time(*at) && (!at->is_backlog || owner.running_backlog == 0)) {
          begin(*at, owner);
          at = owner.queue.erase(at);
        } else {
          ++at;
        }
      }
      return;
    }
    if (owner.running > 0 || owner.queue.empty())
      return;
    // What came when it was due goes before what stands in line, and what may begin before what waits for its
    // next try, unless all are to be run in their order.
    auto next = owner.queue.begin();
    if (owner.what.catch_up != catch_up_rule::all) {
      next = std::find_if(owner.queue.begin(), owner.queue.end(),
                          [&](const auto& one) { return !one.is_backlog && is_time(one); });
      if (next == owner.queue.end())
        next = std::find_if(owner.queue.begin(), owner.queue.end(), is_time);
    }
    if (next == owner.queue.end() || !is_time(*next))
      return;
    begin(*next, owner);
    owner.queue.erase(next);
  }

  /// Counts the run among those that this node runs.
  void take_on(entry& owner, run_id id, const running_run& one) {
    ++owner.running;
    owner.running_backlog += one.is_backlog ? 1 : 0;
    running.emplace(id, one);
  }

  running_run take_off(run_id id) {
    const auto one = running.extract(id).mapped();
    if (const auto owner = schedules.find(one.schedule); owner != schedules.end()) {
      --owner->second.running;
      owner->second.running_backlog -= one.is_backlog ? 1 : 0;
    }
    return one;
  }

  void begin(const waiting_run& one, entry& owner) {
    take_on(owner, one.run, {owner.what.id, one.scheduled_at, one.tries + 1, one.is_backlog});
    ++beginning;
    const auto mine = incarnation;
    auto attempt = [&store = services->store, who = holder(), run = one.run, &business = services->business,
                    system_now = system_clock()] {
      return store.begin(who, run, business.now(), system_now());
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
    --beginning;
    if (begun.outcome && *begun.outcome) {
      release();
      tell(begun.run);
      return;
    }
    if (!begun.outcome && begun.outcome.error().detail == db::cron_store::clocks_differ) {
      hold();
      const auto one = take_off(begun.run);
      enqueue(schedules.at(one.schedule),
              {begun.run, one.scheduled_at, std::nullopt, one.tries - 1, one.is_backlog});
      return;
    }
    // Cancelled, or another's.
    leave(begun.run);
  }

  /// The run is over for this node: what waited for it may begin.
  void leave(run_id id) {
    const auto one = take_off(id);
    known.erase(id);
    if (is_looking)
      gone_in_look.insert(id);
    if (const auto owner = schedules.find(one.schedule); owner != schedules.end())
      start_waiting(owner->second);
  }

  /// It has begun by its row.
  void start(entry& owner, run_id id, const running_run& one) {
    take_on(owner, id, one);
    tell(id);
  }

  void tell(run_id id) {
    const auto& one = running.at(id);
    const auto& owner = schedules.at(one.schedule);
    const cron_tick tick{id, one.schedule, one.scheduled_at};
    const auto mine = incarnation;
    const auto whom = handler_of(owner);
    if (!whom) {
      const auto why = services->handlers.contains(owner.what.handler)
                         ? error{errc::overloaded, "what carries it out is being restarted"}
                         : error{errc::conflict, std::string{nothing_carries_out}};
      caf::anon_send(handle(), run_answered{mine, id, why});
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
      how.state = run_state::failed;
      if (how.failure->detail == runtime::no_answer_in_time) {
        how.state = run_state::timed_out;
        how.failure->detail =
          "it took longer than its time-out of " + std::to_string(owner.what.timeout.count()) + " s";
      }
      if (how.state == run_state::timed_out && !one.is_cancelled)
        if (const auto whom = handler_of(owner))
          caf::anon_send(whom, cron_cancel{answered.run});
    }
    if (one.is_cancelled) {
      how.state = run_state::cancelled;
    } else if (how.state != run_state::succeeded && one.tries <= owner.what.retries) {
      how.state = run_state::queued;
      how.not_before = options.real_now() + retry_delay(one.tries);
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
    const auto most = alone > 0 ? 1 : ends_per_statement;
    alone -= std::min<std::size_t>(alone, 1);
    std::vector<db::run_end> attempts;
    std::set<schedule_id> owners;
    for (auto at = ends.begin(); at != ends.end() && attempts.size() < most;) {
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
    is_ending = false;
    const auto is_refused = !ended.outcome && !is_passing(ended.outcome.error());
    if (is_refused && ended.attempts.size() > 1) {
      // One of them is not to be had into the database: the others are none the worse for it.
      ends.insert(ends.begin(), ended.attempts.begin(), ended.attempts.end());
      alone = ended.attempts.size();
      write_ends();
      return;
    }
    if (is_refused) {
      const auto& how = ended.attempts.front();
      log::error("a run's outcome cannot be stored",
                 {{"run_id", how.run.value}, {"error", ended.outcome.error().detail}});
      if (how.failure != unstorable())
        ends.push_front({how.run, run_state::failed, std::nullopt, "{}", unstorable()});
      // Else it stays open, which the audit shows: to run it again would end no better.
      write_ends();
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
      log::warn("a run failed",
                {{"schedule", owner.what.name},
                 {"run_id", how.run.value},
                 {"try", one.tries},
                 {"outcome", how.state == run_state::queued ? "to be tried again" : to_string(how.state)},
                 {"error", how.failure->detail}});
    if (counted == nullptr) {
      leave(how.run);
      return;
    }
    if (counted->state == run_state::queued) {
      take_off(how.run);
      known[how.run] = how.not_before;
      enqueue(owner, {how.run, one.scheduled_at, how.not_before, one.tries, true});
      start_waiting(owner);
      return;
    }
    count(owner, counted->state);
    if (counted->state == run_state::succeeded)
      figures.last_success[owner.what.name] =
        std::chrono::floor<std::chrono::seconds>(services->business.now());
    else if (how.failure && counted->failures % owner.what.alert_after == 0)
      log::error("a schedule's runs fail", {{"alert", "cron_failing"},
                                            {"schedule", owner.what.name},
                                            {"failures", counted->failures},
                                            {"error", how.failure->detail}});
    if (counted->is_paused)
      log::error("a schedule is paused, since its runs fail", {{"alert", "cron_paused"},
                                                               {"schedule", owner.what.name},
                                                               {"failures", counted->failures},
                                                               {"error", how.failure->detail}});
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
  /// Schedules whose zone could not be read so far, and all that cannot be read.
  std::set<schedule_id> zoneless;
  std::set<schedule_id> unreadable;
  std::priority_queue<heap_item, std::vector<heap_item>, std::greater<>> heap;
  std::unordered_map<run_id, running_run> running;
  /// Those of them that are being begun.
  int beginning = 0;
  /// Every run in a queue, until when it waits, or under way.
  std::unordered_map<run_id, std::optional<db::real_time>> known;
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
  /// So many of the first of them are written by statements of their own.
  std::size_t alone = 0;
  /// Answers to what was asked under an earlier one are of no account: of the runs, and of the tables.
  std::uint64_t incarnation = 0;
  std::uint64_t reading = 0;
  std::int64_t last_change = 0;
  /// Who waits for the word that nothing is fired any more.
  std::vector<runtime::open_promise> stopping;
  instant firing_since{};
  bool has_lease = false;
  bool is_holder = false;
  bool is_looking = false;
  /// The next look reads all schedules.
  bool wants_all_changes = false;
  /// Nothing that begins runs was under way when the look began.
  bool is_quiet_look = false;
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
