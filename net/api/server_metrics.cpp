#include "domain/time_format.hpp"
#include "net/api/edge_state.hpp"
#include "net/api/routes.hpp"

#include <algorithm>
#include <array>
#include <chrono>
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

struct series_query {
  metric_step step = metric_step::hour;
  instant from{};
  instant to{};
};

struct step_name {
  std::string_view name;
  metric_step step;
  /// What is shown when nobody says from when.
  hours usual_span;
};

constexpr std::array<step_name, 3> steps{{{"raw", metric_step::raw, days{1}},
                                          {"hour", metric_step::hour, days{7}},
                                          {"day", metric_step::day, days{90}}}};

const step_name& name_of(metric_step step) {
  return steps[static_cast<std::size_t>(step)];
}

std::optional<instant>
read_time(const query_parameters& query, std::string_view name, std::vector<field_error>& faults) {
  const auto found =
    std::find_if(query.begin(), query.end(), [&](const auto& one) { return one.name == name; });
  if (found == query.end())
    return std::nullopt;
  const auto read = parse_time(found->value);
  if (read)
    return *read;
  faults.push_back({std::string{name}, read.error().detail});
  return std::nullopt;
}

void refuse_strangers(const query_parameters& query, std::vector<field_error>& faults) {
  constexpr std::array<std::string_view, 3> known{"from", "to", "step"};
  for (const auto& one : query) {
    const auto count =
      std::count_if(query.begin(), query.end(), [&](const auto& other) { return other.name == one.name; });
    if (std::find(known.begin(), known.end(), one.name) == known.end())
      faults.push_back({one.name, "is no parameter here"});
    else if (count > 1)
      faults.push_back({one.name, "is given twice"});
  }
}

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
void align(series_query& wanted) {
  wanted.from = std::chrono::floor<Step>(wanted.from);
  wanted.to = std::chrono::ceil<Step>(wanted.to);
}

result<series_query> parse_series_query(const query_parameters& query, instant now) {
  std::vector<field_error> faults;
  refuse_strangers(query, faults);
  series_query wanted;
  for (const auto& one : query) {
    if (one.name != "step")
      continue;
    const auto found = std::find_if(steps.begin(), steps.end(),
                                    [&](const step_name& known) { return known.name == one.value; });
    if (found == steps.end())
      faults.push_back({"step", "is not raw, hour or day"});
    else
      wanted.step = found->step;
  }
  const auto from = read_time(query, "from", faults);
  const auto to = read_time(query, "to", faults);
  if (!faults.empty())
    return error{errc::malformed_request, "the query cannot be read", std::move(faults)};
  // Nothing was observed after now, nor before there were such servers.
  const instant last = now + std::chrono::seconds{1};
  wanted.to = std::min(to.value_or(last), last);
  wanted.from = std::max(from.value_or(wanted.to - name_of(wanted.step).usual_span), instant{});
  if (from && to && *from >= *to)
    return error{errc::invalid_request, "from is not before to", {{"from", "is not before to"}}};
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
  const auto wanted = parse_series_query(c.query, edge.services.business.now());
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
  out.member("step", name_of(wanted->step).name);
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
