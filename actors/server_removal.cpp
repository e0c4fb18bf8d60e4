#include "actors/server_removal.hpp"

#include "actors/runtime/crash_point.hpp"
#include "net/virtfusion/ownership.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace skyengine::actors {

using failure_kind = vf::call_failure::kind;
using runtime::crash_point;
using runtime::steady_time;
using namespace std::chrono_literals;

namespace {

// A delete that takes longer is told to an operator.
constexpr auto longest_delete = 10min;

} // namespace

void server_removal::note_refusal(const std::string& text) {
  if (refusal_.empty())
    alert("delete_refused", "a server cannot be deleted: an operator has to look", text);
  refusal_ = text.empty() ? "without a word" : text;
}

runtime::asio::awaitable<server_removal::removal> server_removal::remove_from_virtfusion() {
  const auto id = *state_.server.virtfusion_id;
  const auto may_stay = state_.action.kind == action_kind::remove && state_.abandon_requested;
  // An earlier run may have sent what VirtFusion still works on.
  if (delete_settled_ == steady_time{})
    delete_settled_ = now() + services_.options.settle;
  const auto overdue = now() + longest_delete;
  auto is_alerted = false;
  for (auto interval = std::chrono::milliseconds{1'000}; !is_stopping();) {
    auto how = options(call_class::control);
    const auto record = co_await insist(how, vf::get_server(id));
    if (!record)
      co_return removal::interrupted;
    if (record->has_error() && record->error().what == failure_kind::not_found_server) {
      if (is_alerted)
        log::info("a server that VirtFusion kept long is gone",
                  {{"alert_cleared", "delete_unfinished"}, {"action_id", action_.value}});
      co_return removal::gone;
    }
    const auto not_ours = record->has_error() ? std::optional{record->error()}
                                              : vf::check_owner(**record, state_.server.order.user);
    if (not_ours)
      note_refusal(not_ours->text);
    if (may_stay && is_surely_kept())
      co_return removal::abandoned;
    // Who gave up asks VirtFusion no more: it might do it now.
    if (not_ours || (may_stay && !refusal_.empty())) {
      if (!co_await pause(may_stay ? until_settled() : operator_pause))
        co_return removal::interrupted;
      continue;
    }
    if (!co_await hold_lease())
      co_return removal::interrupted;
    how.deadline = now() + services_.options.call_patience;
    const auto deleted = co_await services_.virtfusion.call(how, vf::delete_server(id));
    if (state_.action.kind == action_kind::remove)
      crash_point("delete.after_call");
    // A server that has no task and does not fit is one that VirtFusion keeps, as a protected one.
    const auto is_on_its_way =
      !deleted && deleted.error().what == failure_kind::conflict && (*record)->has_task();
    if (!deleted && !is_passing(deleted.error().what) &&
        deleted.error().what != failure_kind::not_found_server && !is_on_its_way) {
      note_refusal(deleted.error().text);
      if (!co_await pause(may_stay ? until_settled() : operator_pause))
        co_return removal::interrupted;
      continue;
    }
    if (deleted || !is_surely_unsent(deleted.error().what)) {
      refusal_.clear();
      delete_settled_ = now() + services_.options.settle;
    }
    if (now() >= overdue && !std::exchange(is_alerted, true))
      alert("delete_unfinished", "VirtFusion does not get rid of a server: it is asked on and on",
            deleted ? std::string_view{} : std::string_view{deleted.error().text});
    // The server is gone later than the answer: it is looked at, and asked for again should it stay.
    if (!co_await pause(interval))
      co_return removal::interrupted;
    interval = std::min(interval * 2, std::chrono::milliseconds{15'000});
  }
  co_return removal::interrupted;
}

std::chrono::milliseconds server_removal::until_settled() const {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(delete_settled_ - now());
  return std::clamp<std::chrono::milliseconds>(left, 1ms, operator_pause);
}

} // namespace skyengine::actors
