#include "tests/simulator/routes.hpp"

#include "tests/simulator/query.hpp"
#include "tests/simulator/render.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <array>

namespace skyengine::simulator {
namespace {

namespace json = boost::json;

struct call {
  const api_request& request;
  const std::vector<std::string>& parameters;
  model& m;
  const work_faults& faults;
  moment started;
  moment now;

  /// The nth parameter of the path, which the router found to be an integer.
  std::int64_t id(std::size_t nth) const { return parse_integer(parameters.at(nth)).value_or(0); }
};

reply render(unsigned status, const json::value& body) {
  return {status, json::serialize(body)};
}

reply data(unsigned status, json::value body) {
  json::object wrapper;
  wrapper["data"] = std::move(body);
  return render(status, wrapper);
}

reply nothing(unsigned status) {
  return {status, ""};
}

reply field_problem(std::string_view field, std::string_view text) {
  return render(422, json::object{{"errors", json::object{{field, json::array{text}}}}});
}

reply refused(const refusal& r) {
  if (!r.field.empty())
    return field_problem(r.field, r.text);
  if (r.status == 422)
    return render(422, json::object{{"errors", json::array{r.text}}});
  return message(r.status, r.text);
}

/// The answer to work that says nothing when it is done.
reply acknowledged(unsigned status, const outcome<>& done) {
  return done.has_error() ? refused(done.error()) : nothing(status);
}

/// Reads the fields of a body; all that is wrong with it comes back in one answer.
class body_reader {
public:
  explicit body_reader(std::string_view body) {
    boost::system::error_code failed;
    auto parsed = json::parse(json::string_view{body.data(), body.size()}, failed);
    if (!failed && parsed.is_object())
      body_ = std::move(parsed.as_object());
    else if (!body.empty())
      complain("body", "The body is no JSON object.");
  }

  std::optional<std::int64_t> integer(std::string_view field, bool is_required) {
    const auto* const v = look(field, is_required);
    if (!v)
      return {};
    if (v->is_int64())
      return v->as_int64();
    if (v->is_string())
      if (const auto number = parse_integer(v->as_string()))
        return number;
    complain(field, "The " + std::string{field} + " must be an integer.");
    return {};
  }

  std::optional<std::string> text(std::string_view field, bool is_required) {
    const auto* const v = look(field, is_required);
    if (!v)
      return {};
    if (v->is_string() && (!is_required || !v->as_string().empty()))
      return std::string{v->as_string()};
    complain(field, v->is_string() ? "The " + std::string{field} + " field is required."
                                   : "The " + std::string{field} + " must be a string.");
    return {};
  }

  bool flag(std::string_view field) {
    const auto* const v = look(field, false);
    if (!v)
      return false;
    if (v->is_bool())
      return v->as_bool();
    complain(field, "The " + std::string{field} + " field must be true or false.");
    return false;
  }

  std::vector<std::int64_t> integers(std::string_view field) {
    const auto* const v = look(field, false);
    std::vector<std::int64_t> out;
    if (!v)
      return out;
    if (!v->is_array())
      complain(field, "The " + std::string{field} + " must be an array.");
    else
      for (const auto& item : v->as_array())
        if (item.is_int64())
          out.push_back(item.as_int64());
        else
          complain(field, "The " + std::string{field} + " must be integers.");
    return out;
  }

  void complain(std::string_view field, std::string_view text) {
    auto& list = errors_[field];
    if (!list.is_array())
      list = json::array{};
    list.as_array().push_back(json::string{text});
  }

  bool is_wrong() const noexcept { return !errors_.empty(); }
  reply problem() const { return render(422, json::object{{"errors", errors_}}); }

private:
  const json::value* look(std::string_view field, bool is_required) {
    const auto* const found = body_.if_contains(field);
    if (found && !found->is_null())
      return found;
    if (is_required)
      complain(field, "The " + std::string{field} + " field is required.");
    return nullptr;
  }

  json::object body_;
  json::object errors_;
};

/// Nullopt where the query is out of range.
std::optional<page_request> parse_page(std::string_view query) {
  page_request asked;
  if (const auto text = query_value(query, "page"))
    asked.page = parse_integer(*text).value_or(0);
  if (const auto text = query_value(query, "results"))
    asked.results = parse_integer(*text).value_or(0);
  if (asked.page < 1 || asked.results < 1 || asked.results > 200)
    return {};
  return asked;
}

reply bad_page() {
  return field_problem("results", "The results must be between 1 and 200, and page at least 1.");
}

/// Cuts the asked page out of `all` and renders its items.
template <class Items, class Render>
reply paged(const call& c, const Items& all, Render render_item) {
  const auto asked = parse_page(c.request.query);
  if (!asked)
    return bad_page();
  const auto total = static_cast<std::int64_t>(all.size());
  json::array items;
  const auto begin = std::min(total, (std::min(asked->page, total + 1) - 1) * asked->results);
  for (auto i = begin; i < std::min(total, begin + asked->results); ++i)
    items.push_back(render_item(all[static_cast<std::size_t>(i)]));
  return render(200, render_page(std::move(items), *asked, total, c.request.path));
}

const user* find_by_relation(const call& c) {
  const auto& key = c.parameters.at(0);
  if (query_flag(c.request.query, "relStr"))
    return c.m.find_user_by_rel_str(key);
  const auto number = parse_integer(key);
  return number ? c.m.find_user_by_ext_relation(*number) : nullptr;
}

reply no_such_relation() {
  return message(404, "ext_relation_id not found");
}

template <class Render>
reply with_server(const call& c, Render render_found) {
  const auto* const s = c.m.find_server(c.id(0));
  if (!s)
    return message(404, "server not found");
  return render_found(*s);
}

reply get_connect(const call&) {
  return {200, "[]"};
}

reply get_user(const call& c) {
  const auto* const found = find_by_relation(c);
  return found ? data(200, render_user(*found)) : no_such_relation();
}

reply post_user(const call& c) {
  body_reader body{c.request.body};
  new_user wanted;
  wanted.name = body.text("name", true).value_or("");
  wanted.email = body.text("email", true).value_or("");
  wanted.ext_relation_id = body.integer("extRelationId", false);
  wanted.rel_str = body.text("relStr", false);
  wanted.self_service = body.integer("selfService", false).value_or(0);
  if (!wanted.email.empty() && wanted.email.find('@') == std::string::npos)
    body.complain("email", "The email must be a valid email address.");
  if (wanted.self_service < 0 || wanted.self_service > 3)
    body.complain("selfService", "The selfService must be between 0 and 3.");
  if (body.is_wrong())
    return body.problem();
  const auto made = c.m.create_user(wanted, c.now);
  if (made.has_error())
    return refused(made.error());
  auto record = render_user(**made);
  record["password"] = first_password_of(c.m, **made);
  return data(201, std::move(record));
}

reply get_packages(const call& c) {
  json::array items;
  for (const auto& p : c.m.packages())
    items.push_back(render_package(p, c.started));
  return data(200, std::move(items));
}

reply get_package(const call& c) {
  const auto* const found = c.m.find_package(c.id(0));
  return found ? data(200, render_package(*found, c.started)) : message(404, "package not found");
}

reply get_package_templates(const call& c) {
  return c.m.find_package(c.id(0)) ? data(200, render_templates(c.m)) : message(404, "package not found");
}

reply get_server_templates(const call& c) {
  return with_server(c, [&](const server&) { return data(200, render_templates(c.m)); });
}

reply get_groups(const call& c) {
  return paged(c, c.m.groups(), [&](const auto& g) { return render_group(g, c.started); });
}

reply get_group(const call& c) {
  const auto* const found = c.m.find_group(c.id(0));
  return found ? data(200, render_group(*found, c.started)) : message(404, "hypervisor group not found");
}

reply get_group_resources(const call& c) {
  if (!c.m.find_group(c.id(0)))
    return message(404, "hypervisor group not found");
  std::vector<const hypervisor*> members;
  for (const auto& h : c.m.hypervisors())
    if (h.group == c.id(0))
      members.push_back(&h);
  return paged(c, members, [](const auto* h) { return render_group_resources(*h); });
}

/// Servers that a stale list does not show yet.
bool is_hidden(const call& c, const server& s) {
  return c.faults.hide_younger_than && s.created.real + *c.faults.hide_younger_than > c.now.real;
}

reply get_servers(const call& c) {
  const auto type = query_value(c.request.query, "type").value_or("simple");
  if (type != "simple" && type != "full")
    return field_problem("type", "The selected type is invalid.");
  const auto render_item = [&](const server* s) {
    return type == "full" ? render_server(c.m, *s, c.now) : render_server_summary(c.m, *s, c.now);
  };
  const auto wanted = query_values(c.request.query, "hypervisorId");
  if (wanted.empty() && !c.faults.hide_younger_than)
    return paged(c, c.m.servers(), render_item);
  std::vector<const server*> shown;
  for (const auto* const s : c.m.servers())
    if (!is_hidden(c, *s) && (wanted.empty() || std::find(wanted.begin(), wanted.end(),
                                                          std::to_string(s->hypervisor)) != wanted.end()))
      shown.push_back(s);
  return paged(c, shown, render_item);
}

reply get_servers_of_user(const call& c) {
  const auto* const owner = c.m.find_user(c.id(0));
  if (!owner)
    return message(404, "user not found");
  json::array items;
  for (const auto id : owner->servers)
    if (const auto& s = *c.m.find_server(id); !is_hidden(c, s))
      items.push_back(render_server_of_user(c.m, s, c.now));
  return data(200, std::move(items));
}

reply get_server(const call& c) {
  return with_server(c, [&](const server& s) {
    auto record = render_server(c.m, s, c.now);
    if (query_flag(c.request.query, "remoteState"))
      record["remoteState"] = render_remote_state(c.m, s, c.now);
    else
      record["remoteState"] = false;
    return data(200, std::move(record));
  });
}

reply post_server(const call& c) {
  body_reader body{c.request.body};
  new_server wanted;
  wanted.package = body.integer("packageId", true).value_or(0);
  wanted.user = body.integer("userId", true).value_or(0);
  wanted.group = body.integer("hypervisorId", true).value_or(0);
  wanted.ipv4 = body.integer("ipv4", false).value_or(1);
  wanted.memory_mb = body.integer("memory", false);
  wanted.storage_gb = body.integer("storage", false);
  wanted.traffic_gb = body.integer("traffic", false);
  wanted.cpu_cores = body.integer("cpuCores", false);
  if (wanted.ipv4 < 0 || wanted.ipv4 > 16)
    body.complain("ipv4", "The ipv4 must be between 0 and 16.");
  for (const auto& [field, value, least] :
       {std::tuple{"memory", wanted.memory_mb, 256}, std::tuple{"storage", wanted.storage_gb, 1},
        std::tuple{"traffic", wanted.traffic_gb, 0}, std::tuple{"cpuCores", wanted.cpu_cores, 1}})
    if (value && *value < least)
      body.complain(field, "The " + std::string{field} + " must be at least " + std::to_string(least) + '.');
  if (body.is_wrong())
    return body.problem();
  const bool is_dry = query_flag(c.request.query, "dryRun");
  const auto made = c.m.create_server(wanted, is_dry, c.now);
  if (made.has_error())
    return refused(made.error());
  return is_dry ? data(201, json::object{}) : data(201, render_server(c.m, **made, c.now));
}

reply post_build(const call& c) {
  body_reader body{c.request.body};
  build_request wanted;
  wanted.os_template = body.integer("operatingSystemId", true).value_or(0);
  wanted.name = body.text("name", false).value_or("");
  wanted.hostname = body.text("hostname", false).value_or("");
  wanted.ssh_keys = body.integers("sshKeys");
  wanted.vnc = body.flag("vnc");
  wanted.ipv6 = body.flag("ipv6");
  body.flag("email");
  // A wrong body says nothing of a server that is not there.
  if (c.m.find_server(c.id(0)) && body.is_wrong())
    return body.problem();
  const auto begun = c.m.build(c.id(0), wanted, c.faults.build_fails, c.now);
  if (begun.has_error())
    return refused(begun.error());
  auto record = render_server(c.m, **begun, c.now);
  record["settings"].as_object()["decryptedPassword"] = password_of(c.m, **begun);
  return data(200, std::move(record));
}

reply power(const call& c, task_kind kind) {
  const auto queued = c.m.power(c.id(0), kind, c.now);
  return queued.has_error() ? refused(queued.error()) : data(200, json::object{{"queueId", *queued}});
}

reply post_boot(const call& c) {
  return power(c, task_kind::boot);
}
reply post_shutdown(const call& c) {
  return power(c, task_kind::shutdown);
}
reply post_restart(const call& c) {
  return power(c, task_kind::restart);
}
reply post_poweroff(const call& c) {
  return power(c, task_kind::poweroff);
}

reply post_suspend(const call& c) {
  return acknowledged(204, c.m.suspend(c.id(0), c.faults.suspend_leaves_running, c.now));
}

reply post_unsuspend(const call& c) {
  return acknowledged(204, c.m.unsuspend(c.id(0), c.now));
}

reply delete_server(const call& c) {
  constexpr std::int64_t max_delay_minutes = 43'800;
  const auto text = query_value(c.request.query, "delay").value_or("0");
  const auto delay = parse_integer(text);
  if (!delay || *delay < 0 || *delay > max_delay_minutes)
    return field_problem("delay", "The delay must be between 0 and 43800.");
  return acknowledged(204, c.m.remove(c.id(0), std::chrono::minutes{*delay}, c.now));
}

reply put_package(const call& c) {
  body_reader body{c.request.body};
  package_parts parts;
  parts.backup_plan = body.flag("backupPlan");
  parts.cpu = body.flag("cpu");
  parts.memory = body.flag("memory");
  parts.disk = body.flag("primaryDiskSize");
  parts.traffic = body.flag("primaryNetworkTraffic");
  if (body.is_wrong())
    return body.problem();
  const auto changed = c.m.change_package(c.id(0), c.id(1), parts, c.now);
  if (changed.has_error())
    return refused(changed.error());
  return render(200, json::object{{"info", json::array(changed->begin(), changed->end())}});
}

reply put_backup_plan(const call& c) {
  return acknowledged(201, c.m.set_backup_plan(c.id(0), c.id(1), c.now));
}

reply put_backup_access(const call& c) {
  body_reader body{c.request.body};
  const auto access = body.text("type", true);
  return access ? acknowledged(201, c.m.set_backup_access(c.id(0), *access, c.now)) : body.problem();
}

reply get_backups(const call& c) {
  return with_server(c, [&](const server& s) { return data(200, render_backups(s, c.now)); });
}

reply get_traffic(const call& c) {
  return with_server(c, [&](const server& s) { return data(200, render_traffic(c.m, s, c.now)); });
}

reply put_owner(const call& c) {
  return acknowledged(201, c.m.set_owner(c.id(0), c.id(1), c.now));
}

reply put_name(const call& c) {
  body_reader body{c.request.body};
  const auto name = body.text("name", true);
  return name ? acknowledged(201, c.m.rename(c.id(0), *name, c.now)) : body.problem();
}

reply put_memory(const call& c) {
  body_reader body{c.request.body};
  const auto value = body.integer("memory", true);
  return value ? acknowledged(201, c.m.set_memory(c.id(0), *value, c.now)) : body.problem();
}

reply put_cpu_cores(const call& c) {
  body_reader body{c.request.body};
  const auto value = body.integer("cores", true);
  return value ? acknowledged(201, c.m.set_cpu_cores(c.id(0), *value, c.now)) : body.problem();
}

reply put_traffic(const call& c) {
  body_reader body{c.request.body};
  const auto value = body.integer("traffic", true);
  return value ? acknowledged(201, c.m.set_traffic_limit(c.id(0), *value, c.now)) : body.problem();
}

reply put_cpu_throttle(const call& c) {
  body_reader body{c.request.body};
  const auto value = body.integer("percent", true);
  return value ? acknowledged(201, c.m.set_cpu_throttle(c.id(0), *value, c.now)) : body.problem();
}

reply get_vnc(const call& c) {
  return with_server(c, [&](const server& s) { return data(200, render_vnc(c.m, s)); });
}

reply post_vnc(const call& c) {
  body_reader body{c.request.body};
  const auto action = body.text("action", true);
  if (action && *action != "enable" && *action != "disable")
    body.complain("action", "The selected action is invalid.");
  if (body.is_wrong())
    return body.problem();
  const auto changed = c.m.set_vnc(c.id(0), action == "enable", c.now);
  if (changed.has_error())
    return refused(changed.error());
  auto answer = render_vnc(c.m, **changed);
  answer["queueId"] = nullptr;
  return data(200, std::move(answer));
}

reply post_reset_password(const call& c) {
  body_reader body{c.request.body};
  body.text("user", true);
  body.flag("sendMail");
  if (body.is_wrong())
    return body.problem();
  const auto queued = c.m.reset_password(c.id(0), c.now);
  if (queued.has_error())
    return refused(queued.error());
  return data(200, json::object{{"queueId", *queued}, {"expectedPassword", reset_password_of(c.m, *queued)}});
}

reply get_queue_item(const call& c) {
  const auto* const item = c.m.find_queue_item(c.id(0));
  return item ? data(200, render_queue_item(*item, c.now)) : message(404, "queue item not found");
}

reply post_ssh_key(const call& c) {
  body_reader body{c.request.body};
  const auto owner = body.integer("userId", true).value_or(0);
  const auto name = body.text("name", true).value_or("");
  const auto key = body.text("publicKey", true).value_or("");
  if (body.is_wrong())
    return body.problem();
  const auto added = c.m.add_ssh_key(owner, name, key, c.now);
  return added.has_error() ? refused(added.error()) : data(201, render_new_ssh_key(**added));
}

reply get_ssh_key(const call& c) {
  const auto found = c.m.ssh_keys().find(c.id(0));
  return found == c.m.ssh_keys().end() ? message(404, "ssh key not found")
                                       : data(200, render_ssh_key(found->second));
}

reply delete_ssh_key(const call& c) {
  return acknowledged(204, c.m.remove_ssh_key(c.id(0)));
}

reply get_ssh_keys_of_user(const call& c) {
  if (!c.m.find_user(c.id(0)))
    return message(404, "user not found");
  json::array items;
  for (const auto& [id, key] : c.m.ssh_keys())
    if (key.owner == c.id(0))
      items.push_back(render_ssh_key(key));
  return data(200, std::move(items));
}

reply post_login(const call& c) {
  const auto* const owner = find_by_relation(c);
  if (!owner)
    return no_such_relation();
  const auto* const s = c.m.find_server(c.id(1));
  if (!s || s->owner != owner->id)
    return message(404, "server not found");
  return data(200, render_login(c.m, *owner, *s, c.now));
}

reply store_schedule(const call& c, std::optional<std::int64_t> id) {
  body_reader body{c.request.body};
  const auto task = body.text("task", true).value_or("");
  const auto expression = body.text("schedule", true).value_or("");
  if (body.is_wrong())
    return body.problem();
  const auto stored =
    id ? c.m.change_schedule(c.id(0), *id, task, expression) : c.m.add_schedule(c.id(0), task, expression);
  if (stored.has_error())
    return refused(stored.error());
  return data(id ? 200 : 201, json::object{{"id", (*stored)->id}});
}

reply post_schedule(const call& c) {
  return store_schedule(c, {});
}
reply put_schedule(const call& c) {
  return store_schedule(c, c.id(1));
}
reply delete_schedule(const call& c) {
  return acknowledged(204, c.m.remove_schedule(c.id(0), c.id(1)));
}

} // namespace

struct route {
  /// Method, space, path template.
  std::string_view operation;
  reply (*handle)(const call&);
  bool is_extension = false;
};

namespace {

constexpr std::array routes{
  route{"GET /connect", get_connect},
  route{"GET /servers", get_servers},
  route{"POST /servers", post_server},
  route{"GET /servers/{serverId}", get_server},
  route{"DELETE /servers/{serverId}", delete_server},
  route{"POST /servers/{serverId}/build", post_build},
  route{"POST /servers/{serverId}/power/boot", post_boot},
  route{"POST /servers/{serverId}/power/shutdown", post_shutdown},
  route{"POST /servers/{serverId}/power/restart", post_restart},
  route{"POST /servers/{serverId}/power/poweroff", post_poweroff},
  route{"POST /servers/{serverId}/suspend", post_suspend},
  route{"POST /servers/{serverId}/unsuspend", post_unsuspend},
  route{"GET /servers/{serverId}/traffic", get_traffic},
  route{"GET /servers/{serverId}/templates", get_server_templates},
  route{"PUT /servers/{serverId}/package/{packageId}", put_package},
  route{"PUT /servers/{serverId}/backups/plan/{planId}", put_backup_plan},
  route{"PUT /servers/{serverId}/backupManager/access", put_backup_access},
  route{"PUT /servers/{serverId}/owner/{newOwnerId}", put_owner},
  route{"PUT /servers/{serverId}/modify/name", put_name},
  route{"PUT /servers/{serverId}/modify/memory", put_memory},
  route{"PUT /servers/{serverId}/modify/cpuCores", put_cpu_cores},
  route{"PUT /servers/{serverId}/modify/traffic", put_traffic},
  route{"PUT /servers/{serverId}/modify/cpuThrottle", put_cpu_throttle},
  route{"GET /servers/{serverId}/vnc", get_vnc},
  route{"POST /servers/{serverId}/vnc", post_vnc},
  route{"POST /servers/{serverId}/resetPassword", post_reset_password},
  route{"GET /servers/user/{userId}", get_servers_of_user},
  route{"GET /backups/server/{serverId}", get_backups},
  route{"GET /queue/{queueId}", get_queue_item},
  route{"GET /packages", get_packages},
  route{"GET /packages/{packageId}", get_package},
  route{"GET /media/templates/fromServerPackageSpec/{serverPackageId}", get_package_templates},
  route{"GET /compute/hypervisors/groups", get_groups},
  route{"GET /compute/hypervisors/groups/{hypervisorGroupId}", get_group},
  route{"GET /compute/hypervisors/groups/{hypervisorGroupId}/resources", get_group_resources},
  route{"POST /ssh_keys", post_ssh_key},
  route{"GET /ssh_keys/{keyId}", get_ssh_key},
  route{"DELETE /ssh_keys/{keyId}", delete_ssh_key},
  route{"GET /ssh_keys/user/{userId}", get_ssh_keys_of_user},
  route{"POST /users", post_user},
  route{"GET /users/{extRelationId}/byExtRelation", get_user},
  route{"POST /users/{extRelationId}/serverAuthenticationTokens/{serverId}", post_login},
  route{"POST /servers/{serverId}/schedules", post_schedule, true},
  route{"PUT /servers/{serverId}/schedules/{scheduleId}", put_schedule, true},
  route{"DELETE /servers/{serverId}/schedules/{scheduleId}", delete_schedule, true},
};

/// Takes the first segment, without its slash, off `path`.
std::string_view next_segment(std::string_view& path) {
  path.remove_prefix(1);
  const auto end = std::min(path.find('/'), path.size());
  const auto segment = path.substr(0, end);
  path.remove_prefix(end);
  return segment;
}

/// The path's parameters, where it fits `pattern`. All are integers but the relation, which may be a string.
std::optional<std::vector<std::string>> match_path(std::string_view pattern, std::string_view path) {
  std::vector<std::string> parameters;
  while (pattern.starts_with('/') && path.starts_with('/')) {
    const auto wanted = next_segment(pattern);
    const auto found = next_segment(path);
    if (!wanted.starts_with('{')) {
      if (wanted != found)
        return {};
      continue;
    }
    auto value = percent_decode(found, false);
    if (value.empty() || (wanted != "{extRelationId}" && !parse_integer(value)))
      return {};
    parameters.push_back(std::move(value));
  }
  if (!pattern.empty() || !path.empty())
    return {};
  return parameters;
}

} // namespace

reply message(unsigned status, std::string_view text) {
  return render(status, json::object{{"msg", json::string_view{text.data(), text.size()}}});
}

matched_route match_route(std::string_view method, std::string_view path, bool has_task_scheduler) {
  for (const auto& r : routes) {
    const auto space = r.operation.find(' ');
    if (r.operation.substr(0, space) != method || (r.is_extension && !has_task_scheduler))
      continue;
    if (auto parameters = match_path(r.operation.substr(space + 1), path))
      return {&r, std::move(*parameters)};
  }
  return {};
}

std::string_view operation_of(const route& r) noexcept {
  return r.operation;
}

std::optional<std::int64_t> hypervisor_asked_for(const matched_route& matched, const model& m) {
  if (matched.what == nullptr)
    return {};
  const auto pattern = matched.what->operation;
  const auto at = pattern.find("{serverId}");
  if (at == std::string_view::npos)
    return {};
  const auto before = std::count(pattern.begin(), pattern.begin() + static_cast<std::ptrdiff_t>(at), '{');
  const auto id = parse_integer(matched.parameters.at(static_cast<std::size_t>(before)));
  const auto* const asked = id ? m.find_server(*id) : nullptr;
  return asked ? std::optional{asked->hypervisor} : std::nullopt;
}

std::vector<std::string_view> all_operations() {
  std::vector<std::string_view> out;
  out.reserve(routes.size());
  for (const auto& r : routes)
    out.push_back(r.operation);
  return out;
}

reply perform(const matched_route& matched,
              const api_request& request,
              model& m,
              const work_faults& faults,
              moment started,
              moment now) {
  m.advance(now);
  return matched.what->handle({request, matched.parameters, m, faults, started, now});
}

} // namespace skyengine::simulator
