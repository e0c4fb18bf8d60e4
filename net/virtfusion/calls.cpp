#include "net/virtfusion/calls.hpp"

#include <boost/json.hpp>

#include <utility>

namespace skyengine::net::virtfusion {

namespace {

namespace json = boost::json;

template <class Tag>
std::string text(strong_id<Tag, std::int64_t> id) {
  return std::to_string(id.value);
}

std::string server_path(virtfusion_server_id server, std::string_view rest = {}) {
  return "/servers/" + text(server) + std::string{rest};
}

std::string paged(std::string path, std::int64_t page_number, std::int64_t page_size = max_page_size) {
  path += "?results=" + std::to_string(page_size);
  // The vendor's contract knows no `page`; the first one needs none.
  if (page_number > 1)
    path += "&page=" + std::to_string(page_number);
  return path;
}

json::object body_of(const new_server& server) {
  return {{"packageId", server.package.value},
          {"userId", server.user.value},
          // The group's id, whatever the field's name says.
          {"hypervisorId", server.group.value},
          {"ipv4", 1}};
}

} // namespace

call<> connect() {
  return {{operation::connect, "/connect", {}}, read_nothing};
}

call<user_record> find_user(user_id id) {
  return {{operation::find_user, "/users/" + text(id) + "/byExtRelation", {}}, read_user};
}

call<user_record> create_user(const new_user& user) {
  const json::object body{{"name", user.name},
                          {"email", user.email},
                          {"extRelationId", user.id.value},
                          {"selfService", 0},
                          {"sendMail", false}};
  return {{operation::create_user, "/users", json::serialize(body)}, read_user};
}

call<std::vector<package_record>> list_packages() {
  return {{operation::list_packages, "/packages", {}}, read_packages};
}

call<page<group_record>> list_groups(std::int64_t page_number) {
  return {{operation::list_groups, paged("/compute/hypervisors/groups", page_number), {}}, read_groups};
}

call<page<hypervisor_room>> group_resources(hypervisor_group_id group, std::int64_t page_number) {
  const auto path = "/compute/hypervisors/groups/" + text(group) + "/resources";
  return {{operation::group_resources, paged(path, page_number), {}}, read_group_resources};
}

call<std::vector<template_group>> list_templates(package_id package) {
  return {{operation::list_templates, "/media/templates/fromServerPackageSpec/" + text(package), {}},
          read_templates};
}

call<page<server_list_item>> list_servers(std::int64_t page_number, std::int64_t page_size) {
  return {{operation::list_servers, paged("/servers", page_number, page_size), {}}, read_server_page};
}

call<std::vector<user_server_item>> list_user_servers(virtfusion_user_id user) {
  return {{operation::list_user_servers, "/servers/user/" + text(user), {}}, read_user_servers};
}

call<server_record> get_server(virtfusion_server_id server, bool remote_state) {
  return {{operation::get_server, server_path(server, remote_state ? "?remoteState=true" : ""), {}},
          read_server};
}

call<server_record> create_server(const new_server& server) {
  return {{operation::create_server, "/servers", json::serialize(body_of(server))}, read_created_server};
}

call<> dry_run_server(const new_server& server) {
  return {{operation::dry_run_server, "/servers?dryRun=true", json::serialize(body_of(server))},
          read_nothing};
}

call<build_answer> build_server(virtfusion_server_id server, const server_build& build) {
  json::array keys;
  for (const auto key : build.ssh_keys)
    keys.emplace_back(key.value);
  const json::object body{{"operatingSystemId", build.os_template.value},
                          {"name", build.name},
                          {"hostname", build.hostname},
                          {"sshKeys", std::move(keys)},
                          {"ipv6", build.ipv6},
                          {"email", false}};
  return {{operation::build_server, server_path(server, "/build"), json::serialize(body)}, read_build};
}

call<queued_task> boot_server(virtfusion_server_id server) {
  return {{operation::boot_server, server_path(server, "/power/boot"), {}}, read_queued_task};
}

call<queued_task> shutdown_server(virtfusion_server_id server) {
  return {{operation::shutdown_server, server_path(server, "/power/shutdown"), {}}, read_queued_task};
}

call<queued_task> restart_server(virtfusion_server_id server) {
  return {{operation::restart_server, server_path(server, "/power/restart"), {}}, read_queued_task};
}

call<queued_task> power_off_server(virtfusion_server_id server) {
  return {{operation::power_off_server, server_path(server, "/power/poweroff"), {}}, read_queued_task};
}

call<> suspend_server(virtfusion_server_id server) {
  return {{operation::suspend_server, server_path(server, "/suspend"), {}}, read_nothing};
}

call<> unsuspend_server(virtfusion_server_id server) {
  return {{operation::unsuspend_server, server_path(server, "/unsuspend"), {}}, read_nothing};
}

call<> delete_server(virtfusion_server_id server) {
  return {{operation::delete_server, server_path(server, "?delay=0"), {}}, read_nothing};
}

call<package_change_answer>
change_package(virtfusion_server_id server, package_id package, const package_parts& parts) {
  const json::object body{{"backupPlan", parts.backup_plan},
                          {"cpu", parts.cpu},
                          {"memory", parts.memory},
                          {"primaryDiskSize", parts.primary_disk_size},
                          {"primaryNetworkTraffic", parts.primary_network_traffic}};
  return {
    {operation::change_package, server_path(server, "/package/" + text(package)), json::serialize(body)},
    read_package_change};
}

call<> set_backup_plan(virtfusion_server_id server, backup_plan_id plan) {
  return {{operation::set_backup_plan, server_path(server, "/backups/plan/" + text(plan)), {}}, read_nothing};
}

call<std::vector<backup_record>> list_backups(virtfusion_server_id server) {
  return {{operation::list_backups, "/backups/server/" + text(server), {}}, read_backups};
}

call<std::vector<traffic_period>> get_traffic(virtfusion_server_id server) {
  return {{operation::get_traffic, server_path(server, "/traffic"), {}}, read_traffic};
}

call<queue_item> get_queue_item(queue_item_id item) {
  return {{operation::get_queue_item, "/queue/" + text(item), {}}, read_queue_item};
}

call<ssh_key_record>
add_ssh_key(virtfusion_user_id user, const std::string& name, const std::string& public_key) {
  const json::object body{{"userId", user.value}, {"name", name}, {"publicKey", public_key}};
  return {{operation::add_ssh_key, "/ssh_keys", json::serialize(body)}, read_ssh_key};
}

call<std::vector<ssh_key_record>> list_ssh_keys(virtfusion_user_id user) {
  return {{operation::list_ssh_keys, "/ssh_keys/user/" + text(user), {}}, read_ssh_keys};
}

} // namespace skyengine::net::virtfusion
