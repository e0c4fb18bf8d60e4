#include "domain/billable_time.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <numeric>
#include <optional>

namespace skyengine {

namespace {

using std::chrono::sys_seconds;
using namespace std::chrono_literals;

sys_seconds hour_of(sys_seconds at) {
  return std::chrono::floor<std::chrono::hours>(at);
}

/// Calls `each` with what is left of `whole` without `cuts`, which are in order of their beginnings.
template <class Each>
void without(time_span whole, const std::vector<time_span>& cuts, Each each) {
  for (const auto& cut : cuts) {
    if (cut.end <= whole.begin || cut.begin >= whole.end)
      continue;
    if (cut.begin > whole.begin)
      each(time_span{whole.begin, cut.begin});
    whole.begin = cut.end;
    if (whole.begin >= whole.end)
      return;
  }
  if (whole.begin < whole.end)
    each(whole);
}

/// When a server was not powered on, as far as that was seen.
std::vector<time_span> off_times(const std::vector<power_span>& power) {
  std::vector<time_span> off;
  for (auto one = power.begin(); one != power.end(); ++one) {
    if (one->is_on)
      continue;
    const auto next = std::next(one);
    const auto end_of_last_hour = hour_of(one->last_seen) + 1h;
    if (next == power.end()) {
      off.push_back({one->first_seen, end_of_last_hour});
    } else if (hour_of(next->first_seen) <= end_of_last_hour) {
      off.push_back({one->first_seen, next->first_seen});
    } else {
      off.push_back({one->first_seen, end_of_last_hour});
      off.push_back({hour_of(next->first_seen), next->first_seen});
    }
  }
  return off;
}

/// Splits what is paid for by the versions of the plans' terms.
class time_splitter {
public:
  time_splitter(const price_lists& prices, const std::vector<power_span>& power)
      : prices_(prices), off_(off_times(power)) {}

  void add(time_span paid, const plan_id& plan) {
    const auto& list = prices_.at(plan);
    auto version = std::upper_bound(list.begin(), list.end(), paid.begin,
                                    [](sys_seconds at, const price_version& v) { return at < v.valid_from; });
    if (version != list.begin())
      --version;
    while (paid.begin < paid.end) {
      const auto next = std::next(version);
      const auto end = next == list.end() ? paid.end : std::min(paid.end, next->valid_from);
      if (paid.begin < end)
        add({paid.begin, end}, plan, version->terms);
      paid.begin = std::max(paid.begin, end);
      version = next;
    }
  }

  billable_time take() && { return std::move(time_); }

private:
  void add(time_span paid, const plan_id& plan, const plan_terms& terms) {
    const auto index = index_of(plan, terms);
    const auto push = [&](time_span one) { time_.spans.push_back({one.begin, one.end, index}); };
    if (terms.basis == billing_basis::uptime)
      without(paid, off_, push);
    else
      push(paid);
  }

  std::size_t index_of(const plan_id& plan, const plan_terms& terms) {
    for (std::size_t i = 0; i < time_.versions.size(); ++i)
      if (time_.plans[i] == plan && time_.versions[i] == terms)
        return i;
    time_.versions.push_back(terms);
    time_.plans.push_back(plan);
    return time_.versions.size() - 1;
  }

  const price_lists& prices_;
  std::vector<time_span> off_;
  billable_time time_;
};

} // namespace

billable_time
billable_between(const server_life& life, const price_lists& prices, sys_seconds from, sys_seconds until) {
  time_splitter splitter{prices, life.power};
  for (auto one = life.changes.begin(); one != life.changes.end(); ++one) {
    if (!one->is_active)
      continue;
    const auto next = std::next(one);
    const time_span active{std::max(one->at, from),
                           next == life.changes.end() ? until : std::min(next->at, until)};
    if (active.begin < active.end)
      without(active, life.held, [&](time_span paid) { splitter.add(paid, one->plan); });
  }
  return std::move(splitter).take();
}

bool is_observed(const std::vector<power_span>& power, sys_seconds hour) {
  return std::any_of(power.begin(), power.end(), [&](const power_span& one) {
    return hour_of(one.first_seen) <= hour && hour <= hour_of(one.last_seen);
  });
}

hour_standing standing_after(const server_life& life, const price_lists& prices, sys_seconds hour) {
  const auto month = month_of(hour);
  const auto paid = billable_between(life, prices, month, hour + 1h);
  const auto standing = accrue_month(paid.versions, paid.spans, month, hour + 1h);
  hour_standing told;
  told.accrued = standing.accrued;
  told.seconds = std::accumulate(standing.seconds.begin(), standing.seconds.end(), std::int64_t{0});
  if (paid.spans.empty()) {
    told.plan = life.changes.back().plan;
    const auto& list = prices.at(told.plan);
    told.basis = list.back().terms.basis;
    return told;
  }
  const auto& last = paid.spans.back();
  told.plan = paid.plans[last.terms];
  told.basis = paid.versions[last.terms].basis;
  told.is_estimated = !is_observed(life.power, hour) &&
                      std::any_of(paid.spans.begin(), paid.spans.end(), [&](const billable_span& span) {
                        return span.end > hour && paid.versions[span.terms].basis == billing_basis::uptime;
                      });
  return told;
}

} // namespace skyengine
