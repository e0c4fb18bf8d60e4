#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace skyengine::net::virtfusion {

/// Every call to VirtFusion that we make. The order is that of `all_operations`; values never leave the
/// process.
enum class operation : std::uint8_t {
  connect,
  find_user,
  create_user,
  list_packages,
  list_groups,
  group_resources,
  list_templates,
  list_servers,
  list_user_servers,
  get_server,
  create_server,
  dry_run_server,
  build_server,
  boot_server,
  shutdown_server,
  restart_server,
  power_off_server,
  suspend_server,
  unsuspend_server,
  delete_server,
  change_package,
  set_backup_plan,
  list_backups,
  get_traffic,
  get_queue_item,
  add_ssh_key,
  list_ssh_keys,
};

/// What holds for an operation whatever its arguments.
struct operation_traits {
  operation op;
  /// Method and the vendor's path template: metric label and field of the log.
  std::string_view name;
  /// A second one does no harm when nobody knows whether the first one arrived.
  bool is_safe_to_repeat;
  /// How long VirtFusion may take to answer, which is not the patience of whoever asked.
  std::chrono::seconds timeout;
  /// Only over a connection that was used at most this long ago: an idle one may be closing.
  std::optional<std::chrono::milliseconds> freshness;

  /// `GET`, `POST`, `PUT` or `DELETE`.
  constexpr std::string_view method() const noexcept { return name.substr(0, name.find(' ')); }
  /// The vendor's path template, without query.
  constexpr std::string_view path() const noexcept {
    const auto path_and_query = name.substr(name.find(' ') + 1);
    return path_and_query.substr(0, path_and_query.find('?'));
  }
};

namespace detail {
inline constexpr std::chrono::seconds usual{15};
inline constexpr std::chrono::milliseconds fresh{2'000};
} // namespace detail

// clang-format off
inline constexpr std::array<operation_traits, 27> all_operations{{
  {operation::connect, "GET /connect", true, detail::usual, {}},
  {operation::find_user, "GET /users/{extRelationId}/byExtRelation", true, detail::usual, {}},
  {operation::create_user, "POST /users", false, detail::usual, {}},
  {operation::list_packages, "GET /packages", true, detail::usual, {}},
  {operation::list_groups, "GET /compute/hypervisors/groups", true, detail::usual, {}},
  {operation::group_resources, "GET /compute/hypervisors/groups/{hypervisorGroupId}/resources", true, detail::usual, {}},
  {operation::list_templates, "GET /media/templates/fromServerPackageSpec/{serverPackageId}", true, detail::usual, {}},
  {operation::list_servers, "GET /servers", true, detail::usual, {}},
  {operation::list_user_servers, "GET /servers/user/{userId}", true, detail::usual, {}},
  {operation::get_server, "GET /servers/{serverId}", true, detail::usual, {}},
  {operation::create_server, "POST /servers", false, std::chrono::seconds{60}, detail::fresh},
  {operation::dry_run_server, "POST /servers?dryRun=true", true, detail::usual, {}},
  {operation::build_server, "POST /servers/{serverId}/build", false, detail::usual, detail::fresh},
  {operation::boot_server, "POST /servers/{serverId}/power/boot", true, detail::usual, {}},
  {operation::shutdown_server, "POST /servers/{serverId}/power/shutdown", true, detail::usual, {}},
  {operation::restart_server, "POST /servers/{serverId}/power/restart", false, detail::usual, {}},
  {operation::power_off_server, "POST /servers/{serverId}/power/poweroff", true, detail::usual, {}},
  {operation::suspend_server, "POST /servers/{serverId}/suspend", true, detail::usual, {}},
  {operation::unsuspend_server, "POST /servers/{serverId}/unsuspend", true, detail::usual, {}},
  {operation::delete_server, "DELETE /servers/{serverId}", true, detail::usual, {}},
  {operation::change_package, "PUT /servers/{serverId}/package/{packageId}", true, detail::usual, {}},
  {operation::set_backup_plan, "PUT /servers/{serverId}/backups/plan/{planId}", true, detail::usual, {}},
  {operation::list_backups, "GET /backups/server/{serverId}", true, detail::usual, {}},
  {operation::get_traffic, "GET /servers/{serverId}/traffic", true, detail::usual, {}},
  {operation::get_queue_item, "GET /queue/{queueId}", true, detail::usual, {}},
  {operation::add_ssh_key, "POST /ssh_keys", false, detail::usual, {}},
  {operation::list_ssh_keys, "GET /ssh_keys/user/{userId}", true, detail::usual, {}},
}};
// clang-format on

constexpr const operation_traits& traits_of(operation op) noexcept {
  return all_operations[static_cast<std::size_t>(op)];
}

static_assert([] {
  for (std::size_t i = 0; i < all_operations.size(); ++i)
    if (static_cast<std::size_t>(all_operations[i].op) != i)
      return false;
  return true;
}());

} // namespace skyengine::net::virtfusion
