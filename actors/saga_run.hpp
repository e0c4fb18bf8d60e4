#pragma once

#include "actors/saga_base.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

namespace skyengine::actors {

/// What only an operator can mend is looked at again after this.
constexpr std::chrono::seconds operator_pause{60};

/// What came of one step's effect.
enum class outcome : std::uint8_t {
  /// The state in memory is the next committed one.
  advanced,
  /// The row may have moved on without us: read it again.
  reload,
  /// Stopped, or a nudge came: look what is wanted.
  interrupted,
};

/// One run of a saga: its row, from its last committed step until it is over, stopped, or another node's.
class saga_run : protected saga_base {
public:
  saga_run(saga_services& services, action_id action, std::shared_ptr<saga_control> control)
      : saga_base(services, std::move(control)), action_(action) {}
  virtual ~saga_run() = default;
  saga_run(const saga_run&) = delete;
  saga_run& operator=(const saga_run&) = delete;

  /// Answers the action to go on with: the delete that it gave way to.
  awaitable<std::optional<action_id>> run();

protected:
  /// Goes on from the last committed step.
  virtual awaitable<outcome> step() = 0;
  /// Whether the delete that waits may begin now.
  virtual bool may_give_way() const noexcept { return false; }
  /// Ends the saga in favour of the delete that waits; nullopt when the row is to be read again.
  virtual awaitable<std::optional<action_id>> give_way() { co_return std::nullopt; }
  /// What `give_way` is made of. `is_resolved`: the create's open attempt has surely made nothing.
  awaitable<std::optional<action_id>> hand_over(bool is_resolved);
  /// Whether what an operator gave up may be ended now.
  virtual bool may_abandon() const noexcept { return false; }
  virtual awaitable<outcome> abandon() { co_return outcome::reload; }
  /// The row was read.
  virtual void on_loaded() {}
  /// The row says that it is over.
  virtual void on_over() {}

  /// False when the saga is not ours any more, or stopped.
  awaitable<bool> load();
  /// Commits `change` over the state that it was decided on, and follows it in memory.
  awaitable<outcome> commit(db::saga_change change);
  /// What a commit that came to `moved` means: true when it is written. Waits a little where it is not known.
  awaitable<bool> is_written(result<bool> moved, saga_step step);

  call_options options(call_class priority = call_class::interactive) const {
    return saga_base::options(priority, state_.server.order.user, state_.action.request_id);
  }

  void say(log::level severity, std::string_view what) const;
  void say(log::level severity, std::string_view what, std::string_view why) const;
  void alert(std::string_view kind, std::string_view what, std::string_view why = {}) const;

  action_id action_;
  db::saga_state state_;
  // The last commit was refused for VirtFusion's id, which another server of ours has or had.
  bool is_id_taken_ = false;
};

std::unique_ptr<saga_run> make_create_saga(saga_services& services,
                                           action_id action,
                                           std::shared_ptr<saga_control> control,
                                           std::function<void(saga_report)> report);
std::unique_ptr<saga_run>
make_delete_saga(saga_services& services, action_id action, std::shared_ptr<saga_control> control);

} // namespace skyengine::actors
