#pragma once

#include <boost/json.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

namespace skyengine::simulator {

/// Counts what the API was asked for. In flight is what the simulator works on: until its answer is sent or,
/// where none will be, until the work is done.
class request_log {
public:
  using time_point = std::chrono::steady_clock::time_point;

  void begin(std::string_view operation, time_point now);
  /// `status` as it was sent, or `none` where no answer was.
  void end(std::string_view status);
  /// Forgets all but what is in flight.
  void reset();
  boost::json::object render() const;

private:
  std::int64_t total_ = 0;
  std::int64_t in_flight_ = 0;
  std::int64_t max_in_flight_ = 0;
  std::size_t max_per_second_ = 0;
  std::deque<time_point> last_second_;
  std::map<std::string, std::int64_t, std::less<>> by_operation_;
  std::map<std::string, std::int64_t, std::less<>> by_status_;
};

} // namespace skyengine::simulator
