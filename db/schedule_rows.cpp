#include "db/schedule_rows.hpp"

namespace skyengine::db {

schedule to_schedule(const row& r) {
  schedule one;
  one.id = r.get<schedule_id>("id");
  one.name = r.get<std::string>("name");
  one.handler = r.get<std::string>("handler");
  one.expression = r.get<std::string>("expression");
  one.timezone = r.get<std::string>("timezone");
  one.is_paused = r.get<bool>("paused");
  one.note = r.find<std::string>("note");
  one.catch_up = parse_catch_up_rule(r.get<std::string_view>("catch_up")).value();
  one.catch_up_window = std::chrono::seconds{r.get<std::int64_t>("catch_up_window")};
  one.overlap = parse_overlap_rule(r.get<std::string_view>("overlap")).value();
  one.timeout = std::chrono::seconds{r.get<std::int64_t>("timeout")};
  one.jitter = std::chrono::seconds{r.get<std::int64_t>("jitter")};
  one.retries = static_cast<int>(r.get<std::int64_t>("retries"));
  one.alert_after = static_cast<int>(r.get<std::int64_t>("alert_after"));
  if (const auto limit = r.find<std::int64_t>("pause_after"))
    one.pause_after = static_cast<int>(*limit);
  one.failures = static_cast<int>(r.get<std::int64_t>("failures"));
  if (const auto next = r.find<std::int64_t>("next_at"))
    one.next_at = seconds_in(*next);
  one.version = r.get<std::int64_t>("version");
  return one;
}

schedule_run to_run(const row& r) {
  schedule_run one;
  one.id = r.get<run_id>("run_id");
  one.schedule = r.get<schedule_id>("schedule_id");
  one.scheduled_at = seconds_in(r.get<std::int64_t>("scheduled_at"));
  one.state = parse_run_state(r.get<std::string_view>("state")).value();
  one.is_manual = r.get<bool>("manual");
  one.attempts = static_cast<int>(r.get<std::int64_t>("attempts"));
  one.interruptions = static_cast<int>(r.get<std::int64_t>("interruptions"));
  one.node = r.find<std::string>("node");
  one.started_at = r.find<instant>("started_at");
  one.ended_at = r.find<instant>("ended_at");
  one.not_before = r.find<instant>("not_before");
  one.figures = r.get<std::string>("figures");
  if (const auto code = r.find<std::string_view>("error_code"))
    one.failure = error{to_errc(*code), r.find<std::string>("error_detail").value_or("")};
  return one;
}

} // namespace skyengine::db
