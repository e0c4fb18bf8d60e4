#include "actors/control_saga.hpp"

#include "actors/runtime/crash_point.hpp"

#include <algorithm>
#include <utility>

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
using failure_kind = vf::call_failure::kind;
using namespace std::chrono_literals;

// What takes longer is told to an operator.
constexpr auto longest_control = 10min;
constexpr std::chrono::milliseconds first_interval = 500ms;
constexpr std::chrono::milliseconds longest_interval = 15s;

} // namespace

void control_saga::on_loaded() {
  if (overdue_ != runtime::steady_time{})
    return;
  overdue_ = now() + longest_control;
  // An earlier run may have sent what VirtFusion still works on.
  if (may_have_sent()) {
    note_sent();
    unknown_until_ = settled_;
    calls_ = 2;
  }
}

asio::awaitable<control_saga::looked> control_saga::look() {
  for (int failures = 1; co_await hold_lease(); ++failures) {
    auto how = options(call_class::control);
    how.deadline = now() + services_.options.call_patience;
    auto found = co_await services_.virtfusion.get_own_server(how, id());
    if (const auto untold = found ? untold_in(*found) : std::string_view{}; !untold.empty())
      found = vf::call_failure{failure_kind::unknown, 200,
                               "the server's record does not tell " + std::string{untold}};
    if (found.has_value() || is_answer(found.error().what))
      co_return std::move(found);
    if (!co_await try_again_after(found.error(), failures, "a server cannot be looked at"))
      break;
  }
  co_return std::nullopt;
}

bool control_saga::is_answer(failure_kind failed) const {
  return failed == failure_kind::not_found_server || failed == failure_kind::wrong_owner ||
         (!is_passing(failed) && !may_have_sent());
}

asio::awaitable<std::optional<vf::server_record>> control_saga::look_live() {
  if (!co_await hold_lease())
    co_return std::nullopt;
  auto how = options(call_class::control);
  how.deadline = now() + services_.options.call_patience;
  auto found = co_await services_.virtfusion.get_own_server(how, id(), true);
  if (found.has_error() || !found->remote || !found->remote->is_running)
    co_return std::nullopt;
  co_return std::move(*found);
}

control_saga::sent control_saga::judge(const std::optional<vf::call_failure>& failed) {
  ++calls_;
  if (failed && failed->what == failure_kind::unknown)
    unknown_until_ = now() + services_.options.settle;
  if (!failed || failed->what == failure_kind::unknown) {
    note_sent();
    return sent::maybe_done;
  }
  if (is_surely_unsent(failed->what) || failed->what == failure_kind::busy)
    return sent::surely_not_done;
  if (failed->what == failure_kind::conflict && ++conflicts_ < most_control_conflicts)
    return sent::does_not_fit;
  return sent::refused;
}

asio::awaitable<bool> control_saga::wait_out_repeats() {
  while (calls_ > 1 && now() < unknown_until_)
    if (!co_await pause(std::chrono::ceil<std::chrono::milliseconds>(unknown_until_ - now())))
      co_return false;
  co_return true;
}

const std::optional<error>& control_saga::ending() {
  if (state_.abandon_requested && !ending_)
    ending_ = abandoned();
  return ending_;
}

call_options control_saga::sending() const {
  auto how = options(call_class::control);
  how.deadline = now() + services_.options.call_patience;
  how.is_sent_once = true;
  return how;
}

std::chrono::milliseconds control_saga::until_settled() const {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(settled_ - now());
  return std::clamp<std::chrono::milliseconds>(left, 1ms, longest_interval);
}

asio::awaitable<control_saga::power_end>
control_saga::bring_power(power_state wanted, std::chrono::milliseconds span, bool insists) {
  const auto until = now() + span;
  auto is_asked = false;
  auto is_answered = false;
  for (auto interval = first_interval;; interval = std::min(interval * 2, longest_interval)) {
    const auto record = co_await look_live();
    if (is_stopping())
      co_return power_end::interrupted;
    if (record && record->remote->is_running == (wanted == power_state::on))
      co_return power_end::as_wanted;
    if (is_asked && now() >= until)
      co_return is_answered ? power_end::not_in_time : power_end::unanswered;
    is_asked = true;
    // A task may be the one that was asked for.
    if (!record || !record->has_task()) {
      if (!co_await hold_lease())
        co_return power_end::interrupted;
      const auto order = wanted == power_state::on ? vf::boot_server(id()) : vf::power_off_server(id());
      const auto done = co_await services_.virtfusion.call(sending(), order);
      if (wanted == power_state::off)
        pass("after_power_off");
      else if (state_.action.kind == action_kind::unsuspend)
        pass("after_boot");
      is_answered = is_answered || done.has_value();
      if (done.has_error() && !is_passing(done.error().what)) {
        say(log::level::warn, "VirtFusion does not change a server's power", done.error().text);
        is_answered = true;
        if (!insists)
          co_return power_end::refused;
      }
    }
    if (!co_await pause(interval))
      co_return power_end::interrupted;
  }
}

asio::awaitable<outcome> control_saga::commit(db::control_change change) {
  const auto moved = co_await services_.sagas.advance_control(state_.ref(), change, services_.business.now());
  if (!co_await is_written(moved, change.step))
    co_return outcome::reload;
  auto& a = state_.action;
  a.step = change.step;
  a.state = change.state;
  a.version += 1;
  a.failure = change.failure;
  if (change.server)
    state_.server.state = *change.server;
  if (change.sent_at)
    state_.sent_at = change.sent_at;
  if (change.boots_unsuspended)
    state_.boots_unsuspended = *change.boots_unsuspended;
  if (is_over(a.state) && is_overdue_told_)
    log::info("an action that took long has ended",
              {{"alert_cleared", "action_unfinished"}, {"action_id", action_.value}});
  co_return outcome::advanced;
}

asio::awaitable<outcome> control_saga::fail(error why, std::optional<power_state> power) {
  db::control_change change;
  change.state = action_state::failed;
  change.failure = why;
  change.power = power;
  change.event = std::string{to_string(state_.action.kind)} + "_failed";
  const auto done = co_await commit(std::move(change));
  if (done == outcome::advanced)
    say(log::level::warn, "an action has failed", why.detail);
  co_return done;
}

asio::awaitable<outcome> control_saga::fail_unseen(vf::call_failure why) {
  if (why.what == failure_kind::not_found_server) {
    co_await raise("server_vanished", "a server is gone from VirtFusion", why.text);
    co_return co_await fail({errc::virtfusion_rejected, "VirtFusion does not have the server any more"});
  }
  // Logged by who looked.
  if (why.what == failure_kind::wrong_owner)
    co_await note_alert("wrong_owner", why.text);
  co_return co_await fail(why.as_error());
}

asio::awaitable<void> control_saga::raise(std::string kind, std::string_view what, std::string why) {
  alert(kind, what, why);
  co_await note_alert(std::move(kind), std::move(why));
}

asio::awaitable<void> control_saga::note_alert(std::string kind, std::string why) {
  while (!is_stopping()) {
    const auto raised = co_await services_.sagas.raise_alert(state_, kind, why, services_.business.now());
    if (raised || raised.error().code != errc::database_unavailable)
      co_return;
    static_cast<void>(co_await pause(200ms));
  }
}

asio::awaitable<void> control_saga::tell_overdue(std::string why) {
  if (now() < overdue_ || std::exchange(is_overdue_told_, true))
    co_return;
  co_await raise("action_unfinished", "an action does not come to its end: it is tried on and on",
                 std::move(why));
}

asio::awaitable<bool>
control_saga::try_again_after(vf::call_failure failed, int failures, std::string_view what) {
  say(log::level::warn, what, failed.text);
  co_await tell_overdue(failed.text);
  co_return co_await pause(wait_after(failures, failed));
}

void control_saga::pass(std::string_view point) const {
  runtime::crash_point(std::string{to_string(state_.action.kind)} + '.' + std::string{point});
}

} // namespace skyengine::actors
