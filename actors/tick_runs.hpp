#pragma once

#include "actors/cron_messages.hpp"
#include "actors/runtime/coroutines.hpp"

#include <map>
#include <utility>
#include <vector>

namespace skyengine::actors {

/// What a handler of ticks has under way: of each run its work, and those who wait for its outcome.
template <class Work>
class tick_runs {
public:
  /// A run that is told anew, under another lease, goes on: its outcome is for both. False when it is not
  /// under way.
  bool join(run_id run, const caf::response_promise& promise) {
    const auto found = under_way_.find(run);
    if (found == under_way_.end())
      return false;
    found->second.waiting.emplace_back(promise);
    return true;
  }
  /// Begins one that is not under way.
  void begin(run_id run, const caf::response_promise& promise, Work work) {
    under_way_.emplace(run, entry{std::move(work), {}}).first->second.waiting.emplace_back(promise);
  }
  /// Tells the outcome to all who wait for it.
  void end(run_id run, const result<cron_outcome>& outcome) {
    auto one = std::move(under_way_.extract(run).mapped());
    for (auto& promise : one.waiting) {
      if (outcome)
        promise.deliver(*outcome);
      else
        promise.fail(outcome.error());
    }
  }

  /// nullptr when it is not under way.
  Work* find(run_id run) {
    const auto found = under_way_.find(run);
    return found == under_way_.end() ? nullptr : &found->second.work;
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
    std::vector<runtime::open_promise> waiting;
  };
  std::map<run_id, entry> under_way_;
};

} // namespace skyengine::actors
