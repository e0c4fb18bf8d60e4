#include "actors/control_saga.hpp"
#include "domain/server_control.hpp"

#include <algorithm>
#include <utility>

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// Gives a server the package of another plan. The plan changes when the server is seen to have what that
/// package gives, all of it.
class resize_saga final : public control_saga {
public:
  using control_saga::control_saga;

private:
  /// A server, and what the packages of its new and its present plan give; the latter only where VirtFusion
  /// tells.
  struct sight {
    vf::server_record server;
    server_resources wanted;
    std::optional<server_resources> present;
  };

  std::string_view untold_in(const vf::server_record& seen) const override {
    return seen.are_resources_told ? "" : "all of its resources";
  }

  asio::awaitable<outcome> step() override {
    return state_.action.step == saga_step::begin ? begin() : change();
  }

  /// nullopt when interrupted.
  asio::awaitable<std::optional<result<sight>>> see() {
    const auto record = co_await look();
    if (!record)
      co_return std::nullopt;
    if (record->has_error()) {
      unseen_ = record->error();
      co_return result<sight>{unseen_->as_error()};
    }
    auto packages = co_await insist(options(call_class::control), vf::list_packages());
    while (packages && packages->has_error() && may_have_sent()) {
      say(log::level::warn, "what a package gives cannot be looked at", packages->error().text);
      co_await tell_overdue(packages->error().text);
      if (!co_await pause(operator_pause))
        co_return std::nullopt;
      packages = co_await insist(options(call_class::control), vf::list_packages());
    }
    if (!packages)
      co_return std::nullopt;
    if (packages->has_error())
      co_return result<sight>{packages->error().as_error()};
    const auto find = [&](package_id wanted) {
      return std::find_if((*packages)->begin(), (*packages)->end(),
                          [&](const auto& each) { return each.id == wanted; });
    };
    const auto target = find(*state_.to_package);
    if (target == (*packages)->end() || !target->is_enabled)
      co_return result<sight>{
        error{errc::virtfusion_rejected, "VirtFusion does not offer the new plan's package"}};
    sight seen{**record, target->resources, std::nullopt};
    if (const auto present = find(state_.package); present != (*packages)->end())
      seen.present = present->resources;
    co_return result<sight>{std::move(seen)};
  }

  asio::awaitable<outcome> end_unseen(error why) {
    if (unseen_)
      co_return co_await fail_unseen(*unseen_);
    // Its package has been taken away meanwhile.
    if (may_have_sent())
      co_await raise("plan_half_changed", "what came of a change of plan cannot be known", why.detail);
    co_return co_await fail(std::move(why));
  }

  asio::awaitable<outcome> begin() {
    if (state_.abandon_requested)
      co_return co_await fail(abandoned());
    const auto seen = co_await see();
    if (!seen)
      co_return outcome::interrupted;
    if (seen->has_error())
      co_return co_await end_unseen(seen->error());
    const auto is_needed = needs_resize((*seen)->server.resources, (*seen)->wanted);
    if (!is_needed)
      co_return co_await fail(is_needed.error());
    if (!*is_needed)
      co_return co_await confirm();
    pass("before_call");
    before_ = (*seen)->server.resources;
    db::control_change change;
    change.step = saga_step::change;
    co_return co_await commit(std::move(change));
  }

  asio::awaitable<outcome> change() {
    auto interval = std::chrono::milliseconds{1'000};
    runtime::steady_time taken_until{};
    std::string left;
    for (int failures = 1;; ++failures) {
      const auto seen = co_await see();
      if (!seen)
        co_return outcome::interrupted;
      if (seen->has_error())
        co_return co_await end_unseen(seen->error());
      if ((*seen)->server.resources == (*seen)->wanted)
        co_return co_await confirm();
      if (ending() && is_settled())
        co_return co_await fail_partly(**seen, *ending());
      if (ending() || now() < taken_until) {
        if (!co_await pause(std::exchange(interval, std::min(interval * 2, 15'000ms))))
          co_return outcome::interrupted;
        continue;
      }
      // VirtFusion has taken it, and has had its time.
      if (taken_until != runtime::steady_time{})
        co_return co_await fail_partly(
          **seen,
          {errc::virtfusion_rejected, "VirtFusion did not do all of it: " +
                                        difference((*seen)->server.resources, (*seen)->wanted) + left});
      if (!co_await hold_lease())
        co_return outcome::interrupted;
      const auto done =
        co_await services_.virtfusion.call(sending(), vf::change_package(id(), *state_.to_package));
      pass("after_call");
      const auto failed = done.has_error() ? std::optional{done.error()} : std::nullopt;
      if (judge(failed) == sent::refused) {
        ending_ = failed->as_error();
        continue;
      }
      if (!failed) {
        taken_until = now() + services_.options.settle;
        for (const auto& line : done->info)
          left += (left.empty() ? " (" : "; ") + line;
        left += left.empty() ? "" : ")";
        continue;
      }
      if (!co_await try_again_after(*failed, failures, "a change of plan is looked at, and asked for again"))
        co_return outcome::interrupted;
    }
  }

  /// The plan stays as it was. Where the server does not have what it had, somebody has to look.
  asio::awaitable<outcome> fail_partly(sight seen, error why) {
    const auto had = before_ ? before_ : seen.present;
    if (!had || seen.server.resources != *had) {
      why.detail += "; something was changed: an operator has been told";
      co_await raise("plan_half_changed",
                     "a server has neither what its plan gives nor what the new one does",
                     difference(seen.server.resources, seen.wanted));
    }
    co_return co_await fail(std::move(why));
  }

  asio::awaitable<outcome> confirm() {
    if (!confirmed_at_)
      confirmed_at_ = services_.business.now();
    if (!co_await wait_out_repeats())
      co_return outcome::interrupted;
    pass("before_changed");
    db::control_change change;
    change.event_at = confirmed_at_;
    change.state = action_state::succeeded;
    change.changes_plan = true;
    change.event = "plan_changed";
    const auto done = co_await commit(std::move(change));
    if (done == outcome::advanced) {
      pass("after_changed");
      say(log::level::info, "plan changed");
    }
    co_return done;
  }

  // What the server had before this run's first call.
  std::optional<server_resources> before_;
  // When this run first saw that the server has all of it.
  std::optional<instant> confirmed_at_;
  // Why the server itself could not be seen.
  std::optional<vf::call_failure> unseen_;
};

} // namespace

std::unique_ptr<saga_run>
make_resize_saga(saga_services& services, action_id action, std::shared_ptr<saga_control> control) {
  return std::make_unique<resize_saga>(services, action, std::move(control));
}

} // namespace skyengine::actors
