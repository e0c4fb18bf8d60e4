#include "config/setting_table.hpp"

#include <algorithm>
#include <array>
#include <type_traits>

namespace skyengine::config {

namespace {

template <class Member>
void put(Member& member, const value& v) {
  if constexpr (std::is_same_v<Member, std::size_t> || std::is_enum_v<Member>)
    member = static_cast<Member>(std::get<std::int64_t>(v));
  else
    member = std::get<Member>(v);
}

template <auto Member>
void assign(settings& target, const value& v) {
  put(target.*Member, v);
}

template <auto Section, auto Member>
void assign(settings& target, const value& v) {
  put((target.*Section).*Member, v);
}

// PATH_MAX; and names short enough for a label of a metric.
constexpr value_type path{value_kind::text, 0, 4'096};
constexpr value_type text{value_kind::text, 0, 255};
constexpr value_type boolean{value_kind::boolean};

constexpr value_type integer(std::int64_t least, std::int64_t most) {
  return {value_kind::integer, least, most};
}

constexpr value_type bytes(std::int64_t least, std::int64_t most) {
  return {value_kind::size, least, most};
}

constexpr value_type duration(std::chrono::milliseconds least, std::chrono::milliseconds most) {
  return {value_kind::duration, least.count(), most.count()};
}

constexpr value_type choice(std::string_view words) {
  return {value_kind::choice, 0, 0, words};
}

using namespace std::chrono_literals;

constexpr std::int64_t kib = 1'024;
constexpr std::int64_t mib = 1'024 * kib;
constexpr bool secret = true;
constexpr bool open = false;

constexpr auto virtfusion = &settings::virtfusion;
constexpr auto http = &settings::http;
constexpr auto provisioning = &settings::provisioning;
constexpr auto supervisor = &settings::supervisor;
constexpr auto sync_of = &settings::sync;
constexpr auto metrics = &settings::metrics;

// The order of a choice's words is that of its enumeration.
constexpr auto rows = std::to_array<setting>({
  {"virtfusion.api_url",
   "VIRTFUSION_API_URL",
   {value_kind::url},
   "",
   open,
   "Where VirtFusion is. `https://host` gets the path `/api/v1`; `https://host/` is used as it is.",
   assign<virtfusion, &virtfusion_settings::api_url>},
  {"virtfusion.api_token",
   "VIRTFUSION_API_TOKEN",
   {value_kind::token},
   "",
   secret,
   "The token of VirtFusion's API.",
   assign<virtfusion, &virtfusion_settings::api_token>},
  {"virtfusion.ssl_verify", "VIRTFUSION_SSL_VERIFY", boolean, "true", open,
   "Whether VirtFusion's certificate is verified.", assign<virtfusion, &virtfusion_settings::ssl_verify>},
  {"virtfusion.ca_file", "", path, "", open, "PEM file of the authorities to trust instead of the system's.",
   assign<virtfusion, &virtfusion_settings::ca_file>},
  {"virtfusion.max_in_flight", "", integer(2, 10'000), "16", open, "Calls under way at a time, at most.",
   assign<virtfusion, &virtfusion_settings::max_in_flight>},
  {"virtfusion.rate", "", integer(0, 10'000), "0", open, "Calls a second, at most; 0: no such limit.",
   assign<virtfusion, &virtfusion_settings::rate>},
  {"virtfusion.burst", "", integer(0, 10'000), "0", open,
   "Calls that may go at once after a quiet time, where there is a rate; 0: as many as the rate.",
   assign<virtfusion, &virtfusion_settings::burst>},
  {"virtfusion.queue_interactive", "", integer(1, 100'000), "256", open,
   "Calls that a person waits for and that may wait their turn.",
   assign<virtfusion, &virtfusion_settings::queue_interactive>},
  {"virtfusion.queue_control", "", integer(1, 100'000), "1024", open,
   "Calls that suspend, unsuspend and delete and that may wait their turn.",
   assign<virtfusion, &virtfusion_settings::queue_control>},
  {"virtfusion.queue_background", "", integer(1, 100'000), "1024", open,
   "Calls of the synchronisation that may wait their turn.",
   assign<virtfusion, &virtfusion_settings::queue_background>},
  {"virtfusion.task_scheduler", "", boolean, "false", open,
   "Whether this VirtFusion runs schedules of servers itself.",
   assign<virtfusion, &virtfusion_settings::task_scheduler>},

  {"database.url",
   "DATABASE_URL",
   {value_kind::database},
   "",
   secret,
   "PostgreSQL; without it the engine runs one of its own under its data folder.",
   assign<&settings::database, &database_settings::url>},

  {"http.listen",
   "SKYENGINE_LISTEN",
   {value_kind::address},
   "127.0.0.1:8080",
   open,
   "Where the API is served; port 0: any free one.",
   assign<http, &http_settings::listen>},
  {"http.tls_cert", "SKYENGINE_TLS_CERT", path, "", open,
   "PEM file of the certificate chain; empty: plain HTTP.", assign<http, &http_settings::tls_cert>},
  {"http.tls_key", "SKYENGINE_TLS_KEY", path, "", open, "PEM file of the certificate's key.",
   assign<http, &http_settings::tls_key>},
  {"http.patience", "", duration(0ms, 10min), "10s", open,
   "How long a create waits for VirtFusion before it is answered with 202.",
   assign<http, &http_settings::patience>},
  {"http.key_rate", "", integer(0, 1'000'000), "100", open,
   "Requests a second of one user's key; 0: no limit.", assign<http, &http_settings::key_rate>},
  {"http.key_burst", "", integer(1, 1'000'000), "200", open,
   "Requests that one user's key may make at once after a quiet time.",
   assign<http, &http_settings::key_burst>},
  {"http.connections_per_address", "", integer(1, 1'000'000), "512", open,
   "Connections of one address, at most; loopback and trusted proxies are exempt.",
   assign<http, &http_settings::connections_per_address>},
  {"http.max_connections", "", integer(1, 1'000'000), "1024", open, "Connections at a time, at most.",
   assign<http, &http_settings::max_connections>},
  {"http.max_header", "", bytes(kib, mib), "16KiB", open, "Size of a request's header, at most.",
   assign<http, &http_settings::max_header>},
  {"http.max_body", "", bytes(kib, 16 * mib), "256KiB", open, "Size of a request's body, at most.",
   assign<http, &http_settings::max_body>},
  {"http.header_timeout", "", duration(100ms, 10min), "10s", open,
   "How long a client may take to send a header.", assign<http, &http_settings::header_timeout>},
  {"http.body_timeout", "", duration(100ms, 10min), "30s", open, "How long a client may take to send a body.",
   assign<http, &http_settings::body_timeout>},
  {"http.idle_timeout", "", duration(100ms, 1h), "60s", open, "How long a connection may stay idle.",
   assign<http, &http_settings::idle_timeout>},
  {"http.write_timeout", "", duration(100ms, 10min), "30s", open,
   "How long a client may take to read an answer, or one piece of a stream.",
   assign<http, &http_settings::write_timeout>},
  {"http.trusted_proxies",
   "",
   {value_kind::addresses},
   "",
   open,
   "Addresses without a limit of connections, besides loopback.",
   assign<http, &http_settings::trusted_proxies>},

  {"provisioning.max_open", "", integer(1, 100'000), "256", open, "Creates under way at a time, at most.",
   assign<provisioning, &provisioning_settings::max_open>},
  {"provisioning.max_wait", "", duration(100ms, 1h), "60s", open,
   "A create that could not begin within this time is refused with 503.",
   assign<provisioning, &provisioning_settings::max_wait>},
  {"provisioning.settle", "", duration(100ms, 1h), "30s", open,
   "How long VirtFusion may work on after its answer was lost, before a create is repeated.",
   assign<provisioning, &provisioning_settings::settle>},

  {"idempotency.keep", "", duration(1min, 8'784h), "24h", open, "How long an Idempotency-Key is kept.",
   assign<&settings::idempotency, &idempotency_settings::keep>},

  {"cron.keep_runs", "", duration(24h, 87'840h), "2160h", open,
   "How long a schedule's runs are kept after their end.",
   assign<&settings::cron, &cron_settings::keep_runs>},

  {"sync.traffic_every", "", duration(0ms, 8'784h), "1h", open,
   "How old a server's traffic may get before the hourly sync reads it again; 0: it is never read.",
   assign<sync_of, &sync_settings::traffic_every>},
  {"sync.live_every", "", duration(0ms, 8'784h), "6h", open,
   "The same for power, CPU, memory and disk; servers that are charged by uptime are asked each hour in any "
   "case.",
   assign<sync_of, &sync_settings::live_every>},
  {"sync.window", "", duration(1min, 24h), "50m", open,
   "How long a sync goes on asking; what it did not reach comes first next time.",
   assign<sync_of, &sync_settings::window>},

  {"metrics.keep_detail", "", duration(72h, 87'840h), "2160h", open,
   "How long each observation of a server is kept, to the end of its month; hours and days outlive it.",
   assign<metrics, &metrics_settings::keep_detail>},
  {"metrics.keep_hours", "", duration(72h, 175'680h), "17568h", open,
   "How long what was observed is kept by the hour, to the end of its month; by the day it stays.",
   assign<metrics, &metrics_settings::keep_hours>},

  {"log.format", "SKYENGINE_LOG", choice("json|pretty"), "json", open,
   "One JSON object a line, or lines for people.", assign<&settings::log, &log_settings::format>},
  {"log.level", "", choice("debug|info|warn|error"), "info", open, "The least that is logged.",
   assign<&settings::log, &log_settings::level>},

  {"node.name", "SKYENGINE_NODE", text, "", open,
   "This node's name, one of its own on the database; empty: host:port.",
   assign<&settings::node, &node_settings::name>},

  {"clock.rate", "SKYENGINE_CLOCK_RATE", integer(1, 1'000'000), "1", open,
   "Business seconds in a real second, for demos and tests; a database keeps the rate of its first start, "
   "and `serve` warns when it is another.",
   assign<&settings::clock, &clock_settings::rate>},

  {"postgres.bindir", "", path, "", open,
   "Folder of PostgreSQL's programs, for the private one; empty: looked for.",
   assign<&settings::postgres, &postgres_settings::bindir>},

  {"supervisor.max_restarts", "", integer(0, 1'000), "5", open,
   "Restarts of actors within the window before the node gives up and exits.",
   assign<supervisor, &supervisor_settings::max_restarts>},
  {"supervisor.window", "", duration(1s, 24h), "60s", open, "The span in which restarts are counted.",
   assign<supervisor, &supervisor_settings::window>},

  {"shutdown_grace", "", duration(0ms, 10min), "10s", open, "How long a stop waits for what is in flight.",
   assign<&settings::shutdown_grace>},
});

} // namespace

std::span<const setting> setting_table() {
  return rows;
}

std::string environment_name(std::string_view name) {
  std::string in_environment = "SKYENGINE_";
  for (const char c : name)
    in_environment += c == '.' ? '_' : (c >= 'a' && c <= 'z') ? static_cast<char>(c - 'a' + 'A') : c;
  return in_environment;
}

const setting* find_setting(std::string_view name) {
  const auto* const found =
    std::find_if(rows.begin(), rows.end(), [name](const setting& row) { return row.name == name; });
  return found == rows.end() ? nullptr : found;
}

const setting* find_setting_in_environment(std::string_view name) {
  const auto* const found = std::find_if(rows.begin(), rows.end(), [name](const setting& row) {
    return (!row.alias.empty() && row.alias == name) || environment_name(row.name) == name;
  });
  return found == rows.end() ? nullptr : found;
}

} // namespace skyengine::config
