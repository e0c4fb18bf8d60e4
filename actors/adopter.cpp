#include "actors/adopter.hpp"

#include "domain/hostname.hpp"
#include "net/virtfusion/calls.hpp"

#include <chrono>
#include <string>
#include <utility>

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
namespace vf = net::virtfusion;
using namespace std::chrono_literals;
using failure_kind = vf::call_failure::kind;

constexpr auto call_patience = 20s;
constexpr int rows_at_once = 200;

found_server to_found(const vf::server_record& record) {
  return {record.id,          record.owner ? record.owner->ext_relation_id : std::nullopt,
          record.group,       record.told_resources(),
          record.is_built(),  record.has_task(),
          record.is_suspended};
}

/// What it calls itself, where that is a name that a server of ours can have.
std::optional<std::string> hostname_of(const vf::server_record& record) {
  for (const auto* name : {&record.hostname, &record.name})
    if (!name->empty() && check_hostname(*name))
      return *name;
  return std::nullopt;
}

} // namespace

asio::awaitable<result<>> adopter::load() {
  known_ = {};
  for (plan_id after;;) {
    auto found = co_await catalogue_.list_plans(after, rows_at_once);
    if (!found)
      co_return found.error();
    if (found->empty())
      break;
    after = found->back().id;
    known_.plans.insert(known_.plans.end(), found->begin(), found->end());
  }
  for (region_id after;;) {
    auto found = co_await catalogue_.list_regions(after, rows_at_once);
    if (!found)
      co_return found.error();
    if (found->empty())
      break;
    after = found->back().id;
    known_.regions.insert(known_.regions.end(), found->begin(), found->end());
  }
  const auto packages = co_await virtfusion_.call(how(), vf::list_packages());
  if (!packages)
    co_return packages.error().as_error();
  for (const auto& one : *packages)
    known_.packages.emplace(one.id, one.resources);
  co_return result<>{};
}

asio::awaitable<result<adopter::adopted>>
adopter::adopt(wish what, requester by, std::optional<idempotency_claim> claim) {
  const std::vector<virtfusion_server_id> asked{what.id};
  const auto known = co_await store_.known(asked);
  if (!known)
    co_return known.error();
  if (!known->empty())
    co_return error{errc::conflict, std::string{known->begin()->second.is_over ? "it was" : "it is"} +
                                      " server " + std::to_string(known->begin()->second.id.value) + " here"};
  if (const auto may_be_taken = co_await store_.check(what.id); !may_be_taken)
    co_return may_be_taken.error();
  const auto record = co_await virtfusion_.call(how(), vf::get_server(what.id));
  if (!record && record.error().what == failure_kind::not_found_server)
    co_return error{errc::conflict, "VirtFusion has no such server"};
  if (!record)
    co_return record.error().as_error();
  if (record->owner && !record->owner->id)
    co_return error{errc::conflict, "VirtFusion does not tell its own id of the owner"};
  const auto place = place_of(to_found(*record), known_, what.plan);
  if (!place)
    co_return place.error();
  if (what.is_dry_run)
    co_return adopted{*place, std::nullopt};
  const auto owner = co_await owner_of(place->user);
  if (!owner)
    co_return owner.error();
  db::adoption taking;
  taking.id = record->id;
  taking.place = *place;
  taking.owner = *record->owner->id;
  taking.owner_name = owner->name;
  taking.owner_email = owner->email;
  taking.hostname = hostname_of(*record);
  taking.os_template = record->os_template;
  taking.ipv4 = record->ipv4;
  taking.ipv6 = record->ipv6;
  taking.is_suspended = *record->is_suspended;
  taking.resources = record->resources;
  const auto made =
    co_await store_.insert(std::move(taking), std::move(by), std::move(claim), business_.now());
  if (!made)
    co_return made.error();
  co_return adopted{*place, *made};
}

asio::awaitable<result<adopter::named_owner>> adopter::owner_of(user_id user) {
  const auto is_known = co_await store_.has_user(user);
  if (!is_known)
    co_return is_known.error();
  if (*is_known)
    co_return named_owner{};
  const auto found = co_await virtfusion_.call(how(), vf::find_user(user));
  if (!found)
    co_return found.error().as_error();
  const auto fallback = "User " + std::to_string(user.value);
  co_return named_owner{found->name.empty() ? fallback : found->name, found->email};
}

call_options adopter::how() const {
  return {priority_, virtfusion_.timers().now() + call_patience, {}, "adopt"};
}

} // namespace skyengine::actors
