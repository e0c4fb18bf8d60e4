#pragma once

#include "net/api/edge.hpp"
#include "net/http/server.hpp"
#include "tests/support/http.hpp"
#include "tests/support/provisioning_rig.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skyengine::test {

/// What a client of the engine got.
struct api_answer : http_answer {
  /// The body; a null where it is no JSON.
  boost::json::value json() const;
  /// A member of the body, by JSON pointer: `at("/items/0/id")`. A null where there is none.
  boost::json::value at(std::string_view pointer) const;
};

/// The whole engine in this process: a provisioning rig with its HTTP edge on a free port. Keys: an
/// operator's without scopes, and those of users 1 and 2 with all scopes. With `business`, the edge tells the
/// time by that clock, which must outlive it.
class engine {
public:
  using headers = std::vector<std::pair<std::string, std::string>>;

  engine(const test_database& database,
         const simulated_panel& panel,
         net::api::edge_options options = {},
         rig_options rig_settings = {},
         const clock* business = nullptr);
  ~engine();

  /// A request with the operator's key, on a connection of its own. An answer that does not fit
  /// net/api/openapi.yaml fails the test.
  api_answer
  call(std::string_view method, std::string_view target, std::string_view body = {}, headers more = {});
  /// With another key; empty: without one.
  api_answer call_as(std::string_view key,
                     std::string_view method,
                     std::string_view target,
                     std::string_view body = {},
                     headers more = {});
  /// Opens a connection and sends a request, without waiting for its answer.
  raw_connection begin(std::string_view key,
                       std::string_view method,
                       std::string_view target,
                       std::string_view body = {},
                       headers more = {});
  /// A key of its own for `user` (nullopt: the operator's).
  std::string make_key(std::optional<user_id> user, std::vector<std::string> scopes);
  /// The provisioner falls, and another takes its place.
  void replace_provisioner();
  /// Creates a server and waits until it is active; its id.
  std::int64_t make_server(std::string_view body = R"({"planId":"small","region":"north","userId":1})");

  provisioning_rig rig;
  net::api::edge edge;
  net::http::server server;
  asio::ip::tcp::endpoint endpoint;
  std::string operator_key;
  std::string user_1_key;
  std::string user_2_key;
};

} // namespace skyengine::test
