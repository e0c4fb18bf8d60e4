#include "actors/control_saga.hpp"

#include <algorithm>
#include <utility>

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

// Until a machine that was powered off is suspended all the same.
constexpr std::chrono::milliseconds power_off_span = 60s;
// Of those, without a word from VirtFusion.
constexpr int most_unanswered = 2;
// Until somebody is told that a suspended machine goes on running.
constexpr std::chrono::milliseconds stop_span = 2min;

/// Powers a server off and suspends it. It counts as suspended once VirtFusion says so, from when the call
/// was sent.
class suspend_saga final : public control_saga {
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
    case saga_step::power_off:
      return power_off();
    case saga_step::suspend:
      return suspend();
    default:
      return wait_for_stop();
    }
  }

  void on_loaded() override {
    control_saga::on_loaded();
    is_marked_here_ = false;
  }

  asio::awaitable<outcome> begin() {
    if (state_.abandon_requested)
      co_return co_await fail(abandoned());
    const auto record = co_await look();
    if (!record)
      co_return outcome::interrupted;
    if (record->has_error())
      co_return co_await fail_unseen(record->error());
    const auto live = co_await look_live();
    if (is_stopping())
      co_return outcome::interrupted;
    // Where the hypervisor does not tell, what was last seen is believed: it is booted rather once too often.
    const auto is_running = live && live->is_suspended == false ? *live->remote->is_running
                                                                : state_.server.power != power_state::off;
    pass("before_power_off");
    db::control_change change;
    change.step = saga_step::power_off;
    change.boots_unsuspended = is_running;
    co_return co_await commit(std::move(change));
  }

  asio::awaitable<outcome> power_off() {
    if (state_.abandon_requested)
      co_return co_await give_up(abandoned());
    for (int unanswered = 0; unanswered < most_unanswered;) {
      const auto record = co_await look();
      if (!record)
        co_return outcome::interrupted;
      if (record->has_error())
        co_return co_await fail_unseen(record->error());
      if (*(*record)->is_suspended)
        co_return co_await confirm();
      const auto ended = co_await bring_power(power_state::off, power_off_span, false);
      if (ended == power_end::interrupted)
        co_return outcome::interrupted;
      if (ended != power_end::unanswered)
        break;
      ++unanswered;
    }
    co_return co_await mark();
  }

  /// Commits when the call is sent, before its bytes leave.
  asio::awaitable<outcome> mark() {
    pass("before_mark");
    db::control_change change;
    change.step = saga_step::suspend;
    change.sent_at = services_.business.now();
    const auto done = co_await commit(std::move(change));
    if (done == outcome::advanced) {
      pass("after_mark");
      is_marked_here_ = true;
      marked_at_ = now();
      may_have_left_ = false;
    }
    co_return done;
  }

  /// A call that has had its time and is seen to have done nothing does not count: the next one does.
  bool needs_new_mark() const {
    return !is_marked_here_ &&
           (!may_have_left_ || services_.business.now() - *state_.sent_at >= services_.options.settle);
  }

  asio::awaitable<outcome> suspend() {
    auto interval = std::chrono::milliseconds{1'000};
    for (int failures = 1;; ++failures) {
      if (!is_marked_here_ || ending()) {
        const auto record = co_await look();
        if (!record)
          co_return outcome::interrupted;
        if (record->has_error())
          co_return co_await fail_unseen(record->error());
        if (*(*record)->is_suspended)
          co_return co_await confirm();
        if (ending()) {
          if (is_settled() || is_marked_here_)
            co_return co_await give_up(*ending());
          if (!co_await pause(until_settled()))
            co_return outcome::interrupted;
          continue;
        }
        // What VirtFusion has taken may still be under way there.
        if (now() < taken_until_) {
          if (!co_await pause(std::exchange(interval, std::min(interval * 2, 15'000ms))))
            co_return outcome::interrupted;
          continue;
        }
        if (needs_new_mark())
          co_return co_await mark();
      }
      if (!co_await hold_lease())
        co_return outcome::interrupted;
      // The lease was away for long.
      if (is_marked_here_ && now() - marked_at_ >= services_.options.settle)
        co_return co_await mark();
      const auto done = co_await services_.virtfusion.call(sending(), vf::suspend_server(id()));
      pass("after_call");
      is_marked_here_ = false;
      const auto failed = done.has_error() ? std::optional{done.error()} : std::nullopt;
      const auto came = judge(failed);
      if (came == sent::refused) {
        ending_ = failed->as_error();
        continue;
      }
      may_have_left_ = may_have_left_ || came != sent::surely_not_done;
      if (!failed) {
        failures = 0;
        taken_until_ = now() + services_.options.settle;
        continue;
      }
      if (!co_await try_again_after(*failed, failures, "a suspension is looked at, and asked for again"))
        co_return outcome::interrupted;
    }
  }

  asio::awaitable<outcome> confirm() {
    pass("before_suspended");
    db::control_change change;
    change.step = saga_step::stop;
    change.server = server_state::suspended;
    change.event = "suspended";
    change.event_at = state_.sent_at;
    const auto done = co_await commit(std::move(change));
    if (done == outcome::advanced) {
      pass("after_suspended");
      say(log::level::info, "server suspended");
    }
    co_return done;
  }

  asio::awaitable<outcome> wait_for_stop() {
    db::control_change change;
    change.state = action_state::succeeded;
    change.power = power_state::off;
    const auto span = state_.abandon_requested ? 0ms : stop_span;
    const auto ended = co_await bring_power(power_state::off, span, true);
    if (ended == power_end::interrupted)
      co_return outcome::interrupted;
    if (ended != power_end::as_wanted) {
      change.power = power_state::unknown;
      co_await raise("suspended_running", "a suspended server may go on running: an operator has to look",
                     {});
    }
    if (!co_await wait_out_repeats())
      co_return outcome::interrupted;
    pass("before_stopped");
    const auto done = co_await commit(std::move(change));
    if (done == outcome::advanced)
      pass("after_stopped");
    co_return done;
  }

  /// Nothing came of it: a machine that was powered off for it runs again.
  asio::awaitable<outcome> give_up(error why) {
    std::optional<power_state> power;
    if (state_.boots_unsuspended) {
      const auto ended = co_await bring_power(power_state::on, 0ms, false);
      if (ended == power_end::interrupted)
        co_return outcome::interrupted;
      power = ended == power_end::as_wanted ? power_state::on : power_state::unknown;
    }
    co_return co_await fail(std::move(why), power);
  }

  // The mark was committed by this run, and its call has not been tried yet.
  bool is_marked_here_ = false;
  runtime::steady_time marked_at_{};
  // A call that was sent since the mark may have done it.
  bool may_have_left_ = true;
  runtime::steady_time taken_until_{};
};

} // namespace

std::unique_ptr<saga_run>
make_suspend_saga(saga_services& services, action_id action, std::shared_ptr<saga_control> control) {
  return std::make_unique<suspend_saga>(services, action, std::move(control));
}

} // namespace skyengine::actors
