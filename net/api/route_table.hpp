#pragma once

#include "domain/error.hpp"
#include "net/http/message.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine::net::api {

namespace asio = boost::asio;

struct call;
struct edge_state;

/// Who may use a route.
enum class audience : std::uint8_t {
  everybody,
  /// Any valid key that has the scope.
  keys,
  /// The operator's keys that have the scope.
  operators,
};

struct route {
  http::verb method;
  /// `/v1/servers/{id}`
  std::string_view pattern;
  audience who;
  /// Empty: none is needed.
  std::string_view scope;
  /// What it can answer with, the default first.
  std::span<const std::string_view> media;
  asio::awaitable<result<http::response>> (*run)(edge_state&, const call&);
  /// Not empty: the route is deprecated in favour of this one.
  std::string_view successor = {};
};

/// Every route there is.
std::span<const route> routes() noexcept;

/// What a path leads to.
struct route_match {
  /// nullptr: the path is known, but not with this method.
  const route* found = nullptr;
  std::vector<std::string> parameters;
  /// For the Allow header, when the method is not among them.
  std::string allowed;
};

/// `segments` as http::path_segments makes them; HEAD is answered by GET's route. nullopt: no such path.
std::optional<route_match> match_route(http::verb method, const std::vector<std::string>& segments);

} // namespace skyengine::net::api
