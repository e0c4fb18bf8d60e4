#include "tests/simulator/faults.hpp"

#include "tests/simulator/randomness.hpp"

#include <array>
#include <utility>

namespace skyengine::simulator {
namespace {

constexpr std::array<std::pair<std::string_view, fault_kind>, 13> names{
  {{"delay", fault_kind::delay},
   {"status", fault_kind::status},
   {"rate_limit", fault_kind::rate_limit},
   {"lost_answer", fault_kind::lost_answer},
   {"late_effect", fault_kind::late_effect},
   {"reset", fault_kind::reset},
   {"truncate", fault_kind::truncate},
   {"malformed", fault_kind::malformed},
   {"trickle", fault_kind::trickle},
   {"stall", fault_kind::stall},
   {"build_fails", fault_kind::build_fails},
   {"suspend_leaves_running", fault_kind::suspend_leaves_running},
   {"stale_list", fault_kind::stale_list}}};

/// Some faults mean something to certain operations alone; under `*` they leave the others in peace.
bool makes_sense(fault_kind kind, std::string_view operation) {
  switch (kind) {
  case fault_kind::build_fails:
    return operation == "POST /servers/{serverId}/build";
  case fault_kind::suspend_leaves_running:
    return operation == "POST /servers/{serverId}/suspend";
  case fault_kind::stale_list:
    return operation == "GET /servers" || operation == "GET /servers/user/{userId}";
  default:
    return true;
  }
}

} // namespace

std::optional<fault_kind> parse_fault_kind(std::string_view name) noexcept {
  for (const auto& [text, kind] : names)
    if (text == name)
      return kind;
  return {};
}

std::string_view to_string(fault_kind kind) noexcept {
  for (const auto& [text, known] : names)
    if (known == kind)
      return text;
  return {};
}

drawn_faults fault_plan::draw(std::string_view operation, std::optional<std::int64_t> hypervisor) {
  drawn_faults result;
  for (auto& [what, hits] : entries_) {
    const bool fits =
      (what.operation == "*" || what.operation == operation) && makes_sense(what.kind, operation);
    if (what.hypervisor && what.hypervisor != hypervisor)
      continue;
    if (!fits || (what.count && static_cast<std::int64_t>(hits) >= *what.count))
      continue;
    if (what.share < 1 && fraction(random_()) >= what.share)
      continue;
    const auto earlier = hits++;
    if (what.kind != fault_kind::delay) {
      result.hit = what;
      result.earlier_hits = earlier;
      return result;
    }
    result.delay += what.delay.value_or(std::chrono::milliseconds{0});
  }
  return result;
}

} // namespace skyengine::simulator
