#include "domain/server_lifecycle.hpp"

#include "domain/enum_names.hpp"

#include <algorithm>
#include <initializer_list>

namespace skyengine {

namespace {

constexpr auto states = names_up_to<server_state::deleted>(
  "requested", "creating", "building", "active", "failed", "suspended", "deleting", "deleted");
constexpr auto powers = names_up_to<power_state::off>("unknown", "on", "off");
constexpr auto actions = names_up_to<power_action::poweroff>("boot", "shutdown", "restart", "poweroff");

bool is_one_of(server_state state, std::initializer_list<server_state> set) {
  return std::find(set.begin(), set.end(), state) != set.end();
}

} // namespace

std::string_view to_string(server_state state) noexcept {
  return states.name(state);
}

std::optional<server_state> parse_server_state(std::string_view text) noexcept {
  return states.find(text);
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
    // At once, when it is gone from VirtFusion and an operator has said that it is not to come back.
    return is_one_of(to, {suspended, deleting, deleted});
  case suspended:
    return is_one_of(to, {active, deleting, deleted});
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
  return powers.name(state);
}

std::optional<power_state> parse_power_state(std::string_view text) noexcept {
  return powers.find(text);
}

std::string_view to_string(power_action action) noexcept {
  return actions.name(action);
}

std::optional<power_action> parse_power_action(std::string_view text) noexcept {
  return actions.find(text);
}

} // namespace skyengine
