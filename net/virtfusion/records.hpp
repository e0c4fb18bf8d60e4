#pragma once

#include "domain/clock.hpp"
#include "domain/error.hpp"
#include "domain/ids.hpp"
#include "domain/secret.hpp"
#include "domain/server_resources.hpp"
#include "net/virtfusion/request.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What we read of VirtFusion's answers, and the readers. All of them take numbers as strings, null and
/// missing fields, and ignore what they do not know; errc::virtfusion_unavailable when what a caller cannot
/// do without is not there.
namespace skyengine::net::virtfusion {

struct user_record {
  virtfusion_user_id id;
  /// Ours; nothing for users that were made in the panel.
  std::optional<user_id> ext_relation_id;
  std::string name;
  std::string email;
  bool is_suspended = false;
};

struct package_record {
  package_id id;
  std::string name;
  bool is_enabled = true;
  server_resources resources;
  std::optional<backup_plan_id> backup_plan;
};

struct group_record {
  hypervisor_group_id id;
  std::string name;
  bool is_enabled = true;
};

/// What one hypervisor has left. Nothing: no limit, or VirtFusion names none.
struct hypervisor_room {
  std::int64_t id = 0;
  std::string name;
  bool is_enabled = true;
  /// Takes no new servers.
  bool prohibits_servers = false;
  bool is_commissioned = true;
  std::optional<std::int64_t> free_servers;
  std::optional<std::int64_t> free_memory_mb;
  std::optional<std::int64_t> free_cpu_cores;
  /// Of the roomiest single storage.
  std::optional<std::int64_t> free_storage_gb;
  std::optional<std::int64_t> free_ipv4;

  /// True when a server of this size with one IPv4 address would find room here.
  bool fits(const server_resources& wanted) const noexcept;
};

/// One page of a list. Count pages by `last_page`: it may change between two pages, and items may appear
/// twice or not at all when servers come and go meanwhile.
template <class T>
struct page {
  std::vector<T> items;
  std::int64_t current_page = 1;
  std::int64_t last_page = 1;
  /// Of all pages; nothing when the answer does not tell.
  std::optional<std::int64_t> total;
};

struct template_record {
  os_template_id id;
  std::string name;
  std::string version;
  std::string variant;
  bool is_end_of_life = false;
};

struct template_group {
  std::string name;
  std::vector<template_record> templates;
};

struct server_owner {
  /// Nothing when the answer does not tell.
  std::optional<virtfusion_user_id> id;
  /// Nothing for users that were made in the panel, or whose relation is not a number.
  std::optional<user_id> ext_relation_id;
};

/// Asked live of the hypervisor and the guest, with `?remoteState=true` alone.
struct remote_state {
  /// Nothing when the answer does not tell: that is no "off".
  std::optional<bool> is_running;
  std::optional<double> cpu_percent;
  std::optional<std::int64_t> memory_total_kib;
  std::optional<std::int64_t> memory_available_kib;
  /// Sums over all disks.
  std::optional<std::int64_t> disk_capacity_bytes;
  std::optional<std::int64_t> disk_allocation_bytes;
};

struct server_record {
  virtfusion_server_id id;
  std::string uuid;
  std::string name;
  std::string hostname;
  /// `allocated, queued, pending, complete, failed, …`: an open set.
  std::string state;
  /// 0 allocated, 1 queued, 2 failed or in between, 3 complete; nothing when it is not told.
  std::optional<std::int64_t> commission_status;
  /// Nothing when the answer does not tell: that is no "not suspended".
  std::optional<bool> is_suspended;
  /// Refuses to be deleted.
  bool is_protected = false;
  bool is_build_failed = false;
  bool is_task_active = false;
  std::int64_t pending_tasks = 0;
  std::optional<instant> built_at;
  std::optional<instant> created_at;
  server_resources resources;
  /// True when the answer told all parts of `resources`: one that it did not tell is 0.
  bool are_resources_told = false;
  std::optional<os_template_id> os_template;
  std::optional<backup_plan_id> backup_plan;
  std::vector<std::string> ipv4;
  /// Addresses, and subnets as `2001:db8::/80`.
  std::vector<std::string> ipv6;
  std::int64_t hypervisor = 0;
  std::optional<hypervisor_group_id> group;
  /// Nothing when the answer does not tell: that is no "belongs to someone else".
  std::optional<server_owner> owner;
  std::optional<remote_state> remote;
  /// True when the answer told all that `is_untouched` looks at.
  bool is_complete = false;

  /// Nothing when the answer does not tell all of them: that is no "has less".
  std::optional<server_resources> told_resources() const noexcept {
    return are_resources_told ? std::optional{resources} : std::nullopt;
  }
  bool is_built() const noexcept;
  bool has_failed() const noexcept;
  bool has_task() const noexcept { return is_task_active || pending_tasks > 0; }
  /// Surely never built, without a name, a hostname and a task: nothing but a create has touched it.
  bool is_untouched() const noexcept;
};

/// One row of `GET /servers`.
struct server_list_item {
  virtfusion_server_id id;
  std::string uuid;
  std::string name;
  std::optional<std::int64_t> commission_status;
  /// Nothing when the answer does not tell.
  std::optional<virtfusion_user_id> owner;
  std::int64_t hypervisor = 0;
  /// As the owner.
  std::optional<bool> is_suspended;
  bool is_protected = false;
  std::optional<instant> created_at;
};

/// One row of `GET /servers/user/{userId}`, which says nothing of tasks, groups and when it was built.
struct user_server_item {
  virtfusion_server_id id;
  std::string name;
  std::string hostname;
  std::string state;
  std::optional<std::int64_t> commission_status;
  bool is_suspended = false;
  bool is_build_failed = false;
  server_resources resources;
};

struct build_answer {
  /// The root password, shown this once. Empty when VirtFusion did not tell.
  secret password;
  std::string state;
};

struct queue_item {
  queue_item_id id;
  std::string action;
  std::optional<virtfusion_server_id> server;
  std::optional<instant> started_at;
  std::optional<instant> finished_at;
  bool has_failed = false;
  /// 0 to 100.
  std::int64_t progress = 0;
  /// For people; empty when there are none.
  std::string errors;
};

/// What VirtFusion put into its queue; nothing when it did not say.
struct queued_task {
  std::optional<queue_item_id> id;
};

/// One traffic period of a server, which begins on the server's own day.
struct traffic_period {
  std::optional<instant> begins_at;
  std::optional<instant> ends_at;
  std::int64_t received_bytes = 0;
  std::int64_t sent_bytes = 0;
  std::int64_t total_bytes = 0;
  /// 0: no limit.
  std::int64_t limit_gb = 0;
};

struct backup_record {
  std::int64_t id = 0;
  std::optional<virtfusion_server_id> server;
  bool is_complete = false;
  bool is_deleting = false;
  bool is_restoring = false;
  std::optional<instant> created_at;
};

struct ssh_key_record {
  ssh_key_id id;
  std::string name;
  /// Empty in the answer to an add.
  std::string public_key;
  bool is_enabled = true;
};

/// What a change of package did not do, in VirtFusion's words.
struct package_change_answer {
  std::vector<std::string> info;
};

/// The three forms of time that VirtFusion has: ISO 8601 with an offset, with microseconds and `Z`, and
/// `YYYY-MM-DD hh:mm:ss`, which is taken for UTC.
std::optional<instant> parse_panel_time(std::string_view text);

result<> read_nothing(const answer& given);
result<user_record> read_user(const answer& given);
result<std::vector<package_record>> read_packages(const answer& given);
result<page<group_record>> read_groups(const answer& given);
result<page<hypervisor_room>> read_group_resources(const answer& given);
result<std::vector<template_group>> read_templates(const answer& given);
result<page<server_list_item>> read_server_page(const answer& given);
result<std::vector<user_server_item>> read_user_servers(const answer& given);
/// Needs an id and a state.
result<server_record> read_server(const answer& given);
/// Needs an id alone: the server is made, whatever else is told of it.
result<server_record> read_created_server(const answer& given);
result<build_answer> read_build(const answer& given);
result<queued_task> read_queued_task(const answer& given);
result<package_change_answer> read_package_change(const answer& given);
result<std::vector<backup_record>> read_backups(const answer& given);
/// The current period first.
result<std::vector<traffic_period>> read_traffic(const answer& given);
result<queue_item> read_queue_item(const answer& given);
result<ssh_key_record> read_ssh_key(const answer& given);
result<std::vector<ssh_key_record>> read_ssh_keys(const answer& given);

} // namespace skyengine::net::virtfusion
