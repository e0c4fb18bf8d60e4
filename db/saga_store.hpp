#pragma once

#include "db/database.hpp"
#include "domain/action.hpp"
#include "domain/server.hpp"
#include "domain/server_resources.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace skyengine::db {

/// Real time, for what waits across restarts; business time is `instant` from the engine's clock.
using real_time = std::chrono::sys_time<std::chrono::microseconds>;

/// The row that a step is decided on: it is written only over this version, by the holder of this token.
struct saga_ref {
  action_id action;
  std::int64_t version = 0;
  std::int64_t token = 0;
};

/// One `POST /servers`, as its row has it.
struct create_attempt {
  int number = 1;
  virtfusion_server_id mark;
};

/// What attempt `number` asks VirtFusion for.
struct attempt_order {
  int number = 1;
  /// The owner, noted with the user of ours; nullopt when that was done before.
  std::optional<virtfusion_user_id> new_user;
  package_id package;
  hypervisor_group_id group;
  /// What the package has; nullopt when VirtFusion does not tell.
  std::optional<server_resources> resources;
};

/// All that a saga needs to know to go on from its last committed step.
struct saga_state {
  skyengine::action action;
  skyengine::server server;
  std::int64_t token = 0;
  package_id package;
  hypervisor_group_id group;
  std::vector<std::int64_t> plan_os_templates;
  std::string user_name;
  std::string user_email;
  std::optional<virtfusion_user_id> virtfusion_user;
  /// The unresolved attempt, while there is one.
  std::optional<create_attempt> attempt;
  /// An operator has given the action up.
  bool abandon_requested = false;
  /// When the call that a suspension counts from was sent; nullopt before.
  std::optional<instant> sent_at;
  /// What a resize leads to.
  std::optional<plan_id> to_plan;
  std::optional<package_id> to_package;
  /// The server is booted when its suspension is lifted.
  bool boots_unsuspended = false;

  saga_ref ref() const { return {action.id, action.version, token}; }
};

/// When the second look at an attempt that ends now may come: everything that was sent by `from` has had its
/// time `settle` later.
struct settling {
  real_time from;
  std::chrono::milliseconds settle{};
};

/// One committed step: what becomes of the action, its server and its open attempt, and the event that tells.
struct saga_change {
  saga_step step = saga_step::done;
  action_state state = action_state::running;
  server_state server = server_state::creating;
  /// Type of the event; nullopt writes none.
  std::optional<std::string> event;
  /// A JSON object.
  std::string detail = "{}";
  /// Refused when the server's delete was asked for.
  bool yields_to_delete = false;
  /// Refused when an operator has given the action up.
  bool yields_to_abandon = false;
  /// Counts one more build.
  bool counts_build = false;
  std::optional<error> failure;
  /// What became of the open attempt: `made`, `adopted`, `refused`.
  std::optional<std::string> attempt_ends;
  std::optional<virtfusion_server_id> virtfusion_id;
  std::optional<std::vector<std::string>> ipv4;
  std::optional<std::vector<std::string>> ipv6;
  std::optional<power_state> power;
};

/// One committed step of a suspend, an unsuspend or a resize. What is nullopt stays as it is.
struct control_change {
  saga_step step = saga_step::done;
  action_state state = action_state::running;
  std::optional<server_state> server;
  std::optional<error> failure;
  /// Business time at which the call is about to be sent.
  std::optional<instant> sent_at;
  std::optional<power_state> power;
  std::optional<bool> boots_unsuspended;
  /// Moves the server to the plan that the resize leads to.
  bool changes_plan = false;
  /// Type of the event; nullopt writes none.
  std::optional<std::string> event;
  /// What the event says happened then, at the earliest when the one before it did; nullopt: now.
  std::optional<instant> event_at;
};

/// A repeat whose possible extras are to be looked for.
struct second_look {
  action_id action;
  int number = 1;
  user_id user;
  virtfusion_user_id virtfusion_user;
  virtfusion_server_id mark;
  package_id package;
  hypervisor_group_id group;
  /// How many extras may still be deleted: one for each repeat of the action, less those that are gone.
  int extras_left = 0;
  /// The extra that an earlier look had begun to delete, and did not see gone.
  std::optional<virtfusion_server_id> extra;
};

/// Moves sagas on: compare-and-set on version and fencing token, each method one statement.
/// Where a method answers false, the row has moved on without the caller, or what it yields to (a delete that
/// waits, an operator who gave up) has come: load it again to learn which. errc::database_unavailable leaves
/// open whether the step was written: load it again too.
class saga_store {
public:
  explicit saga_store(database& db) : db_(db) {}

  /// errc::not_found when there is no such action.
  asio::awaitable<result<saga_state>> load(action_id id);

  asio::awaitable<result<bool>> advance(saga_ref ref, saga_change change, settling looks, instant now);

  /// `detail` of the errc::conflict that says so.
  static constexpr std::string_view place_taken = "one_unresolved_attempt";
  static constexpr std::string_view owner_taken = "users_virtfusion_user_id_key";

  /// Opens an attempt (the one before it, when there is one, is lost, and is followed by a second look
  /// at `second_look_at`); yields to deletes and to operators who gave up. errc::conflict while another
  /// attempt of this user is unresolved, or when the owner is noted with another user.
  asio::awaitable<result<bool>> open_attempt(saga_ref ref,
                                             attempt_order order,
                                             real_time sent_at,
                                             std::optional<real_time> second_look_at,
                                             instant now);

  /// Moves a suspend, an unsuspend or a resize on; refused when the server's delete was asked for.
  asio::awaitable<result<bool>> advance_control(saga_ref ref, control_change change, instant now);

  /// Ends an action that a delete overtakes: it has failed, the waiting delete runs. Answers its id.
  /// `is_resolved`: the open attempt, where there is one, has surely made nothing.
  asio::awaitable<result<std::optional<action_id>>>
  give_way(saga_ref ref, bool is_resolved, settling looks, instant now);

  /// Ends a delete that an operator gave up: the action has failed with `why`, the server is what it was
  /// before.
  asio::awaitable<result<bool>> abandon_delete(saga_ref ref, error why, instant now);

  /// Puts an alert about an action's server into the outbox, once for each action and kind.
  asio::awaitable<result<>> raise_alert(saga_state about, std::string kind, std::string why, instant now);

  struct running_action {
    action_id action;
    server_id server;
    action_kind kind;
    /// How often its node was called on to look at it again: by an operator, by a delete that waits.
    std::int64_t calls;
  };
  /// Takes over every running action whose node no longer holds its lease; answers all actions that `token`
  /// runs. A call that such a node sent may be under way for `call_timeout` from then.
  asio::awaitable<result<std::vector<running_action>>> take_over(std::int64_t token,
                                                                 std::chrono::milliseconds call_timeout);

  /// Those of `ids` that a server of ours has.
  asio::awaitable<result<std::vector<std::int64_t>>> known_ids(std::vector<std::int64_t> ids);
  /// Those of `ids` that no create may adopt: known, or named as an extra.
  asio::awaitable<result<std::vector<std::int64_t>>> claimed_ids(std::vector<std::int64_t> ids);

  /// What the package had when each of the action's attempts was sent, as far as that was known.
  asio::awaitable<result<std::vector<server_resources>>> resources_sent(action_id action);

  /// Takes the user's place among the attempts for one second look that is due; nullopt when none is, or the
  /// places are taken. A look that was left unfinished is due at once: `token` has at most one under way.
  asio::awaitable<result<std::optional<second_look>>> claim_second_look(real_time now, std::int64_t token);
  /// Committed before an extra is deleted, so that whoever looks next goes on with that one. All of these
  /// answer false when the look is no longer `token`'s.
  asio::awaitable<result<bool>>
  name_extra(action_id action, int number, std::int64_t token, virtfusion_server_id extra);
  /// The named extra is gone from VirtFusion, or is (`is_gone` false) no extra any more.
  asio::awaitable<result<bool>> settle_extra(action_id action, int number, std::int64_t token, bool is_gone);
  /// Gives the user's place back, and has the look come again at `when`.
  asio::awaitable<result<bool>>
  postpone_second_look(action_id action, int number, std::int64_t token, real_time when);
  asio::awaitable<result<bool>> finish_second_look(action_id action, int number, std::int64_t token);

private:
  database& db_;
};

} // namespace skyengine::db
