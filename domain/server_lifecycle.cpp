#include "domain/server_lifecycle.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>

namespace skyengine {

namespace {

// In the order of their enumerations.
constexpr auto states = std::to_array<std::string_view>(
  {"requested", "creating", "building", "active", "failed", "suspended", "deleting", "deleted"});
constexpr auto powers = std::to_array<std::string_view>({"unknown", "on", "off"});
constexpr auto actions = std::to_array<std::string_view>({"boot", "shutdown", "restart", "poweroff"});
static_assert(states.size() == static_cast<std::size_t>(server_state::deleted) + 1);
static_assert(powers.size() == static_cast<std::size_t>(power_state::off) + 1);
static_assert(actions.size() == static_cast<std::size_t>(power_action::poweroff) + 1);

template <class Enum, std::size_t N>
std::optional<Enum> find(const std::array<std::string_view, N>& names, std::string_view text) {
  const auto* const found = std::find(names.begin(), names.end(), text);
  if (found == names.end())
    return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

bool is_one_of(server_state state, std::initializer_list<server_state> set) {
  return std::find(set.begin(), set.end(), state) != set.end();
}

} // namespace

std::string_view to_string(server_state state) noexcept {
  return states[static_cast<std::size_t>(state)];
}

std::optional<server_state> parse_server_state(std::string_view text) noexcept {
  return find<server_state>(states, text);
}

bool may_become(server_state from, server_state to) noexcept {
  using enum server_state;
  switch (from) {
  case requested:
    // A delete that comes before the first call to VirtFusion ends the server with nothing to delete there.
    return is_one_of(to, {creating, failed, deleting, deleted});
  case creating:
    return is_one_of(to, {building, failed, deleting, deleted});
  case building:
    return is_one_of(to, {active, failed, deleting});
  case active:
    return is_one_of(to, {suspended, deleting});
  case suspended:
    return is_one_of(to, {active, deleting});
  case failed:
    return is_one_of(to, {deleting});
  case deleting:
    // Back, when VirtFusion refuses the delete and an operator has abandoned it.
    return is_one_of(to, {active, suspended, deleted});
  case deleted:
    return false;
  }
  return false;
}

std::string_view to_string(power_state state) noexcept {
  return powers[static_cast<std::size_t>(state)];
}

std::optional<power_state> parse_power_state(std::string_view text) noexcept {
  return find<power_state>(powers, text);
}

std::string_view to_string(power_action action) noexcept {
  return actions[static_cast<std::size_t>(action)];
}

std::optional<power_action> parse_power_action(std::string_view text) noexcept {
  return find<power_action>(actions, text);
}

} // namespace skyengine
