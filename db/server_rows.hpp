#pragma once

#include "db/rows.hpp"
#include "domain/action.hpp"
#include "domain/server.hpp"

/// The columns of `servers s` and `actions a` that their readers below expect, for the stores' statements.
#define SKYENGINE_SERVER_COLUMNS                                                                             \
  " s.id, s.user_id, s.plan_id, s.region_id, s.hostname, s.os_template_id, s.ssh_keys, s.wants_ipv6, "       \
  "s.labels,"                                                                                                \
  " s.external_reference, s.state, s.power, s.virtfusion_id, s.ipv4, s.ipv6, s.delete_requested, "           \
  "s.created_at,"                                                                                            \
  " s.active_at, s.deleted_at, (SELECT max(id) FROM actions WHERE server_id = s.id) AS action_id "
#define SKYENGINE_ACTION_COLUMNS                                                                             \
  " a.id, a.kind, a.server_id, a.state, a.step, a.version, a.builds, a.error_code, a.error_detail, "         \
  "a.requested_by,"                                                                                          \
  " a.request_id, a.created_at, a.finished_at "

namespace skyengine::db {

server to_server(const row& r);
action to_action(const row& r);

/// Reads and writes labels as the jsonb column has them.
std::map<std::string, std::string> to_labels(std::string_view json);
std::string to_json(const std::map<std::string, std::string>& labels);

} // namespace skyengine::db
