#include "actors/control_saga.hpp"

#include <algorithm>
#include <utility>

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

// Until somebody is told that a server does not boot.
constexpr std::chrono::milliseconds boot_span = 2min;

/// Lifts a suspension, and boots the server if it ran before. It counts as active from when VirtFusion was
/// seen to say so.
class unsuspend_saga final : public control_saga {
public:
  using control_saga::control_saga;

private:
  std::string_view untold_in(const vf::server_record& seen) const override {
    return seen.is_suspended ? "" : "whether it is suspended";
  }

  asio::awaitable<outcome> step() override {
    switch (state_.action.step) {
    case saga_step::begin:
      return begin();
    case saga_step::unsuspend:
      return unsuspend();
    default:
      return boot();
    }
  }

  asio::awaitable<outcome> begin() {
    if (state_.abandon_requested)
      co_return co_await fail(abandoned());
    const auto record = co_await look();
    if (!record)
      co_return outcome::interrupted;
    if (record->has_error())
      co_return co_await fail_unseen(record->error());
    if (!*(*record)->is_suspended)
      co_return co_await confirm();
    pass("before_call");
    db::control_change change;
    change.step = saga_step::unsuspend;
    co_return co_await commit(std::move(change));
  }

  asio::awaitable<outcome> unsuspend() {
    auto interval = std::chrono::milliseconds{1'000};
    runtime::steady_time taken_until{};
    for (int failures = 1;; ++failures) {
      const auto record = co_await look();
      if (!record)
        co_return outcome::interrupted;
      if (record->has_error())
        co_return co_await fail_unseen(record->error());
      if (!*(*record)->is_suspended)
        co_return co_await confirm();
      if (ending() && is_settled())
        co_return co_await fail(*ending());
      if (ending() || now() < taken_until) {
        if (!co_await pause(std::exchange(interval, std::min(interval * 2, 15'000ms))))
          co_return outcome::interrupted;
        continue;
      }
      if (!co_await hold_lease())
        co_return outcome::interrupted;
      const auto done = co_await services_.virtfusion.call(sending(), vf::unsuspend_server(id()));
      pass("after_call");
      const auto failed = done.has_error() ? std::optional{done.error()} : std::nullopt;
      if (judge(failed) == sent::refused) {
        ending_ = failed->as_error();
        continue;
      }
      if (!failed) {
        failures = 0;
        taken_until = now() + services_.options.settle;
        continue;
      }
      if (!co_await try_again_after(*failed, failures,
                                    "the end of a suspension is looked at, and asked for again"))
        co_return outcome::interrupted;
    }
  }

  asio::awaitable<outcome> confirm() {
    pass("before_active");
    db::control_change change;
    change.server = server_state::active;
    change.event = "unsuspended";
    change.step = saga_step::boot;
    const auto done = co_await commit(std::move(change));
    if (done == outcome::advanced) {
      pass("after_active");
      say(log::level::info, "server unsuspended");
    }
    co_return done;
  }

  asio::awaitable<outcome> boot() {
    db::control_change change;
    change.state = action_state::succeeded;
    if (state_.boots_unsuspended) {
      change.boots_unsuspended = false;
      change.power = power_state::on;
      const auto ended =
        co_await bring_power(power_state::on, state_.abandon_requested ? 0ms : boot_span, false);
      if (ended == power_end::interrupted)
        co_return outcome::interrupted;
      if (ended != power_end::as_wanted) {
        change.power = power_state::unknown;
        co_await raise("boot_unfinished", "a server that was unsuspended does not run again", {});
      }
    }
    if (!co_await wait_out_repeats())
      co_return outcome::interrupted;
    pass("before_booted");
    const auto done = co_await commit(std::move(change));
    if (done == outcome::advanced)
      pass("after_booted");
    co_return done;
  }
};

} // namespace

std::unique_ptr<saga_run>
make_unsuspend_saga(saga_services& services, action_id action, std::shared_ptr<saga_control> control) {
  return std::make_unique<unsuspend_saga>(services, action, std::move(control));
}

} // namespace skyengine::actors
