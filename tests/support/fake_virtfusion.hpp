#pragma once

#include "actors/runtime/steady_timers.hpp"
#include "net/virtfusion/transport.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skyengine::test {

/// A VirtFusion without sockets, in the time of `timers`: each request is answered by what `on` says for it.
class fake_virtfusion final : public net::virtfusion::transport {
public:
  struct reply {
    net::virtfusion::exchange_outcome outcome;
    /// More than the call's time-out: the caller gives up, VirtFusion does not.
    actors::runtime::steady_duration after{};
  };
  struct seen_request {
    net::virtfusion::request what;
    actors::runtime::steady_time at;
  };

  explicit fake_virtfusion(actors::runtime::steady_timers& timers) : timers_(timers) {}

  /// What is answered to requests that `once` has nothing for. At first: what the operation needs, after 100
  /// ms.
  std::function<reply(const net::virtfusion::request&)> on = [](const auto& what) {
    using enum net::virtfusion::operation;
    const auto is_list = what.op == list_packages || what.op == list_servers ||
                         what.op == list_user_servers || what.op == list_templates ||
                         what.op == list_ssh_keys;
    return ok(is_list ? R"({"data": []})" : R"({"data": {"id": 1, "state": "complete"}})");
  };
  /// Taken one by one before `on` is asked.
  std::deque<reply> once;
  std::vector<seen_request> seen;
  std::size_t under_way = 0;
  std::size_t most_under_way = 0;

  static reply ok(std::string body = R"({"data": {}})",
                  std::chrono::milliseconds after = std::chrono::milliseconds{100}) {
    return {net::virtfusion::answer{200, std::move(body), {}}, after};
  }
  static reply status(unsigned status,
                      std::string body = {},
                      std::optional<std::chrono::seconds> retry_after = {},
                      std::chrono::milliseconds after = std::chrono::milliseconds{100}) {
    return {net::virtfusion::answer{status, std::move(body), retry_after}, after};
  }
  static reply broken(net::virtfusion::no_answer::kind what) {
    return {net::virtfusion::no_answer{what, "broken"}, std::chrono::milliseconds{100}};
  }
  /// Never answers.
  static reply silence() { return {net::virtfusion::answer{}, std::chrono::hours{24}}; }

  std::size_t count(net::virtfusion::operation op) const {
    return static_cast<std::size_t>(
      std::count_if(seen.begin(), seen.end(), [op](const auto& each) { return each.what.op == op; }));
  }

  net::virtfusion::asio::awaitable<net::virtfusion::exchange_outcome>
  exchange(net::virtfusion::request what, std::chrono::milliseconds timeout) override {
    seen.push_back({what, timers_.now()});
    reply next = once.empty() ? on(what) : std::move(once.front());
    if (!once.empty())
      once.pop_front();
    most_under_way = std::max(most_under_way, ++under_way);
    const auto in_time = next.after <= timeout;
    co_await actors::runtime::wait_until(
      timers_, timers_.now() + std::min<actors::runtime::steady_duration>(next.after, timeout));
    --under_way;
    if (!in_time)
      co_return net::virtfusion::no_answer{net::virtfusion::no_answer::kind::timed_out, "no answer in time"};
    co_return std::move(next.outcome);
  }

private:
  actors::runtime::steady_timers& timers_;
};

} // namespace skyengine::test
