#pragma once

#include "actors/saga_run.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace skyengine::actors {

/// So often a call may not fit the server's state, though the server does not look as wanted.
constexpr int most_control_conflicts = 3;

/// What suspend, unsuspend and resize have in common: their calls are safe to repeat, so each try begins with
/// a look at the server, and gives way to a delete at once.
class control_saga : public saga_run {
public:
  using saga_run::saga_run;

protected:
  using looked = std::optional<vf::call_result<vf::server_record>>;

  bool may_give_way() const noexcept override { return true; }
  awaitable<std::optional<action_id>> give_way() override { return hand_over(true); }
  void on_loaded() override;

  /// What `seen` does not tell of what this saga decides by; empty when it tells all of it.
  virtual std::string_view untold_in(const vf::server_record& seen) const = 0;

  /// The server, surely ours; asked for until VirtFusion has answered one way or the other with all that is
  /// to be known, and where a call may have been sent until it is told. nullopt when stopped, or nudged to
  /// look what is wanted.
  awaitable<looked> look();
  /// The server with what its hypervisor says of it; asked for once, nullopt when it does not tell whether it
  /// runs.
  awaitable<std::optional<vf::server_record>> look_live();

  /// What a call brought that is looked at next; anything else ends the saga.
  enum class sent : std::uint8_t {
    /// VirtFusion has taken it, or may have.
    maybe_done,
    surely_not_done,
    /// It does not fit the server's state: look.
    does_not_fit,
    refused,
  };
  sent judge(const std::optional<vf::call_failure>& failed);
  /// Notes that a call has left that may take effect for a settle time.
  void note_sent() { settled_ = now() + services_.options.settle; }
  /// Waits until a call of unknown outcome that was repeated cannot take effect any more: it might undo what
  /// comes next. False when stopped, or nudged.
  awaitable<bool> wait_out_repeats();
  /// Nothing that was sent, by this run or an earlier one, can still take effect.
  bool is_settled() const { return now() >= settled_; }
  std::chrono::milliseconds until_settled() const;

  /// For a call that changes something.
  call_options sending() const;

  enum class power_end : std::uint8_t { as_wanted, refused, unanswered, not_in_time, interrupted };
  /// Asks for power on or off, again with each look that shows it otherwise, for `span`.
  awaitable<power_end> bring_power(power_state wanted, std::chrono::milliseconds span, bool insists);

  awaitable<outcome> commit(db::control_change change);
  /// Ends the action as failed; the server stays what it is.
  awaitable<outcome> fail(error why, std::optional<power_state> power = std::nullopt);
  /// What `record` says that ends the action: it is gone, another's, or cannot be looked at.
  awaitable<outcome> fail_unseen(vf::call_failure why);
  /// Why no call is sent any more, once VirtFusion has refused one for good or an operator has given up: what
  /// was sent before may take effect all the same.
  const std::optional<error>& ending();
  static error abandoned() { return {errc::conflict, "an operator abandoned it"}; }

  /// An alert in the log and in the outbox.
  awaitable<void> raise(std::string kind, std::string_view what, std::string why);
  /// Raises an alert when this run goes on for so long that an operator should know; once.
  awaitable<void> tell_overdue(std::string why);
  /// Says why something is tried again, tells who should know, and waits; false when stopped, or nudged.
  awaitable<bool> try_again_after(vf::call_failure failed, int failures, std::string_view what);
  /// `suspend.after_call` of this saga's kind.
  void pass(std::string_view point) const;

  /// The one in the outbox.
  awaitable<void> note_alert(std::string kind, std::string why);

  /// A call may have been sent whose outcome only a look tells.
  bool may_have_sent() const noexcept {
    return state_.action.step != saga_step::begin && state_.action.step != saga_step::power_off;
  }

  virtfusion_server_id id() const { return *state_.server.virtfusion_id; }

  // As `ending` has it.
  std::optional<error> ending_;

private:
  /// Whether a look that failed so is an answer. That a server cannot be seen says nothing of what was sent.
  bool is_answer(vf::call_failure::kind failed) const;

  runtime::steady_time settled_{};
  // A call of unknown outcome may take effect until then.
  runtime::steady_time unknown_until_{};
  int calls_ = 0;
  runtime::steady_time overdue_{};
  bool is_overdue_told_ = false;
  int conflicts_ = 0;
};

std::unique_ptr<saga_run>
make_suspend_saga(saga_services& services, action_id action, std::shared_ptr<saga_control> control);
std::unique_ptr<saga_run>
make_unsuspend_saga(saga_services& services, action_id action, std::shared_ptr<saga_control> control);
std::unique_ptr<saga_run>
make_resize_saga(saga_services& services, action_id action, std::shared_ptr<saga_control> control);

} // namespace skyengine::actors
