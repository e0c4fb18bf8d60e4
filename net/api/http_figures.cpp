#include "net/api/http_figures.hpp"

namespace skyengine::net::api {

void http_figures::count(name of, std::chrono::steady_clock::duration took) {
  auto& one = all_[of];
  ++one.count;
  one.seconds.observe(std::chrono::duration<double>(took).count());
}

} // namespace skyengine::net::api
