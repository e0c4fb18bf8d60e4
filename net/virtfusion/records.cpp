#include "net/virtfusion/records.hpp"

#include "net/virtfusion/failure.hpp"
#include "net/virtfusion/tolerant_json.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <utility>

namespace skyengine::net::virtfusion {

namespace {

namespace json = boost::json;

error unreadable(std::string_view what) {
  return {errc::virtfusion_unavailable, "VirtFusion's answer has no " + std::string{what} + "."};
}

result<json::value> document_of(const answer& given) {
  boost::system::error_code failed;
  auto document = json::parse(given.body, failed);
  if (failed)
    return unreadable("readable JSON");
  return document;
}

/// The one object under `data`.
result<json::value> object_of(const answer& given) {
  auto document = document_of(given);
  if (!document)
    return document;
  const auto* const data = find(*document, {"data"});
  if (data == nullptr || !data->is_object())
    return unreadable("object");
  return json::value{*data};
}

/// All elements of `list` that `read` makes something of: an element without what we need is no element for
/// us.
template <class T>
std::vector<T> items_of(const json::array& list, std::optional<T> (*read)(const json::value&)) {
  std::vector<T> items;
  items.reserve(list.size());
  for (const auto& element : list)
    if (auto item = read(element))
      items.push_back(std::move(*item));
  return items;
}

/// `needs_all`: who decides by what is not in the list must not be told a list with gaps.
template <class T>
result<std::vector<T>>
list_of(const answer& given, std::optional<T> (*read)(const json::value&), bool needs_all = false) {
  const auto document = document_of(given);
  if (!document)
    return document.error();
  const auto* const data = list_at(*document, {"data"});
  if (data == nullptr)
    return unreadable("list");
  auto items = items_of(*data, read);
  if (needs_all && items.size() != data->size())
    return unreadable("id in one of its elements");
  return items;
}

template <class T>
result<page<T>> page_of(const answer& given, std::optional<T> (*read)(const json::value&)) {
  const auto document = document_of(given);
  if (!document)
    return document.error();
  const auto* const data = list_at(*document, {"data"});
  if (data == nullptr)
    return unreadable("list");
  page<T> out;
  out.items = items_of(*data, read);
  out.current_page = std::max<std::int64_t>(integer_at(*document, {"current_page"}).value_or(1), 1);
  out.last_page = std::max(integer_at(*document, {"last_page"}).value_or(out.current_page), out.current_page);
  out.total = integer_at(*document, {"total"});
  return out;
}

template <class Id>
std::optional<Id> id_at(const json::value& in, std::initializer_list<std::string_view> path) {
  const auto value = integer_at(in, path);
  // VirtFusion counts from 1; 0 stands for "none", as in backupPlanId.
  return value && *value > 0 ? std::optional{Id{*value}} : std::nullopt;
}

std::int64_t amount_at(const json::value& in, std::initializer_list<std::string_view> path) {
  return std::max<std::int64_t>(integer_at(in, path).value_or(0), 0);
}

std::optional<user_id> relation_in(const json::value& user) {
  const auto value = integer_at(user, {"extRelationId"});
  return value ? std::optional{user_id{*value}} : std::nullopt;
}

server_resources resources_in(const json::value& in) {
  return {amount_at(in, {"memory"}), amount_at(in, {"storage"}), amount_at(in, {"traffic"}),
          amount_at(in, {"cpuCores"})};
}

bool has_member(const json::value& in, std::string_view name) noexcept {
  const auto* const members = in.if_object();
  return members != nullptr && members->contains(name);
}

/// Traffic alone may be 0, or null, which is without limit.
bool are_all_told(const json::value& in, const server_resources& read) {
  return read.memory_mb > 0 && read.storage_gb > 0 && read.cpu_cores > 0 && has_member(in, "traffic") &&
         (find(in, {"traffic"}) == nullptr || integer_at(in, {"traffic"}));
}

std::optional<package_record> package_in(const json::value& in) {
  const auto id = id_at<package_id>(in, {"id"});
  if (!id)
    return std::nullopt;
  package_record package;
  package.id = *id;
  package.name = text_at(in, {"name"});
  package.is_enabled = flag_at(in, {"enabled"}).value_or(true);
  package.resources = resources_in(in);
  package.resources.storage_gb = amount_at(in, {"primaryStorage"});
  package.backup_plan = id_at<backup_plan_id>(in, {"backupPlanId"});
  return package;
}

std::optional<group_record> group_in(const json::value& in) {
  const auto id = id_at<hypervisor_group_id>(in, {"id"});
  if (!id)
    return std::nullopt;
  return group_record{*id, text_at(in, {"name"}), flag_at(in, {"enabled"}).value_or(true)};
}

/// `{max, allocated, free}`: `max: 0` is no limit, whatever `free` says then; `free: -1` is none either.
std::optional<std::int64_t> free_in(const json::value* in) {
  if (in == nullptr || integer_at(*in, {"max"}) == 0)
    return std::nullopt;
  const auto free = integer_at(*in, {"free"});
  return !free || *free == -1 ? std::nullopt : std::optional{std::max<std::int64_t>(*free, 0)};
}

std::optional<hypervisor_room> room_in(const json::value& in) {
  const auto id = integer_at(in, {"hypervisor", "id"});
  if (!id)
    return std::nullopt;
  hypervisor_room room;
  room.id = *id;
  room.name = text_at(in, {"hypervisor", "name"});
  room.is_enabled = flag_at(in, {"hypervisor", "enabled"}).value_or(true);
  room.prohibits_servers = flag_at(in, {"hypervisor", "prohibit"}).value_or(false);
  room.is_commissioned = flag_at(in, {"hypervisor", "commissioned"}).value_or(true);
  room.free_servers = free_in(find(in, {"resources", "servers"}));
  room.free_memory_mb = free_in(find(in, {"resources", "memory"}));
  room.free_cpu_cores = free_in(find(in, {"resources", "cpuCores"}));
  const auto* const local = find(in, {"resources", "localStorage"});
  const auto is_local = local != nullptr && flag_at(*local, {"enabled"}).value_or(true);
  bool is_limited = is_local;
  std::int64_t roomiest = 0;
  const auto consider = [&](const json::value* storage) {
    const auto free = free_in(storage);
    is_limited = is_limited && free.has_value();
    roomiest = std::max(roomiest, free.value_or(0));
  };
  if (is_local)
    consider(local);
  if (const auto* others = list_at(in, {"resources", "otherStorage"});
      others != nullptr && !others->empty()) {
    is_limited = is_limited || !is_local;
    for (const auto& storage : *others)
      if (flag_at(storage, {"enabled"}).value_or(true))
        consider(&storage);
  }
  if (is_limited)
    room.free_storage_gb = roomiest;
  const auto addresses = integer_at(in, {"resources", "network", "total", "ipv4", "free"});
  if (addresses && *addresses != -1)
    room.free_ipv4 = std::max<std::int64_t>(*addresses, 0);
  return room;
}

std::optional<template_record> template_in(const json::value& in) {
  const auto id = id_at<os_template_id>(in, {"id"});
  if (!id)
    return std::nullopt;
  return template_record{*id, text_at(in, {"name"}), text_at(in, {"version"}), text_at(in, {"variant"}),
                         flag_at(in, {"eol"}).value_or(false)};
}

std::optional<template_group> template_group_in(const json::value& in) {
  const auto* const templates = list_at(in, {"templates"});
  if (templates == nullptr)
    return std::nullopt;
  return template_group{text_at(in, {"name"}), items_of(*templates, template_in)};
}

std::optional<server_list_item> list_item_in(const json::value& in) {
  const auto id = id_at<virtfusion_server_id>(in, {"id"});
  if (!id)
    return std::nullopt;
  server_list_item item;
  item.id = *id;
  item.uuid = text_at(in, {"uuid"});
  item.name = text_at(in, {"name"});
  item.commission_status = integer_at(in, {"commissioned"});
  item.owner = id_at<virtfusion_user_id>(in, {"owner"});
  item.hypervisor = amount_at(in, {"hypervisorId"});
  item.is_suspended = flag_at(in, {"suspended"});
  item.is_protected = flag_at(in, {"protected"}).value_or(false);
  item.created_at = time_at(in, {"created"});
  return item;
}

std::optional<user_server_item> user_server_in(const json::value& in) {
  const auto id = id_at<virtfusion_server_id>(in, {"id"});
  if (!id)
    return std::nullopt;
  user_server_item item;
  item.id = *id;
  item.name = text_at(in, {"name"});
  item.hostname = text_at(in, {"hostname"});
  item.state = text_at(in, {"state"});
  item.commission_status = integer_at(in, {"commissionStatus"});
  item.is_suspended = flag_at(in, {"suspended"}).value_or(false);
  item.is_build_failed = flag_at(in, {"buildFailed"}).value_or(false);
  if (const auto* resources = find(in, {"resources"}))
    item.resources = resources_in(*resources);
  return item;
}

std::optional<server_owner> owner_in(const json::value& server) {
  const auto* const owner = find(server, {"owner"});
  if (owner == nullptr || !has_member(*owner, "extRelationId"))
    return std::nullopt;
  return server_owner{id_at<virtfusion_user_id>(*owner, {"id"}), relation_in(*owner)};
}

void read_addresses(const json::value& server, server_record& into) {
  const auto* const interfaces = list_at(server, {"network", "interfaces"});
  if (interfaces == nullptr)
    return;
  for (const auto& interface : *interfaces) {
    if (const auto* addresses = list_at(interface, {"ipv4"}))
      for (const auto& address : *addresses)
        if (auto text = text_at(address, {"address"}); !text.empty())
          into.ipv4.push_back(std::move(text));
    const auto* const networks = list_at(interface, {"ipv6"});
    if (networks == nullptr)
      continue;
    for (const auto& network : *networks) {
      const auto* const addresses = list_at(network, {"addresses"});
      const auto before = into.ipv6.size();
      if (addresses != nullptr)
        for (const auto& address : *addresses) {
          // Plain strings, or objects with the address inside.
          const auto* const plain = address.if_string();
          auto text =
            plain != nullptr ? std::string{plain->data(), plain->size()} : text_at(address, {"address"});
          if (!text.empty())
            into.ipv6.push_back(std::move(text));
        }
      if (into.ipv6.size() > before)
        continue;
      if (auto subnet = text_at(network, {"subnet"}); !subnet.empty()) {
        const auto cidr = integer_at(network, {"cidr"});
        into.ipv6.push_back(cidr ? subnet + "/" + std::to_string(*cidr) : subnet);
      }
    }
  }
}

std::optional<remote_state> remote_state_in(const json::value& server) {
  const auto* const found = find(server, {"remoteState"});
  if (found == nullptr || !found->is_object())
    return std::nullopt;
  remote_state remote;
  remote.is_running = flag_at(*found, {"running"});
  if (const auto state = text_at(*found, {"state"}); !remote.is_running && !state.empty())
    remote.is_running = state == "running";
  remote.cpu_percent = number_at(*found, {"cpu"});
  for (const auto name : {"percent", "usage", "cpu"})
    if (!remote.cpu_percent)
      remote.cpu_percent = number_at(*found, {"cpu", name});
  remote.memory_total_kib = integer_at(*found, {"memory", "memtotal"});
  remote.memory_available_kib = integer_at(*found, {"memory", "memavailable"});
  if (!remote.memory_available_kib)
    remote.memory_available_kib = integer_at(*found, {"memory", "memfree"});
  const auto* const disks = find(*found, {"disk"});
  const auto* const by_name = disks == nullptr ? nullptr : disks->if_object();
  if (by_name == nullptr)
    return remote;
  // No disk that exists comes near it, and no sum of this many overflows.
  static constexpr std::int64_t largest = std::int64_t{1} << 50U;
  const auto add = [](std::optional<std::int64_t>& sum, std::optional<std::int64_t> part) {
    if (part && *part >= 0)
      sum = std::min(sum.value_or(0) + std::min(*part, largest), largest);
  };
  for (const auto& [name, disk] : *by_name) {
    add(remote.disk_capacity_bytes, integer_at(disk, {"capacity"}));
    add(remote.disk_allocation_bytes, integer_at(disk, {"allocation"}));
  }
  return remote;
}

server_record server_in(const json::value& in) {
  server_record server;
  server.id.value = integer_at(in, {"id"}).value_or(0);
  server.uuid = text_at(in, {"uuid"});
  server.name = text_at(in, {"name"});
  server.hostname = text_at(in, {"hostname"});
  server.state = text_at(in, {"state"});
  server.commission_status = integer_at(in, {"commissionStatus"});
  server.is_suspended = flag_at(in, {"suspended"});
  server.is_protected = flag_at(in, {"protected"}).value_or(false);
  server.is_build_failed = flag_at(in, {"buildFailed"}).value_or(false);
  server.is_task_active = flag_at(in, {"tasks", "active"}).value_or(false);
  if (const auto* pending = list_at(in, {"tasks", "actions", "pending"}))
    server.pending_tasks = static_cast<std::int64_t>(pending->size());
  server.built_at = time_at(in, {"built"});
  server.created_at = time_at(in, {"created"});
  if (const auto* resources = find(in, {"settings", "resources"})) {
    server.resources = resources_in(*resources);
    server.are_resources_told = are_all_told(*resources, server.resources);
  }
  server.os_template = id_at<os_template_id>(in, {"settings", "osTemplateInstallId"});
  server.backup_plan = id_at<backup_plan_id>(in, {"backupPlan", "id"});
  read_addresses(in, server);
  server.hypervisor = amount_at(in, {"hypervisorId"});
  server.group = id_at<hypervisor_group_id>(in, {"hypervisor", "groupId"});
  server.owner = owner_in(in);
  server.remote = remote_state_in(in);
  const auto built_is_told = has_member(in, "built") && (find(in, {"built"}) == nullptr || server.built_at);
  server.is_complete = !server.state.empty() && server.commission_status && built_is_told &&
                       has_member(in, "name") && has_member(in, "hostname") &&
                       flag_at(in, {"tasks", "active"}).has_value();
  return server;
}

std::optional<backup_record> backup_in(const json::value& in) {
  const auto id = integer_at(in, {"id"});
  if (!id)
    return std::nullopt;
  return backup_record{*id,
                       id_at<virtfusion_server_id>(in, {"serverId"}),
                       flag_at(in, {"complete"}).value_or(false),
                       flag_at(in, {"deleting"}).value_or(false),
                       flag_at(in, {"restoring"}).value_or(false),
                       time_at(in, {"created"})};
}

std::optional<traffic_period> period_in(const json::value& in) {
  if (!in.is_object())
    return std::nullopt;
  traffic_period period;
  period.begins_at = time_at(in, {"start"});
  period.ends_at = time_at(in, {"end"});
  period.received_bytes = amount_at(in, {"rx"});
  period.sent_bytes = amount_at(in, {"tx"});
  period.total_bytes = amount_at(in, {"total"});
  period.limit_gb = amount_at(in, {"limit"});
  return period;
}

std::optional<ssh_key_record> ssh_key_in(const json::value& in) {
  const auto id = id_at<ssh_key_id>(in, {"id"});
  if (!id)
    return std::nullopt;
  auto key = text_at(in, {"publicKey"});
  if (key.empty())
    key = text_at(in, {"public"});
  return ssh_key_record{*id, text_at(in, {"name"}), std::move(key), flag_at(in, {"enabled"}).value_or(true)};
}

} // namespace

bool hypervisor_room::fits(const server_resources& wanted) const noexcept {
  const auto has = [](const std::optional<std::int64_t>& free, std::int64_t amount) {
    return !free || *free >= amount;
  };
  return is_enabled && is_commissioned && !prohibits_servers && has(free_servers, 1) &&
         has(free_memory_mb, wanted.memory_mb) && has(free_cpu_cores, wanted.cpu_cores) &&
         has(free_storage_gb, wanted.storage_gb) && has(free_ipv4, 1);
}

bool server_record::is_built() const noexcept {
  return commission_status == 3 && state == "complete" && !has_task() && !is_build_failed;
}

bool server_record::has_failed() const noexcept {
  return is_build_failed || state == "failed";
}

bool server_record::is_untouched() const noexcept {
  return is_complete && !built_at && commission_status == 0 && name.empty() && hostname.empty() &&
         !has_task() && !has_failed();
}

result<> read_nothing(const answer&) {
  return {};
}

result<user_record> read_user(const answer& given) {
  const auto data = object_of(given);
  if (!data)
    return data.error();
  const auto id = id_at<virtfusion_user_id>(*data, {"id"});
  if (!id)
    return unreadable("user id");
  return user_record{*id, relation_in(*data), text_at(*data, {"name"}), text_at(*data, {"email"}),
                     flag_at(*data, {"suspended"}).value_or(false)};
}

result<std::vector<package_record>> read_packages(const answer& given) {
  return list_of(given, package_in);
}

result<page<group_record>> read_groups(const answer& given) {
  return page_of(given, group_in);
}

result<page<hypervisor_room>> read_group_resources(const answer& given) {
  return page_of(given, room_in);
}

result<std::vector<template_group>> read_templates(const answer& given) {
  return list_of(given, template_group_in);
}

result<page<server_list_item>> read_server_page(const answer& given) {
  return page_of(given, list_item_in);
}

result<std::vector<user_server_item>> read_user_servers(const answer& given) {
  return list_of(given, user_server_in, true);
}

result<server_record> read_server(const answer& given) {
  auto server = read_created_server(given);
  if (server && server->state.empty())
    return unreadable("server state");
  return server;
}

result<server_record> read_created_server(const answer& given) {
  const auto data = object_of(given);
  if (!data)
    return data.error();
  auto server = server_in(*data);
  if (server.id.value <= 0)
    return unreadable("server id");
  return server;
}

result<build_answer> read_build(const answer& given) {
  build_answer built;
  // That VirtFusion took the build is what counts; a body that cannot be read only costs the password.
  const auto data = object_of(given);
  if (!data)
    return built;
  built.password = secret{text_at(*data, {"settings", "decryptedPassword"})};
  built.state = text_at(*data, {"state"});
  return built;
}

result<queued_task> read_queued_task(const answer& given) {
  const auto data = object_of(given);
  return queued_task{data ? id_at<queue_item_id>(*data, {"queueId"}) : std::nullopt};
}

result<package_change_answer> read_package_change(const answer& given) {
  package_change_answer change;
  const auto document = document_of(given);
  if (!document)
    return change;
  const auto* info = list_at(*document, {"info"});
  if (info == nullptr)
    info = list_at(*document, {"data", "info"});
  if (info != nullptr)
    for (const auto& line : *info)
      if (const auto* text = line.if_string())
        change.info.push_back(cleaned({text->data(), text->size()}));
  return change;
}

result<std::vector<backup_record>> read_backups(const answer& given) {
  return list_of(given, backup_in);
}

result<std::vector<traffic_period>> read_traffic(const answer& given) {
  const auto data = object_of(given);
  if (!data)
    return data.error();
  const auto* const monthly = list_at(*data, {"monthly"});
  if (monthly == nullptr)
    return unreadable("traffic periods");
  return items_of(*monthly, period_in);
}

result<queue_item> read_queue_item(const answer& given) {
  const auto data = object_of(given);
  if (!data)
    return data.error();
  const auto id = id_at<queue_item_id>(*data, {"id"});
  if (!id)
    return unreadable("queue item id");
  queue_item item;
  item.id = *id;
  item.action = text_at(*data, {"action"});
  item.server = id_at<virtfusion_server_id>(*data, {"serverId"});
  item.started_at = time_at(*data, {"started"});
  item.finished_at = time_at(*data, {"finished"});
  item.has_failed = flag_at(*data, {"failed"}).value_or(false);
  item.progress = std::clamp<std::int64_t>(integer_at(*data, {"progress"}).value_or(0), 0, 100);
  if (const auto* errors = find(*data, {"errors"}))
    item.errors = words_of(json::serialize(json::object{{"errors", *errors}}));
  return item;
}

result<ssh_key_record> read_ssh_key(const answer& given) {
  const auto data = object_of(given);
  if (!data)
    return data.error();
  auto key = ssh_key_in(*data);
  if (!key)
    return unreadable("SSH key id");
  return std::move(*key);
}

result<std::vector<ssh_key_record>> read_ssh_keys(const answer& given) {
  return list_of(given, ssh_key_in, true);
}

} // namespace skyengine::net::virtfusion
