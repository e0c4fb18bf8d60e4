#include "net/api/route_table.hpp"

#include "net/api/routes.hpp"

#include <algorithm>
#include <array>

namespace skyengine::net::api {

namespace {

using enum audience;
using http::verb;

constexpr std::array<std::string_view, 1> json{"application/json"};

constexpr std::array table{
  route{verb::get, "/healthz", everybody, "", json, get_health},
  route{verb::get, "/readyz", everybody, "", json, get_readiness},

  route{verb::post, "/servers/create", keys, "servers:write", json, post_server_old, "/v1/servers"},
  route{verb::post, "/v1/servers", keys, "servers:write", json, post_server},
  route{verb::get, "/v1/servers", keys, "servers:read", json, list_servers},
  route{verb::get, "/v1/servers/{id}", keys, "servers:read", json, get_server},
  route{verb::delete_, "/v1/servers/{id}", keys, "servers:write", json, delete_server},
};

std::string_view take_segment(std::string_view& rest) noexcept {
  rest.remove_prefix(1);
  const auto segment = rest.substr(0, rest.find('/'));
  rest.remove_prefix(segment.size());
  return segment;
}

bool fits(std::string_view pattern, const std::vector<std::string>& segments) noexcept {
  for (const auto& segment : segments) {
    if (pattern.empty())
      return false;
    const auto wanted = take_segment(pattern);
    if (wanted.front() == '{' ? segment.empty() : wanted != segment)
      return false;
  }
  return pattern.empty();
}

std::vector<std::string> parameters_of(std::string_view pattern, const std::vector<std::string>& segments) {
  std::vector<std::string> parameters;
  for (const auto& segment : segments)
    if (take_segment(pattern).front() == '{')
      parameters.push_back(segment);
  return parameters;
}

void allow(std::string& list, std::string_view method) {
  list.append(list.empty() ? "" : ", ").append(method);
}

} // namespace

std::span<const route> routes() noexcept {
  return table;
}

std::optional<route_match> match_route(http::verb method, const std::vector<std::string>& segments) {
  const auto wanted = method == verb::head ? verb::get : method;
  route_match match;
  for (const auto& one : table) {
    if (!fits(one.pattern, segments))
      continue;
    if (one.method == wanted) {
      match.found = &one;
      match.parameters = parameters_of(one.pattern, segments);
      return match;
    }
    const auto name = boost::beast::http::to_string(one.method);
    allow(match.allowed, {name.data(), name.size()});
    if (one.method == verb::get)
      allow(match.allowed, "HEAD");
  }
  if (match.allowed.empty())
    return std::nullopt;
  return match;
}

} // namespace skyengine::net::api
