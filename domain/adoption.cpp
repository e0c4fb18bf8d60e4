#include "domain/adoption.hpp"

#include "domain/drift.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace skyengine {

namespace {

error left(std::string why) {
  return {errc::conflict, std::move(why)};
}

} // namespace

std::optional<plan_id> plan_with(const adoption_catalogue& catalogue, const server_resources& resources) {
  for (const auto& one : catalogue.plans) {
    const auto package = catalogue.packages.find(one.package);
    if (package != catalogue.packages.end() && package->second == resources)
      return one.id;
  }
  return std::nullopt;
}

result<adoption_place>
place_of(const found_server& found, const adoption_catalogue& catalogue, std::optional<plan_id> chosen) {
  if (!found.owner)
    return left("its owner has no extRelationId");
  if (!found.is_built)
    return left("it is not built");
  if (found.has_task)
    return left("it has a task running");
  if (!found.is_suspended)
    return left("VirtFusion does not tell whether it is suspended");
  if (chosen && std::none_of(catalogue.plans.begin(), catalogue.plans.end(),
                             [&](const auto& p) { return p.id == *chosen; }))
    return left("there is no plan " + chosen->value);
  // Also of one that was chosen: what it has is noted, as right for this server.
  if (!found.resources)
    return left("VirtFusion does not tell all of its resources");
  const auto plan = chosen ? chosen : plan_with(catalogue, *found.resources);
  if (!plan)
    return left("no plan maps to a package of " + seen_resources(*found.resources));
  if (!found.group)
    return left("VirtFusion does not tell its hypervisor's group");
  const auto region = std::find_if(catalogue.regions.begin(), catalogue.regions.end(),
                                   [&](const auto& r) { return r.group == *found.group; });
  if (region == catalogue.regions.end())
    return left("no region maps to hypervisor group " + std::to_string(found.group->value));
  return adoption_place{*found.owner, *plan, region->id};
}

} // namespace skyengine
