#pragma once

#include "domain/catalogue.hpp"
#include "domain/server.hpp"
#include "net/api/edge_state.hpp"

namespace skyengine::net::api {

/// An order that holds against the catalogue, and what it refers to there.
struct checked_order {
  server_order order;
  skyengine::plan plan;
  skyengine::region region;
  std::optional<virtfusion_user_id> virtfusion_user;
  bool is_dry_run = false;
};

/// errc::invalid_request with all that is wrong; errc::forbidden when a user's key names a user. `body` must
/// outlive it.
asio::awaitable<result<checked_order>>
read_order(edge_state& edge, const call& c, const boost::json::object& body, strictness how);

/// What VirtFusion would say to the order: `{valid, problems}`. Nothing is stored or reserved.
asio::awaitable<result<http::response>> dry_run(edge_state& edge, const call& c, checked_order order);

} // namespace skyengine::net::api
