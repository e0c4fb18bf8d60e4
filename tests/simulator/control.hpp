#pragma once

#include "tests/simulator/faults.hpp"
#include "tests/simulator/model.hpp"
#include "tests/simulator/request_log.hpp"
#include "tests/simulator/routes.hpp"

#include <string_view>

namespace skyengine::simulator {

/// The side of the simulator that tests and demos use, under `/_control`: what is true, what was asked for,
/// what is to go wrong, and servers made or changed behind everybody's back.
class control {
public:
  control(model& m, fault_plan& faults, request_log& requests)
      : model_(m), faults_(faults), requests_(requests) {}

  /// `path` begins with `/_control`.
  reply answer(std::string_view method, std::string_view path, std::string_view body, moment now);

private:
  reply get_state(moment now) const;
  reply post_fault(std::string_view body);
  reply post_servers(std::string_view body, moment now);
  reply patch_server(std::int64_t id, std::string_view body, moment now);

  model& model_;
  fault_plan& faults_;
  request_log& requests_;
};

} // namespace skyengine::simulator
