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

http::response lever_answer(const action& one) {
  auto answer = json_answer(http::status::accepted, to_json(one));
  answer.headers.set(http::field::location, "/v1/actions/" + std::to_string(one.id.value));
  return answer;
}

/// What became of the action when an operator's wish was stored.
using recorded = asio::awaitable<result<action>>;

/// An operator's lever on an action. `record` stores the wish, with its line in the audit log and its key.
template <class Record>
asio::awaitable<result<http::response>> pull(edge_state& edge, const call& c, Record record) {
  const auto claim = read_claim(c);
  if (!claim)
    co_return claim.error();
  const auto id = parse_id(c.parameters[0]);
  if (!id)
    co_return no_such_action();
  const auto found = co_await edge.servers.find_action({*id}, std::nullopt);
  if (!found)
    co_return found.error();
  auto earlier = co_await find_earlier(edge, *claim);
  result<action> stored{*found};
  if (earlier && !*earlier) {
    stored = co_await record(*found, *claim);
    // Somebody else may have been first with this key, which may be why this cannot be.
    if (!stored)
      earlier = co_await find_earlier(edge, *claim);
    if (!stored && earlier && !*earlier)
      co_return stored.error();
  }
  if (!earlier)
    co_return earlier.error();
  if (*earlier) {
    auto answer = lever_answer(*found);
    mark_replayed(answer);
    co_return answer;
  }
  // The node that runs it is told by the database; this one need not wait for that.
  if (edge.provisioner)
    caf::anon_send(edge.provisioner, actors::nudge_action{found->id});
  if (const auto kept = co_await keep_status(edge, *claim, http::status::accepted); !kept)
    co_return kept.error();
  co_return lever_answer(*stored);
}

} // namespace

answer list_server_actions(edge_state& edge, const call& c) {
  const auto server = co_await find_server(edge, c);
  if (!server)
    co_return server.error();
  const auto list = "actions " + std::to_string(server->id.value);
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
  const auto record = [&edge, &c](action one, std::optional<idempotency_claim> claim) -> recorded {
    if (is_over(one.state))
      co_return error{errc::conflict, "the action is over: there is nothing to try again"};
    const auto done = co_await edge.audit.record_retry(one.id, c.key->caller(), std::move(claim),
                                                       edge.services.business.now());
    if (!done)
      co_return done.error();
    co_return one;
  };
  co_return co_await pull(edge, c, record);
}

answer abandon_action(edge_state& edge, const call& c) {
  const auto record = [&edge, &c](action one, std::optional<idempotency_claim> claim) -> recorded {
    co_return co_await edge.servers.request_abandon(one.id, c.key->caller(), std::move(claim),
                                                    edge.services.business.now());
  };
  co_return co_await pull(edge, c, record);
}

} // namespace skyengine::net::api
