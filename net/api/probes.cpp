#include "net/api/edge_state.hpp"
#include "net/api/routes.hpp"

namespace skyengine::net::api {

namespace {

struct failing_check {
  std::string_view name;
  std::string detail;
};

constexpr std::chrono::seconds probe_patience{2};

asio::awaitable<std::vector<failing_check>> failing_checks(edge_state& edge) {
  std::vector<failing_check> failing;
  if (!edge.services.database.is_up())
    failing.push_back({"database", "no connection"});
  if (!edge.provisioner)
    failing.push_back({"provisioner", "not running"});
  if (!edge.gateway) {
    failing.push_back({"virtfusion", "the gateway is not running"});
    co_return failing;
  }
  const actors::gateway_figures_query query;
  const auto figures =
    co_await edge.services.asker.ask<actors::gateway_figures>(edge.gateway, probe_patience, query);
  if (!figures)
    failing.push_back({"virtfusion", "the gateway does not answer"});
  else if (figures->breaker_state != 0)
    failing.push_back({"virtfusion", figures->trouble});
  co_return failing;
}

} // namespace

answer get_health(edge_state& edge, const call&) {
  json_writer out;
  out.begin_object();
  out.member("status", "ok");
  out.member("version", edge.options.version);
  if (edge.options.clock_rate != 1)
    out.member("businessTime", edge.services.business.now());
  out.end_object();
  co_return json_answer(http::status::ok, std::move(out).take());
}

answer get_readiness(edge_state& edge, const call&) {
  const auto failing = co_await failing_checks(edge);
  json_writer out;
  out.begin_object();
  out.member("status", !edge.is_ready ? "starting" : failing.empty() ? "ready" : "degraded");
  out.key("failing");
  out.begin_array();
  for (const auto& check : failing) {
    out.begin_object();
    out.member("check", check.name);
    out.member("detail", check.detail);
    out.end_object();
  }
  out.end_array();
  out.end_object();
  auto answer =
    json_answer(edge.is_ready ? http::status::ok : http::status::service_unavailable, std::move(out).take());
  if (!edge.is_ready)
    answer.headers.set(http::field::retry_after, "1");
  co_return answer;
}

} // namespace skyengine::net::api
