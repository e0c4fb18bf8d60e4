#pragma once

#include "domain/clock.hpp"
#include "domain/ids.hpp"
#include "domain/server_lifecycle.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace skyengine {

/// What was asked for: a valid order for one server.
struct server_order {
  user_id user;
  plan_id plan;
  region_id region;
  /// nullopt: `vps-<id>`.
  std::optional<std::string> hostname;
  std::optional<os_template_id> os_template;
  /// Lines of OpenSSH's public key format.
  std::vector<std::string> ssh_keys;
  bool ipv6 = false;
  std::map<std::string, std::string> labels;
  std::optional<std::string> external_reference;
};

/// One VPS, as its row has it.
struct server {
  server_id id;
  server_order order;
  server_state state = server_state::requested;
  power_state power = power_state::unknown;
  std::optional<virtfusion_server_id> virtfusion_id;
  std::vector<std::string> ipv4;
  std::vector<std::string> ipv6;
  /// Its running or waiting action, else its latest.
  action_id action;
  bool delete_requested = false;
  instant created_at;
  std::optional<instant> active_at;
  std::optional<instant> deleted_at;

  /// The hostname it has or will have.
  std::string effective_hostname() const;
};

/// One line of a server's history.
struct server_event {
  event_id id;
  instant at;
  std::string type;
  std::optional<server_state> from;
  std::optional<server_state> to;
  std::optional<action_id> action;
  /// A JSON object.
  std::string detail;
};

} // namespace skyengine
