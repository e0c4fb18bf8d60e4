#include "net/api/edge_state.hpp"
#include "net/api/records.hpp"
#include "net/api/replays.hpp"
#include "net/api/routes.hpp"

#include <caf/send.hpp>

namespace skyengine::net::api {

namespace {

error no_such_action() {
  return {errc::not_found, "no such action"};
}

http::response retry_answer(const action& one) {
  return json_answer(http::status::accepted, to_json(one));
}

} // namespace

answer list_server_actions(edge_state& edge, const call& c) {
  const auto id = parse_id(c.parameters[0]);
  if (!id)
    co_return error{errc::not_found, "no such server"};
  const auto server = co_await edge.servers.find({*id}, c.owner());
  if (!server)
    co_return server.error();
  const auto list = "actions " + std::to_string(*id);
  const auto page = parse_id_page(list, c.query);
  if (!page)
    co_return page.error();
  std::optional<action_id> before;
  if (page->second)
    before = action_id{*page->second};
  const auto limit = page->first.limit;
  auto found = co_await edge.servers.actions_of(server->id, before, limit + 1);
  if (!found)
    co_return found.error();
  co_return list_answer(
    list, std::move(*found), limit, [](json_writer& out, const action& one) { write(out, one); },
    [](const action& one) { return std::to_string(one.id.value); });
}

answer get_action(edge_state& edge, const call& c) {
  const auto id = parse_id(c.parameters[0]);
  if (!id)
    co_return no_such_action();
  const auto found = co_await edge.servers.find_action({*id}, c.owner());
  if (!found)
    co_return found.error();
  co_return json_answer(http::status::ok, to_json(*found));
}

answer retry_action(edge_state& edge, const call& c) {
  const auto claim = read_claim(c);
  if (!claim)
    co_return claim.error();
  const auto id = parse_id(c.parameters[0]);
  if (!id)
    co_return no_such_action();
  const auto found = co_await edge.servers.find_action({*id}, std::nullopt);
  if (!found)
    co_return found.error();
  const auto earlier = co_await find_earlier(edge, *claim);
  if (!earlier)
    co_return earlier.error();
  if (*earlier) {
    auto answer = retry_answer(*found);
    mark_replayed(answer);
    co_return answer;
  }
  if (is_over(found->state))
    co_return error{errc::conflict, "the action is over: there is nothing to try again"};
  if (!edge.provisioner)
    co_return error{errc::overloaded, "the actor behind it is being restarted"};
  const auto recorded =
    co_await edge.audit.record_retry(found->id, c.key->caller(), *claim, edge.services.business.now());
  if (!recorded)
    co_return recorded.error();
  caf::anon_send(edge.provisioner, actors::nudge_action{found->id});
  if (const auto kept = co_await keep_status(edge, *claim, http::status::accepted); !kept)
    co_return kept.error();
  co_return retry_answer(*found);
}

} // namespace skyengine::net::api
