#pragma once

#include "actors/cron_messages.hpp"
#include "actors/runtime/coroutines.hpp"

#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace skyengine::actors {

/// What a handler of ticks has under way: of each run its work, and those who wait for its outcome.
template <class Work>
class tick_runs {
public:
  using waiting = std::vector<runtime::open_promise>;

  /// What is to begin now, with those who wait for it.
  struct beginning {
    cron_tick tick;
    waiting asked_by;
  };

  /// Nothing to begin where the run is under way, as when it is told anew under another lease: its outcome is
  /// for both. One that was cancelled has to end first; `end` says then what is to begin.
  std::optional<beginning> on_tick(const cron_tick& tick, const caf::response_promise& promise) {
    const auto found = under_way_.find(tick.run);
    if (found == under_way_.end()) {
      beginning now{tick, {}};
      now.asked_by.emplace_back(promise);
      return now;
    }
    auto& one = found->second;
    if (one.is_cancelled && !one.next)
      one.next.emplace(beginning{tick, {}});
    (one.next ? one.next->asked_by : one.asked_by).emplace_back(promise);
    return std::nullopt;
  }
  void begin(beginning what, Work work) {
    under_way_.emplace(what.tick.run, entry{std::move(work), std::move(what.asked_by), false, {}});
  }
  /// What is to be told to stop; nullptr when nothing is under way. What has not begun yet does not begin.
  Work* cancel(run_id run) {
    const auto found = under_way_.find(run);
    if (found == under_way_.end())
      return nullptr;
    auto& one = found->second;
    one.is_cancelled = true;
    if (auto dropped = std::exchange(one.next, {}))
      for (auto& promise : dropped->asked_by)
        promise.fail({errc::conflict, "it was cancelled before it began"});
    return &one.work;
  }
  /// Tells the outcome to all who wait for it.
  std::optional<beginning> end(run_id run, const result<cron_outcome>& outcome) {
    auto one = std::move(under_way_.extract(run).mapped());
    for (auto& promise : one.asked_by) {
      if (outcome)
        promise.deliver(*outcome);
      else
        promise.fail(outcome.error());
    }
    return std::move(one.next);
  }

  /// nullptr when none is under way.
  Work* newest() { return under_way_.empty() ? nullptr : &under_way_.rbegin()->second.work; }

  template <class Visit>
  void for_each(Visit visit) {
    for (auto& [run, one] : under_way_)
      visit(one.work);
  }

private:
  struct entry {
    Work work;
    waiting asked_by;
    bool is_cancelled = false;
    std::optional<beginning> next;
  };
  std::map<run_id, entry> under_way_;
};

} // namespace skyengine::actors
