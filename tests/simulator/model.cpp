#include "tests/simulator/model.hpp"

#include "domain/hostname.hpp"
#include "tests/simulator/randomness.hpp"
#include "tests/simulator/traffic.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <stdexcept>

namespace skyengine::simulator {
namespace {

constexpr std::uint64_t build_salt = 1;
constexpr std::uint64_t age_salt = 2;

refusal no_such_server() {
  return {404, "server not found"};
}

/// Keeps `ids` in their order.
void add_id(std::vector<std::int64_t>& ids, std::int64_t id) {
  ids.insert(std::upper_bound(ids.begin(), ids.end(), id), id);
}

bool is_public_key(std::string_view text) {
  constexpr std::array<std::string_view, 4> kinds{"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-sha2-"};
  const auto space = text.find(' ');
  return space != std::string_view::npos && space + 1 < text.size() &&
         std::any_of(kinds.begin(), kinds.end(), [&](auto kind) { return text.starts_with(kind); });
}

} // namespace

void throw_exception_from_error(const refusal& r, const boost::source_location&) {
  throw std::logic_error("a refused call was read without a check: " + r.text);
}

model::model(model_options options) : options_(options) {
  packages_ = {{1, "Start", 1'024, 20, 1'000, 1},
               {2, "Small", 2'048, 40, 2'000, 2},
               {3, "Medium", 4'096, 80, 4'000, 4},
               {4, "Large", 8'192, 160, 0, 8, 1}};
  groups_ = {{1, "North"}, {2, "South"}, {3, "Edge"}};
  const auto in_north = (options.hypervisors + 1) / 2;
  for (std::int64_t id = 1; id <= options.hypervisors; ++id)
    hypervisors_.push_back(id <= in_north ? hypervisor{id, 1, "north-" + std::to_string(id)}
                                          : hypervisor{id, 2, "south-" + std::to_string(id - in_north)});
  hypervisors_.push_back({options.hypervisors + 1, 3, "edge-1", 10});
  templates_ = {{1, "Debian", "12 (Bookworm)", "Debian"},
                {2, "Debian", "11 (Bullseye)", "Debian"},
                {3, "Ubuntu Server", "24.04 (Noble)", "Ubuntu"},
                {4, "AlmaLinux", "9", "AlmaLinux"}};
}

const package* model::find_package(std::int64_t id) const noexcept {
  const auto found =
    std::find_if(packages_.begin(), packages_.end(), [id](const auto& p) { return p.id == id; });
  return found == packages_.end() ? nullptr : &*found;
}

const hypervisor_group* model::find_group(std::int64_t id) const noexcept {
  const auto found = std::find_if(groups_.begin(), groups_.end(), [id](const auto& g) { return g.id == id; });
  return found == groups_.end() ? nullptr : &*found;
}

const hypervisor* model::find_hypervisor(std::int64_t id) const noexcept {
  const auto is_there = id >= 1 && id <= static_cast<std::int64_t>(hypervisors_.size());
  return is_there ? &hypervisors_[static_cast<std::size_t>(id - 1)] : nullptr;
}

const hypervisor& model::hypervisor_of(const server& s) const {
  return hypervisors_.at(static_cast<std::size_t>(s.hypervisor - 1));
}

const user* model::find_user(std::int64_t id) const noexcept {
  const auto found = users_.find(id);
  return found == users_.end() ? nullptr : &found->second;
}

const user* model::find_user_by_ext_relation(std::int64_t ext_relation_id) const noexcept {
  const auto found = users_by_ext_.find(ext_relation_id);
  return found == users_by_ext_.end() ? nullptr : find_user(found->second);
}

const user* model::find_user_by_rel_str(const std::string& rel_str) const noexcept {
  const auto found = users_by_rel_str_.find(rel_str);
  return found == users_by_rel_str_.end() ? nullptr : find_user(found->second);
}

const server* model::find_server(std::int64_t id) const noexcept {
  const auto found = servers_.find(id);
  return found == servers_.end() ? nullptr : &found->second;
}

server* model::locate(std::int64_t id) noexcept {
  const auto found = servers_.find(id);
  return found == servers_.end() ? nullptr : &found->second;
}

const queue_item* model::find_queue_item(std::int64_t id) const noexcept {
  const auto found = queue_.find(id);
  return found == queue_.end() ? nullptr : &found->second;
}

outcome<server*> model::existing(std::int64_t id) {
  if (auto* const found = locate(id))
    return found;
  return no_such_server();
}

/// A server that has no task under way.
outcome<server*> model::idle(std::int64_t id) {
  auto* const found = locate(id);
  if (!found)
    return no_such_server();
  if (found->active.kind != task_kind::none)
    return refusal{423, "a task is active on this server"};
  return found;
}

std::chrono::microseconds model::short_task() const noexcept {
  return std::min<std::chrono::microseconds>(options_.build_time / 10, std::chrono::seconds{2});
}

void model::account_traffic(server& s, instant until) const {
  count_traffic(s.traffic, options_.seed, s.id, s.is_running, until);
}

traffic_meter model::traffic(const server& s, moment now) const {
  auto meter = s.traffic;
  count_traffic(meter, options_.seed, s.id, s.is_running, now.business);
  return meter;
}

void model::update(server& s, moment now) {
  s.updated = now.business;
  touch(entity::server, s.id);
}

void model::advance(moment now) {
  while (!tasks_due_.empty() && tasks_due_.top().when <= now.real) {
    const auto next = tasks_due_.top();
    tasks_due_.pop();
    auto* const s = locate(next.id);
    if (s && s->active.kind != task_kind::none && s->active.ends.real == next.when)
      end_task(*s);
  }
  while (!deletes_due_.empty() && deletes_due_.top().when <= now.business) {
    const auto next = deletes_due_.top();
    deletes_due_.pop();
    auto* const s = locate(next.id);
    if (s && s->delete_at == next.when)
      vanish(*s, next.when);
  }
}

std::int64_t
model::begin_task(server& s, task_kind kind, std::chrono::microseconds length, bool fails, moment now) {
  const moment ends{now.real + length, now.business + length * options_.clock_rate};
  const auto queue_id = ++last_queue_item_;
  s.active = {kind, queue_id, now, ends, fails};
  queue_[queue_id] = {queue_id, s.id, s.hypervisor, kind, fails, now, ends};
  if (queue_.size() > max_queue_items)
    queue_.erase(queue_.begin());
  tasks_due_.push({ends.real, s.id});
  touch(entity::queue, queue_id);
  update(s, now);
  return queue_id;
}

void model::end_task(server& s) {
  const auto ended = s.active;
  const auto at = ended.ends.business;
  s.active = {};
  s.last_task = at;
  s.updated = std::max(s.updated, at);
  account_traffic(s, at);
  switch (ended.kind) {
  case task_kind::build:
    s.stage = ended.fails ? commission::failed : commission::complete;
    s.is_running = !ended.fails;
    if (!ended.fails)
      s.built = at;
    break;
  case task_kind::boot:
  case task_kind::restart:
    s.is_running = true;
    break;
  case task_kind::shutdown:
  case task_kind::poweroff:
    s.is_running = false;
    break;
  case task_kind::suspend:
    if (!ended.fails)
      s.is_running = false;
    break;
  case task_kind::remove:
    vanish(s, at);
    return;
  case task_kind::reset_password:
  case task_kind::none:
    break;
  }
  if (s.is_running &&
      (ended.kind == task_kind::build || ended.kind == task_kind::boot || ended.kind == task_kind::restart)) {
    s.live_memory_mb = s.memory_mb;
    s.live_cpu_cores = s.cpu_cores;
  }
}

void model::vanish(server& s, instant when) {
  const auto id = s.id;
  gone_by_id_.emplace(id, gone_.size());
  gone_.push_back({id, s.owner, s.package, s.group, s.created.business, when, s.builds});
  book(s, -1);
  std::erase(users_.at(s.owner).servers, id);
  const auto place = std::lower_bound(order_.begin(), order_.end(), id,
                                      [](const server* x, std::int64_t y) { return x->id < y; });
  order_.erase(place);
  std::erase_if(schedules_, [&](const auto& entry) {
    if (entry.second.server != id)
      return false;
    touch(entity::schedule_gone, entry.first);
    return true;
  });
  servers_.erase(id);
  touch(entity::gone, id);
}

outcome<const user*> model::create_user(const new_user& wanted, moment now) {
  if (wanted.ext_relation_id && users_by_ext_.contains(*wanted.ext_relation_id))
    return refusal{422, "The extRelationId has already been taken.", "extRelationId"};
  if (wanted.rel_str && users_by_rel_str_.contains(*wanted.rel_str))
    return refusal{422, "The relStr has already been taken.", "relStr"};
  if (users_by_email_.contains(wanted.email))
    return refusal{422, "The email has already been taken.", "email"};
  user made{++last_user_, wanted.ext_relation_id, wanted.rel_str, wanted.name,
            wanted.email, wanted.self_service,    now.business};
  if (made.ext_relation_id)
    users_by_ext_[*made.ext_relation_id] = made.id;
  if (made.rel_str)
    users_by_rel_str_[*made.rel_str] = made.id;
  users_by_email_[made.email] = made.id;
  touch(entity::user, made.id);
  return &users_.emplace(made.id, std::move(made)).first->second;
}

hypervisor* model::choose_hypervisor(std::int64_t group) noexcept {
  hypervisor* best = nullptr;
  for (auto& candidate : hypervisors_)
    if (candidate.group == group &&
        (candidate.max_servers == 0 || candidate.servers < candidate.max_servers) &&
        (!best || candidate.servers < best->servers))
      best = &candidate;
  return best;
}

/// Books the resources of `s` on its hypervisor (`sign` 1) or gives them back (-1).
void model::book(const server& s, std::int64_t sign) {
  auto& host = hypervisors_.at(static_cast<std::size_t>(s.hypervisor - 1));
  host.servers += sign;
  host.memory_mb += sign * s.memory_mb;
  host.storage_gb += sign * s.storage_gb;
  host.cpu_cores += sign * s.cpu_cores;
}

server& model::insert(server s) {
  const auto id = s.id;
  auto& stored = servers_.emplace(id, std::move(s)).first->second;
  order_.insert(std::upper_bound(order_.begin(), order_.end(), id,
                                 [](std::int64_t x, const server* y) { return x < y->id; }),
                &stored);
  book(stored, 1);
  add_id(users_.at(stored.owner).servers, id);
  last_server_ = std::max(last_server_, id);
  return stored;
}

outcome<const server*> model::create_server(const new_server& wanted, bool dry_run, moment now) {
  const auto* const plan = find_package(wanted.package);
  if (!plan)
    return refusal{422, "The selected packageId is invalid.", "packageId"};
  if (!find_user(wanted.user))
    return refusal{422, "The selected userId is invalid.", "userId"};
  if (!find_group(wanted.group))
    return refusal{422, "The selected hypervisorId is invalid.", "hypervisorId"};
  auto* const host = choose_hypervisor(wanted.group);
  if (!host)
    return refusal{422, "no hypervisor with enough resources"};
  if (dry_run)
    return static_cast<const server*>(nullptr);
  server made;
  made.id = last_server_ + 1;
  made.owner = wanted.user;
  made.package = plan->id;
  made.group = wanted.group;
  made.hypervisor = host->id;
  made.memory_mb = wanted.memory_mb.value_or(plan->memory_mb);
  made.storage_gb = wanted.storage_gb.value_or(plan->storage_gb);
  made.traffic_gb = wanted.traffic_gb.value_or(plan->traffic_gb);
  made.cpu_cores = wanted.cpu_cores.value_or(plan->cpu_cores);
  made.ipv4 = wanted.ipv4;
  made.created = now;
  made.backup_plan = plan->backup_plan;
  made.backup_access = "inherit";
  made.backup_plan_since = now.business;
  made.traffic = new_meter(now.business);
  auto& stored = insert(std::move(made));
  update(stored, now);
  return &stored;
}

outcome<const server*>
model::build(std::int64_t id, const build_request& wanted, bool will_fail, moment now) {
  const auto found = idle(id);
  if (!found)
    return found.error();
  auto& s = **found;
  if (s.is_suspended)
    return refusal{409, "the server is suspended"};
  if (std::none_of(templates_.begin(), templates_.end(),
                   [&](const auto& t) { return t.id == wanted.os_template; }))
    return refusal{422, "The selected operatingSystemId is invalid.", "operatingSystemId"};
  if (!wanted.hostname.empty() && check_hostname(wanted.hostname).has_error())
    return refusal{422, "The hostname format is invalid.", "hostname"};
  for (const auto key : wanted.ssh_keys) {
    const auto known = ssh_keys_.find(key);
    if (known == ssh_keys_.end() || known->second.owner != s.owner)
      return refusal{422, "The selected sshKeys is invalid.", "sshKeys"};
  }
  account_traffic(s, now.business);
  s.name = wanted.name;
  s.hostname = wanted.hostname;
  s.os_template = wanted.os_template;
  s.ssh_keys = wanted.ssh_keys;
  s.ipv6 = wanted.ipv6;
  s.is_vnc_enabled = wanted.vnc;
  s.stage = commission::building;
  s.is_running = false;
  ++s.builds;
  const auto draw =
    mix(options_.seed ^ build_salt, static_cast<std::uint64_t>(s.id), static_cast<std::uint64_t>(s.builds));
  const auto length =
    options_.build_time * 3 / 4 + std::chrono::microseconds{static_cast<std::int64_t>(
                                    fraction(draw) * static_cast<double>(options_.build_time.count()) / 2)};
  begin_task(s, task_kind::build, length, will_fail, now);
  return &s;
}

outcome<std::int64_t> model::power(std::int64_t id, task_kind kind, moment now) {
  const auto found = idle(id);
  if (!found)
    return found.error();
  auto& s = **found;
  if (s.is_suspended)
    return refusal{409, "the server is suspended"};
  if (s.stage != commission::complete)
    return refusal{409, "the server is not built"};
  return begin_task(s, kind, short_task(), false, now);
}

outcome<> model::suspend(std::int64_t id, bool leaves_running, moment now) {
  const auto found = idle(id);
  if (!found)
    return found.error();
  auto& s = **found;
  if (s.is_suspended)
    return refusal{409, "the server is already suspended"};
  s.is_suspended = true;
  if (s.is_running)
    begin_task(s, task_kind::suspend, short_task(), leaves_running, now);
  else
    update(s, now);
  return {};
}

outcome<> model::unsuspend(std::int64_t id, moment now) {
  const auto found = idle(id);
  if (!found)
    return found.error();
  if (!(*found)->is_suspended)
    return refusal{409, "the server is not suspended"};
  (*found)->is_suspended = false;
  update(**found, now);
  return {};
}

outcome<> model::remove(std::int64_t id, std::chrono::minutes delay, moment now) {
  const auto found = idle(id);
  if (!found)
    return found.error();
  auto& s = **found;
  if (s.is_protected)
    return refusal{409, "the server is protected"};
  if (delay.count() > 0) {
    s.delete_at = now.business + delay;
    deletes_due_.push({*s.delete_at, s.id});
    update(s, now);
    return {};
  }
  // Also with a build time of 0 the record outlives the answer a little.
  begin_task(s, task_kind::remove,
             std::max<std::chrono::microseconds>(short_task(), std::chrono::milliseconds{100}), false, now);
  return {};
}

outcome<std::vector<std::string>>
model::change_package(std::int64_t id, std::int64_t package, const package_parts& parts, moment now) {
  const auto found = idle(id);
  if (!found)
    return found.error();
  auto& s = **found;
  const auto* const plan = find_package(package);
  if (!plan)
    return refusal{404, "package not found"};
  book(s, -1);
  std::vector<std::string> info;
  const auto change = [&](bool asked, std::int64_t& value, std::int64_t wanted, const char* what) {
    if (!asked)
      return;
    if (value == wanted)
      info.push_back(std::string{what} + " not updated. It matches the current value");
    else
      value = wanted;
  };
  change(parts.cpu, s.cpu_cores, plan->cpu_cores, "CPU cores");
  change(parts.memory, s.memory_mb, plan->memory_mb, "memory");
  change(parts.traffic, s.traffic_gb, plan->traffic_gb, "traffic");
  if (parts.disk && plan->storage_gb <= s.storage_gb)
    info.emplace_back("primary disk not updated. It either matches or is lower than the current value");
  else if (parts.disk)
    s.storage_gb = plan->storage_gb;
  if (parts.backup_plan && s.backup_plan != plan->backup_plan) {
    s.backup_plan = plan->backup_plan;
    s.backup_plan_since = now.business;
  } else if (parts.backup_plan) {
    info.emplace_back("backup plan not updated. It matches the current value");
  }
  s.package = plan->id;
  book(s, 1);
  update(s, now);
  return info;
}

outcome<> model::set_backup_plan(std::int64_t id, std::int64_t plan, moment now) {
  const auto found = existing(id);
  if (!found)
    return found.error();
  if (plan < 0 || plan > max_backup_plan)
    return refusal{422, "The selected backup plan is invalid."};
  if ((*found)->backup_plan == plan)
    return refusal{409, "the server already has this backup plan"};
  (*found)->backup_plan = plan;
  (*found)->backup_plan_since = now.business;
  update(**found, now);
  return {};
}

outcome<> model::set_backup_access(std::int64_t id, const std::string& access, moment now) {
  constexpr std::array<std::string_view, 6> known{"inherit",      "disabled", "scheduled",
                                                  "view_restore", "full",     "manual"};
  const auto found = existing(id);
  if (!found)
    return found.error();
  if (std::find(known.begin(), known.end(), access) == known.end())
    return refusal{422, "The selected type is invalid.", "type"};
  (*found)->backup_access = access;
  update(**found, now);
  return {};
}

void model::move_to(server& s, std::int64_t new_owner) {
  std::erase(users_.at(s.owner).servers, s.id);
  s.owner = new_owner;
  add_id(users_.at(new_owner).servers, s.id);
}

outcome<> model::set_owner(std::int64_t id, std::int64_t new_owner, moment now) {
  const auto found = existing(id);
  if (!found)
    return found.error();
  if (!find_user(new_owner))
    return refusal{404, "user not found"};
  move_to(**found, new_owner);
  update(**found, now);
  return {};
}

outcome<> model::rename(std::int64_t id, const std::string& name, moment now) {
  const auto found = existing(id);
  if (!found)
    return found.error();
  (*found)->name = name;
  update(**found, now);
  return {};
}

outcome<> model::set_memory(std::int64_t id, std::int64_t memory_mb, moment now) {
  const auto found = idle(id);
  if (!found)
    return found.error();
  if (memory_mb < 256)
    return refusal{422, "The memory must be at least 256.", "memory"};
  book(**found, -1);
  (*found)->memory_mb = memory_mb;
  book(**found, 1);
  update(**found, now);
  return {};
}

outcome<> model::set_cpu_cores(std::int64_t id, std::int64_t cores, moment now) {
  const auto found = idle(id);
  if (!found)
    return found.error();
  if (cores < 1 || cores > 600)
    return refusal{422, "The cores must be between 1 and 600.", "cores"};
  book(**found, -1);
  (*found)->cpu_cores = cores;
  book(**found, 1);
  update(**found, now);
  return {};
}

outcome<> model::set_traffic_limit(std::int64_t id, std::int64_t traffic_gb, moment now) {
  const auto found = existing(id);
  if (!found)
    return found.error();
  if (traffic_gb < 0 || traffic_gb > 999'999'999)
    return refusal{422, "The traffic must be between 0 and 999999999.", "traffic"};
  (*found)->traffic_gb = traffic_gb;
  update(**found, now);
  return {};
}

outcome<> model::set_cpu_throttle(std::int64_t id, std::int64_t percent, moment now) {
  const auto found = existing(id);
  if (!found)
    return found.error();
  if (percent < 0 || percent > 99)
    return refusal{422, "The percent must be between 0 and 99.", "percent"};
  (*found)->cpu_throttle = percent;
  update(**found, now);
  return {};
}

outcome<const server*> model::set_vnc(std::int64_t id, bool enabled, moment now) {
  const auto found = existing(id);
  if (!found)
    return found.error();
  (*found)->is_vnc_enabled = enabled;
  update(**found, now);
  return *found;
}

outcome<std::int64_t> model::reset_password(std::int64_t id, moment now) {
  const auto found = idle(id);
  if (!found)
    return found.error();
  if ((*found)->stage != commission::complete)
    return refusal{409, "the server is not built"};
  return begin_task(**found, task_kind::reset_password, short_task(), false, now);
}

outcome<const ssh_key*>
model::add_ssh_key(std::int64_t owner, const std::string& name, const std::string& key, moment now) {
  if (!find_user(owner))
    return refusal{422, "The selected userId is invalid.", "userId"};
  if (!is_public_key(key))
    return refusal{422, "The publicKey is not a valid public key.", "publicKey"};
  for (const auto& [id, known] : ssh_keys_)
    if (known.owner == owner && known.public_key == key)
      return refusal{422, "The publicKey has already been taken.", "publicKey"};
  ssh_key made{++last_ssh_key_, owner, name, key, now.business};
  touch(entity::ssh_key, made.id);
  return &ssh_keys_.emplace(made.id, std::move(made)).first->second;
}

outcome<> model::remove_ssh_key(std::int64_t id) {
  if (ssh_keys_.erase(id) == 0)
    return refusal{404, "ssh key not found"};
  touch(entity::ssh_key_gone, id);
  return {};
}

outcome<const schedule*>
model::add_schedule(std::int64_t server, const std::string& task, const std::string& expression) {
  const auto found = existing(server);
  if (!found)
    return found.error();
  schedule made{++last_schedule_, server, task, expression};
  touch(entity::schedule, made.id);
  return &schedules_.emplace(made.id, std::move(made)).first->second;
}

outcome<const schedule*> model::change_schedule(std::int64_t server,
                                                std::int64_t id,
                                                const std::string& task,
                                                const std::string& expression) {
  const auto found = schedules_.find(id);
  if (found == schedules_.end() || found->second.server != server)
    return refusal{404, "schedule not found"};
  found->second.task = task;
  found->second.expression = expression;
  touch(entity::schedule, id);
  return &found->second;
}

outcome<> model::remove_schedule(std::int64_t server, std::int64_t id) {
  const auto found = schedules_.find(id);
  if (found == schedules_.end() || found->second.server != server)
    return refusal{404, "schedule not found"};
  schedules_.erase(found);
  touch(entity::schedule_gone, id);
  return {};
}

seeded_servers model::seed_servers(std::int64_t count, std::int64_t user_count, moment now) {
  for (std::int64_t ext = 1; ext <= user_count; ++ext)
    if (!users_by_ext_.contains(ext)) {
      const auto number = std::to_string(ext);
      // An e-mail that is taken stays with whom it has: the servers then go to the other users.
      static_cast<void>(create_user({"User " + number, "user" + number + "@example.com", ext, {}}, now));
    }
  std::vector<std::int64_t> owners;
  for (std::int64_t ext = 1; ext <= user_count; ++ext)
    if (const auto found = users_by_ext_.find(ext); found != users_by_ext_.end())
      owners.push_back(found->second);
  seeded_servers result;
  for (std::int64_t i = 0; i < count && !owners.empty(); ++i, ++seeded_) {
    std::vector<std::int64_t> open;
    for (const auto& group : groups_)
      if (choose_hypervisor(group.id))
        open.push_back(group.id);
    const auto index = static_cast<std::size_t>(seeded_);
    const auto& plan = packages_[index % packages_.size()];
    const auto group = open[index / packages_.size() % open.size()];
    const auto made = create_server({plan.id, owners[index % owners.size()], group}, false, now);
    auto& s = *locate((*made)->id);
    // Between an hour and 300 days old, so that periods and ages differ.
    const auto draw = mix(options_.seed ^ age_salt, static_cast<std::uint64_t>(s.id));
    const auto age = std::chrono::seconds{3'600 + static_cast<std::int64_t>(draw % (300u * 86'400u))};
    s.created = {now.real - age, now.business - age};
    s.traffic = new_meter(s.created.business);
    s.backup_plan_since = s.created.business;
    s.built = s.created.business + std::chrono::minutes{2};
    s.last_task = s.built;
    s.stage = commission::complete;
    s.builds = 1;
    s.os_template = templates_[draw % templates_.size()].id;
    s.name = "Server " + std::to_string(s.id);
    s.hostname = "vps-" + std::to_string(s.id) + ".example.com";
    s.live_memory_mb = s.memory_mb;
    s.live_cpu_cores = s.cpu_cores;
    s.updated = *s.built;
    account_traffic(s, *s.built);
    s.is_running = true;
    touch(entity::server, s.id);
    if (result.created++ == 0)
      result.first_id = s.id;
    result.last_id = s.id;
  }
  return result;
}

outcome<const server*> model::patch_server(std::int64_t id, const server_patch& patch, moment now) {
  const auto found = existing(id);
  if (!found)
    return found.error();
  auto& s = **found;
  if (patch.package && !find_package(*patch.package))
    return refusal{422, "The selected packageId is invalid.", "packageId"};
  const user* new_owner = nullptr;
  if (patch.owner_ext_relation_id) {
    new_owner = find_user_by_ext_relation(*patch.owner_ext_relation_id);
    if (!new_owner)
      return refusal{422, "No user has this extRelationId.", "extRelationId"};
  }
  account_traffic(s, now.business);
  book(s, -1);
  if (new_owner)
    move_to(s, new_owner->id);
  if (patch.package) {
    const auto& plan = *find_package(*patch.package);
    s.package = plan.id;
    s.memory_mb = plan.memory_mb;
    s.storage_gb = plan.storage_gb;
    s.traffic_gb = plan.traffic_gb;
    s.cpu_cores = plan.cpu_cores;
  }
  if (patch.stage) {
    s.stage = *patch.stage;
    s.active = {};
    if (s.stage == commission::complete && !s.built)
      s.built = now.business;
  }
  s.is_suspended = patch.is_suspended.value_or(s.is_suspended);
  s.is_protected = patch.is_protected.value_or(s.is_protected);
  const auto is_started = patch.is_running.value_or(false) && !s.is_running;
  s.is_running = patch.is_running.value_or(s.is_running);
  s.name = patch.name.value_or(s.name);
  s.memory_mb = patch.memory_mb.value_or(s.memory_mb);
  s.storage_gb = patch.storage_gb.value_or(s.storage_gb);
  s.traffic_gb = patch.traffic_gb.value_or(s.traffic_gb);
  s.cpu_cores = patch.cpu_cores.value_or(s.cpu_cores);
  if (is_started) {
    s.live_memory_mb = s.memory_mb;
    s.live_cpu_cores = s.cpu_cores;
  }
  book(s, 1);
  update(s, now);
  return &s;
}

void model::edit_package(package edited) {
  *std::find_if(packages_.begin(), packages_.end(), [&](const auto& p) { return p.id == edited.id; }) =
    std::move(edited);
}

outcome<> model::erase_server(std::int64_t id, moment now) {
  const auto found = existing(id);
  if (!found)
    return found.error();
  vanish(**found, now.business);
  return {};
}

} // namespace skyengine::simulator
