#pragma once

#include "domain/error.hpp"
#include "net/http/message.hpp"

#include <boost/asio/awaitable.hpp>

/// The functions behind the routes. Each parses, asks and renders; who may call it was decided before. Both
/// arguments outlive the coroutine.
namespace skyengine::net::api {

namespace asio = boost::asio;

struct call;
struct edge_state;
using answer = asio::awaitable<result<http::response>>;

// probes.cpp
answer get_health(edge_state& edge, const call& c);
answer get_readiness(edge_state& edge, const call& c);

// servers.cpp
answer post_server(edge_state& edge, const call& c);
answer post_server_old(edge_state& edge, const call& c);
answer list_servers(edge_state& edge, const call& c);
answer get_server(edge_state& edge, const call& c);
answer delete_server(edge_state& edge, const call& c);

} // namespace skyengine::net::api
