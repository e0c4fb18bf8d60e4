#pragma once

#include "actors/runtime/steady_timers.hpp"
#include "db/cron_store.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace skyengine::test {

namespace asio = boost::asio;

/// Schedules and runs in memory, by the same rules as in PostgreSQL: for tests of much time that has to pass
/// quickly.
class memory_cron_store final : public db::cron_store {
public:
  schedule& add(schedule one) {
    one.id = {static_cast<std::int64_t>(schedules.size()) + 1};
    changes_.push_back(one.id);
    return schedules.emplace(one.id, std::move(one)).first->second;
  }
  /// What the API does with a change.
  void change(schedule_id id, schedule one) {
    one.id = id;
    one.version = schedules.at(id).version + 1;
    one.next_at.reset();
    schedules.at(id) = std::move(one);
    changes_.push_back(id);
  }
  /// The same with a run by hand.
  run_id run_by_hand(schedule_id id, std::chrono::sys_seconds at) {
    auto& one = row_of(id, at);
    one.state = run_state::queued;
    one.is_manual = true;
    one.ended_at.reset();
    not_before[one.id].reset();
    tries[one.id] = 0;
    return one.id;
  }
  /// And with a cancellation.
  void cancel(run_id id, instant now) {
    auto& one = find(id);
    cancelled[id] = true;
    if (one.state != run_state::queued)
      return;
    one.state = run_state::cancelled;
    one.ended_at = now;
  }

  asio::awaitable<result<bool>> take_timer(db::timer_holder who) override {
    if (is_away)
      co_return away();
    holder = who.token;
    co_return true;
  }

  asio::awaitable<result<changes>> changed_after(std::int64_t last) override {
    if (is_away)
      co_return away();
    changes all;
    all.last = static_cast<std::int64_t>(changes_.size());
    std::vector<schedule_id> seen{changes_.begin() + last, changes_.end()};
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    for (const auto id : seen)
      all.schedules.push_back(schedules.at(id));
    co_return all;
  }

  asio::awaitable<result<std::vector<db::open_run>>>
  open_runs(db::timer_holder who, instant now, std::optional<run_id> only) override {
    if (is_away)
      co_return away();
    std::vector<db::open_run> all;
    std::map<schedule_id, std::int64_t> waiting;
    for (auto& [key, one] : runs) {
      const auto is_orphan = one.state == run_state::running && tokens[one.id] != who.token;
      if (is_orphan) {
        one.interruptions += let_go_tokens.contains(tokens[one.id]) ? 0 : 1;
        one.state = one.interruptions > most_interruptions ? run_state::failed : run_state::queued;
        tries[one.id] = std::max(tries[one.id] - 1, 0);
        if (one.state == run_state::failed) {
          one.ended_at = now;
          ++schedules.at(one.schedule).failures;
        }
      }
      const auto is_told = is_orphan || !is_over(one.state);
      const auto fits = one.state != run_state::queued || ++waiting[one.schedule] <= most_waiting_runs;
      if (is_told && fits && (!only || one.id == *only)) {
        all.push_back({one, tries[one.id], cancelled[one.id]});
        all.back().run.not_before = not_before[one.id];
      }
    }
    std::sort(all.begin(), all.end(),
              [](const auto& a, const auto& b) { return a.run.scheduled_at < b.run.scheduled_at; });
    co_return all;
  }

  asio::awaitable<result<std::optional<db::fired>>> fire(db::timer_holder who,
                                                         std::vector<db::firing> wanted,
                                                         instant now,
                                                         std::optional<db::real_time> system_now) override {
    if (is_away)
      co_return away();
    db_fault fault;
    if (!fire_faults.empty()) {
      fault = fire_faults.front();
      fire_faults.pop_front();
      co_await actors::runtime::wait_until(*fault.timers, fault.timers->now() + fault.delay);
    }
    if (who.token != holder)
      co_return std::optional<db::fired>{};
    if (system_now && std::chrono::abs(*system_now - database_now(now)) > std::chrono::minutes{1})
      co_return error{errc::conflict, std::string{clocks_differ}};
    db::fired done;
    for (const auto& one : wanted) {
      auto& row = schedules.at(one.schedule);
      if (row.version != one.version || row.is_paused)
        continue;
      row.next_at = one.next_at;
      done.moved.push_back(row.id);
      for (const auto& due : one.runs) {
        if (runs.contains({row.id, due.scheduled_at}))
          continue;
        auto& run = row_of(row.id, due.scheduled_at);
        run.state = due.state;
        not_before[run.id] = due.not_before;
        if (due.state == run_state::running)
          mark_begun(run, who, now);
        if (due.state == run_state::skipped) {
          run.ended_at = now;
          run.failure = error{errc::conflict, std::string{due.reason}};
        }
        done.runs.push_back({run.id, row.id, due.scheduled_at});
      }
    }
    if (fault.is_lost)
      co_return away();
    co_return std::optional{std::move(done)};
  }

  asio::awaitable<result<bool>>
  begin(db::timer_holder who, run_id id, instant now, std::optional<db::real_time> system_now) override {
    if (is_away)
      co_return away();
    if (system_now && std::chrono::abs(*system_now - database_now(now)) > std::chrono::minutes{1})
      co_return error{errc::conflict, std::string{clocks_differ}};
    auto& run = find(id);
    if (who.token != holder || cancelled[id] || run.state != run_state::queued)
      co_return false;
    mark_begun(run, who, now);
    co_return true;
  }

  asio::awaitable<result<>> let_go(db::timer_holder who) override {
    if (is_away)
      co_return away();
    let_go_tokens.insert(who.token);
    co_return result<>{};
  }

  asio::awaitable<result<std::map<std::string, std::chrono::sys_seconds>>> last_successes() override {
    std::map<std::string, std::chrono::sys_seconds> all;
    for (const auto& [key, one] : runs)
      if (one.state == run_state::succeeded)
        all[schedules.at(one.schedule).name] = std::chrono::floor<std::chrono::seconds>(*one.ended_at);
    co_return all;
  }

  asio::awaitable<result<std::vector<ended>>>
  end(db::timer_holder who, std::vector<db::run_end> attempts, instant now) override {
    if (is_away)
      co_return away();
    if (is_busy)
      co_return error{errc::overloaded, "too much is waiting"};
    if (std::any_of(attempts.begin(), attempts.end(), [this](const auto& one) {
          return one.figures != "{}" && find(one.run).schedule == refuses_figures_of;
        }))
      co_return error{errc::internal, "figures are refused"};
    std::vector<ended> all;
    for (const auto& how : attempts) {
      auto& run = find(how.run);
      if (who.token != holder || run.state != run_state::running)
        continue;
      auto& owner = schedules.at(run.schedule);
      run.state = how.state;
      if (how.state == run_state::queued && cancelled[run.id])
        run.state = run_state::cancelled;
      else if (how.state == run_state::queued && owner.is_paused && !run.is_manual)
        run.state = run_state::failed;
      run.figures = how.figures;
      run.failure = how.failure;
      not_before[run.id] = how.not_before;
      if (is_over(run.state))
        run.ended_at = now;
      const auto has_failed = run.state == run_state::failed || run.state == run_state::timed_out;
      owner.failures = has_failed                          ? owner.failures + 1
                       : run.state == run_state::succeeded ? 0
                                                           : owner.failures;
      const auto pauses =
        has_failed && !owner.is_paused && owner.pause_after && owner.failures >= *owner.pause_after;
      if (pauses) {
        owner.is_paused = true;
        owner.next_at.reset();
        ++owner.version;
        changes_.push_back(owner.id);
      }
      all.push_back({run.id, run.state, owner.failures, pauses});
    }
    ++end_statements;
    co_return all;
  }

  /// The database's clock, where it is not the node's.
  std::chrono::microseconds database_ahead{0};
  bool is_away = false;
  /// Ends are refused for now.
  bool is_busy = false;
  schedule_id refuses_figures_of;
  /// What befalls the next firings: each comes to the database so much later, and the answer may not come.
  struct db_fault {
    actors::runtime::steady_timers* timers = nullptr;
    std::chrono::milliseconds delay{0};
    bool is_lost = false;
  };
  std::deque<db_fault> fire_faults;
  /// How many statements ended runs.
  int end_statements = 0;
  std::int64_t holder = 0;
  std::map<schedule_id, schedule> schedules;
  std::map<std::pair<schedule_id, std::chrono::sys_seconds>, schedule_run> runs;
  std::map<run_id, bool> cancelled;
  std::map<run_id, std::optional<db::real_time>> not_before;
  std::map<run_id, std::int64_t> tokens;
  std::map<run_id, int> tries;
  std::set<std::int64_t> let_go_tokens;

private:
  static error away() { return {errc::database_unavailable, "no database"}; }
  db::real_time database_now(instant now) const { return now + database_ahead; }

  schedule_run& row_of(schedule_id id, std::chrono::sys_seconds at) {
    auto& one = runs[{id, at}];
    if (one.id.value == 0) {
      one.id = {static_cast<std::int64_t>(runs.size())};
      one.schedule = id;
      one.scheduled_at = at;
      by_id_[one.id] = &one;
    }
    return one;
  }
  schedule_run& find(run_id id) { return *by_id_.at(id); }
  void mark_begun(schedule_run& run, const db::timer_holder& who, instant now) {
    run.state = run_state::running;
    ++run.attempts;
    ++tries[run.id];
    run.node = who.node;
    run.started_at = now;
    tokens[run.id] = who.token;
  }

  std::vector<schedule_id> changes_;
  std::map<run_id, schedule_run*> by_id_;
};

} // namespace skyengine::test
