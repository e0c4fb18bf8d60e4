#include "tests/support/panel_transport.hpp"

#include <boost/json.hpp>

#include <ranges>
#include <stdexcept>
#include <utility>

namespace skyengine::test {

namespace {

namespace vf = net::virtfusion;
using actors::runtime::wait_until;
using simulator::fault_kind;
using namespace std::chrono_literals;

constexpr std::chrono::sys_days first_day{std::chrono::year{2026} / 3 / 1};

/// Path and query of a target.
std::pair<std::string_view, std::string_view> split(std::string_view target) {
  const auto end = std::min(target.find('?'), target.size());
  return {target.substr(0, end), target.substr(std::min(end + 1, target.size()))};
}

vf::no_answer none(vf::no_answer::kind what) {
  return {what, "simulated fault"};
}

} // namespace

simulator::moment panel_transport::now() const {
  const auto at =
    instant{first_day} + std::chrono::duration_cast<std::chrono::microseconds>(timers_.now() - begun_);
  return {at, at};
}

std::int64_t panel_transport::count(std::string_view operation) const {
  const auto found = seen_.find(operation);
  return found == seen_.end() ? 0 : found->second;
}

void panel_transport::add_fault(std::string operation,
                                fault_kind kind,
                                std::int64_t count,
                                std::chrono::milliseconds delay,
                                unsigned status,
                                std::optional<std::int64_t> hypervisor) {
  simulator::fault wanted;
  wanted.operation = std::move(operation);
  wanted.kind = kind;
  wanted.count = count;
  wanted.status = status;
  wanted.delay = delay;
  wanted.hypervisor = hypervisor;
  faults_.add(std::move(wanted));
}

simulator::reply panel_transport::work(const simulator::matched_route& matched,
                                       std::string_view method,
                                       const std::string& target,
                                       const std::string& body,
                                       const simulator::work_faults& changed) {
  const auto [path, query] = split(target);
  return simulator::perform(matched, {method, path, query, body}, model_, changed, started_, now());
}

std::string panel_transport::without_untold(std::string_view operation, std::string body) const {
  for (const auto& [asked, path] : untold_) {
    if (asked != operation)
      continue;
    auto document = boost::json::parse(body);
    auto* in = &document;
    for (const auto& name : path | std::views::take(path.size() - 1))
      in = in->is_object() ? in->as_object().if_contains(name) : nullptr;
    if (in != nullptr && in->is_object())
      in->as_object().erase(path.back());
    body = boost::json::serialize(document);
  }
  return body;
}

void panel_transport::work_later(std::string_view method,
                                 const vf::request& what,
                                 const simulator::work_faults& changed,
                                 std::chrono::milliseconds after) {
  timers_.schedule(timers_.now() + after, [this, method, what, changed] {
    static_cast<void>(work(simulator::match_route(method, split(what.target).first, false), method,
                           what.target, what.body, changed));
  });
}

vf::asio::awaitable<vf::exchange_outcome> panel_transport::exchange(vf::request what,
                                                                    std::chrono::milliseconds timeout) {
  const auto method = vf::traits_of(what.op).method();
  const auto matched = simulator::match_route(method, split(what.target).first, false);
  if (matched.what == nullptr)
    throw std::logic_error{"the panel has no such call: " + what.target};
  const std::string operation{simulator::operation_of(*matched.what)};
  ++seen_[operation];
  const auto drawn = faults_.draw(operation, simulator::hypervisor_asked_for(matched, model_));
  const auto kind = drawn.hit ? drawn.hit->kind : fault_kind::delay;
  const auto own_delay = drawn.hit ? drawn.hit->delay.value_or(0ms) : 0ms;
  simulator::work_faults changed;
  changed.build_fails = kind == fault_kind::build_fails;
  changed.suspend_leaves_running = kind == fault_kind::suspend_leaves_running;
  if (kind == fault_kind::stale_list)
    changed.hide_younger_than = own_delay;

  const auto answered_after = latency + drawn.delay;
  if (kind == fault_kind::late_effect || kind == fault_kind::stall || answered_after > timeout) {
    work_later(method, what, changed, kind == fault_kind::delay ? answered_after : own_delay);
    const auto is_cut = kind == fault_kind::late_effect;
    co_await wait_until(timers_, timers_.now() + (is_cut ? latency : timeout));
    co_return none(is_cut ? vf::no_answer::kind::lost : vf::no_answer::kind::timed_out);
  }
  co_await wait_until(timers_, timers_.now() + answered_after);
  switch (kind) {
  case fault_kind::reset:
    co_return none(vf::no_answer::kind::lost);
  case fault_kind::status:
    co_return vf::answer{drawn.hit->status, R"({"msg":"simulated fault"})", {}};
  case fault_kind::lost_answer:
    static_cast<void>(work(matched, method, what.target, what.body, changed));
    co_return none(vf::no_answer::kind::lost);
  default:
    break;
  }
  auto reply = work(matched, method, what.target, what.body, changed);
  if (reply.status / 100 == 2)
    reply.body = without_untold(operation, std::move(reply.body));
  co_return vf::answer{reply.status, std::move(reply.body), {}};
}

} // namespace skyengine::test
