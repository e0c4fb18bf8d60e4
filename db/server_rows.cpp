#include "db/server_rows.hpp"

#include <boost/json.hpp>

#include <stdexcept>

namespace skyengine::db {

namespace {

template <class T>
T known(std::optional<T> value) {
  if (!value)
    throw std::logic_error("a row has a name that its table's check does not allow");
  return *value;
}

} // namespace

std::map<std::string, std::string> to_labels(std::string_view json) {
  std::map<std::string, std::string> labels;
  const auto parsed = boost::json::parse({json.data(), json.size()});
  for (const auto& [name, value] : parsed.as_object())
    labels.emplace(name, value.as_string());
  return labels;
}

std::string to_json(const std::map<std::string, std::string>& labels) {
  boost::json::object object;
  for (const auto& [name, value] : labels)
    object.emplace(name, value);
  return boost::json::serialize(object);
}

server to_server(const row& r) {
  server s;
  s.id = r.get<server_id>("id");
  s.order.user = r.get<user_id>("user_id");
  s.order.plan = r.get<plan_id>("plan_id");
  s.order.region = r.get<region_id>("region_id");
  s.order.hostname = r.find<std::string>("hostname");
  s.order.os_template = r.find<os_template_id>("os_template_id");
  s.order.ssh_keys = r.get<std::vector<std::string>>("ssh_keys");
  s.order.ipv6 = r.get<bool>("wants_ipv6");
  s.order.labels = to_labels(r.get<std::string_view>("labels"));
  s.order.external_reference = r.find<std::string>("external_reference");
  s.state = known(parse_server_state(r.get<std::string_view>("state")));
  s.power = known(parse_power_state(r.get<std::string_view>("power")));
  s.virtfusion_id = r.find<virtfusion_server_id>("virtfusion_id");
  s.ipv4 = r.get<std::vector<std::string>>("ipv4");
  s.ipv6 = r.get<std::vector<std::string>>("ipv6");
  s.delete_requested = r.get<bool>("delete_requested");
  s.created_at = r.get<instant>("created_at");
  s.active_at = r.find<instant>("active_at");
  s.deleted_at = r.find<instant>("deleted_at");
  s.action = r.find<action_id>("action_id").value_or(action_id{});
  return s;
}

action to_action(const row& r) {
  action a;
  a.id = r.get<action_id>("id");
  a.kind = known(parse_action_kind(r.get<std::string_view>("kind")));
  a.server = r.get<server_id>("server_id");
  a.state = known(parse_action_state(r.get<std::string_view>("state")));
  a.step = known(parse_saga_step(r.get<std::string_view>("step")));
  a.version = r.get<std::int64_t>("version");
  a.builds = static_cast<int>(r.get<std::int64_t>("builds"));
  if (const auto code = r.find<std::string_view>("error_code"))
    a.failure = error{to_errc(*code), r.find<std::string>("error_detail").value_or("")};
  a.requested_by = r.get<std::string>("requested_by");
  a.request_id = r.get<std::string>("request_id");
  a.created_at = r.get<instant>("created_at");
  a.finished_at = r.find<instant>("finished_at");
  return a;
}

} // namespace skyengine::db
