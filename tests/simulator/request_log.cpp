#include "tests/simulator/request_log.hpp"

#include <algorithm>

namespace skyengine::simulator {
namespace {

void count(std::map<std::string, std::int64_t, std::less<>>& counts, std::string_view key) {
  const auto found = counts.find(key);
  if (found != counts.end())
    ++found->second;
  else
    counts.emplace(key, 1);
}

boost::json::object render_counts(const std::map<std::string, std::int64_t, std::less<>>& counts) {
  boost::json::object out;
  for (const auto& [key, n] : counts)
    out[key] = n;
  return out;
}

} // namespace

void request_log::begin(std::string_view operation, time_point now) {
  ++total_;
  max_in_flight_ = std::max(max_in_flight_, ++in_flight_);
  last_second_.push_back(now);
  while (now - last_second_.front() >= std::chrono::seconds{1})
    last_second_.pop_front();
  max_per_second_ = std::max(max_per_second_, last_second_.size());
  count(by_operation_, operation);
}

void request_log::end(std::string_view status) {
  --in_flight_;
  count(by_status_, status);
}

void request_log::reset() {
  total_ = 0;
  max_in_flight_ = in_flight_;
  max_per_second_ = 0;
  last_second_.clear();
  by_operation_.clear();
  by_status_.clear();
}

boost::json::object request_log::render() const {
  return {{"total", total_},
          {"inFlight", in_flight_},
          {"maxInFlight", max_in_flight_},
          {"maxPerSecond", static_cast<std::int64_t>(max_per_second_)},
          {"byOperation", render_counts(by_operation_)},
          {"byStatus", render_counts(by_status_)}};
}

} // namespace skyengine::simulator
