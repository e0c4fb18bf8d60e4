#pragma once

#include "domain/histogram.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>

namespace skyengine::net::api {

/// Upper bounds, in seconds, of the buckets of `http_request_duration_seconds`; one more bucket has the rest.
inline constexpr std::array<double, 13> request_buckets{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                        0.1,    0.25,  0.5,    1,     5,    10};

/// What the edge counts of requests, by method, route pattern and status: all from fixed sets.
class http_figures {
public:
  struct series {
    std::uint64_t count = 0;
    histogram<request_buckets> seconds;
  };
  /// Method, pattern and status; method and pattern live as long as the program.
  using name = std::tuple<std::string_view, std::string_view, unsigned>;

  void count(name of, std::chrono::steady_clock::duration took);
  const std::map<name, series>& all() const noexcept { return all_; }

private:
  std::map<name, series> all_;
};

} // namespace skyengine::net::api
