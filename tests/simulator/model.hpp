#pragma once

#include "tests/simulator/entities.hpp"

#include <boost/assert/source_location.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace skyengine::simulator {

/// Why the panel does not do something: the status it answers with and what it says.
struct refusal {
  unsigned status = 422;
  std::string text;
  /// The field of the body that is wrong; empty where none is.
  std::string field;

  refusal() = default;
  refusal(unsigned code, std::string what, std::string where = {})
      : status(code), text(std::move(what)), field(std::move(where)) {}
};
[[noreturn]] void throw_exception_from_error(const refusal& r, const boost::source_location& where);

} // namespace skyengine::simulator

#include <boost/system/result.hpp>

namespace skyengine::simulator {

template <class T = void>
using outcome = boost::system::result<T, refusal>;

struct model_options {
  std::uint64_t seed = 1;
  /// Real time; every build takes between 0.75 and 1.25 of it.
  std::chrono::microseconds build_time = std::chrono::seconds{5};
  /// Business seconds in a real one.
  std::int64_t clock_rate = 1;
  /// In groups 1 and 2, which have no limit.
  std::int64_t hypervisors = 4;
};

struct new_user {
  std::string name;
  std::string email;
  std::optional<std::int64_t> ext_relation_id;
  std::optional<std::string> rel_str;
  std::int64_t self_service = 0;
};

/// What `POST /servers` asks for; what is not set comes from the package.
struct new_server {
  std::int64_t package = 0;
  std::int64_t user = 0;
  /// The group's id: the panel calls this field `hypervisorId`.
  std::int64_t group = 0;
  std::int64_t ipv4 = 1;
  std::optional<std::int64_t> memory_mb = {};
  std::optional<std::int64_t> storage_gb = {};
  std::optional<std::int64_t> traffic_gb = {};
  std::optional<std::int64_t> cpu_cores = {};
};

struct build_request {
  std::int64_t os_template = 0;
  std::string name;
  std::string hostname;
  std::vector<std::int64_t> ssh_keys = {};
  bool ipv6 = false;
  bool vnc = false;
};

/// The parts of a package that a change is to take over.
struct package_parts {
  bool backup_plan = false;
  bool cpu = false;
  bool memory = false;
  bool disk = false;
  bool traffic = false;
};

/// What changes a server from outside the API, as an operator in the panel or on the hypervisor would.
struct server_patch {
  std::optional<bool> is_suspended = {};
  std::optional<bool> is_protected = {};
  std::optional<bool> is_running = {};
  std::optional<std::int64_t> owner_ext_relation_id = {};
  std::optional<std::int64_t> package = {};
  std::optional<std::string> name = {};
  std::optional<commission> stage = {};
  std::optional<std::int64_t> memory_mb = {};
  std::optional<std::int64_t> storage_gb = {};
  std::optional<std::int64_t> traffic_gb = {};
  std::optional<std::int64_t> cpu_cores = {};
};

struct seeded_servers {
  std::int64_t created = 0;
  std::int64_t first_id = 0;
  std::int64_t last_id = 0;
};

/// The panel without its HTTP: users, packages, groups with capacity, servers and their tasks. It has no
/// clock: every call says what time it is, and `advance` does what has fallen due by then.
class model {
public:
  static constexpr std::size_t max_queue_items = 100'000;
  static constexpr std::int64_t max_backup_plan = 3;

  explicit model(model_options options);

  /// Ends tasks and removes servers whose time has come, in the order they fell due. Call it before each
  /// look.
  void advance(moment now);

  // What there is.
  const std::vector<package>& packages() const noexcept { return packages_; }
  const package* find_package(std::int64_t id) const noexcept;
  const std::vector<hypervisor_group>& groups() const noexcept { return groups_; }
  const hypervisor_group* find_group(std::int64_t id) const noexcept;
  const std::vector<hypervisor>& hypervisors() const noexcept { return hypervisors_; }
  const hypervisor* find_hypervisor(std::int64_t id) const noexcept;
  const hypervisor& hypervisor_of(const server& s) const;
  const std::vector<os_template>& templates() const noexcept { return templates_; }

  const std::map<std::int64_t, user>& users() const noexcept { return users_; }
  const user* find_user(std::int64_t id) const noexcept;
  const user* find_user_by_ext_relation(std::int64_t ext_relation_id) const noexcept;
  const user* find_user_by_rel_str(const std::string& rel_str) const noexcept;
  /// All servers that are there, by ascending id. Stays valid until the next call that changes something.
  const std::vector<const server*>& servers() const noexcept { return order_; }
  const server* find_server(std::int64_t id) const noexcept;
  const std::vector<gone_server>& gone() const noexcept { return gone_; }
  const std::map<std::int64_t, ssh_key>& ssh_keys() const noexcept { return ssh_keys_; }
  const std::map<std::int64_t, schedule>& schedules() const noexcept { return schedules_; }
  const queue_item* find_queue_item(std::int64_t id) const noexcept;
  /// The traffic of `s` counted up to `now`.
  traffic_meter traffic(const server& s, moment now) const;
  std::uint64_t seed() const noexcept { return options_.seed; }

  // What the API does. 404, 409, 422 and 423 are refusals.
  outcome<const user*> create_user(const new_user& wanted, moment now);
  /// With `dry_run` only looks whether it could be made, and answers a null pointer.
  outcome<const server*> create_server(const new_server& wanted, bool dry_run, moment now);
  outcome<const server*> build(std::int64_t id, const build_request& wanted, bool will_fail, moment now);
  /// Answers the id of the queue item.
  outcome<std::int64_t> power(std::int64_t id, task_kind kind, moment now);
  outcome<> suspend(std::int64_t id, bool leaves_running, moment now);
  outcome<> unsuspend(std::int64_t id, moment now);
  outcome<> remove(std::int64_t id, std::chrono::minutes delay, moment now);
  /// Answers what was not done.
  outcome<std::vector<std::string>>
  change_package(std::int64_t id, std::int64_t package, const package_parts& parts, moment now);
  outcome<> set_backup_plan(std::int64_t id, std::int64_t plan, moment now);
  outcome<> set_backup_access(std::int64_t id, const std::string& access, moment now);
  outcome<> set_owner(std::int64_t id, std::int64_t new_owner, moment now);
  outcome<> rename(std::int64_t id, const std::string& name, moment now);
  outcome<> set_memory(std::int64_t id, std::int64_t memory_mb, moment now);
  outcome<> set_cpu_cores(std::int64_t id, std::int64_t cores, moment now);
  outcome<> set_traffic_limit(std::int64_t id, std::int64_t traffic_gb, moment now);
  outcome<> set_cpu_throttle(std::int64_t id, std::int64_t percent, moment now);
  outcome<const server*> set_vnc(std::int64_t id, bool enabled, moment now);
  /// Answers the id of the queue item.
  outcome<std::int64_t> reset_password(std::int64_t id, moment now);
  outcome<const ssh_key*>
  add_ssh_key(std::int64_t owner, const std::string& name, const std::string& key, moment now);
  outcome<> remove_ssh_key(std::int64_t id);
  outcome<const schedule*>
  add_schedule(std::int64_t server, const std::string& task, const std::string& expression);
  outcome<const schedule*> change_schedule(std::int64_t server,
                                           std::int64_t id,
                                           const std::string& task,
                                           const std::string& expression);
  outcome<> remove_schedule(std::int64_t server, std::int64_t id);

  // What the control side does, behind everybody's back.
  /// Makes `count` built, running servers, evenly over the packages and the groups with room, of the users
  /// with `extRelationId` 1 to `user_count` (made where missing).
  seeded_servers seed_servers(std::int64_t count, std::int64_t user_count, moment now);
  outcome<const server*> patch_server(std::int64_t id, const server_patch& patch, moment now);
  /// Takes the place of the package of that id; servers that there are keep what they have.
  void edit_package(package edited);
  /// Takes the server away at once, whatever it is doing.
  outcome<> erase_server(std::int64_t id, moment now);

  // The state file.
  /// From now on changes are kept for `take_changes`.
  void record_changes() noexcept { is_recording_ = true; }
  /// One JSON object a line for everything that changed since the last call; empty when nothing did.
  std::string take_changes();
  /// The same for everything that there is, handed to `sink` in pieces of whole lines.
  void snapshot(const std::function<void(std::string_view lines)>& sink) const;
  /// Takes one line back in. False when it is none of ours.
  bool restore(std::string_view line);

private:
  enum class entity : std::uint8_t {
    user,
    server,
    gone,
    ssh_key,
    ssh_key_gone,
    schedule,
    schedule_gone,
    queue
  };
  struct due {
    instant when;
    std::int64_t id;
    friend auto operator<=>(const due&, const due&) = default;
  };
  using due_queue = std::priority_queue<due, std::vector<due>, std::greater<>>;

  void touch(entity what, std::int64_t id);
  void write_line(std::string& out, entity what, std::int64_t id) const;
  server* locate(std::int64_t id) noexcept;
  outcome<server*> existing(std::int64_t id);
  outcome<server*> idle(std::int64_t id);
  hypervisor* choose_hypervisor(std::int64_t group) noexcept;
  void book(const server& s, std::int64_t sign);
  server& insert(server s);
  void update(server& s, moment now);
  std::int64_t
  begin_task(server& s, task_kind kind, std::chrono::microseconds length, bool fails, moment now);
  void end_task(server& s);
  void vanish(server& s, instant when);
  void account_traffic(server& s, instant until) const;
  void move_to(server& s, std::int64_t new_owner);
  std::chrono::microseconds short_task() const noexcept;

  model_options options_;
  std::vector<package> packages_;
  std::vector<hypervisor_group> groups_;
  std::vector<hypervisor> hypervisors_;
  std::vector<os_template> templates_;

  std::map<std::int64_t, user> users_;
  std::unordered_map<std::int64_t, std::int64_t> users_by_ext_;
  std::unordered_map<std::string, std::int64_t> users_by_rel_str_;
  std::unordered_map<std::string, std::int64_t> users_by_email_;
  std::unordered_map<std::int64_t, server> servers_;
  std::vector<const server*> order_;
  std::vector<gone_server> gone_;
  std::unordered_map<std::int64_t, std::size_t> gone_by_id_;
  std::map<std::int64_t, ssh_key> ssh_keys_;
  std::map<std::int64_t, schedule> schedules_;
  std::map<std::int64_t, queue_item> queue_;
  due_queue tasks_due_;
  due_queue deletes_due_;

  std::int64_t last_user_ = 0;
  std::int64_t last_server_ = 0;
  std::int64_t last_ssh_key_ = 0;
  std::int64_t last_schedule_ = 0;
  std::int64_t last_queue_item_ = 0;
  std::int64_t seeded_ = 0;

  bool is_recording_ = false;
  std::vector<std::pair<entity, std::int64_t>> changes_;
};

} // namespace skyengine::simulator
