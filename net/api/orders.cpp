#include "net/api/orders.hpp"

#include "net/virtfusion/calls.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>

namespace skyengine::net::api {

namespace {

namespace json = boost::json;
namespace vf = net::virtfusion;
using failure_kind = vf::call_failure::kind;

/// Errors of the catalogue's stores: not_found is the caller's affair, anything else ends the request.
template <class T>
bool is_broken(const result<T>& found) {
  return !found && found.error().code != errc::not_found;
}

/// errc::not_found also where nothing was named.
template <class T, class Id>
asio::awaitable<result<T>> find_if_named(db::catalogue_store& store,
                                         asio::awaitable<result<T>> (db::catalogue_store::*find)(Id),
                                         std::optional<Id> id) {
  if (!id)
    co_return error{errc::not_found, "not named"};
  co_return co_await (store.*find)(*id);
}

struct catalogue_entries {
  std::optional<skyengine::plan> plan;
  std::optional<skyengine::region> region;
  std::optional<skyengine::user> user;
};

asio::awaitable<result<catalogue_entries>>
look_up(edge_state& edge, const order_draft& draft, std::optional<user_id> user, field_faults& faults) {
  using namespace asio::experimental::awaitable_operators;
  catalogue_entries entries;
  auto [plan, region, known_user] =
    co_await (find_if_named(edge.catalogue, &db::catalogue_store::find_plan, draft.plan) &&
              find_if_named(edge.catalogue, &db::catalogue_store::find_region, draft.region) &&
              find_if_named(edge.catalogue, &db::catalogue_store::find_user, user));
  if (draft.plan) {
    auto& found = plan;
    if (is_broken(found))
      co_return found.error();
    if (!found)
      faults.add("planId", "there is no plan \"" + draft.plan->value + "\"");
    else if (!found->active)
      faults.add("planId", "the plan \"" + draft.plan->value + "\" is not sold any more");
    if (found)
      entries.plan = std::move(*found);
  }
  if (draft.region) {
    auto& found = region;
    if (is_broken(found))
      co_return found.error();
    if (!found)
      faults.add("region", "there is no region \"" + draft.region->value + "\"");
    else if (!found->active)
      faults.add("region", "the region \"" + draft.region->value + "\" is not sold any more");
    if (found)
      entries.region = std::move(*found);
  }
  if (user) {
    auto& found = known_user;
    if (is_broken(found))
      co_return found.error();
    if (!found)
      faults.add("userId", "there is no such user: make it by PUT /v1/users/" + std::to_string(user->value));
    else
      entries.user = std::move(*found);
  }
  co_return entries;
}

/// VirtFusion's word on an order.
struct verdict {
  std::vector<error> problems;
};

/// What a final refusal of VirtFusion means to a dry run; anything else ends the request.
result<verdict> refusal(const vf::call_failure& failed) {
  const auto why = failed.as_error();
  if (failed.what == failure_kind::rejected)
    return verdict{{why}};
  return why;
}

/// Whether a hypervisor of the group has room for the package: all that can be said for a user whom
/// VirtFusion does not know yet.
asio::awaitable<result<verdict>>
check_room(edge_state& edge, actors::call_options how, package_id package, hypervisor_group_id group) {
  const auto packages = co_await edge.services.virtfusion.call(how, vf::list_packages());
  if (!packages)
    co_return refusal(packages.error());
  const auto wanted = std::find_if(packages->begin(), packages->end(),
                                   [&](const auto& each) { return each.id == package && each.is_enabled; });
  if (wanted == packages->end())
    co_return verdict{{{errc::virtfusion_rejected, "VirtFusion does not offer the plan's package"}}};
  for (std::int64_t number = 1, last = 1; number <= last; ++number) {
    const auto page = co_await edge.services.virtfusion.call(how, vf::group_resources(group, number));
    if (!page)
      co_return refusal(page.error());
    last = page->last_page;
    for (const auto& hypervisor : page->items)
      if (hypervisor.fits(wanted->resources))
        co_return verdict{};
  }
  co_return verdict{{{errc::capacity_exhausted, "no hypervisor of the region has room for this plan"}}};
}

/// A build would be refused for a template that VirtFusion does not offer for the package.
asio::awaitable<result<verdict>>
check_template(edge_state& edge, actors::call_options how, package_id package, os_template_id wanted) {
  const auto offered = co_await edge.services.virtfusion.call(how, vf::list_templates(package));
  if (!offered)
    co_return refusal(offered.error());
  for (const auto& group : *offered)
    for (const auto& each : group.templates)
      if (each.id == wanted)
        co_return verdict{};
  co_return verdict{
    {{errc::virtfusion_rejected, "osTemplateId: VirtFusion does not offer this template for the plan"}}};
}

asio::awaitable<result<verdict>>
ask_virtfusion(edge_state& edge, actors::call_options how, checked_order order) {
  auto user = order.virtfusion_user;
  if (!user) {
    const auto found = co_await edge.services.virtfusion.call(how, vf::find_user(how.user));
    if (!found && found.error().what == failure_kind::not_found_user)
      co_return co_await check_room(edge, how, order.plan.package, order.region.group);
    if (!found)
      co_return refusal(found.error());
    user = found->id;
  }
  const vf::new_server wanted{order.plan.package, *user, order.region.group};
  const auto tried = co_await edge.services.virtfusion.call(how, vf::dry_run_server(wanted));
  if (!tried)
    co_return refusal(tried.error());
  co_return verdict{};
}

} // namespace

asio::awaitable<result<checked_order>>
read_order(edge_state& edge, const call& c, const json::object& body, strictness how) {
  field_faults faults;
  const auto draft = parse_order(body, how, faults);
  if (draft.user && !c.key->is_operator())
    co_return error{errc::forbidden, "only an operator's key names the user of an order"};
  const auto user = c.key->is_operator() ? draft.user : c.key->user;
  if (!user && !body.contains("userId"))
    faults.add("userId", "is missing: an operator's order names a user, made by PUT /v1/users/{userId}");
  auto entries = co_await look_up(edge, draft, user, faults);
  if (!entries)
    co_return entries.error();
  if (draft.os_template && entries->plan && !entries->plan->os_templates.empty()) {
    const auto& offered = entries->plan->os_templates;
    if (std::find(offered.begin(), offered.end(), draft.os_template->value) == offered.end())
      faults.add("osTemplateId", "the plan does not offer this template");
  }
  if (!faults.empty())
    co_return faults.as_error();
  checked_order checked;
  checked.order = {*user,
                   *draft.plan,
                   *draft.region,
                   draft.hostname,
                   draft.os_template,
                   draft.ssh_keys,
                   draft.ipv6.value_or(entries->plan->ipv6),
                   draft.labels,
                   draft.external_reference};
  checked.plan = std::move(*entries->plan);
  checked.region = std::move(*entries->region);
  checked.virtfusion_user = entries->user->virtfusion_id;
  checked.is_dry_run = draft.is_dry_run;
  co_return checked;
}

asio::awaitable<result<http::response>> dry_run(edge_state& edge, const call& c, checked_order order) {
  const actors::call_options how{call_class::interactive, edge.services.timers.now() + edge.options.patience,
                                 order.order.user, c.request.request_id};
  const auto package = order.plan.package;
  const auto os_template = order.order.os_template;
  auto said = co_await ask_virtfusion(edge, how, std::move(order));
  if (!said)
    co_return said.error();
  if (os_template) {
    const auto fits = co_await check_template(edge, how, package, *os_template);
    if (!fits)
      co_return fits.error();
    said->problems.insert(said->problems.end(), fits->problems.begin(), fits->problems.end());
  }
  json_writer out;
  out.begin_object();
  out.member("valid", said->problems.empty());
  out.key("problems");
  out.begin_array();
  for (const auto& each : said->problems) {
    out.begin_object();
    out.member("code", to_string(each.code));
    out.member("detail", each.detail);
    out.end_object();
  }
  out.end_array();
  out.end_object();
  co_return json_answer(http::status::ok, std::move(out).take());
}

} // namespace skyengine::net::api
