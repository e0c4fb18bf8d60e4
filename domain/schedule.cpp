#include "domain/schedule.hpp"

#include <algorithm>
#include <array>

namespace skyengine {

namespace {

// By the enumerators' values.
constexpr std::array<std::string_view, 3> catch_up_names{"all", "latest", "none"};
constexpr std::array<std::string_view, 3> overlap_names{"skip", "queue", "allow"};
constexpr std::array<std::string_view, 3> backfill_names{"missing", "failed", "all"};
constexpr std::array<std::string_view, 7> run_state_names{"queued",    "running",   "succeeded", "failed",
                                                          "timed_out", "cancelled", "skipped"};

template <class E, class Names>
std::optional<E> find(const Names& names, std::string_view text) noexcept {
  const auto found = std::find(names.begin(), names.end(), text);
  return found == names.end() ? std::nullopt : std::optional{static_cast<E>(found - names.begin())};
}

} // namespace

std::string_view to_string(catch_up_rule rule) noexcept {
  return catch_up_names[static_cast<std::size_t>(rule)];
}

std::optional<catch_up_rule> parse_catch_up_rule(std::string_view text) noexcept {
  return find<catch_up_rule>(catch_up_names, text);
}

std::string_view to_string(overlap_rule rule) noexcept {
  return overlap_names[static_cast<std::size_t>(rule)];
}

std::optional<overlap_rule> parse_overlap_rule(std::string_view text) noexcept {
  return find<overlap_rule>(overlap_names, text);
}

std::string_view to_string(run_state state) noexcept {
  return run_state_names[static_cast<std::size_t>(state)];
}

std::optional<run_state> parse_run_state(std::string_view text) noexcept {
  return find<run_state>(run_state_names, text);
}

std::string_view to_string(backfill_rule rule) noexcept {
  return backfill_names[static_cast<std::size_t>(rule)];
}

std::optional<backfill_rule> parse_backfill_rule(std::string_view text) noexcept {
  return find<backfill_rule>(backfill_names, text);
}

std::chrono::seconds retry_delay(int attempts) noexcept {
  constexpr std::chrono::seconds first{30};
  constexpr std::chrono::seconds longest{3'600};
  return std::min(longest, first * (1 << std::clamp(attempts - 1, 0, 10)));
}

} // namespace skyengine
