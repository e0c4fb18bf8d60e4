#pragma once

#include "domain/catalogue.hpp"
#include "domain/error.hpp"
#include "domain/ids.hpp"
#include "domain/server_resources.hpp"

#include <map>
#include <optional>
#include <vector>

/// What of a server that VirtFusion has and we do not can become ours.
namespace skyengine {

/// What VirtFusion says of it. What it did not tell is nothing.
struct found_server {
  virtfusion_server_id id;
  /// Ours, by the owner's `extRelationId`.
  std::optional<user_id> owner;
  std::optional<hypervisor_group_id> group;
  std::optional<server_resources> resources;
  bool is_built = false;
  bool has_task = false;
  std::optional<bool> is_suspended = {};
};

/// What servers are taken over into.
struct adoption_catalogue {
  /// By id.
  std::vector<plan> plans;
  std::vector<region> regions;
  std::map<package_id, server_resources> packages;
};

struct adoption_place {
  user_id user;
  plan_id plan;
  region_id region;
  friend bool operator==(const adoption_place&, const adoption_place&) = default;
};

/// The first plan by id whose package has these resources; nothing where there is none.
std::optional<plan_id> plan_with(const adoption_catalogue& catalogue, const server_resources& resources);

/// Whose it becomes, as what and where; of several plans or regions that fit the first by id. `chosen`
/// decides the plan whatever the server has. errc::conflict says why it stays what it is.
result<adoption_place>
place_of(const found_server& found, const adoption_catalogue& catalogue, std::optional<plan_id> chosen = {});

} // namespace skyengine
