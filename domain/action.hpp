#pragma once

#include "domain/clock.hpp"
#include "domain/error.hpp"
#include "domain/ids.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace skyengine {

/// What is being done to a server: a saga, whose row this is.
enum class action_kind : std::uint8_t {
  create,
  remove,
  suspend,
  unsuspend,
  /// Another plan.
  resize,
};
std::string_view to_string(action_kind kind) noexcept;
std::optional<action_kind> parse_action_kind(std::string_view text) noexcept;

enum class action_state : std::uint8_t {
  /// Waits for the server's running action to give way.
  pending,
  running,
  succeeded,
  failed,
};
std::string_view to_string(action_state state) noexcept;
std::optional<action_state> parse_action_state(std::string_view text) noexcept;
constexpr bool is_over(action_state state) noexcept {
  return state >= action_state::succeeded;
}

/// The committed steps of sagas, of each kind in the order in which it passes them.
enum class saga_step : std::uint8_t {
  /// Nothing outside has happened. A create ensures the VirtFusion user, any other looks whose server it is.
  begin,
  /// An attempt's row is committed: its POST may have been sent.
  attempt,
  /// VirtFusion has the server, and its id is ours.
  made,
  /// A build is committed: its call may have been sent.
  build,
  /// VirtFusion has taken the build; wait for it.
  building,
  /// The build failed for good: remove the server from VirtFusion, then fail.
  cleanup,
  /// Delete: the call may have been sent; wait until the server is gone.
  remove,
  /// Suspend: the machine may have been powered off; wait until it has stopped.
  power_off,
  /// The call may have been sent, at the time that the row has; wait until VirtFusion says that it is
  /// suspended.
  suspend,
  /// It is suspended; wait until it has stopped.
  stop,
  /// Unsuspend: the call may have been sent; wait until VirtFusion says that it is not suspended any more.
  unsuspend,
  /// It is active again; wait until it runs.
  boot,
  /// Resize: the call may have been sent; wait until the server has what the new plan gives.
  change,
  done,
};
std::string_view to_string(saga_step step) noexcept;
std::optional<saga_step> parse_saga_step(std::string_view text) noexcept;

/// How far along a step is, in percent, for people who wait.
int progress_of(saga_step step) noexcept;

struct action {
  action_id id;
  action_kind kind = action_kind::create;
  server_id server;
  action_state state = action_state::pending;
  saga_step step = saga_step::begin;
  std::int64_t version = 1;
  int builds = 0;
  std::optional<error> failure;
  /// `operator`, `user:<id>` or `spending_limit`.
  std::string requested_by;
  std::string request_id;
  instant created_at;
  std::optional<instant> finished_at;
};

} // namespace skyengine
