#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace skyengine::net::api {

/// `net/api/openapi.yaml`, as it was built in.
std::string_view openapi_yaml() noexcept;

/// One operation of the contract.
struct documented_operation {
  /// `GET`
  std::string method;
  std::string path;
  std::string summary;
  friend bool operator==(const documented_operation&, const documented_operation&) = default;
};

/// The operations of an OpenAPI file in our own layout: paths indented by two, methods by four, summaries by
/// six.
std::vector<documented_operation> operations_of(std::string_view yaml);

} // namespace skyengine::net::api
