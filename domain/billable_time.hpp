#pragma once

#include "domain/ids.hpp"
#include "domain/rating.hpp"

#include <chrono>
#include <map>
#include <vector>

/// For which time a server is paid for, and on which terms, from what is known of it.
namespace skyengine {

/// [begin, end).
struct time_span {
  std::chrono::sys_seconds begin;
  std::chrono::sys_seconds end;

  friend bool operator==(const time_span&, const time_span&) = default;
};

/// From `at` on, until the next one.
struct life_change {
  std::chrono::sys_seconds at;
  /// Only `active` is paid for.
  bool is_active = false;
  plan_id plan;
};

/// What was seen of a server's power: the same at each of several looks. Each clock hour from the one of
/// `first_seen` to the one of `last_seen` had a look.
struct power_span {
  std::chrono::sys_seconds first_seen;
  std::chrono::sys_seconds last_seen;
  bool is_on = false;
};

/// All that decides for which time a server is paid for. Each list in order of time.
struct server_life {
  std::vector<life_change> changes;
  /// Holds that are open or written off; they may overlap.
  std::vector<time_span> held;
  /// Of servers that are charged by uptime.
  std::vector<power_span> power;
};

/// Terms of a plan and from which full hour on they hold; the first ones hold from the beginning.
struct price_version {
  std::chrono::sys_seconds valid_from;
  plan_terms terms;
};
/// In order of time, never empty.
using price_list = std::vector<price_version>;
using price_lists = std::map<plan_id, price_list>;

/// What a server is paid for, as `accrue_month` takes it.
struct billable_time {
  std::vector<plan_terms> versions;
  /// By version.
  std::vector<plan_id> plans;
  std::vector<billable_span> spans;
};

/// What is paid for of [from, until).
///
/// Of `uptime` terms: what was seen counts until the next look; an hour without one is paid for, and so is
/// what was before the first look.
billable_time billable_between(const server_life& life,
                               const price_lists& prices,
                               std::chrono::sys_seconds from,
                               std::chrono::sys_seconds until);

/// Whether there was a look at the server's power in the clock hour that begins with `hour`.
bool is_observed(const std::vector<power_span>& power, std::chrono::sys_seconds hour);

/// What one server's month has come to by the end of one of its hours, and how that hour is told.
struct hour_standing {
  money accrued;
  std::int64_t seconds = 0;
  /// Terms of what was paid for last in the month; those of the present plan where nothing was.
  plan_id plan;
  billing_basis basis = billing_basis::allocated;
  /// Something of the hour is charged as allocated, since nobody could see the server's power.
  bool is_estimated = false;
};

/// The month of `hour`, which is a full one, by its end.
hour_standing
standing_after(const server_life& life, const price_lists& prices, std::chrono::sys_seconds hour);

} // namespace skyengine
