#include "tests/simulator/control.hpp"

#include "domain/time_format.hpp"
#include "tests/simulator/query.hpp"
#include "tests/simulator/render.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <utility>

namespace skyengine::simulator {
namespace {

namespace json = boost::json;

reply render(unsigned status, const json::value& body) {
  return {status, json::serialize(body)};
}

/// A test's typing error must not pass silently: every field has to be known and of its type.
struct field_reader {
  json::object body;
  std::string wrong = {};

  explicit field_reader(std::string_view text) {
    boost::system::error_code failed;
    auto parsed = json::parse(json::string_view{text.data(), text.size()}, failed);
    if (failed || !parsed.is_object())
      wrong = "the body is no JSON object";
    else
      body = std::move(parsed.as_object());
  }

  template <class T>
  std::optional<T> take(std::string_view name) {
    const auto* const found = body.if_contains(name);
    if (!found)
      return {};
    const auto parsed = json::try_value_to<T>(*found);
    body.erase(name);
    if (parsed.has_value())
      return *parsed;
    wrong = std::string{name} + " has the wrong type";
    return {};
  }

  /// What is wrong with the body, once all fields were taken.
  std::string complaint() const {
    if (wrong.empty() && !body.empty())
      return "unknown field " + std::string{body.begin()->key()};
    return wrong;
  }
};

std::string in_seconds(instant t) {
  return format_time(std::chrono::floor<std::chrono::seconds>(t));
}

std::optional<commission> parse_stage(std::string_view name) {
  if (name == "allocated")
    return commission::allocated;
  if (name == "complete")
    return commission::complete;
  if (name == "failed")
    return commission::failed;
  return {};
}

json::value ext_relation_of(const model& m, std::int64_t user_id) {
  const auto* const owner = m.find_user(user_id);
  return owner && owner->ext_relation_id ? json::value(*owner->ext_relation_id) : json::value(nullptr);
}

json::object user_entry(const user& u) {
  json::object out{{"id", u.id}};
  out["extRelationId"] = u.ext_relation_id ? json::value(*u.ext_relation_id) : json::value(nullptr);
  if (u.rel_str)
    out["relStr"] = *u.rel_str;
  out["name"] = u.name;
  out["email"] = u.email;
  return out;
}

json::object state_record(const model& m, const server& s, moment now) {
  json::object out;
  out["id"] = s.id;
  out["extRelationId"] = ext_relation_of(m, s.owner);
  out["packageId"] = s.package;
  out["groupId"] = s.group;
  out["state"] = state_of(s, now);
  out["suspended"] = s.is_suspended;
  out["power"] = s.is_running ? "running" : "stopped";
  out["protected"] = s.is_protected;
  out["name"] = s.name;
  out["hostname"] = s.hostname;
  out["builds"] = s.builds;
  out["taskActive"] = s.active.kind != task_kind::none;
  out["createdAt"] = in_seconds(s.created.business);
  out["deletedAt"] = nullptr;
  return out;
}

json::object gone_record(const model& m, const gone_server& g) {
  return {{"id", g.id},
          {"extRelationId", ext_relation_of(m, g.owner)},
          {"packageId", g.package},
          {"groupId", g.group},
          {"state", "deleted"},
          {"suspended", false},
          {"power", "stopped"},
          {"builds", g.builds},
          {"createdAt", in_seconds(g.created)},
          {"deletedAt", in_seconds(g.deleted)}};
}

reply not_here() {
  return message(
    404, "the control side has /_control/state, /_control/requests, /_control/faults, /_control/servers");
}

} // namespace

reply control::answer(std::string_view method, std::string_view path, std::string_view body, moment now) {
  model_.advance(now);
  path.remove_prefix(std::string_view{"/_control"}.size());
  if (path == "/state" && method == "GET")
    return get_state(now);
  if (path == "/requests" && method == "GET")
    return render(200, requests_.render());
  if (path == "/requests" && method == "DELETE") {
    requests_.reset();
    return {204, ""};
  }
  if (path == "/faults" && method == "POST")
    return post_fault(body);
  if (path == "/faults" && method == "DELETE") {
    faults_.clear();
    return {204, ""};
  }
  if (path == "/servers" && method == "POST")
    return post_servers(body, now);
  constexpr std::string_view one_server = "/servers/";
  const auto id = path.starts_with(one_server) ? parse_integer(path.substr(one_server.size())) : std::nullopt;
  if (id && method == "PATCH")
    return patch_server(*id, body, now);
  if (id && method == "DELETE") {
    const auto erased = model_.erase_server(*id, now);
    return erased.has_error() ? message(erased.error().status, erased.error().text) : reply{204, ""};
  }
  return not_here();
}

reply control::get_state(moment now) const {
  // Written piece by piece: 100,000 servers as one JSON value would take more memory than the model.
  std::string out = "{\"now\":" + json::serialize(json::value(in_seconds(now.business)));
  bool is_first = true;
  const auto begin_list = [&](std::string_view name) {
    out += name;
    is_first = true;
  };
  const auto add = [&](const json::object& entry) {
    if (!std::exchange(is_first, false))
      out += ',';
    out += json::serialize(entry);
  };
  begin_list(R"(,"users":[)");
  for (const auto& known : model_.users())
    add(user_entry(known.second));
  begin_list(R"(],"servers":[)");
  for (const auto* const s : model_.servers())
    add(state_record(model_, *s, now));
  for (const auto& g : model_.gone())
    add(gone_record(model_, g));
  begin_list(R"(],"schedules":[)");
  for (const auto& [id, s] : model_.schedules())
    add(json::object{{"id", id}, {"serverId", s.server}, {"task", s.task}, {"schedule", s.expression}});
  out += "]}";
  return {200, std::move(out)};
}

reply control::post_fault(std::string_view body) {
  field_reader in{body};
  fault wanted;
  const auto kind = in.take<std::string>("kind").value_or("");
  const auto parsed = parse_fault_kind(kind);
  wanted.kind = parsed.value_or(fault_kind::delay);
  wanted.operation = in.take<std::string>("operation").value_or("");
  wanted.share = in.take<double>("share").value_or(1);
  wanted.count = in.take<std::int64_t>("count");
  wanted.status = in.take<unsigned>("status").value_or(500);
  if (const auto* const after = in.body.if_contains("retryAfter"); after && after->is_int64())
    wanted.retry_after = std::to_string(in.take<std::int64_t>("retryAfter").value_or(0));
  else
    wanted.retry_after = in.take<std::string>("retryAfter").value_or("");
  if (const auto delay = in.take<std::int64_t>("delayMs"))
    wanted.delay = std::chrono::milliseconds{*delay};
  wanted.hypervisor = in.take<std::int64_t>("hypervisor");
  const auto known = all_operations();
  if (const auto complaint = in.complaint(); !complaint.empty())
    return message(422, complaint);
  if (!parsed)
    return message(422, "unknown kind \"" + kind + "\"");
  if (wanted.operation != "*" && std::find(known.begin(), known.end(), wanted.operation) == known.end())
    return message(422, "unknown operation \"" + wanted.operation +
                          "\": method and path template, as in \"POST /servers/{serverId}/build\", or \"*\"");
  if (wanted.hypervisor && !model_.find_hypervisor(*wanted.hypervisor))
    return message(422, "no hypervisor has this id");
  if (wanted.share < 0 || wanted.share > 1 || wanted.count.value_or(0) < 0 || wanted.status < 200 ||
      wanted.status > 599 || wanted.delay.value_or(std::chrono::milliseconds{0}).count() < 0)
    return message(422, "share is 0 to 1, count and delayMs at least 0, status 200 to 599");
  if (wanted.retry_after.find_first_of("\r\n") != std::string::npos)
    return message(422, "retryAfter is one line");
  faults_.add(std::move(wanted));
  return render(201, json::object{{"operation", "added"}});
}

reply control::post_servers(std::string_view body, moment now) {
  constexpr std::int64_t max_count = 1'000'000;
  field_reader in{body};
  const auto count = in.take<std::int64_t>("count").value_or(0);
  const auto users = in.take<std::int64_t>("users").value_or(1);
  if (const auto complaint = in.complaint(); !complaint.empty())
    return message(422, complaint);
  if (count < 1 || count > max_count || users < 1 || users > max_count)
    return message(422, "count and users are 1 to 1000000");
  const auto made = model_.seed_servers(count, users, now);
  return render(
    201, json::object{{"created", made.created}, {"firstId", made.first_id}, {"lastId", made.last_id}});
}

reply control::patch_server(std::int64_t id, std::string_view body, moment now) {
  field_reader in{body};
  server_patch patch;
  patch.is_suspended = in.take<bool>("suspended");
  patch.is_protected = in.take<bool>("protected");
  patch.owner_ext_relation_id = in.take<std::int64_t>("extRelationId");
  patch.package = in.take<std::int64_t>("packageId");
  patch.name = in.take<std::string>("name");
  patch.memory_mb = in.take<std::int64_t>("memory");
  patch.storage_gb = in.take<std::int64_t>("storage");
  patch.traffic_gb = in.take<std::int64_t>("traffic");
  patch.cpu_cores = in.take<std::int64_t>("cpuCores");
  const auto power = in.take<std::string>("power");
  const auto state = in.take<std::string>("state");
  if (const auto complaint = in.complaint(); !complaint.empty())
    return message(422, complaint);
  if (power && *power != "running" && *power != "stopped")
    return message(422, "power is running or stopped");
  if (power)
    patch.is_running = *power == "running";
  patch.stage = state ? parse_stage(*state) : std::nullopt;
  if (state && !patch.stage)
    return message(422, "state is allocated, complete or failed");
  const auto changed = model_.patch_server(id, patch, now);
  if (changed.has_error())
    return message(changed.error().status, changed.error().text);
  return render(200, state_record(model_, **changed, now));
}

} // namespace skyengine::simulator
