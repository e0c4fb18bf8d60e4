#pragma once

#include "actors/runtime/steady_timers.hpp"
#include "net/virtfusion/transport.hpp"
#include "tests/simulator/faults.hpp"
#include "tests/simulator/model.hpp"
#include "tests/simulator/routes.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skyengine::test {

/// The simulated panel without sockets: a transport that does the panel's work in the time of `timers`, with
/// the faults that need no connection.
class panel_transport final : public net::virtfusion::transport {
public:
  panel_transport(actors::runtime::steady_timers& timers, simulator::model_options options)
      : timers_(timers), model_(options), faults_(options.seed), begun_(timers.now()), started_(now()) {}

  net::virtfusion::asio::awaitable<net::virtfusion::exchange_outcome>
  exchange(net::virtfusion::request what, std::chrono::milliseconds timeout) override;

  void add_fault(std::string operation,
                 simulator::fault_kind kind,
                 std::int64_t count = 1,
                 std::chrono::milliseconds delay = {},
                 unsigned status = 500,
                 std::optional<std::int64_t> hypervisor = {});
  void clear_faults() noexcept { faults_.clear(); }
  /// Answers to `operation` lack the member at `path` from now on, until `tell_all`.
  void leave_out(std::string operation, std::vector<std::string> path) {
    untold_.emplace_back(std::move(operation), std::move(path));
  }
  void tell_all() noexcept { untold_.clear(); }

  /// The panel as it is now.
  const simulator::model& look() {
    model_.advance(now());
    return model_;
  }
  simulator::model& look_to_change() {
    model_.advance(now());
    return model_;
  }
  simulator::moment now() const;
  /// How often an operation was asked for, by the vendor's path template.
  std::int64_t count(std::string_view operation) const;

  /// Of an answer that nothing delays.
  std::chrono::milliseconds latency{20};

private:
  simulator::reply work(const simulator::matched_route& matched,
                        std::string_view method,
                        const std::string& target,
                        const std::string& body,
                        const simulator::work_faults& changed);
  std::string without_untold(std::string_view operation, std::string body) const;
  void work_later(std::string_view method,
                  const net::virtfusion::request& what,
                  const simulator::work_faults& changed,
                  std::chrono::milliseconds after);

  actors::runtime::steady_timers& timers_;
  simulator::model model_;
  simulator::fault_plan faults_;
  actors::runtime::steady_time begun_;
  simulator::moment started_;
  std::map<std::string, std::int64_t, std::less<>> seen_;
  std::vector<std::pair<std::string, std::vector<std::string>>> untold_;
};

} // namespace skyengine::test
