#pragma once

#include "actors/saga.hpp"
#include "domain/log.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine::actors {

namespace vf = net::virtfusion;

/// How long what VirtFusion said of its packages and templates is believed.
constexpr std::chrono::minutes catalogue_life{10};

/// VirtFusion has not begun what was asked for.
bool is_surely_unsent(vf::call_failure::kind what) noexcept;
/// What a later try may mend, for calls that are safe to repeat.
bool is_passing(vf::call_failure::kind what) noexcept;

/// The calls and waits that sagas and second looks are made of.
class saga_base {
public:
  saga_base(saga_services& services, std::shared_ptr<saga_control> control)
      : services_(services), control_(std::move(control)) {}

protected:
  template <class T>
  using awaitable = runtime::asio::awaitable<T>;
  using known_resources = std::optional<server_resources>;

  /// What an order is recognised by among a user's servers.
  struct order_traits {
    action_id action;
    virtfusion_user_id user;
    virtfusion_server_id mark;
    package_id package;
    hypervisor_group_id group;
  };

  bool is_stopping() const noexcept { return control_->is_stopping; }
  runtime::steady_time now() const noexcept { return services_.timers.now(); }

  /// False when it was ended early.
  awaitable<bool> pause(std::chrono::milliseconds span);
  std::chrono::milliseconds wait_after(int failures, const vf::call_failure& failed);
  /// For calls that are not safe to repeat: they stay in line however long it is.
  call_options options(call_class priority, user_id user, const std::string& request_id) const;
  /// Waits until something may be begun outside; false when stopped.
  awaitable<bool> hold_lease();

  /// Repeats a call that is safe to repeat until VirtFusion has answered it one way or the other; nullopt
  /// when stopped, or nudged to look what is wanted.
  template <class T>
  awaitable<std::optional<vf::call_result<T>>> insist(call_options how, vf::call<T> wanted) {
    for (int failures = 1; co_await hold_lease(); ++failures) {
      how.deadline = now() + services_.options.call_patience;
      auto answered = co_await services_.virtfusion.call(how, wanted);
      if (answered.has_value() || !is_passing(answered.error().what))
        co_return std::move(answered);
      log::warn("VirtFusion is asked again",
                {{"operation", vf::traits_of(wanted.what.op).name}, {"error", answered.error().text}});
      if (!co_await pause(wait_after(failures, answered.error())))
        break;
    }
    co_return std::nullopt;
  }

  /// Keeps what VirtFusion said its packages have; what `wanted` has, where it is among them.
  known_resources keep_resources(const std::vector<vf::package_record>& packages, package_id wanted);

  /// When everything that was sent until now has had its time.
  db::settling settling_from_now() const { return {services_.options.real_now(), services_.options.settle}; }

  /// Servers that a lost `POST /servers` may have made, lowest id first; nullopt when VirtFusion or the
  /// database did not tell, which never means that there are none. The package may have been changed in
  /// VirtFusion just before it was sent or since: what it has now counts too.
  awaitable<std::optional<std::vector<virtfusion_server_id>>> candidates(call_options how,
                                                                         order_traits order);

  /// `candidates` has not told for so long that an operator should know; told once for each action.
  void tell_blind(action_id action, user_id user, std::string_view what);
  /// `candidates` has told.
  void tell_sighted(action_id action);

  saga_services& services_;
  std::shared_ptr<saga_control> control_;
};

} // namespace skyengine::actors
