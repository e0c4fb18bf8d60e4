#include "net/api/http_figures.hpp"

#include <algorithm>

namespace skyengine::net::api {

void http_figures::count(name of, std::chrono::steady_clock::duration took) {
  auto& one = all_[of];
  const auto seconds = std::chrono::duration<double>(took).count();
  ++one.count;
  one.seconds += seconds;
  const auto bucket = std::lower_bound(request_buckets.begin(), request_buckets.end(), seconds);
  ++one.buckets[static_cast<std::size_t>(bucket - request_buckets.begin())];
}

} // namespace skyengine::net::api
