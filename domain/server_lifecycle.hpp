#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace skyengine {

/// Where a server is in its life, as rows, events and the API have it.
enum class server_state : std::uint8_t {
  /// Stored, nothing asked of VirtFusion yet.
  requested,
  /// `POST /servers` is under way or its outcome unknown.
  creating,
  /// VirtFusion has it and installs it.
  building,
  active,
  /// No server came of it; nothing is left in VirtFusion. The end, unless its record is deleted.
  failed,
  suspended,
  /// A delete was accepted; nothing else happens to it any more.
  deleting,
  /// VirtFusion says that it is gone, or none was ever made. The end.
  deleted,
};

std::string_view to_string(server_state state) noexcept;
/// nullopt for a text that is no state.
std::optional<server_state> parse_server_state(std::string_view text) noexcept;

/// Whether a server in `from` may go to `to` in one step. Staying is no step.
bool may_become(server_state from, server_state to) noexcept;

/// What was last seen of a server's power.
enum class power_state : std::uint8_t { unknown, on, off };

std::string_view to_string(power_state state) noexcept;
std::optional<power_state> parse_power_state(std::string_view text) noexcept;

/// What may be asked of a server's power, by VirtFusion's names.
enum class power_action : std::uint8_t { boot, shutdown, restart, poweroff };

std::string_view to_string(power_action action) noexcept;
std::optional<power_action> parse_power_action(std::string_view text) noexcept;

} // namespace skyengine
