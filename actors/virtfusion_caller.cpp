#include "actors/virtfusion_caller.hpp"

#include "domain/log.hpp"
#include "net/virtfusion/ownership.hpp"

#include <algorithm>

namespace skyengine::actors {

namespace {

using net::virtfusion::answer;
using net::virtfusion::call_failure;
using net::virtfusion::call_result;
using net::virtfusion::server_record;
using net::virtfusion::traits_of;

// The gateway answers by itself at the deadline or when the operation's time is over; this is for its
// mailbox.
constexpr std::chrono::seconds gateway_margin{5};

} // namespace

runtime::asio::awaitable<call_result<answer>> virtfusion_caller::exchange(call_options options,
                                                                          net::virtfusion::request wanted) {
  const auto timeout = traits_of(wanted.op).timeout;
  const auto until_deadline = std::max(options.deadline - timers_.now(), runtime::steady_duration::zero());
  const auto message = virtfusion_call{
    options.priority,    std::move(wanted), options.deadline, options.user, std::move(options.request_id),
    options.is_sent_once};
  auto answered =
    co_await asker_.ask<virtfusion_answer>(gateway_, until_deadline + timeout + gateway_margin, message);
  // The gateway ended meanwhile: nobody knows how far it had come.
  if (answered.has_error())
    co_return call_failure{call_failure::kind::unknown, 0, std::move(answered.error().detail)};
  if (answered->failure)
    co_return std::move(*answered->failure);
  co_return std::move(answered->given);
}

call_failure virtfusion_caller::report_unreadable(const call_options& options,
                                                  const net::virtfusion::request& wanted,
                                                  const answer& given,
                                                  const error& why) {
  log::warn("VirtFusion's answer cannot be used", {{"operation", traits_of(wanted.op).name},
                                                   {"status", given.status},
                                                   {"error", why.detail},
                                                   {"request_id", options.request_id},
                                                   {"user_id", options.user.value}});
  return {call_failure::kind::unknown, given.status, why.detail};
}

runtime::asio::awaitable<call_result<server_record>>
virtfusion_caller::get_own_server(call_options options, virtfusion_server_id server, bool remote_state) {
  const auto wanted = net::virtfusion::get_server(server, remote_state);
  auto found = co_await call(options, wanted);
  if (found.has_error())
    co_return found;
  const auto mismatch = net::virtfusion::check_owner(*found, options.user);
  if (!mismatch)
    co_return found;
  if (mismatch->what == call_failure::kind::wrong_owner)
    log::error("a server belongs to another user in VirtFusion; nothing is done to it",
               {{"alert", "wrong_owner"},
                {"virtfusion_server_id", server.value},
                {"user_id", options.user.value},
                {"error", mismatch->text},
                {"request_id", options.request_id}});
  co_return *mismatch;
}

runtime::asio::awaitable<result<gateway_pace>> virtfusion_caller::pace(std::int64_t calls) {
  const auto query = gateway_pace_query{calls};
  auto answered = co_await asker_.ask<gateway_pace>(gateway_, gateway_margin, query);
  if (answered.has_error())
    co_return error{errc::overloaded, "The way to VirtFusion is busy.", {}, gateway_margin};
  co_return *answered;
}

} // namespace skyengine::actors
