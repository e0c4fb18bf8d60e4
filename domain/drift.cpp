#include "domain/drift.hpp"

#include "domain/enum_names.hpp"

#include <algorithm>

namespace skyengine {

namespace {

constexpr auto kinds =
  names_up_to<drift_kind::unknown>("gone", "owner", "package", "suspended", "running", "unknown");
constexpr auto drift_states = names_up_to<drift_state::vanished>("open", "resolved", "vanished");
constexpr auto ways = names_up_to<drift_way::take_over>("adopt", "ignore", "delete", "take_over");

/// nullopt: VirtFusion did not tell, or we do not know.
std::optional<bool> is_owner_right(const drift_subject& ours, const drift_sight& sight) {
  if (sight.owner_relation)
    return sight.owner_relation->user == ours.user;
  if (!sight.owner || !ours.owner)
    return std::nullopt;
  return *sight.owner == *ours.owner;
}

bool may_have(const drift_subject& ours, const server_resources& has) {
  return std::any_of(ours.resources.begin(), ours.resources.end(), [&](server_resources allowed) {
    if (has == allowed)
      return true;
    allowed.storage_gb = std::max(allowed.storage_gb, ours.kept_storage_gb);
    return has == allowed;
  });
}

void judge_suspension(const drift_subject& ours,
                      const drift_sight& sight,
                      std::vector<drift_verdict>& verdicts) {
  if (!ours.is_suspended) {
    verdicts.push_back({drift_kind::running, true});
    if (sight.is_suspended)
      verdicts.push_back({drift_kind::suspended, !*sight.is_suspended,
                          std::string{*sight.is_suspended ? seen_suspended : ""}});
    return;
  }
  verdicts.push_back({drift_kind::suspended, true});
  if (!sight.is_suspended)
    return;
  if (!*sight.is_suspended)
    verdicts.push_back({drift_kind::running, false, std::string{seen_not_suspended}});
  else if (sight.is_running)
    verdicts.push_back(
      {drift_kind::running, !*sight.is_running, std::string{*sight.is_running ? seen_running : ""}});
  else
    // A list does not tell what the machine does.
    verdicts.push_back({drift_kind::running, true, std::string{seen_not_suspended}});
}

} // namespace

std::string_view to_string(drift_kind kind) noexcept {
  return kinds.name(kind);
}

std::optional<drift_kind> parse_drift_kind(std::string_view text) noexcept {
  return kinds.find(text);
}

bool holds_billing(drift_kind kind) noexcept {
  return kind != drift_kind::running && kind != drift_kind::unknown;
}

std::string_view to_string(drift_state state) noexcept {
  return drift_states.name(state);
}

std::optional<drift_state> parse_drift_state(std::string_view text) noexcept {
  return drift_states.find(text);
}

std::string_view to_string(drift_way way) noexcept {
  return ways.name(way);
}

std::optional<drift_way> parse_drift_way(std::string_view text) noexcept {
  return ways.find(text);
}

result<> check_way(drift_kind kind, drift_way way) {
  if (way == drift_way::ignore)
    return {};
  const auto refuse = [](const char* why) -> result<> { return error{errc::conflict, why}; };
  switch (kind) {
  case drift_kind::gone:
    if (way == drift_way::delete_server)
      return {};
    return refuse("a server that is gone can be deleted here or ignored");
  case drift_kind::owner:
    return refuse("who a server belongs to is never taken over: give it back to its user in VirtFusion "
                  "(PUT /servers/{id}/owner/{userId}), or ignore it");
  case drift_kind::package:
    if (way == drift_way::take_over)
      return {};
    return refuse("another package can be taken over or ignored");
  case drift_kind::suspended:
    if (way == drift_way::take_over)
      return {};
    return refuse("a suspension can be taken over or ignored");
  case drift_kind::running:
    if (way == drift_way::take_over)
      return {};
    return refuse("that a server runs can be taken over or ignored");
  case drift_kind::unknown:
    if (way != drift_way::take_over)
      return {};
    return refuse("a server that nobody here knows can be adopted, deleted or ignored");
  }
  return refuse("there is nothing to be done about it");
}

std::vector<drift_verdict> judge(const drift_subject& ours, const drift_sight& sight) {
  std::vector<drift_verdict> verdicts{{drift_kind::gone, true}, {drift_kind::unknown, true}};
  if (const auto is_right = is_owner_right(ours, sight)) {
    const auto owner = sight.owner ? seen_owner(*sight.owner) : std::string{"another user"};
    verdicts.push_back({drift_kind::owner, *is_right, *is_right ? std::string{} : owner});
  }
  judge_suspension(ours, sight, verdicts);
  if (sight.resources && !ours.resources.empty()) {
    const auto is_right = may_have(ours, *sight.resources);
    verdicts.push_back(
      {drift_kind::package, is_right, is_right ? std::string{} : seen_resources(*sight.resources)});
  }
  return verdicts;
}

std::string seen_owner(virtfusion_user_id owner) {
  return "user " + std::to_string(owner.value);
}

std::string seen_resources(const server_resources& has) {
  return std::to_string(has.memory_mb) + " MB, " + std::to_string(has.storage_gb) + " GB, " +
         std::to_string(has.traffic_gb) + " GB traffic, " + std::to_string(has.cpu_cores) + " cores";
}

} // namespace skyengine
