#include "domain/schedule.hpp"

#include "domain/enum_names.hpp"

#include <algorithm>

namespace skyengine {

namespace {

constexpr auto catch_up_names = names_up_to<catch_up_rule::none>("all", "latest", "none");
constexpr auto overlap_names = names_up_to<overlap_rule::allow>("skip", "queue", "allow");
constexpr auto backfill_names = names_up_to<backfill_rule::all>("missing", "failed", "all");
constexpr auto run_state_names = names_up_to<run_state::skipped>(
  "queued", "running", "succeeded", "failed", "timed_out", "cancelled", "skipped");

} // namespace

std::string_view to_string(catch_up_rule rule) noexcept {
  return catch_up_names.name(rule);
}

std::optional<catch_up_rule> parse_catch_up_rule(std::string_view text) noexcept {
  return catch_up_names.find(text);
}

std::string_view to_string(overlap_rule rule) noexcept {
  return overlap_names.name(rule);
}

std::optional<overlap_rule> parse_overlap_rule(std::string_view text) noexcept {
  return overlap_names.find(text);
}

std::string_view to_string(run_state state) noexcept {
  return run_state_names.name(state);
}

std::optional<run_state> parse_run_state(std::string_view text) noexcept {
  return run_state_names.find(text);
}

std::string_view to_string(backfill_rule rule) noexcept {
  return backfill_names.name(rule);
}

std::optional<backfill_rule> parse_backfill_rule(std::string_view text) noexcept {
  return backfill_names.find(text);
}

std::chrono::seconds retry_delay(int attempts) noexcept {
  constexpr std::chrono::seconds first{30};
  constexpr std::chrono::seconds longest{3'600};
  return std::min(longest, first * (1 << std::clamp(attempts - 1, 0, 10)));
}

} // namespace skyengine
