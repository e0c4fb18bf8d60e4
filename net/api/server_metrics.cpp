#include "net/api/edge_state.hpp"
#include "net/api/routes.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace skyengine::net::api {

namespace {

using db::metric_step;
using std::chrono::days;
using std::chrono::hours;

// An answer of some 300 KiB.
constexpr std::int64_t most_points = 1'000;

struct series_range {
  metric_step step = metric_step::hour;
  instant from{};
  instant to{};
};

/// What is shown when nobody says from when, by step.
constexpr std::array<hours, series_steps.size()> usual_spans{days{1}, days{7}, days{90}};

error too_wide(metric_step step) {
  const auto* const way_out = step == metric_step::raw    ? "ask for step=hour or for a shorter time"
                              : step == metric_step::hour ? "ask for step=day or for at most 41 days"
                                                          : "ask for at most 1000 days";
  return {errc::invalid_request,
          "an answer has at most 1000 points",
          {{step == metric_step::day ? "from" : "step",
            "would be more than 1000 points: " + std::string{way_out}}}};
}

/// Both ends where a step begins, so that no step is told in part.
template <class Step>
void align(series_range& wanted) {
  wanted.from = std::chrono::floor<Step>(wanted.from);
  wanted.to = std::chrono::ceil<Step>(wanted.to);
}

result<series_range> range_of(const series_query& query, instant now) {
  series_range wanted;
  if (query.step)
    wanted.step = static_cast<metric_step>(*query.step);
  // Nothing was observed after now, nor before there were such servers: a time that is yet to come has no
  // points.
  const instant last = now + std::chrono::seconds{1};
  wanted.to = std::min(query.to.value_or(last), last);
  const auto usual = usual_spans[static_cast<std::size_t>(wanted.step)];
  wanted.from = std::max(query.from.value_or(wanted.to - usual), instant{});
  wanted.to = std::max(wanted.to, wanted.from);
  if (wanted.step == metric_step::hour)
    align<hours>(wanted);
  if (wanted.step == metric_step::day)
    align<days>(wanted);
  const auto most = wanted.step == metric_step::day ? most_points * hours{24} : most_points * hours{1};
  if (wanted.step != metric_step::raw && wanted.to - wanted.from > most)
    return too_wide(wanted.step);
  return wanted;
}

void decimal(json_writer& out, std::string_view name, const std::optional<std::string>& number) {
  out.key(name);
  out.raw(number ? std::string_view{*number} : "null");
}

std::optional<std::string_view> power_of(const db::metric_point& one) {
  if (!one.is_on)
    return std::nullopt;
  return *one.is_on ? "on" : "off";
}

void write(json_writer& out, const db::metric_point& one, bool is_aggregate) {
  out.begin_object();
  out.member("time", one.at);
  out.member("power", power_of(one));
  decimal(out, "cpuPercent", one.cpu);
  out.member("memoryUsedBytes", one.memory_used);
  out.member("memoryTotalBytes", one.memory_total);
  out.member("diskUsedBytes", one.disk_used);
  out.member("diskTotalBytes", one.disk_total);
  out.member("trafficInBytes", one.traffic_in);
  out.member("trafficOutBytes", one.traffic_out);
  out.member("trafficPeriodStart", one.traffic_period_at);
  if (is_aggregate) {
    out.member("looks", one.looks);
    out.member("looksOn", one.looks_on);
    decimal(out, "cpuPercentMin", one.cpu_min);
    decimal(out, "cpuPercentMax", one.cpu_max);
    out.member("memoryUsedBytesMin", one.memory_used_min);
    out.member("memoryUsedBytesMax", one.memory_used_max);
    out.member("diskUsedBytesMin", one.disk_used_min);
    out.member("diskUsedBytesMax", one.disk_used_max);
  }
  out.end_object();
}

} // namespace

answer get_server_metrics(edge_state& edge, const call& c) {
  const auto query = parse_series_query(c.query);
  if (!query)
    co_return query.error();
  const auto wanted = range_of(*query, edge.services.business.now());
  if (!wanted)
    co_return wanted.error();
  const auto server = co_await find_server(edge, c);
  if (!server)
    co_return server.error();
  const auto found =
    co_await edge.metric_series.points(server->id, wanted->step, wanted->from, wanted->to, most_points + 1);
  if (!found)
    co_return found.error();
  if (found->size() > static_cast<std::size_t>(most_points))
    co_return too_wide(wanted->step);
  json_writer out{256 + found->size() * 512};
  out.begin_object();
  out.member("serverId", server->id);
  out.member("step", series_steps[static_cast<std::size_t>(wanted->step)]);
  out.member("from", wanted->from);
  out.member("to", wanted->to);
  out.key("points");
  out.begin_array();
  for (const auto& one : *found)
    write(out, one, wanted->step != metric_step::raw);
  out.end_array();
  out.end_object();
  co_return json_answer(http::status::ok, std::move(out).take());
}

} // namespace skyengine::net::api
