#pragma once

#include "domain/error.hpp"
#include "domain/ids.hpp"
#include "domain/server_lifecycle.hpp"
#include "domain/server_resources.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Where VirtFusion and our record of a server say different things, and what follows from it.
namespace skyengine {

enum class drift_kind : std::uint8_t {
  /// VirtFusion has no such server any more.
  gone,
  /// It belongs to another user there.
  owner,
  /// It has other resources than its plan.
  package,
  /// Suspended there, active here.
  suspended,
  /// Suspended here; there it is not, or its machine runs.
  running,
  /// A server there that nobody here knows.
  unknown,
};

std::string_view to_string(drift_kind kind) noexcept;
std::optional<drift_kind> parse_drift_kind(std::string_view text) noexcept;

/// Whether a server's time is not charged while it is so.
bool holds_billing(drift_kind kind) noexcept;

enum class drift_state : std::uint8_t {
  open,
  /// An operator has decided.
  resolved,
  /// Both say the same again.
  vanished,
};

std::string_view to_string(drift_state state) noexcept;
std::optional<drift_state> parse_drift_state(std::string_view text) noexcept;

/// What an operator can do about it.
enum class drift_way : std::uint8_t {
  /// The unknown server becomes ours.
  adopt,
  /// Let it be so, and say no more of it.
  ignore,
  /// The unknown server is deleted in VirtFusion; of a server that is gone, our record ends.
  delete_server,
  /// Our record becomes what VirtFusion says.
  take_over,
};

/// `adopt`, `ignore`, `delete`, `take_over`
std::string_view to_string(drift_way way) noexcept;
std::optional<drift_way> parse_drift_way(std::string_view text) noexcept;

/// errc::conflict, with what to do instead, when `kind` is not to be resolved like that.
result<> check_way(drift_kind kind, drift_way way);

/// Our record of a server that is active or suspended and has no action under way.
struct drift_subject {
  user_id user;
  /// What VirtFusion calls that user; nothing where we have not learned it.
  std::optional<virtfusion_user_id> owner;
  bool is_suspended = false;
  /// It may have any of these; empty: nothing is known.
  std::vector<server_resources> resources = {};
  /// Disks never shrink: what it had before a smaller package it may keep.
  std::int64_t kept_storage_gb = 0;
};

/// What VirtFusion said of a server. What it did not tell is nothing, and is judged as nothing.
struct drift_sight {
  std::optional<virtfusion_user_id> owner;
  struct relation {
    /// Ours; nothing for a user that is none of ours.
    std::optional<user_id> user;
  };
  /// What the owner is to us: it decides, where it is told.
  std::optional<relation> owner_relation = {};
  std::optional<bool> is_suspended;
  std::optional<bool> is_running = {};
  std::optional<server_resources> resources = {};
};

/// What a sight says about one kind of drift.
struct drift_verdict {
  drift_kind kind = drift_kind::gone;
  bool is_right = false;
  /// What is wrong, in words that stay the same as long as it is wrong in the same way. Of a right one: it
  /// speaks of that alone; empty: of whatever was wrong.
  std::string seen = {};
  friend bool operator==(const drift_verdict&, const drift_verdict&) = default;
};

/// At most one verdict a kind; none where the sight does not tell. A server that was seen is not gone.
std::vector<drift_verdict> judge(const drift_subject& ours, const drift_sight& sight);

/// What a server that nobody knows is told by.
std::string seen_owner(virtfusion_user_id owner);
/// `2048 MB, 40 GB, 2000 GB traffic, 2 cores`
std::string seen_resources(const server_resources& has);
inline constexpr std::string_view seen_suspended = "suspended";
inline constexpr std::string_view seen_not_suspended = "not suspended";
inline constexpr std::string_view seen_running = "suspended, but its machine runs";
inline constexpr std::string_view seen_nowhere = "server not found";

} // namespace skyengine
