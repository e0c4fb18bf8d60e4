#include "tests/simulator/render.hpp"

#include "tests/simulator/randomness.hpp"
#include "tests/simulator/times.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace skyengine::simulator {
namespace {

namespace json = boost::json;

constexpr std::uint64_t uuid_salt = 11;
constexpr std::uint64_t password_salt = 12;
constexpr std::uint64_t live_salt = 13;
constexpr std::uint64_t token_salt = 14;
constexpr std::uint64_t mac_salt = 15;
constexpr std::uint64_t reset_salt = 16;
constexpr std::uint64_t user_salt = 17;
constexpr std::int64_t gibibyte = 1'073'741'824;

std::uint64_t bits(std::int64_t x) {
  return static_cast<std::uint64_t>(x);
}

json::value or_null(const std::optional<instant>& t, std::string (*print)(instant)) {
  return t ? json::value(print(*t)) : json::value(nullptr);
}

json::value or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

std::string uuid_of(const model& m, const server& s) {
  return uuid_from(mix(m.seed(), bits(s.id), uuid_salt), mix(m.seed(), uuid_salt, bits(s.id)));
}

/// The nth address of a server in 10.0.0.0/8; neither network nor broadcast addresses of a /24.
std::string address_of(const server& s, std::int64_t nth) {
  const auto index = (s.id - 1 + nth * 4'000'000) % 16'000'000;
  return "10." + std::to_string(index / 64'000) + '.' + std::to_string(index / 250 % 256) + '.' +
         std::to_string(2 + index % 250);
}

std::string mac_of(const model& m, const server& s) {
  const auto draw = mix(m.seed(), bits(s.id), mac_salt);
  std::array<char, 18> text{};
  std::snprintf(text.data(), text.size(), "00:%02X:%02X:%02X:%02X:%02X", static_cast<unsigned>(draw & 255u),
                static_cast<unsigned>((draw >> 8) & 255u), static_cast<unsigned>((draw >> 16) & 255u),
                static_cast<unsigned>((draw >> 24) & 255u), static_cast<unsigned>((draw >> 32) & 255u));
  return text.data();
}

/// Records carry a screenshot in base64, most of their weight.
const std::string& screenshot() {
  static const std::string picture =
    text_from(2024, 9'000, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
  return picture;
}

json::object resources_of(const server& s) {
  return {
    {"memory", s.memory_mb}, {"storage", s.storage_gb}, {"traffic", s.traffic_gb}, {"cpuCores", s.cpu_cores}};
}

/// `max` 0 and `free` -1 say that there is no limit.
json::object amount(const char* units, std::int64_t max, std::int64_t allocated) {
  json::object out{
    {"units", units}, {"max", max}, {"allocated", allocated}, {"free", max == 0 ? -1 : max - allocated}};
  if (max == 0)
    out["percent"] = nullptr;
  else
    out["percent"] = 100 * allocated / max;
  return out;
}

json::object hypervisor_resources(const hypervisor& h) {
  auto storage = amount("GB", 0, h.storage_gb);
  storage["enabled"] = 1;
  storage["name"] = "Local";
  storage["storageType"] = 1;
  return {{"servers", amount("#", h.max_servers, h.servers)},
          {"memory", amount("MB", 0, h.memory_mb)},
          {"cpuCores", amount("#", 0, h.cpu_cores)},
          {"localStorage", std::move(storage)},
          {"otherStorage", json::array{}},
          {"network", {{"total", {{"ipv4", {{"free", -1}}}}}}}};
}

json::array ipv4_of(const server& s, bool is_detailed) {
  json::array out;
  for (std::int64_t i = 0; i < s.ipv4; ++i) {
    json::object address{{"order", i + 1},
                         {"enabled", true},
                         {"address", address_of(s, i)},
                         {"gateway", "10.255.255.1"},
                         {"netmask", "255.0.0.0"},
                         {"resolver1", "192.0.2.53"},
                         {"resolver2", "198.51.100.53"}};
    if (is_detailed) {
      address["id"] = s.id * 16 + i;
      address["blockId"] = s.hypervisor;
      address["rdns"] = nullptr;
      address["mac"] = nullptr;
    }
    out.push_back(std::move(address));
  }
  return out;
}

json::array ipv6_of(const server& s) {
  if (!s.ipv6)
    return {};
  std::array<char, 40> subnet{};
  std::snprintf(subnet.data(), subnet.size(),
                "2001:db8:%llx:%llx::", static_cast<unsigned long long>(s.id >> 16),
                static_cast<unsigned long long>(s.id & 0xffff));
  return json::array{json::object{{"id", s.id},
                                  {"order", 1},
                                  {"enabled", true},
                                  {"addresses", json::array{}},
                                  {"addressesDetailed", json::array{}},
                                  {"subnet", subnet.data()},
                                  {"cidr", 64},
                                  {"exhausted", false},
                                  {"gateway", "2001:db8::1"},
                                  {"resolver1", "2001:db8::53"},
                                  {"resolver2", "2001:db8::54"},
                                  {"routeNet", false}}};
}

json::object interface_of(const model& m, const server& s) {
  return {{"id", s.id},
          {"order", 1},
          {"enabled", true},
          {"tag", 4'000'000'000 + s.id},
          {"name", "eth0"},
          {"type", "public"},
          {"driver", 1},
          {"processQueues", nullptr},
          {"mac", mac_of(m, s)},
          {"inTrafficCount", true},
          {"outTrafficCount", true},
          {"inAverage", 0},
          {"inPeak", 0},
          {"inBurst", 0},
          {"outAverage", 0},
          {"outPeak", 0},
          {"outBurst", 0},
          {"ipFilter", true},
          {"vlans", json::array{}},
          {"ipFilterType", "4"},
          {"portIsolated", false},
          {"networkProfile", 0},
          {"firewallEnabled", false},
          {"hypervisorNetwork", s.hypervisor},
          {"isNat", false},
          {"nat", false},
          {"firewall", json::array{}},
          {"hypervisorConnectivity",
           {{"id", s.hypervisor},
            {"type", "simpleBridge"},
            {"bridge", "br0"},
            {"mtu", nullptr},
            {"primary", true}}},
          {"ipWhitelist", json::array{}},
          {"actions", json::array{}},
          {"ipv4", ipv4_of(s, true)},
          {"ipv6", ipv6_of(s)}};
}

json::object settings_of(const model& m, const server& s) {
  return {{"osTemplateInstall", true},
          {"osTemplateInstallId", s.os_template},
          {"encryptedPassword",
           text_from(mix(m.seed(), bits(s.id), password_salt + 1), 180, "ABCDEFabcdef0123456789+/")},
          {"backupPlan", s.backup_plan == 0 ? json::value(nullptr) : json::value(s.backup_plan)},
          {"uefi", false},
          {"uefiType", 0},
          {"cloudInit", true},
          {"cloudInitType", 1},
          {"config", json::array{}},
          {"userConfig", json::array{}},
          {"bootOrder", json::array{"hd", "cdrom"}},
          {"tpmType", 0},
          {"networkBoot", false},
          {"bootMenu", 1},
          {"customISO", 1},
          {"securityDriver", 3},
          {"memBalloon", {{"model", 1}, {"autoDeflate", 0}, {"freePageReporting", 0}}},
          {"machineType", "inherit"},
          {"pciPorts", 16},
          {"resources", resources_of(s)}};
}

json::object owner_of(const model& m, const server& s) {
  auto out = render_user(*m.find_user(s.owner));
  out.erase("selfService");
  out.erase("selfServiceHourlyGroupProfiles");
  out.erase("selfServiceResourceGroupProfiles");
  out.erase("selfServiceHourlyResourcePack");
  return out;
}

json::object hypervisor_record(const model& m, const server& s) {
  const auto& h = m.hypervisor_of(s);
  return {{"id", h.id},
          {"ip", "192.0.2." + std::to_string(10 + h.id)},
          {"hostname", nullptr},
          {"port", 8892},
          {"maintenance", false},
          {"groupId", h.group},
          {"group", {{"name", m.find_group(h.group)->name}, {"icon", nullptr}}},
          {"timezone", "UTC"},
          {"displayName", nullptr},
          {"name", h.name},
          {"dataDir", "/var/lib/panel"},
          {"resources", hypervisor_resources(h)}};
}

json::array keys_of(const model& m, const server& s) {
  json::array out;
  for (const auto id : s.ssh_keys)
    if (const auto found = m.ssh_keys().find(id); found != m.ssh_keys().end())
      out.push_back(json::object{{"id", id},
                                 {"ownerId", found->second.owner},
                                 {"type", "OpenSSH"},
                                 {"name", found->second.name},
                                 {"public", found->second.public_key},
                                 {"enabled", true},
                                 {"created", with_offset(found->second.created)}});
  return out;
}

json::object disk_of(const model& m, const server& s) {
  const auto name = uuid_of(m, s) + "_1";
  return {{"_id", s.id},
          {"id", 1},
          {"cache", nullptr},
          {"bus", nullptr},
          {"capacity", s.storage_gb},
          {"drive", "a"},
          {"filesystem", nullptr},
          {"iops", {{"read", nullptr}, {"write", nullptr}}},
          {"bytes", {{"read", nullptr}, {"write", nullptr}}},
          {"type", "qcow2"},
          {"profile", 0},
          {"status", s.stage == commission::complete ? 3 : 0},
          {"enabled", true},
          {"primary", true},
          {"created", with_offset(s.created.business)},
          {"updated", with_offset(s.updated)},
          {"datastore", json::array{}},
          {"name", name},
          {"filename", name + ".img"},
          {"hypervisorStorageId", nullptr},
          {"local", true},
          {"locationType", "mountpoint"},
          {"path", "/var/lib/panel/disk"}};
}

/// 1 while it waits and 2 while it is being built.
std::int64_t commission_status(const server& s, moment now) {
  switch (s.stage) {
  case commission::allocated:
    return 0;
  case commission::building:
    return state_of(s, now) == "queued" ? 1 : 2;
  case commission::failed:
    return 2;
  case commission::complete:
    return 3;
  }
  return 0;
}

std::string_view action_of(task_kind kind) {
  switch (kind) {
  case task_kind::none:
    return "none";
  case task_kind::build:
    return "build_server";
  case task_kind::boot:
    return "boot_server";
  case task_kind::shutdown:
    return "shutdown_server";
  case task_kind::restart:
    return "restart_server";
  case task_kind::poweroff:
    return "poweroff_server";
  case task_kind::suspend:
    return "suspend_server";
  case task_kind::reset_password:
    return "reset_password";
  case task_kind::remove:
    return "delete_server";
  }
  return "none";
}

} // namespace

std::string_view state_of(const server& s, moment now) noexcept {
  switch (s.stage) {
  case commission::allocated:
    return "allocated";
  case commission::building:
    // The queue takes a fifth of the time.
    return now.real < s.active.started.real + (s.active.ends.real - s.active.started.real) / 5 ? "queued"
                                                                                               : "pending";
  case commission::failed:
    return "failed";
  case commission::complete:
    return "complete";
  }
  return "allocated";
}

json::object render_user(const user& u) {
  json::object out{{"id", u.id}, {"admin", false}};
  out["extRelationId"] = u.ext_relation_id ? json::value(*u.ext_relation_id) : json::value(nullptr);
  if (u.rel_str)
    out["relStr"] = *u.rel_str;
  out["selfService"] = u.self_service;
  out["selfServiceHourlyGroupProfiles"] = json::array{};
  out["selfServiceResourceGroupProfiles"] = json::array{};
  out["selfServiceHourlyResourcePack"] = nullptr;
  out["name"] = u.name;
  out["email"] = u.email;
  out["timezone"] = "UTC";
  out["suspended"] = false;
  out["twoFactorAuth"] = false;
  out["created"] = with_microseconds(u.created);
  out["updated"] = with_microseconds(u.created);
  return out;
}

json::object render_package(const package& p, moment started) {
  return {{"id", p.id},
          {"name", p.name},
          {"description", nullptr},
          {"enabled", true},
          {"memory", p.memory_mb},
          {"primaryStorage", p.storage_gb},
          {"traffic", p.traffic_gb},
          {"cpuCores", p.cpu_cores},
          {"primaryNetworkSpeedIn", 0},
          {"primaryNetworkSpeedOut", 0},
          {"primaryDiskType", "inherit"},
          {"backupPlanId", p.backup_plan},
          {"primaryStorageReadBytesSec", nullptr},
          {"primaryStorageWriteBytesSec", nullptr},
          {"primaryStorageReadIopsSec", nullptr},
          {"primaryStorageWriteIopsSec", nullptr},
          {"primaryStorageProfile", 0},
          {"primaryNetworkProfile", 0},
          {"created", with_microseconds(started.business)}};
}

json::object render_group(const hypervisor_group& g, moment started) {
  return {{"id", g.id},
          {"name", g.name},
          {"label", nullptr},
          {"description", "Hypervisors of " + g.name},
          {"distributionType", 5},
          {"enabled", true},
          {"default", g.id == 1},
          {"created", with_offset(started.business)},
          {"updated", with_offset(started.business)}};
}

json::object render_group_resources(const hypervisor& h) {
  return {{"hypervisor",
           {{"id", h.id},
            {"name", h.name},
            {"enabled", true},
            {"prohibit", false},
            {"accept", true},
            {"commissioned", true}}},
          {"resources", hypervisor_resources(h)}};
}

json::array render_templates(const model& m) {
  json::array groups;
  for (const auto& t : m.templates()) {
    const json::object entry{
      {"id", t.id},           {"name", t.name},   {"version", t.version},
      {"variant", "Minimal"}, {"arch", 1},        {"description", t.name + " " + t.version},
      {"icon", nullptr},      {"eol", false},     {"eol_date", "2040-01-01 00:00:00"},
      {"eol_warning", false}, {"deploy_type", 1}, {"vnc", false},
      {"type", "linux"}};
    const auto known = std::find_if(groups.begin(), groups.end(), [&](const json::value& g) {
      return g.at("name").as_string() == json::string_view{t.family.data(), t.family.size()};
    });
    if (known != groups.end())
      known->as_object()["templates"].as_array().push_back(entry);
    else
      groups.push_back(json::object{{"name", t.family},
                                    {"description", t.family},
                                    {"icon", nullptr},
                                    {"templates", json::array{entry}},
                                    {"id", static_cast<std::int64_t>(groups.size()) + 1}});
  }
  return groups;
}

json::object render_server(const model& m, const server& s, moment now) {
  const auto meter = m.traffic(s, now);
  json::object out;
  out["id"] = s.id;
  out["ownerId"] = s.owner;
  out["hypervisorId"] = s.hypervisor;
  out["arch"] = 1;
  out["name"] = s.name;
  out["selfService"] = 0;
  out["selfServiceSettings"] = json::array{};
  out["hostname"] = or_null(s.hostname);
  out["commissionStatus"] = commission_status(s, now);
  out["uuid"] = uuid_of(m, s);
  out["state"] = state_of(s, now);
  out["migratable"] = true;
  out["timezone"] = "_default";
  out["migrateLevel"] = 0;
  out["deleteLevel"] = 0;
  out["configLevel"] = 0;
  out["backupLevel"] = 0;
  out["elevated"] = false;
  out["elevateId"] = nullptr;
  out["elevate"] = false;
  out["destroyable"] = true;
  out["rebuild"] = s.stage == commission::building && s.builds > 1;
  out["suspended"] = s.is_suspended;
  out["protected"] = s.is_protected;
  out["buildFailed"] = s.stage == commission::failed;
  out["primaryNetworkDhcp4"] = false;
  out["primaryNetworkDhcp6"] = false;
  out["built"] = or_null(s.built, with_offset);
  out["created"] = with_offset(s.created.business);
  out["updated"] = with_offset(s.updated);
  out["traffic"] = {{"public",
                     {{"countMethod", 1},
                      {"currentPeriod",
                       {{"start", with_microseconds(meter.period_start)},
                        {"end", with_microseconds(meter.period_end - std::chrono::microseconds{1})},
                        {"limit", s.traffic_gb}}}}}};
  out["settings"] = settings_of(m, s);
  out["cpu"] = {
    {"cores", s.cpu_cores},
    {"type", "inherit"},
    {"typeExact", "host-model"},
    {"shares", 1024},
    {"throttle", s.cpu_throttle},
    {"topology", {{"enabled", false}, {"sockets", 1}, {"cores", s.cpu_cores}, {"threads", 1}, {"dies", 1}}}};
  out["qemuCommandline"] = json::array{};
  out["qemuAgent"] = {{"os", {{"screen", screenshot()}}}};
  out["media"] = {
    {"isoMounted", false}, {"isoType", "local"}, {"isoName", ""}, {"isoFilename", ""}, {"isoUrl", ""}};
  if (s.backup_plan == 0)
    out["backupPlan"] = {{"id", nullptr}, {"name", nullptr}};
  else
    out["backupPlan"] = {{"id", s.backup_plan}, {"name", "Plan " + std::to_string(s.backup_plan)}};
  out["vnc"] = {{"ip", "192.0.2." + std::to_string(10 + s.hypervisor)},
                {"port", 5900 + s.id % 10'000},
                {"enabled", s.is_vnc_enabled}};
  out["network"] = {{"interfaces", json::array{interface_of(m, s)}}, {"secondaryInterfaces", json::array{}}};
  out["storage"] = json::array{disk_of(m, s)};
  out["hypervisorAssets"] = json::array{};
  out["hypervisor"] = hypervisor_record(m, s);
  out["owner"] = owner_of(m, s);
  out["sshKeys"] = keys_of(m, s);
  out["sharedUsers"] = json::array{};
  out["tasks"] = {{"active", s.active.kind != task_kind::none},
                  {"lastOn", or_null(s.last_task, without_zone)},
                  {"actions", {{"pending", json::array{}}}}};
  return out;
}

json::object render_remote_state(const model& m, const server& s, moment now) {
  const auto minute = now.business.time_since_epoch().count() / 60'000'000;
  const auto draw = mix(m.seed() ^ live_salt, bits(s.id), bits(minute));
  json::object out;
  out["state"] = s.stage != commission::complete ? "unknown" : s.is_running ? "running" : "stopped";
  out["running"] = s.is_running;
  out["cpu"] = s.is_running ? static_cast<double>(draw % 1000) / 10 : 0.0;
  if (s.is_running) {
    const auto total = s.live_memory_mb * 1024;
    const auto available =
      total / 10 + static_cast<std::int64_t>((draw >> 16) % bits(std::max<std::int64_t>(1, total * 8 / 10)));
    out["memory"] = {{"memtotal", std::to_string(total)},
                     {"memavailable", std::to_string(available)},
                     {"memfree", std::to_string(available * 3 / 4)}};
    out["vcpus"] = s.live_cpu_cores;
  } else {
    out["memory"] = json::object{};
  }
  const auto capacity = s.storage_gb * gibibyte;
  const auto used = s.stage == commission::complete
                      ? gibibyte + static_cast<std::int64_t>(mix(m.seed(), bits(s.id)) %
                                                             bits(std::max<std::int64_t>(1, capacity / 2)))
                      : 0;
  out["disk"] = {{"vda",
                  {{"capacity", std::to_string(capacity)},
                   {"physical", std::to_string(used)},
                   {"allocation", std::to_string(used)}}}};
  return out;
}

json::object render_server_summary(const model& m, const server& s, moment now) {
  return {{"id", s.id},
          {"uuid", uuid_of(m, s)},
          {"name", s.name},
          {"commissioned", commission_status(s, now)},
          {"owner", s.owner},
          {"hypervisorId", s.hypervisor},
          {"suspended", s.is_suspended},
          {"protected", s.is_protected},
          {"updated", with_offset(s.updated)},
          {"created", with_offset(s.created.business)}};
}

json::object render_server_of_user(const model& m, const server& s, moment now) {
  json::object out;
  out["id"] = s.id;
  out["ownerId"] = s.owner;
  out["hypervisorId"] = s.hypervisor;
  out["name"] = s.name;
  out["hostname"] = or_null(s.hostname);
  out["commissionStatus"] = commission_status(s, now);
  out["uuid"] = uuid_of(m, s);
  out["state"] = state_of(s, now);
  out["rebuild"] = s.stage == commission::building && s.builds > 1;
  out["suspended"] = s.is_suspended;
  out["protected"] = s.is_protected;
  out["buildFailed"] = s.stage == commission::failed;
  out["backup_level"] = 0;
  out["backup_plan"] = s.backup_plan == 0 ? json::value(nullptr) : json::value(s.backup_plan);
  out["os"] = {{"screen", screenshot()}};
  out["vnc"] = {{"ip", "192.0.2." + std::to_string(10 + s.hypervisor)},
                {"port", 5900 + s.id % 10'000},
                {"enabled", s.is_vnc_enabled ? 1 : 0}};
  out["resources"] = resources_of(s);
  out["network"] = {{"interfaces", json::array{json::object{{"order", 1},
                                                            {"enabled", true},
                                                            {"tag", 4'000'000'000 + s.id},
                                                            {"name", "eth0"},
                                                            {"mac", mac_of(m, s)},
                                                            {"isNat", false},
                                                            {"ipv4", ipv4_of(s, false)},
                                                            {"ipv6", ipv6_of(s)}}}}};
  out["config"] = {{"uefi", false}, {"bootOrder", json::array{"hd", "cdrom"}}};
  out["media"] = {{"isoMounted", false}, {"isoName", ""}};
  return out;
}

json::object render_traffic(const model& m, const server& s, moment now) {
  const auto meter = m.traffic(s, now);
  const auto period = [&](std::int64_t month, instant start, instant end, std::int64_t rx, std::int64_t tx) {
    return json::object{{"month", month},
                        {"start", without_zone(start)},
                        {"end", without_zone(end - std::chrono::seconds{1})},
                        {"rx", rx},
                        {"tx", tx},
                        {"total", rx + tx},
                        {"limit", s.traffic_gb},
                        {"blocks", json::array{}}};
  };
  json::array monthly{period(meter.period, meter.period_start, meter.period_end, meter.rx, meter.tx)};
  if (meter.period > 1)
    monthly.push_back(
      period(meter.period - 1, meter.last_start, meter.period_start, meter.last_rx, meter.last_tx));
  return {{"monthly", std::move(monthly)}};
}

json::object render_queue_item(const queue_item& item, moment now) {
  const bool is_over = item.ends.real <= now.real;
  const auto length = (item.ends.real - item.started.real).count();
  const auto done = (now.real - item.started.real).count();
  json::object out{{"id", item.id},
                   {"jobId", std::to_string(item.id)},
                   {"job", "simulated"},
                   {"hypervisorId", item.hypervisor},
                   {"serverId", item.server},
                   {"action", action_of(item.kind)},
                   {"queue", "default"},
                   {"started", with_offset(item.started.business)},
                   {"updated", with_offset(is_over ? item.ends.business : now.business)}};
  out["finished"] = is_over ? json::value(with_offset(item.ends.business)) : json::value(nullptr);
  out["failed"] = is_over && item.fails && item.kind == task_kind::build;
  out["progress"] = is_over ? 100 : std::clamp<std::int64_t>(length > 0 ? 100 * done / length : 0, 0, 99);
  out["errors"] = {{"exception",
                    {{"stringable", false},
                     {"errors", json::array{}},
                     {"type", nullptr},
                     {"trace", nullptr},
                     {"message", nullptr}}}};
  out["primaryActions"] = json::array{};
  out["subActions"] = json::array{};
  return out;
}

json::object render_ssh_key(const ssh_key& key) {
  return {{"id", key.id},
          {"name", key.name},
          {"publicKey", key.public_key},
          {"type", "OpenSSH"},
          {"enabled", true},
          {"created", with_offset(key.created)},
          {"updated", with_offset(key.created)}};
}

json::object render_new_ssh_key(const ssh_key& key) {
  return {
    {"id", key.id}, {"name", key.name}, {"type", "OpenSSH"}, {"createdAt", with_microseconds(key.created)}};
}

json::array render_backups(const server& s, moment now) {
  constexpr std::int64_t kept = 7;
  json::array out;
  if (s.backup_plan == 0 || s.stage != commission::complete)
    return out;
  const std::int64_t taken = (now.business - s.backup_plan_since) / std::chrono::days{1};
  for (auto n = std::max<std::int64_t>(1, taken - kept + 1); n <= taken; ++n) {
    const auto at = s.backup_plan_since + std::chrono::days{n};
    out.push_back(json::object{{"id", s.id * 10'000 + n},
                               {"serverId", s.id},
                               {"storage", {{"id", 1}, {"name", "Backup Server 1"}, {"enabled", true}}},
                               {"deleting", false},
                               {"restoring", false},
                               {"progress", false},
                               {"complete", true},
                               {"deleteAfter", nullptr},
                               {"created", with_offset(at)},
                               {"updated", with_offset(at + std::chrono::minutes{1})}});
  }
  return out;
}

json::object render_vnc(const model& m, const server& s) {
  const auto draw = mix(m.seed(), bits(s.id), token_salt);
  const auto token = uuid_from(draw, mix(draw, 1));
  return {{"vnc",
           {{"ip", "192.0.2." + std::to_string(10 + s.hypervisor)},
            {"hostname", nullptr},
            {"port", 5900 + s.id % 10'000},
            {"password", secret_from(draw, 8)},
            {"wss", {{"token", token}, {"url", "/vnc/?token=" + token}}},
            {"enabled", s.is_vnc_enabled}}}};
}

json::object render_login(const model& m, const user& u, const server& s, moment now) {
  const auto draw = mix(m.seed() ^ token_salt, bits(u.id), bits(s.id ^ now.real.time_since_epoch().count()));
  const auto first = secret_from(draw, 100);
  const auto second = secret_from(mix(draw, 2), 100);
  return {
    {"authentication",
     {{"tokens", {{"1", first}, {"2", second}}},
      {"endpoint", "/token_authenticate"},
      {"endpoint_complete", "/token_authenticate/?1=" + first + "&2=" + second},
      {"expiry", {{"ttl", 60}, {"expires", with_microseconds(now.business + std::chrono::seconds{60})}}}}}};
}

std::string password_of(const model& m, const server& s) {
  return secret_from(mix(m.seed() ^ password_salt, bits(s.id), bits(s.builds)), 20);
}

std::string reset_password_of(const model& m, std::int64_t queue_id) {
  return secret_from(mix(m.seed() ^ reset_salt, bits(queue_id)), 20);
}

std::string first_password_of(const model& m, const user& u) {
  return secret_from(mix(m.seed() ^ user_salt, bits(u.id)), 30);
}

json::object
render_page(json::array items, const page_request& asked, std::int64_t total, std::string_view path) {
  const auto last = std::max<std::int64_t>(1, (total + asked.results - 1) / asked.results);
  const auto base = "https://192.0.2.1/api/v1" + std::string{path};
  const auto link = [&](std::int64_t n) { return base + "?page=" + std::to_string(n); };
  const auto count = static_cast<std::int64_t>(items.size());
  const auto from = (asked.page - 1) * asked.results;
  json::object out;
  out["current_page"] = asked.page;
  out["data"] = std::move(items);
  out["first_page_url"] = link(1);
  out["from"] = count == 0 ? json::value(nullptr) : json::value(from + 1);
  out["last_page"] = last;
  out["last_page_url"] = link(last);
  out["links"] = json::array{};
  out["next_page_url"] = asked.page < last ? json::value(link(asked.page + 1)) : json::value(nullptr);
  out["path"] = base;
  out["per_page"] = asked.results;
  out["prev_page_url"] = asked.page > 1 ? json::value(link(asked.page - 1)) : json::value(nullptr);
  out["to"] = count == 0 ? json::value(nullptr) : json::value(from + count);
  out["total"] = total;
  return out;
}

} // namespace skyengine::simulator
