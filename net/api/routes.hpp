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

// actions.cpp
answer list_server_actions(edge_state& edge, const call& c);
answer get_action(edge_state& edge, const call& c);
answer retry_action(edge_state& edge, const call& c);
answer abandon_action(edge_state& edge, const call& c);

// api_keys.cpp
answer post_api_key(edge_state& edge, const call& c);
answer get_api_key(edge_state& edge, const call& c);
answer list_api_keys(edge_state& edge, const call& c);
answer delete_api_key(edge_state& edge, const call& c);

// audit_log.cpp
answer list_audit_log(edge_state& edge, const call& c);

// catalogue.cpp
answer put_plan(edge_state& edge, const call& c);
answer get_plan(edge_state& edge, const call& c);
answer list_plans(edge_state& edge, const call& c);
answer put_region(edge_state& edge, const call& c);
answer get_region(edge_state& edge, const call& c);
answer list_regions(edge_state& edge, const call& c);
answer put_user(edge_state& edge, const call& c);
answer get_user(edge_state& edge, const call& c);
answer list_users(edge_state& edge, const call& c);

// cron.cpp
answer list_schedules(edge_state& edge, const call& c);
answer get_schedule(edge_state& edge, const call& c);
answer patch_schedule(edge_state& edge, const call& c);
answer list_runs(edge_state& edge, const call& c);
answer get_run(edge_state& edge, const call& c);
answer post_run(edge_state& edge, const call& c);
answer post_backfill(edge_state& edge, const call& c);
answer cancel_run(edge_state& edge, const call& c);

// documents.cpp
answer get_openapi(edge_state& edge, const call& c);
answer get_docs(edge_state& edge, const call& c);

// drift.cpp
answer list_drift(edge_state& edge, const call& c);
answer get_drift(edge_state& edge, const call& c);
answer resolve_drift(edge_state& edge, const call& c);

// events.cpp
answer get_server_events(edge_state& edge, const call& c);

// holds.cpp
answer list_holds(edge_state& edge, const call& c);
answer get_hold(edge_state& edge, const call& c);
answer post_hold(edge_state& edge, const call& c);
answer release_hold(edge_state& edge, const call& c);
answer write_off_hold(edge_state& edge, const call& c);

// metrics.cpp
answer get_metrics(edge_state& edge, const call& c);

// money.cpp
answer list_server_charges(edge_state& edge, const call& c);
answer get_usage(edge_state& edge, const call& c);
answer get_balance(edge_state& edge, const call& c);
answer preview_invoice(edge_state& edge, const call& c);

// probes.cpp
answer get_health(edge_state& edge, const call& c);
answer get_readiness(edge_state& edge, const call& c);

// server_metrics.cpp
answer get_server_metrics(edge_state& edge, const call& c);
// server_control.cpp
answer suspend_server(edge_state& edge, const call& c);
answer unsuspend_server(edge_state& edge, const call& c);
answer put_server_plan(edge_state& edge, const call& c);

// servers.cpp
answer post_server(edge_state& edge, const call& c);
answer post_server_old(edge_state& edge, const call& c);
answer list_servers(edge_state& edge, const call& c);
answer get_server(edge_state& edge, const call& c);
answer delete_server(edge_state& edge, const call& c);

} // namespace skyengine::net::api
