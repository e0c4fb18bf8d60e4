#pragma once

#include "tests/simulator/control.hpp"
#include "tests/simulator/faults.hpp"
#include "tests/simulator/model.hpp"
#include "tests/simulator/request_log.hpp"
#include "tests/simulator/state_file.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <random>
#include <string>

namespace skyengine::simulator {

struct panel_options {
  std::string token;
  std::uint64_t seed = 1;
  /// Before each answer, plus or minus up to `jitter`.
  std::chrono::milliseconds latency{0};
  std::chrono::milliseconds jitter{0};
  /// Requests a second, as many in one go; 0: no limit.
  std::int64_t rate_limit = 0;
  bool has_task_scheduler = false;
};

/// The panel on the wire: HTTP/1.1 on one loop, with the faults that need a connection to happen to.
/// Everything that it is given must outlive the loop's run.
class panel {
public:
  using tcp = boost::asio::ip::tcp;

  /// `clock` says what time it is. `give_up` is called when the state file cannot be written, and must not
  /// return: what was not kept must not be answered.
  panel(panel_options options,
        model& m,
        state_file* state,
        std::function<moment()> clock,
        std::function<void(const error&)> give_up);

  /// Takes connections until the loop stops. Packages and groups are as old as this call.
  boost::asio::awaitable<void> accept(tcp::acceptor acceptor);

private:
  struct session;
  class flight;
  boost::asio::awaitable<void> serve(tcp::socket socket);
  /// Answers one request; false when the connection is over.
  boost::asio::awaitable<bool> answer_api(session& s);
  /// Does what an accepted request asks for, with the faults that hit it. All references outlive the call.
  boost::asio::awaitable<bool> play(session& s,
                                    const matched_route& matched,
                                    const api_request& request,
                                    drawn_faults drawn,
                                    flight& in_flight);
  boost::asio::awaitable<bool> answer_control(session& s);
  reply work(const matched_route& matched, const api_request& request, const work_faults& faults);
  /// True when the request may pass the rate limit.
  bool take_token();
  std::chrono::milliseconds latency();
  void keep_changes();

  panel_options options_;
  model& model_;
  state_file* state_;
  std::function<moment()> clock_;
  std::function<void(const error&)> give_up_;
  moment started_{};
  fault_plan faults_;
  request_log requests_;
  control control_;
  std::mt19937_64 random_;
  double tokens_ = 0;
  std::chrono::steady_clock::time_point tokens_counted_{};
};

} // namespace skyengine::simulator
