#pragma once

#include "domain/clock.hpp"
#include "domain/error.hpp"
#include "domain/schedule.hpp"
#include "net/api/field_reader.hpp"

#include <boost/json/object.hpp>

#include <chrono>
#include <optional>

/// From the bodies about schedules to what is asked for: pure, and noting every fault. Spans are whole
/// seconds.
namespace skyengine::net::api {

/// Changes `what` as the body says. Whether the time zone is one is for the caller to tell.
void apply_patch(schedule& what, const boost::json::object& body, field_faults& faults);

/// For which time a run is asked: nullopt for now. A time that is yet to come is a fault.
std::optional<std::chrono::sys_seconds>
parse_run_request(const boost::json::object& body, instant now, field_faults& faults);

struct backfill_request {
  /// Both are in the range.
  std::chrono::sys_seconds from;
  std::chrono::sys_seconds to;
  backfill_rule which = backfill_rule::missing;
  bool is_dry_run = false;
};
backfill_request parse_backfill(const boost::json::object& body, instant now, field_faults& faults);

} // namespace skyengine::net::api
