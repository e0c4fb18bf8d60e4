#pragma once

#include "net/virtfusion/operations.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace skyengine::net::virtfusion {

namespace detail {
/// Inspectors know no std::optional: a number stands for it while `f(…)` runs, -1 for nothing.
struct wait_on_the_wire {
  explicit wait_on_the_wire(std::optional<std::chrono::seconds>& original)
      : target(original), seconds(original ? original->count() : std::int64_t{-1}) {}
  wait_on_the_wire(const wait_on_the_wire&) = delete;
  wait_on_the_wire& operator=(const wait_on_the_wire&) = delete;
  ~wait_on_the_wire() { target = seconds < 0 ? std::nullopt : std::optional{std::chrono::seconds{seconds}}; }

  std::optional<std::chrono::seconds>& target;
  std::int64_t seconds;
};
} // namespace detail

/// One call as it goes out, without host, base path and headers, which the transport adds.
struct request {
  operation op = operation::connect;
  /// Path and query below the API's base path.
  std::string target;
  /// JSON, or empty.
  std::string body;
  friend bool operator==(const request&, const request&) = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, request& x) {
    return f(x.op, x.target, x.body);
  }
};

/// What VirtFusion said. The body may hold a password: it is never logged.
struct answer {
  unsigned status = 0;
  std::string body;
  /// `Retry-After`, counted from when the answer came.
  std::optional<std::chrono::seconds> retry_after = {};

  bool is_success() const noexcept { return status >= 200 && status < 300; }

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, answer& x) {
    detail::wait_on_the_wire wait{x.retry_after};
    return f(x.status, x.body, wait.seconds);
  }
};

} // namespace skyengine::net::virtfusion
