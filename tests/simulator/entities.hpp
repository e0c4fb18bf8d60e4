#pragma once

#include "domain/clock.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// What the simulated panel keeps. `fields` of each names its members once, for the state file's reader and
/// writer, which leave out what is zero or empty: so that is every member's default.
namespace skyengine::simulator {

/// Both kinds of time at one look. Builds, tasks and disappearing run in real time, everything that a panel
/// dates runs in business time.
struct moment {
  instant real;
  instant business;
};

struct package {
  std::int64_t id = 0;
  std::string name;
  std::int64_t memory_mb = 0;
  std::int64_t storage_gb = 0;
  /// 0: no limit.
  std::int64_t traffic_gb = 0;
  std::int64_t cpu_cores = 0;
  std::int64_t backup_plan = 0;
};

struct hypervisor {
  std::int64_t id = 0;
  std::int64_t group = 0;
  std::string name;
  /// 0: no limit.
  std::int64_t max_servers = 0;
  std::int64_t servers = 0;
  std::int64_t memory_mb = 0;
  std::int64_t storage_gb = 0;
  std::int64_t cpu_cores = 0;
};

struct hypervisor_group {
  std::int64_t id = 0;
  std::string name;
};

struct os_template {
  std::int64_t id = 0;
  std::string name;
  std::string version;
  std::string family;
};

struct user {
  std::int64_t id = 0;
  std::optional<std::int64_t> ext_relation_id;
  std::optional<std::string> rel_str;
  std::string name;
  std::string email;
  std::int64_t self_service = 0;
  instant created{};
  /// Ids of the user's servers, ascending; not in the state file.
  std::vector<std::int64_t> servers = {};

  template <class Archive>
  static void fields(Archive& a, auto& x) {
    a("id", x.id);
    a("ext", x.ext_relation_id);
    a("rel", x.rel_str);
    a("name", x.name);
    a("email", x.email);
    a("self", x.self_service);
    a("created", x.created);
  }
};

struct ssh_key {
  std::int64_t id = 0;
  std::int64_t owner = 0;
  std::string name;
  std::string public_key;
  instant created{};

  template <class Archive>
  static void fields(Archive& a, auto& x) {
    a("id", x.id);
    a("owner", x.owner);
    a("name", x.name);
    a("key", x.public_key);
    a("created", x.created);
  }
};

/// A task of the optional scheduler extension.
struct schedule {
  std::int64_t id = 0;
  std::int64_t server = 0;
  std::string task;
  std::string expression;

  template <class Archive>
  static void fields(Archive& a, auto& x) {
    a("id", x.id);
    a("server", x.server);
    a("task", x.task);
    a("expression", x.expression);
  }
};

/// Work on a server: one at a time, the rest is refused while it lasts.
enum class task_kind : std::uint8_t {
  none,
  build,
  boot,
  shutdown,
  restart,
  poweroff,
  suspend,
  reset_password,
  remove
};

struct queue_item {
  std::int64_t id = 0;
  std::int64_t server = 0;
  std::int64_t hypervisor = 0;
  task_kind kind = task_kind::none;
  bool fails = false;
  moment started{};
  moment ends{};

  template <class Archive>
  static void fields(Archive& a, auto& x) {
    a("id", x.id);
    a("server", x.server);
    a("hypervisor", x.hypervisor);
    a("kind", x.kind);
    a("fails", x.fails);
    a("started_real", x.started.real);
    a("started", x.started.business);
    a("ends_real", x.ends.real);
    a("ends", x.ends.business);
  }
};

struct task {
  task_kind kind = task_kind::none;
  std::int64_t queue_id = 0;
  moment started{};
  moment ends{};
  /// The build will fail, or the suspend will leave the machine running.
  bool fails = false;
};

/// Bytes of the current and the last period; periods begin on the server's own day of the month.
struct traffic_meter {
  /// The day that periods are counted from.
  instant first_day{};
  instant counted_until{};
  std::int64_t period = 0;
  instant period_start{};
  instant period_end{};
  std::int64_t rx = 0;
  std::int64_t tx = 0;
  instant last_start{};
  std::int64_t last_rx = 0;
  std::int64_t last_tx = 0;
};

enum class commission : std::uint8_t { allocated, building, failed, complete };

struct server {
  std::int64_t id = 0;
  std::int64_t owner = 0;
  std::int64_t package = 0;
  std::int64_t group = 0;
  std::int64_t hypervisor = 0;
  std::string name;
  std::string hostname;
  std::int64_t memory_mb = 0;
  std::int64_t storage_gb = 0;
  std::int64_t traffic_gb = 0;
  std::int64_t cpu_cores = 0;
  std::int64_t cpu_throttle = 0;
  /// What the machine has seen at its last start.
  std::int64_t live_memory_mb = 0;
  std::int64_t live_cpu_cores = 0;
  moment created{};
  instant updated{};
  std::optional<instant> built;
  commission stage = commission::allocated;
  /// How often a build began: more than one wiped a disk.
  std::int64_t builds = 0;
  std::int64_t os_template = 0;
  std::vector<std::int64_t> ssh_keys = {};
  std::int64_t ipv4 = 0;
  bool ipv6 = false;
  bool is_suspended = false;
  bool is_protected = false;
  bool is_running = false;
  bool is_vnc_enabled = false;
  task active = {};
  std::optional<instant> last_task;
  /// A delete with a delay, in business time.
  std::optional<instant> delete_at;
  std::int64_t backup_plan = 0;
  instant backup_plan_since{};
  std::string backup_access;
  traffic_meter traffic = {};

  template <class Archive>
  static void fields(Archive& a, auto& x) {
    a("id", x.id);
    a("owner", x.owner);
    a("package", x.package);
    a("group", x.group);
    a("hypervisor", x.hypervisor);
    a("name", x.name);
    a("hostname", x.hostname);
    a("memory", x.memory_mb);
    a("storage", x.storage_gb);
    a("traffic_limit", x.traffic_gb);
    a("cores", x.cpu_cores);
    a("throttle", x.cpu_throttle);
    a("live_memory", x.live_memory_mb);
    a("live_cores", x.live_cpu_cores);
    a("created_real", x.created.real);
    a("created", x.created.business);
    a("updated", x.updated);
    a("built", x.built);
    a("stage", x.stage);
    a("builds", x.builds);
    a("os", x.os_template);
    a("keys", x.ssh_keys);
    a("ipv4", x.ipv4);
    a("ipv6", x.ipv6);
    a("suspended", x.is_suspended);
    a("protected", x.is_protected);
    a("running", x.is_running);
    a("vnc", x.is_vnc_enabled);
    a("task", x.active.kind);
    a("task_queue", x.active.queue_id);
    a("task_started_real", x.active.started.real);
    a("task_started", x.active.started.business);
    a("task_ends_real", x.active.ends.real);
    a("task_ends", x.active.ends.business);
    a("task_fails", x.active.fails);
    a("last_task", x.last_task);
    a("delete_at", x.delete_at);
    a("plan", x.backup_plan);
    a("plan_since", x.backup_plan_since);
    a("backup_access", x.backup_access);
    a("first_day", x.traffic.first_day);
    a("counted_until", x.traffic.counted_until);
    a("period", x.traffic.period);
    a("period_start", x.traffic.period_start);
    a("period_end", x.traffic.period_end);
    a("rx", x.traffic.rx);
    a("tx", x.traffic.tx);
    a("last_start", x.traffic.last_start);
    a("last_rx", x.traffic.last_rx);
    a("last_tx", x.traffic.last_tx);
  }
};

/// What remains of a server that is gone.
struct gone_server {
  std::int64_t id = 0;
  std::int64_t owner = 0;
  std::int64_t package = 0;
  std::int64_t group = 0;
  instant created{};
  instant deleted{};
  std::int64_t builds = 0;

  template <class Archive>
  static void fields(Archive& a, auto& x) {
    a("id", x.id);
    a("owner", x.owner);
    a("package", x.package);
    a("group", x.group);
    a("created", x.created);
    a("deleted", x.deleted);
    a("builds", x.builds);
  }
};

} // namespace skyengine::simulator
