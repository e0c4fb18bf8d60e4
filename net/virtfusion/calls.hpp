#pragma once

#include "domain/error.hpp"
#include "domain/ids.hpp"
#include "net/virtfusion/records.hpp"
#include "net/virtfusion/request.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace skyengine::net::virtfusion {

/// A request, and how its successful answer is read.
template <class T = void>
struct call {
  request what;
  result<T> (*read)(const answer&) = nullptr;
};

/// What VirtFusion allows on a page of a list.
inline constexpr std::int64_t max_page_size = 200;

struct new_user {
  user_id id;
  std::string name;
  std::string email;
};

struct new_server {
  package_id package;
  virtfusion_user_id user;
  hypervisor_group_id group;
};

struct server_build {
  os_template_id os_template;
  std::string name;
  std::string hostname;
  std::vector<ssh_key_id> ssh_keys;
  bool ipv6 = false;
};

/// Which parts of a package a change takes over.
struct package_parts {
  bool cpu = true;
  bool memory = true;
  /// Disks grow only.
  bool primary_disk_size = true;
  bool primary_network_traffic = true;
  bool backup_plan = false;
};

/// True when VirtFusion can be reached and takes our token.
call<> connect();

call<user_record> find_user(user_id id);
/// Without self service (VirtFusion would meter too) and without a mail to the user.
call<user_record> create_user(const new_user& user);

call<std::vector<package_record>> list_packages();
call<page<group_record>> list_groups(std::int64_t page_number = 1);
call<page<hypervisor_room>> group_resources(hypervisor_group_id group, std::int64_t page_number = 1);
call<std::vector<template_group>> list_templates(package_id package);

call<page<server_list_item>> list_servers(std::int64_t page_number = 1,
                                          std::int64_t page_size = max_page_size);
call<std::vector<user_server_item>> list_user_servers(virtfusion_user_id user);
/// `remote_state` asks hypervisor and guest live: from 100 ms to the time-out.
call<server_record> get_server(virtfusion_server_id server, bool remote_state = false);

call<server_record> create_server(const new_server& server);
/// Whether `create_server` would be refused; it reserves nothing.
call<> dry_run_server(const new_server& server);
call<build_answer> build_server(virtfusion_server_id server, const server_build& build);

call<queued_task> boot_server(virtfusion_server_id server);
/// Asks the guest, and may do nothing.
call<queued_task> shutdown_server(virtfusion_server_id server);
call<queued_task> restart_server(virtfusion_server_id server);
call<queued_task> power_off_server(virtfusion_server_id server);

/// The machine may go on running: power it off first, and look afterwards.
call<> suspend_server(virtfusion_server_id server);
/// Does not boot it.
call<> unsuspend_server(virtfusion_server_id server);
/// At once, and no call takes it back. The server disappears later than the answer comes.
call<> delete_server(virtfusion_server_id server);
call<package_change_answer>
change_package(virtfusion_server_id server, package_id package, const package_parts& parts = {});

/// A plan of 0 removes the plan.
call<> set_backup_plan(virtfusion_server_id server, backup_plan_id plan);
call<std::vector<backup_record>> list_backups(virtfusion_server_id server);
call<std::vector<traffic_period>> get_traffic(virtfusion_server_id server);
call<queue_item> get_queue_item(queue_item_id item);

call<ssh_key_record>
add_ssh_key(virtfusion_user_id user, const std::string& name, const std::string& public_key);
call<std::vector<ssh_key_record>> list_ssh_keys(virtfusion_user_id user);

} // namespace skyengine::net::virtfusion
