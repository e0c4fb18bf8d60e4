#include "actors/cron_runs.hpp"

#include "actors/runtime/crash_point.hpp"
#include "actors/runtime/steady_timers.hpp"
#include "domain/log.hpp"

#include <algorithm>
#include <utility>

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
using std::chrono::sys_seconds;

constexpr std::size_t ends_per_statement = 256;
constexpr std::size_t most_waiting_ends = 2'000;

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

/// What stands in the row of a run whose outcome the database does not take.
error unstorable() {
  return {errc::internal, "its outcome could not be stored"};
}

} // namespace

void cron_runs::forget() {
  ++incarnation_;
  running_.clear();
  beginning_ = 0;
  ends_.clear();
  alone_ = 0;
  is_ending_ = false;
  figures_.last_success.clear();
  forget_waiting();
}

void cron_runs::forget_waiting() {
  on_look_over();
  known_.clear();
  for (const auto& [id, one] : running_)
    known_.emplace(id, std::nullopt);
  for (auto& [id, one] : schedules_)
    one.line.queue_.clear();
}

void cron_runs::set_last_successes(std::map<std::string, std::chrono::sys_seconds> times) {
  figures_.last_success = std::move(times);
}

void cron_runs::on_look_begun() {
  is_looking_ = true;
  gone_in_look_.clear();
  queued_in_look_.clear();
}

void cron_runs::take_up(const db::open_run& found, bool may_adopt) {
  const auto id = found.run.id;
  const auto at = schedules_.find(found.run.schedule);
  if (at == schedules_.end() || gone_in_look_.contains(id))
    return;
  auto& owner = at->second;
  if (is_over(found.run.state)) {
    count(owner, found.run.state);
    log::error("a run has failed: its node ended each time",
               {{"alert", "cron_failing"}, {"schedule", owner.what.name}, {"run_id", id.value}});
    return;
  }
  if (found.run.state == run_state::running) {
    const auto mine = running_.find(id);
    if (mine != running_.end() && found.is_cancel_requested)
      cancel(id, mine->second);
    if (mine == running_.end() && may_adopt && known_.emplace(id, std::nullopt).second)
      start(owner, id, {found.run.schedule, found.run.scheduled_at, found.tries, true});
    return;
  }
  const auto is_late = context_.services.business.now() - found.run.scheduled_at > context_.punctuality();
  const auto [place, is_new] = known_.emplace(id, found.run.not_before);
  if (is_new) {
    enqueue(owner, {id, found.run.scheduled_at, found.run.not_before, found.tries, is_late});
  } else if (place->second != found.run.not_before && !queued_in_look_.contains(id)) {
    place->second = found.run.not_before;
    for (auto& waiting : owner.line.queue_)
      if (waiting.run == id)
        waiting.not_before = found.run.not_before;
  }
}

void cron_runs::drop_cancelled(const std::vector<db::open_run>& open) {
  std::set<run_id> there{queued_in_look_};
  std::unordered_map<schedule_id, std::pair<std::int64_t, sys_seconds>> seen;
  for (const auto& one : open) {
    there.insert(one.run.id);
    if (one.run.state == run_state::queued) {
      auto& [count, last] = seen[one.run.schedule];
      ++count;
      last = one.run.scheduled_at;
    }
  }
  for (auto& [id, owner] : schedules_) {
    if (owner.line.queue_.empty())
      continue;
    const auto found = seen.find(id);
    const auto is_cut_off = found != seen.end() && found->second.first >= db::cron_store::most_waiting_runs;
    std::erase_if(owner.line.queue_, [&](const waiting_run& r) {
      const auto is_gone = !there.contains(r.run) && (!is_cut_off || r.scheduled_at <= found->second.second);
      if (is_gone)
        known_.erase(r.run);
      return is_gone;
    });
  }
}

void cron_runs::add(cron_schedule& owner, run_id id, const db::firing::due_run& run) {
  if (run.state == run_state::skipped) {
    count(owner, run_state::skipped);
    return;
  }
  if (!known_.emplace(id, run.not_before).second)
    return;
  if (run.state == run_state::queued) {
    enqueue(owner, {id, run.scheduled_at, run.not_before, 0, run.is_backlog});
    return;
  }
  const auto late = context_.services.business.now() - run.scheduled_at;
  figures_.lateness.observe(std::chrono::duration<double>(late).count() /
                            static_cast<double>(context_.options.clock_rate));
  start(owner, id, {owner.what.id, run.scheduled_at, 1, false});
}

void cron_runs::enqueue(cron_schedule& owner, waiting_run one) {
  if (is_looking_)
    queued_in_look_.insert(one.run);
  const auto at = std::upper_bound(owner.line.queue_.begin(), owner.line.queue_.end(), one.scheduled_at,
                                   [](sys_seconds when, const auto& r) { return when < r.scheduled_at; });
  if (one.not_before && *one.not_before > context_.options.real_now())
    static_cast<void>(context_.services.timers.schedule(
      context_.services.timers.now() + (*one.not_before - context_.options.real_now()),
      [handle = host_.inbox(), id = owner.what.id] { caf::anon_send(handle, run_due{id}); }));
  owner.line.queue_.insert(at, one);
}

void cron_runs::on_run_due(const run_due& due) {
  if (const auto found = schedules_.find(due.schedule); found != schedules_.end())
    start_waiting(found->second);
}

void cron_runs::start_all_waiting() {
  for (auto& [id, one] : schedules_)
    if (!one.line.queue_.empty())
      start_waiting(one);
}

void cron_runs::start_waiting(cron_schedule& owner) {
  if (!host_.may_begin())
    return;
  const auto real_now = context_.options.real_now();
  const auto is_time = [&](const waiting_run& one) { return !one.not_before || *one.not_before <= real_now; };
  if (owner.what.overlap == overlap_rule::allow) {
    for (auto at = owner.line.queue_.begin(); at != owner.line.queue_.end();) {
      if (is_time(*at) && (!at->is_backlog || owner.line.running_backlog_ == 0)) {
        begin(*at, owner);
        at = owner.line.queue_.erase(at);
      } else {
        ++at;
      }
    }
    return;
  }
  if (owner.line.running_ > 0 || owner.line.queue_.empty())
    return;
  // What came when it was due goes before what stands in line, and what may begin before what waits for its
  // next try, unless all are to be run in their order.
  auto next = owner.line.queue_.begin();
  if (owner.what.catch_up != catch_up_rule::all) {
    next = std::find_if(owner.line.queue_.begin(), owner.line.queue_.end(),
                        [&](const auto& one) { return !one.is_backlog && is_time(one); });
    if (next == owner.line.queue_.end())
      next = std::find_if(owner.line.queue_.begin(), owner.line.queue_.end(), is_time);
  }
  if (next == owner.line.queue_.end() || !is_time(*next))
    return;
  begin(*next, owner);
  owner.line.queue_.erase(next);
}

void cron_runs::take_on(cron_schedule& owner, run_id id, const running_run& one) {
  ++owner.line.running_;
  owner.line.running_backlog_ += one.is_backlog ? 1 : 0;
  running_.emplace(id, one);
}

cron_runs::running_run cron_runs::take_off(run_id id) {
  const auto one = running_.extract(id).mapped();
  if (const auto owner = schedules_.find(one.schedule); owner != schedules_.end()) {
    --owner->second.line.running_;
    owner->second.line.running_backlog_ -= one.is_backlog ? 1 : 0;
  }
  return one;
}

void cron_runs::begin(const waiting_run& one, cron_schedule& owner) {
  take_on(owner, one.run, {owner.what.id, one.scheduled_at, one.tries + 1, one.is_backlog});
  ++beginning_;
  const auto mine = incarnation_;
  auto attempt = [&store = context_.services.store, who = context_.holder(), run = one.run,
                  &business = context_.services.business, system_now = context_.system_clock()] {
    return store.begin(who, run, business.now(), system_now());
  };
  context_.start("beginning a run", host_.inbox(),
                 insist<bool>(context_.services.timers, context_.is_current(), std::move(attempt)),
                 [mine, id = one.run](result<bool> outcome) {
                   return run_begun{mine, id, std::move(outcome)};
                 });
}

void cron_runs::on_run_begun(const run_begun& begun) {
  if (begun.incarnation != incarnation_)
    return;
  --beginning_;
  if (begun.outcome && *begun.outcome) {
    host_.on_clocks_agree();
    tell(begun.run);
    return;
  }
  if (!begun.outcome && begun.outcome.error().detail == db::cron_store::clocks_differ) {
    host_.on_clocks_differ();
    const auto one = take_off(begun.run);
    enqueue(schedules_.at(one.schedule),
            {begun.run, one.scheduled_at, std::nullopt, one.tries - 1, one.is_backlog});
    return;
  }
  // Cancelled, or another's.
  leave(begun.run);
}

void cron_runs::leave(run_id id) {
  const auto one = take_off(id);
  known_.erase(id);
  if (is_looking_)
    gone_in_look_.insert(id);
  if (const auto owner = schedules_.find(one.schedule); owner != schedules_.end())
    start_waiting(owner->second);
}

void cron_runs::start(cron_schedule& owner, run_id id, const running_run& one) {
  take_on(owner, id, one);
  tell(id);
}

void cron_runs::tell(run_id id) {
  runtime::crash_point("run.begun");
  const auto& one = running_.at(id);
  const auto& owner = schedules_.at(one.schedule);
  const cron_tick tick{id, one.schedule, one.scheduled_at};
  const auto mine = incarnation_;
  const auto whom = handler_of(owner);
  if (!whom) {
    const auto why = context_.services.handlers.contains(owner.what.handler)
                       ? error{errc::overloaded, "what carries it out is being restarted"}
                       : error{errc::conflict, std::string{nothing_carries_out}};
    caf::anon_send(host_.inbox(), run_answered{mine, id, why});
    return;
  }
  context_.start("a run", host_.inbox(),
                 context_.services.asker.ask<cron_outcome>(whom, owner.what.timeout, tick),
                 [mine, id](result<cron_outcome> outcome) {
                   return run_answered{mine, id, std::move(outcome)};
                 });
}

cron_handler_actor cron_runs::handler_of(const cron_schedule& owner) const {
  const auto found = context_.services.handlers.find(owner.what.handler);
  return found == context_.services.handlers.end() ? cron_handler_actor{} : found->second();
}

void cron_runs::cancel(run_id id, running_run& one) {
  if (std::exchange(one.is_cancelled, true))
    return;
  if (const auto whom = handler_of(schedules_.at(one.schedule)))
    caf::anon_send(whom, cron_cancel{id});
}

void cron_runs::cancel_all() {
  for (auto& [id, one] : running_)
    cancel(id, one);
}

void cron_runs::on_run_answered(const run_answered& answered) {
  if (answered.incarnation != incarnation_)
    return;
  runtime::crash_point("run.before_end");
  const auto& one = running_.at(answered.run);
  const auto& owner = schedules_.at(one.schedule);
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
    how.not_before = context_.options.real_now() + retry_delay(one.tries);
  }
  write_end(std::move(how));
}

void cron_runs::write_end(db::run_end how) {
  ends_.push_back(std::move(how));
  write_ends();
}

void cron_runs::write_ends() {
  // What ended while the ends before it were written goes into one statement. What is due goes first: only
  // that is waited for.
  const auto is_wanted = !host_.is_writing_times() || ends_.size() >= most_waiting_ends;
  if (ends_.empty() || !is_wanted || std::exchange(is_ending_, true))
    return;
  const auto most = alone_ > 0 ? 1 : ends_per_statement;
  alone_ -= std::min<std::size_t>(alone_, 1);
  std::vector<db::run_end> attempts;
  std::set<schedule_id> owners;
  for (auto at = ends_.begin(); at != ends_.end() && attempts.size() < most;) {
    if (owners.insert(running_.at(at->run).schedule).second) {
      attempts.push_back(std::move(*at));
      at = ends_.erase(at);
    } else {
      ++at;
    }
  }
  write_ends(std::move(attempts));
}

void cron_runs::write_ends(std::vector<db::run_end> attempts) {
  const auto mine = incarnation_;
  auto attempt = [&store = context_.services.store, who = context_.holder(), attempts,
                  &business = context_.services.business] {
    return store.end(who, attempts, business.now());
  };
  using outcome_type = std::vector<db::cron_store::ended>;
  context_.start("ending runs", host_.inbox(),
                 insist<outcome_type>(context_.services.timers, context_.is_current(), std::move(attempt)),
                 [mine, attempts](result<outcome_type> outcome) {
                   return runs_ended{mine, attempts, std::move(outcome)};
                 });
}

void cron_runs::on_runs_ended(const runs_ended& ended) {
  if (ended.incarnation != incarnation_)
    return;
  runtime::crash_point("run.after_end");
  is_ending_ = false;
  const auto is_refused = !ended.outcome && !is_passing(ended.outcome.error());
  if (is_refused && ended.attempts.size() > 1) {
    // One of them is not to be had into the database: the others are none the worse for it.
    ends_.insert(ends_.begin(), ended.attempts.begin(), ended.attempts.end());
    alone_ = ended.attempts.size();
    write_ends();
    return;
  }
  if (is_refused) {
    const auto& how = ended.attempts.front();
    log::error("a run's outcome cannot be stored",
               {{"run_id", how.run.value}, {"error", ended.outcome.error().detail}});
    if (how.failure != unstorable())
      ends_.push_front({how.run, run_state::failed, std::nullopt, "{}", unstorable()});
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
    host_.on_schedule_paused();
  write_ends();
}

void cron_runs::settle(const db::run_end& how, const db::cron_store::ended* counted) {
  const auto one = running_.at(how.run);
  auto& owner = schedules_.at(one.schedule);
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
    known_[how.run] = how.not_before;
    enqueue(owner, {how.run, one.scheduled_at, how.not_before, one.tries, true});
    start_waiting(owner);
    return;
  }
  count(owner, counted->state);
  if (counted->state == run_state::succeeded)
    figures_.last_success[owner.what.name] =
      std::chrono::floor<std::chrono::seconds>(context_.services.business.now());
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

void cron_runs::count(const cron_schedule& owner, run_state outcome) {
  ++figures_.runs[{owner.what.name, outcome}];
}

} // namespace skyengine::actors
