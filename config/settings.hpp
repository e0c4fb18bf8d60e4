#pragma once

#include "domain/log.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace skyengine::config {

/// Where a listener binds: an address or host name, and a port (0: any free one).
struct listen_address {
  std::string host;
  std::uint16_t port = 0;

  friend bool operator==(const listen_address&, const listen_address&) = default;
};

enum class log_format : std::uint8_t { json, pretty };

struct virtfusion_settings {
  /// With its base path (`https://host/api/v1`); empty when there is no VirtFusion set.
  std::string api_url;
  std::string api_token;
  bool ssl_verify = false;
  /// PEM file; empty: the system's authorities.
  std::string ca_file;
  std::size_t max_in_flight = 0;
  /// Calls a second; 0: no limit of its own.
  std::size_t rate = 0;
  std::size_t burst = 0;
  std::size_t queue_interactive = 0;
  std::size_t queue_control = 0;
  std::size_t queue_background = 0;
  bool task_scheduler = false;
};

struct database_settings {
  /// A libpq URL or connection string; empty: the private PostgreSQL.
  std::string url;
};

struct http_settings {
  listen_address listen;
  /// PEM files, both or none.
  std::string tls_cert;
  std::string tls_key;
  std::chrono::milliseconds patience{};
  /// Requests a second of one user's key; 0: no limit.
  std::size_t key_rate = 0;
  std::size_t key_burst = 0;
  std::size_t connections_per_address = 0;
  std::size_t max_connections = 0;
  /// In bytes.
  std::size_t max_header = 0;
  /// In bytes.
  std::size_t max_body = 0;
  std::chrono::milliseconds header_timeout{};
  std::chrono::milliseconds body_timeout{};
  std::chrono::milliseconds idle_timeout{};
  std::chrono::milliseconds write_timeout{};
  /// IP addresses in their usual form.
  std::vector<std::string> trusted_proxies;
};

struct provisioning_settings {
  std::size_t max_open = 0;
  std::chrono::milliseconds max_wait{};
  std::chrono::milliseconds settle{};
};

struct idempotency_settings {
  std::chrono::milliseconds keep{};
};

struct cron_settings {
  std::chrono::milliseconds keep_runs{};
};

struct sync_settings {
  /// How old what is known of a server may get; 0: never looked at so.
  std::chrono::milliseconds traffic_every{};
  std::chrono::milliseconds live_every{};
  std::chrono::milliseconds window{};
};

struct metrics_settings {
  std::chrono::milliseconds keep_detail{};
  std::chrono::milliseconds keep_hours{};
};

struct log_settings {
  log_format format = log_format::json;
  log::level level = log::level::info;
};

struct node_settings {
  /// Empty: the host's name and the port.
  std::string name;
};

struct clock_settings {
  std::size_t rate = 0;
};

struct postgres_settings {
  /// Folder of the server's programs; empty: looked for.
  std::string bindir;
};

struct supervisor_settings {
  std::size_t max_restarts = 0;
  std::chrono::milliseconds window{};
};

/// Everything that can be set, with the values that hold. The members begin empty: names, defaults and ranges
/// stand in the table of settings alone, and `load` fills all of them from there.
struct settings {
  virtfusion_settings virtfusion;
  database_settings database;
  http_settings http;
  provisioning_settings provisioning;
  idempotency_settings idempotency;
  cron_settings cron;
  sync_settings sync;
  metrics_settings metrics;
  log_settings log;
  node_settings node;
  clock_settings clock;
  postgres_settings postgres;
  supervisor_settings supervisor;
  std::chrono::milliseconds shutdown_grace{};
};

} // namespace skyengine::config
