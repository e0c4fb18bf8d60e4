#include "net/api/route_table.hpp"

#include "net/api/routes.hpp"

#include <algorithm>
#include <array>

namespace skyengine::net::api {

namespace {

using enum audience;
using http::verb;

constexpr std::array<std::string_view, 1> json{"application/json"};
constexpr std::array<std::string_view, 2> json_or_events{"application/json", "text/event-stream"};
constexpr std::array<std::string_view, 1> text{"text/plain"};
constexpr std::array<std::string_view, 1> html{"text/html"};
constexpr std::array<std::string_view, 1> yaml{"application/yaml"};

// clang-format off
constexpr std::array table{
  route{verb::get,     "/healthz",                 everybody, "",                json, get_health},
  route{verb::get,     "/readyz",                  everybody, "",                json, get_readiness},
  route{verb::get,     "/metrics",                 everybody, "",                text, get_metrics},
  route{verb::get,     "/openapi.yaml",            everybody, "",                yaml, get_openapi},
  route{verb::get,     "/docs",                    everybody, "",                html, get_docs},

  route{verb::get,     "/v1/servers/{id}",         keys,      "servers:read",    json, get_server},
  route{verb::delete_, "/v1/servers/{id}",         keys,      "servers:write",   json, delete_server},
  route{verb::get,     "/v1/servers",              keys,      "servers:read",    json, list_servers},
  route{verb::post,    "/v1/servers",              keys,      "servers:write",   json, post_server},
  route{verb::post,    "/servers/create",          keys,      "servers:write",   json, post_server_old, "/v1/servers"},
  route{verb::get,     "/v1/servers/{id}/events",  keys,      "servers:read",    json_or_events, get_server_events},
  route{verb::get,     "/v1/servers/{id}/metrics", keys,      "servers:read",    json, get_server_metrics},
  route{verb::post,    "/v1/servers/{id}/suspend", operators, "servers:write",   json, suspend_server},
  route{verb::post,    "/v1/servers/{id}/unsuspend", operators, "servers:write", json, unsuspend_server},
  route{verb::put,     "/v1/servers/{id}/plan",    keys,      "servers:write",   json, put_server_plan},
  route{verb::get,     "/v1/servers/{id}/actions", keys,      "servers:read",    json, list_server_actions},
  route{verb::get,     "/v1/actions/{id}",         keys,      "servers:read",    json, get_action},
  route{verb::post,    "/v1/actions/{id}/retry",   operators, "servers:write",   json, retry_action},
  route{verb::post,    "/v1/actions/{id}/abandon", operators, "servers:write",   json, abandon_action},

  route{verb::get,     "/v1/plans",                keys,      "",                json, list_plans},
  route{verb::get,     "/v1/plans/{planId}",       keys,      "",                json, get_plan},
  route{verb::put,     "/v1/plans/{planId}",       operators, "catalogue:write", json, put_plan},
  route{verb::get,     "/v1/regions",              keys,      "",                json, list_regions},
  route{verb::get,     "/v1/regions/{region}",     keys,      "",                json, get_region},
  route{verb::put,     "/v1/regions/{region}",     operators, "catalogue:write", json, put_region},
  route{verb::get,     "/v1/users",                operators, "",                json, list_users},
  route{verb::get,     "/v1/users/{userId}",       operators, "",                json, get_user},
  route{verb::put,     "/v1/users/{userId}",       operators, "catalogue:write", json, put_user},

  route{verb::get,     "/v1/servers/{id}/charges", keys,      "billing:read",    json, list_server_charges},
  route{verb::get,     "/v1/usage",                keys,      "billing:read",    json, get_usage},
  route{verb::get,     "/v1/balance",              keys,      "billing:read",    json, get_balance},
  route{verb::get,     "/v1/invoices/preview",     keys,      "billing:read",    json, preview_invoice},

  route{verb::get,     "/v1/cron",                 operators, "cron:read",       json, list_schedules},
  route{verb::get,     "/v1/cron/{name}",          operators, "cron:read",       json, get_schedule},
  route{verb::patch,   "/v1/cron/{name}",          operators, "cron:write",      json, patch_schedule},
  route{verb::get,     "/v1/cron/{name}/runs",     operators, "cron:read",       json, list_runs},
  route{verb::get,     "/v1/cron/{name}/runs/{id}", operators, "cron:read",      json, get_run},
  route{verb::post,    "/v1/cron/{name}/run",      operators, "cron:write",      json, post_run},
  route{verb::post,    "/v1/cron/{name}/backfill", operators, "cron:write",      json, post_backfill},
  route{verb::post,    "/v1/cron/{name}/runs/{id}/cancel", operators, "cron:write", json, cancel_run},

  route{verb::get,     "/v1/holds",                operators, "billing:read",    json, list_holds},
  route{verb::post,    "/v1/holds",                operators, "billing:write",   json, post_hold},
  route{verb::get,     "/v1/holds/{id}",           operators, "billing:read",    json, get_hold},
  route{verb::post,    "/v1/holds/{id}/release",   operators, "billing:write",   json, release_hold},
  route{verb::post,    "/v1/holds/{id}/write-off", operators, "billing:write",   json, write_off_hold},
  route{verb::get,     "/v1/drift",                operators, "servers:read",    json, list_drift},
  route{verb::get,     "/v1/drift/{id}",           operators, "servers:read",    json, get_drift},
  route{verb::post,    "/v1/drift/{id}/resolve",   operators, "servers:write",   json, resolve_drift},

  route{verb::get,     "/v1/api-keys",             operators, "keys:write",      json, list_api_keys},
  route{verb::post,    "/v1/api-keys",             operators, "keys:write",      json, post_api_key},
  route{verb::get,     "/v1/api-keys/{id}",        operators, "keys:write",      json, get_api_key},
  route{verb::delete_, "/v1/api-keys/{id}",        operators, "keys:write",      json, delete_api_key},
  route{verb::get,     "/v1/audit-log",            operators, "audit:read",      json, list_audit_log},
};
// clang-format on

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
