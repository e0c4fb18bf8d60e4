#include "domain/drift.hpp"

#include "actors/adopter.hpp"
#include "domain/log.hpp"
#include "net/api/edge_state.hpp"
#include "net/api/records.hpp"
#include "net/api/replays.hpp"
#include "net/api/routes.hpp"
#include "net/virtfusion/calls.hpp"

#include <algorithm>
#include <array>

namespace skyengine::net::api {

namespace {

namespace vf = net::virtfusion;
using namespace std::chrono_literals;
using failure_kind = vf::call_failure::kind;
using stored = asio::awaitable<result<db::drift_record>>;
using claim = std::optional<idempotency_claim>;

constexpr auto call_patience = 15s;

error no_such_drift() {
  return {errc::not_found, "no such drift"};
}

http::response ok_answer(const db::drift_record& one) {
  return json_answer(http::status::ok, to_json(one));
}

actors::call_options how_to_call(edge_state& edge, const call& c, call_class priority) {
  return {priority, edge.services.timers.now() + call_patience, {}, c.request.request_id};
}

/// The server's record in VirtFusion as it is now; nullopt when VirtFusion has none.
asio::awaitable<result<std::optional<vf::server_record>>>
look_at(edge_state& edge, const call& c, virtfusion_server_id id) {
  const auto how = how_to_call(edge, c, call_class::interactive);
  auto record = co_await edge.services.virtfusion.call(how, vf::get_server(id));
  if (record)
    co_return std::optional{std::move(*record)};
  if (record.error().what == failure_kind::not_found_server)
    co_return std::optional<vf::server_record>{};
  co_return record.error().as_error();
}

error agrees_again(const char* what) {
  return {errc::conflict, std::string{what} + ": the next look ends this drift by itself"};
}

error not_told(const char* what) {
  return {errc::virtfusion_unavailable, std::string{"VirtFusion does not tell "} + what};
}

actors::adopter make_adopter(edge_state& edge) {
  return {edge.services.virtfusion, edge.catalogue, edge.adoptions, edge.services.business,
          call_class::interactive};
}

/// The plan that a server has come to have in VirtFusion, in the currency that it is paid in.
asio::awaitable<result<plan_id>> plan_there(edge_state& edge, server_id id, server_resources has) {
  const auto server = co_await edge.servers.find(id, std::nullopt);
  if (!server)
    co_return server.error();
  auto reader = make_adopter(edge);
  const auto loaded = co_await reader.load();
  if (!loaded)
    co_return loaded.error();
  auto catalogue = reader.catalogue();
  const auto present = std::find_if(catalogue.plans.begin(), catalogue.plans.end(),
                                    [&](const plan& p) { return p.id == server->order.plan; });
  if (present == catalogue.plans.end())
    co_return error{errc::conflict, "the server's plan is not there"};
  const auto currency = present->currency;
  std::erase_if(catalogue.plans, [&](const plan& p) { return p.currency != currency; });
  const auto found = plan_with(catalogue, has);
  if (!found)
    co_return error{errc::conflict, "no plan in the server's currency maps to a package of " +
                                      seen_resources(has) +
                                      ": make one, or change the package in VirtFusion"};
  if (*found == server->order.plan)
    co_return agrees_again("the server has the resources of its plan");
  co_return *found;
}

/// What is to be stored, after a look at what VirtFusion says now.
asio::awaitable<result<db::drift_store::decision>>
decide(edge_state& edge, const call& c, db::drift_record one, drift_way how) {
  db::drift_store::decision what;
  what.id = one.id;
  what.how = how;
  what.actor = c.key->caller();
  if (how == drift_way::ignore)
    co_return what;
  const auto record = co_await look_at(edge, c, one.virtfusion_id);
  if (!record)
    co_return record.error();
  if (one.kind == drift_kind::gone) {
    if (*record)
      co_return agrees_again("VirtFusion has the server again");
    co_return what;
  }
  if (!*record)
    co_return error{errc::conflict, "VirtFusion has no such server any more"};
  const auto& there = **record;
  switch (one.kind) {
  case drift_kind::package: {
    if (!there.are_resources_told)
      co_return not_told("all that the server has");
    const auto plan = co_await plan_there(edge, *one.server, there.resources);
    if (!plan)
      co_return plan.error();
    what.plan = *plan;
    what.resources = there.resources;
    co_return what;
  }
  case drift_kind::suspended:
    if (!there.is_suspended)
      co_return not_told("whether the server is suspended");
    if (!*there.is_suspended)
      co_return agrees_again("VirtFusion does not suspend the server any more");
    co_return what;
  case drift_kind::running:
    if (!there.is_suspended)
      co_return not_told("whether the server is suspended");
    if (*there.is_suspended)
      co_return error{errc::conflict,
                      "VirtFusion has it suspended while its machine runs: unsuspend it there to take that "
                      "over, or power it off"};
    co_return what;
  case drift_kind::unknown: {
    if (!there.owner || !there.owner->id)
      co_return not_told("whose the server is");
    if (seen_owner(*there.owner->id) != one.seen)
      co_return error{errc::conflict, "it belongs to somebody else than when it was seen: look again"};
    if (there.is_protected)
      co_return error{errc::conflict, "it is protected in VirtFusion"};
    if (there.has_task())
      co_return error{errc::conflict, "it has a task running in VirtFusion"};
    const std::vector<virtfusion_server_id> asked{one.virtfusion_id};
    const auto known = co_await edge.adoptions.known(asked);
    if (!known)
      co_return known.error();
    if (!known->empty())
      co_return error{errc::conflict, "it is or was server " +
                                        std::to_string(known->begin()->second.id.value) +
                                        " here: it is not deleted as a stranger"};
    co_return what;
  }
  case drift_kind::gone:
  case drift_kind::owner:
    co_return what;
  }
  co_return what;
}

stored adopt(edge_state& edge, const call& c, db::drift_record one, claim bound) {
  auto taker = make_adopter(edge);
  const auto loaded = co_await taker.load();
  if (!loaded)
    co_return loaded.error();
  const actors::adopter::wish wish{one.virtfusion_id};
  const auto taken = co_await taker.adopt(wish, c.by(), std::move(bound));
  if (!taken && taken.error().code == errc::conflict && !is_key_taken(taken.error()))
    co_return error{errc::conflict, "the server cannot be adopted: " + taken.error().detail};
  if (!taken)
    co_return taken.error();
  co_return co_await edge.drift.find(one.id);
}

/// It is stored that it is to go before it goes. What VirtFusion then refuses is open again.
asio::awaitable<result<>> remove_stranger(edge_state& edge, const call& c, db::drift_record one) {
  const auto how = how_to_call(edge, c, call_class::control);
  const auto deleted = co_await edge.services.virtfusion.call(how, vf::delete_server(one.virtfusion_id));
  if (deleted || deleted.error().what == failure_kind::not_found_server ||
      // It may have been done: the next lists tell.
      deleted.error().what == failure_kind::unknown)
    co_return result<>{};
  const auto reopened = co_await edge.drift.reopen(one.id, edge.services.business.now());
  if (!reopened)
    co_return reopened.error();
  co_return deleted.error().as_error();
}

stored resolve(edge_state& edge, const call& c, std::int64_t id, drift_way how, claim bound) {
  const auto one = co_await edge.drift.find(id);
  if (!one)
    co_return one.error();
  if (one->state != drift_state::open)
    co_return error{errc::conflict, "this drift is over: it is " + std::string{to_string(one->state)}};
  if (const auto takes = check_way(one->kind, how); !takes)
    co_return takes.error();
  if (how == drift_way::adopt)
    co_return co_await adopt(edge, c, *one, std::move(bound));
  auto what = co_await decide(edge, c, *one, how);
  if (!what)
    co_return what.error();
  what->claim = std::move(bound);
  auto resolved = co_await edge.drift.resolve(*what, edge.services.business.now());
  if (!resolved || one->kind != drift_kind::unknown || how != drift_way::delete_server)
    co_return resolved;
  const auto removed = co_await remove_stranger(edge, c, *one);
  if (!removed)
    co_return removed.error();
  co_return resolved;
}

} // namespace

answer list_drift(edge_state& edge, const call& c) {
  static constexpr std::array<std::string_view, 3> states{"open", "resolved", "vanished"};
  static constexpr std::array<std::string_view, 6> kinds{"gone",      "owner",   "package",
                                                         "suspended", "running", "unknown"};
  auto query = c.query;
  const auto state = take_choice(query, "state", states);
  if (!state)
    co_return state.error();
  const auto kind = take_choice(query, "kind", kinds);
  if (!kind)
    co_return kind.error();
  const auto list = "drift " + (*state ? std::string{states[**state]} : std::string{}) +
                    (*kind ? " " + std::string{kinds[**kind]} : std::string{});
  const auto page = parse_id_page(list, query);
  if (!page)
    co_return page.error();
  const auto limit = page->first.limit;
  db::drift_filter wanted;
  if (*state)
    wanted.state = parse_drift_state(states[**state]);
  if (*kind)
    wanted.kind = parse_drift_kind(kinds[**kind]);
  auto found = co_await edge.drift.list(wanted, page->second, limit + 1);
  if (!found)
    co_return found.error();
  co_return list_answer(
    list, std::move(*found), limit, [](json_writer& out, const db::drift_record& one) { write(out, one); },
    [](const db::drift_record& one) { return std::to_string(one.id); });
}

answer get_drift(edge_state& edge, const call& c) {
  const auto id = parse_id(c.parameters[0]);
  if (!id)
    co_return no_such_drift();
  const auto found = co_await edge.drift.find(*id);
  if (!found)
    co_return found.error();
  co_return ok_answer(*found);
}

answer resolve_drift(edge_state& edge, const call& c) {
  const auto key = read_claim(c);
  if (!key)
    co_return key.error();
  const auto id = parse_id(c.parameters[0]);
  if (!id)
    co_return no_such_drift();
  const auto body = read_body(c.request);
  if (!body)
    co_return body.error();
  field_faults faults;
  const auto how = parse_drift_resolution(*body, faults);
  if (!faults.empty())
    co_return faults.as_error();
  const auto record = [&edge, &c, id = *id, how = *how](claim bound) -> stored {
    co_return co_await resolve(edge, c, id, how, std::move(bound));
  };
  const auto load = [&edge, id = *id](const db::idempotency_binding&) -> stored {
    co_return co_await edge.drift.find(id);
  };
  co_return co_await answer_once(edge, *key, record, load, ok_answer);
}

} // namespace skyengine::net::api
