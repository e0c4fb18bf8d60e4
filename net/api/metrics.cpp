#include "net/api/edge_state.hpp"
#include "net/api/routes.hpp"

#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>

namespace skyengine::net::api {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using labels = std::vector<ClientMetric::Label>;

constexpr std::chrono::seconds figures_patience{2};

/// Gathers families of metrics, their names with the engine's prefix.
class collection {
public:
  void counter(const char* name, const char* help, double value, labels of = {}) {
    auto& one = add(name, help, MetricType::Counter, std::move(of));
    one.counter.value = value;
  }
  void gauge(const char* name, const char* help, double value, labels of = {}) {
    auto& one = add(name, help, MetricType::Gauge, std::move(of));
    one.gauge.value = value;
  }
  template <const auto& Bounds>
  void
  histogram(const char* name, const char* help, const skyengine::histogram<Bounds>& counted, labels of = {}) {
    auto& one = add(name, help, MetricType::Histogram, std::move(of)).histogram;
    for (std::size_t i = 0; i < counted.buckets.size(); ++i) {
      one.sample_count += counted.buckets[i];
      const auto bound = i < Bounds.size() ? Bounds[i] : std::numeric_limits<double>::infinity();
      one.bucket.push_back({one.sample_count, bound});
    }
    one.sample_sum = counted.sum;
  }
  std::string text() const { return prometheus::TextSerializer{}.Serialize(families_); }

private:
  ClientMetric& add(const char* name, const char* help, MetricType type, labels of) {
    const std::string_view plain{name};
    const auto full = plain.starts_with("process_") ? std::string{plain} : "skyengine_" + std::string{plain};
    if (families_.empty() || families_.back().name != full)
      families_.push_back({full, help, type, {}});
    auto& one = families_.back().metric.emplace_back();
    one.label = std::move(of);
    return one;
  }

  std::vector<MetricFamily> families_;
};

double as_double(std::uint64_t number) {
  return static_cast<double>(number);
}

void add_http(collection& all, const edge_state& edge) {
  const auto name = [](const http_figures::name& of) -> labels {
    const auto& [method, pattern, status] = of;
    return {
      {"method", std::string{method}}, {"route", std::string{pattern}}, {"status", std::to_string(status)}};
  };
  for (const auto& [of, one] : edge.figures.all())
    all.counter("http_requests_total", "Answered requests.", as_double(one.count), name(of));
  for (const auto& [of, one] : edge.figures.all())
    all.histogram("http_request_duration_seconds", "From the whole request to its answer.", one.seconds,
                  name(of));
  all.gauge("http_event_streams", "Open event streams.", as_double(edge.stream_gate.taken()));
}

void add_gateway(collection& all, const actors::gateway_figures& figures) {
  for (const auto& one : figures.requests)
    all.counter("virtfusion_requests_total", "Calls to VirtFusion, by what came of them.",
                as_double(one.count), {{"operation", one.operation}, {"outcome", one.outcome}});
  all.gauge("virtfusion_in_flight", "Slots in use for calls to VirtFusion.", as_double(figures.in_flight));
  all.gauge("virtfusion_in_flight_limit", "Slots that VirtFusion bears at present.",
            as_double(figures.limit));
  static constexpr const char* classes[] = {"interactive", "control", "background", "build_poll"};
  for (std::size_t i = 0; i < figures.classes.size() && i < std::size(classes); ++i)
    all.gauge("virtfusion_queue_depth", "Calls that wait for a slot.",
              as_double(figures.classes[i].queue_depth), {{"class", classes[i]}});
  for (std::size_t i = 0; i < figures.classes.size() && i < std::size(classes); ++i)
    all.counter("virtfusion_rejected_total", "Calls refused before they were sent.",
                as_double(figures.classes[i].rejected), {{"class", classes[i]}});
  all.gauge("virtfusion_breaker_state", "0 closed, 1 half-open, 2 open.", as_double(figures.breaker_state));
}

void add_provisioner(collection& all, const actors::provisioner_figures& figures) {
  constexpr auto name = "provisioning_total";
  constexpr auto help = "Orders, by what came of them.";
  all.counter(name, help, as_double(figures.succeeded), {{"outcome", "succeeded"}});
  all.counter(name, help, as_double(figures.failed), {{"outcome", "failed"}});
  all.counter(name, help, as_double(figures.refused), {{"outcome", "refused"}});
  all.gauge("provisioning_open", "Creates under way on this node.", as_double(figures.open_creates));
  all.histogram("provisioning_duration_seconds", "From the stored order to the end of its saga.",
                figures.seconds);
}

void add_cron(collection& all, const actors::cron_figures& figures) {
  all.gauge("cron_schedules", "Schedules that this node fires.",
            as_double(figures.is_firing ? figures.schedules : 0));
  all.gauge("cron_schedules_paused", "Schedules that are paused.",
            as_double(figures.is_firing ? figures.paused : 0));
  for (const auto& [of, count] : figures.runs)
    all.counter("cron_runs_total", "Runs of schedules, by what came of them.", as_double(count),
                {{"schedule", of.first}, {"outcome", std::string{to_string(of.second)}}});
  all.histogram("cron_lateness_seconds", "From when a run was due until its handler was told.",
                figures.lateness);
  for (const auto& [name, at] : figures.last_success)
    all.gauge("cron_last_success_timestamp_seconds", "When a run of the schedule last succeeded.",
              static_cast<double>(at.time_since_epoch().count()), {{"schedule", name}});
}

void add_billing(collection& all, const actors::billing_figures& figures) {
  all.counter("billing_charges_total", "Charges of hours that this node has closed.",
              as_double(figures.charges));
  all.counter("billing_corrections_total", "Corrections of months that were over.",
              as_double(figures.corrections));
  all.counter("billing_hours_total", "Hours that this node has closed.", as_double(figures.hours));
  if (figures.lag)
    all.gauge("billing_lag_seconds", "How long the oldest hour that is not closed is over, in business time.",
              static_cast<double>(figures.lag->count()));
}

void add_sync(collection& all, const actors::sync_figures& figures) {
  all.gauge("sync_running", "1 while this node looks at the servers.", figures.is_running ? 1 : 0);
  const auto of = [](const char* depth) -> labels { return {{"depth", depth}}; };
  constexpr auto seen = "sync_servers_seen";
  constexpr auto seen_help = "Servers that the sync under way has seen.";
  all.gauge(seen, seen_help, as_double(figures.listed), of("list"));
  all.gauge(seen, seen_help, as_double(figures.traffic_seen), of("traffic"));
  all.gauge(seen, seen_help, as_double(figures.live_seen), of("live"));
  constexpr auto left = "sync_servers_left";
  constexpr auto left_help = "Servers that it has yet to see.";
  all.gauge(left, left_help, as_double(figures.traffic_left), of("traffic"));
  all.gauge(left, left_help, as_double(figures.live_left), of("live"));
}

void add_drift(collection& all, const std::map<drift_kind, std::int64_t>& open) {
  for (int i = 0; i <= static_cast<int>(drift_kind::unknown); ++i) {
    const auto kind = static_cast<drift_kind>(i);
    const auto found = open.find(kind);
    all.gauge("drift", "Open differences between VirtFusion and the records of servers, by kind.",
              found == open.end() ? 0.0 : static_cast<double>(found->second),
              {{"kind", std::string{to_string(kind)}}});
  }
}

/// By name: what each actor dropped, as far as it has deadlines at all.
using drops = std::map<std::string_view, std::uint64_t>;

void add_actors(collection& all,
                const actors::runtime::actor_figures& actors,
                const drops& dropped,
                const actors::restart_counts& restarts) {
  const auto figures = actors.look();
  const auto named = [](std::string_view name) -> labels { return {{"actor", std::string{name}}}; };
  for (const auto& [name, one] : figures)
    all.histogram("actor_handling_seconds", "What an actor took to handle a message.", one.seconds,
                  named(name));
  for (const auto& [name, one] : figures)
    all.gauge("actor_mailbox_depth", "Messages that wait for an actor.",
              static_cast<double>(one.mailbox_depth), named(name));
  for (const auto& child : restarts.children)
    all.counter("actor_restarts_total", "How often an actor was started anew.", as_double(child.restarts),
                named(child.name));
  for (const auto& [name, one] : figures) {
    const auto found = dropped.find(name);
    all.counter("deadline_dropped_total", "Work dropped since nobody waits for it any more.",
                as_double(found == dropped.end() ? 0 : found->second), named(name));
  }
}

void add_database(collection& all, const db::database_counters& counters) {
  all.counter("db_queries_total", "Statements.", as_double(counters.queries));
  all.counter("db_query_failures_total", "Statements that failed.", as_double(counters.failed));
  all.counter("db_reconnects_total", "Lost connections that were replaced.", as_double(counters.reconnects));
  all.histogram("db_query_duration_seconds", "From when a statement was asked for to its answer.",
                counters.seconds);
  all.gauge("db_outstanding", "Statements that wait or run.", as_double(counters.outstanding));
}

std::size_t open_descriptors() {
  std::error_code ec;
  std::size_t count = 0;
  for (std::filesystem::directory_iterator each{"/proc/self/fd", ec}, end; !ec && each != end;
       each.increment(ec))
    ++count;
  return count;
}

/// The fields of /proc/self/stat behind the program's name, which may hold anything.
std::vector<std::string> process_stat() {
  std::ifstream file{"/proc/self/stat"};
  std::string line;
  std::getline(file, line);
  const auto behind = line.rfind(')');
  std::vector<std::string> fields;
  if (behind == std::string::npos)
    return fields;
  std::istringstream rest{line.substr(behind + 1)};
  for (std::string field; rest >> field;)
    fields.push_back(field);
  return fields;
}

void add_process(collection& all) {
  // Counted from the field behind the name: utime, stime, rss.
  constexpr std::size_t user_ticks = 11;
  constexpr std::size_t system_ticks = 12;
  constexpr std::size_t resident_pages = 21;
  const auto fields = process_stat();
  const auto number = [&](std::size_t index) {
    double value = 0;
    if (index < fields.size())
      std::from_chars(fields[index].data(), fields[index].data() + fields[index].size(), value);
    return value;
  };
  all.counter("process_cpu_seconds_total", "Processor time used.",
              (number(user_ticks) + number(system_ticks)) / static_cast<double>(sysconf(_SC_CLK_TCK)));
  all.gauge("process_resident_memory_bytes", "Memory in use.",
            number(resident_pages) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  all.gauge("process_open_fds", "Open file descriptors.", as_double(open_descriptors()));
}

/// nullopt where there is no such actor at present, or none that answers.
template <class Figures, class Query, class Actor>
asio::awaitable<std::optional<Figures>> ask(edge_state& edge, const Actor& actor) {
  if (!actor)
    co_return std::nullopt;
  const Query query;
  auto figures = co_await edge.services.asker.ask<Figures>(actor, figures_patience, query);
  if (!figures)
    co_return std::nullopt;
  co_return std::move(*figures);
}

} // namespace

answer get_metrics(edge_state& edge, const call&) {
  collection all;
  all.gauge("build_info", "What runs here.", 1,
            {{"version", edge.options.version}, {"commit", edge.options.commit}});
  add_http(all, edge);
  drops dropped;
  if (const auto figures =
        co_await ask<actors::gateway_figures, actors::gateway_figures_query>(edge, edge.gateway)) {
    add_gateway(all, *figures);
    dropped.emplace("virtfusion_gateway", figures->deadline_dropped);
  }
  if (const auto figures = co_await ask<actors::provisioner_figures, actors::provisioner_figures_query>(
        edge, edge.provisioner)) {
    add_provisioner(all, *figures);
    dropped.emplace("server_provisioner", figures->deadline_dropped);
  }
  if (const auto figures =
        co_await ask<actors::cron_figures, actors::cron_figures_query>(edge, edge.cron_timer))
    add_cron(all, *figures);
  if (const auto figures =
        co_await ask<actors::billing_figures, actors::billing_figures_query>(edge, edge.billing))
    add_billing(all, *figures);
  if (const auto figures =
        co_await ask<actors::sync_figures, actors::sync_figures_query>(edge, edge.metrics_sync))
    add_sync(all, *figures);
  const auto restarts =
    co_await ask<actors::restart_counts, actors::restart_counts_query>(edge, edge.supervisor);
  add_actors(all, edge.services.actors, dropped, restarts.value_or(actors::restart_counts{}));
  if (const auto counts = co_await edge.servers.count_by_state())
    for (const auto& [state, count] : *counts)
      all.gauge("servers", "Servers, by state.", static_cast<double>(count),
                {{"state", std::string{to_string(state)}}});
  if (const auto counts = co_await edge.drift.count_open())
    add_drift(all, *counts);
  add_database(all, edge.services.database.counters());
  add_process(all);
  http::response answer;
  answer.headers.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
  answer.headers.set(http::field::cache_control, "no-store");
  answer.body = all.text();
  co_return answer;
}

} // namespace skyengine::net::api
