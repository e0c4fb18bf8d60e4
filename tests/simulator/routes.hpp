#pragma once

#include "tests/simulator/model.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The API under `/api/v1`: which operation a request is, and what doing it answers.
namespace skyengine::simulator {

struct api_request {
  std::string_view method;
  /// Below `/api/v1`, without query.
  std::string_view path;
  std::string_view query;
  std::string_view body;
};

struct reply {
  unsigned status = 200;
  std::string body = {};
  std::string content_type = "application/json";
  /// `Retry-After`, where set.
  std::string retry_after = {};
};

/// `{"msg": text}` with `status`.
reply message(unsigned status, std::string_view text);

/// What faults change in the work itself.
struct work_faults {
  bool build_fails = false;
  bool suspend_leaves_running = false;
  /// Lists hide what was made less than this ago, in real time.
  std::optional<std::chrono::milliseconds> hide_younger_than = {};
};

struct route;

/// A request that is an operation of the API.
struct matched_route {
  const route* what = nullptr;
  /// The path's parameters in their order.
  std::vector<std::string> parameters = {};
};

/// A null `what` where the API has no such operation.
matched_route match_route(std::string_view method, std::string_view path, bool has_task_scheduler);
/// Method and the vendor's path template, as in `POST /servers/{serverId}/build`.
std::string_view operation_of(const route& r) noexcept;
/// Where the server is that a request is for; nothing when it is for none, or for one that is not there.
std::optional<std::int64_t> hypervisor_asked_for(const matched_route& matched, const model& m);
/// All operations, for messages and checks.
std::vector<std::string_view> all_operations();

/// Does the work and answers it. `started` is when the simulator began, for what was always there.
reply perform(const matched_route& matched,
              const api_request& request,
              model& m,
              const work_faults& faults,
              moment started,
              moment now);

} // namespace skyengine::simulator
