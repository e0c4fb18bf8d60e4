#include "net/api/api_key_secret.hpp"
#include "net/api/edge_state.hpp"
#include "net/api/orders.hpp"
#include "net/api/problem.hpp"
#include "net/api/records.hpp"
#include "net/api/replays.hpp"
#include "net/api/routes.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>

namespace skyengine::net::api {

namespace {

using namespace std::chrono_literals;

// The provisioner drops what comes too late, and all that storing waits for is bounded: this is longer than
// all of it together, so that no stored order is ever answered as if it had not been.
constexpr auto storing_limit = 2min;

using standing = db::server_store::standing;

/// `is_decided`: VirtFusion has taken the build, which its row may not have yet.
unsigned status_of(const standing& now, bool is_decided, record_form form) {
  if (form == record_form::old)
    return static_cast<unsigned>(http::status::created);
  if (now.action.state == action_state::failed && now.action.failure)
    return static_cast<unsigned>(problem_of(now.action.failure->code).status);
  const auto is_taken =
    is_decided || now.action.state == action_state::succeeded || now.action.step == saga_step::building;
  return static_cast<unsigned>(is_taken ? http::status::created : http::status::accepted);
}

http::response
render(const call& c, const standing& now, unsigned status, record_form form, const secret& password) {
  if (status >= 400 && now.action.failure)
    return make_problem(*now.action.failure, c.request.request_id, {now.server.id, now.action.id});
  json_writer out;
  begin_server(out, now.server, form);
  if (!password.empty())
    out.member("initialPassword", password.reveal());
  out.end_object();
  auto answer = json_answer(static_cast<http::status>(status), std::move(out).take());
  answer.headers.set(http::field::location, "/v1/servers/" + std::to_string(now.server.id.value));
  return answer;
}

/// The answer to a create whose rows are stored. Its status is remembered before anybody hears it.
asio::awaitable<result<http::response>> answer_stored(edge_state& edge,
                                                      const call& c,
                                                      actors::action_outcome outcome,
                                                      std::optional<idempotency_claim> claim,
                                                      record_form form,
                                                      bool is_replay) {
  const auto now = co_await edge.servers.find_standing(outcome.action);
  if (!now)
    co_return now.error();
  auto status = status_of(*now, outcome.is_decided, form);
  if (claim) {
    const auto first =
      co_await edge.servers.set_first_status(claim->caller, claim->key, static_cast<int>(status));
    if (!first)
      co_return first.error();
    status = static_cast<unsigned>(*first);
  }
  auto answer = render(c, *now, status, form, outcome.password);
  if (is_replay)
    mark_replayed(answer);
  co_return answer;
}

/// A repeat: waits with the one who was first, if that is not over. `own`: how many first answers of this key
/// are awaited in the very request.
asio::awaitable<result<http::response>> replay_create(edge_state& edge,
                                                      const call& c,
                                                      db::idempotency_binding bound,
                                                      idempotency_claim claim,
                                                      record_form form,
                                                      int own) {
  // Where nobody was ever answered and nobody else waits to be, this answer is the first.
  const auto is_replay = bound.first_status || has_first_answer(edge, claim, own);
  actors::action_outcome outcome{*bound.action};
  if (!bound.first_status) {
    const actors::join_action join{*bound.action, edge.services.timers.now() + edge.options.patience,
                                   c.request.deadline};
    const auto joined =
      co_await edge.ask_provisioner<actors::action_outcome>(edge.options.patience + storing_limit, join);
    if (!joined)
      co_return joined.error();
    outcome = *joined;
  }
  co_return co_await answer_stored(edge, c, outcome, claim, form, is_replay);
}

/// As `refused`, in the words of the field that it is about, when a row vanished since it was checked.
error explain_refusal(const error& refused) {
  static constexpr std::pair<std::string_view, std::string_view> references[]{
    {"servers_plan_id_fkey", "planId"},
    {"servers_region_id_fkey", "region"},
    {"servers_user_id_fkey", "userId"}};
  if (refused.code == errc::conflict)
    for (const auto& [constraint, field] : references)
      if (refused.detail == constraint)
        return {
          errc::invalid_request, std::string{field} + " is unknown", {{std::string{field}, "is unknown"}}};
  return refused;
}

asio::awaitable<result<checked_order>> read_order_in(edge_state& edge, const call& c, record_form form) {
  const auto body = read_body(c.request);
  if (!body)
    co_return body.error();
  const auto how = form == record_form::old ? strictness::lenient : strictness::strict;
  co_return co_await read_order(edge, c, *body, how);
}

asio::awaitable<result<http::response>> create(edge_state& edge, const call& c, record_form form) {
  const auto claim = read_claim(c);
  if (!claim)
    co_return claim.error();
  // The rows of both are read at once; what was bound before comes first, whatever the body says now.
  using namespace asio::experimental::awaitable_operators;
  const auto [earlier, order] = co_await (find_earlier(edge, *claim) && read_order_in(edge, c, form));
  if (!earlier)
    co_return earlier.error();
  if (*earlier)
    co_return co_await replay_create(edge, c, **earlier, **claim, form, 0);
  if (!order)
    co_return order.error();
  if (order->is_dry_run)
    co_return co_await dry_run(edge, c, *order);

  const first_answer pending{edge, *claim};
  const actors::create_server wanted{order->order, c.by(), *claim,
                                     edge.services.timers.now() + edge.options.patience, c.request.deadline};
  const auto outcome =
    co_await edge.ask_provisioner<actors::action_outcome>(edge.options.patience + storing_limit, wanted);
  if (outcome)
    co_return co_await answer_stored(edge, c, *outcome, *claim, form, false);
  // Somebody else was first with this key, or the order was stored and its answer lost.
  const auto stored = co_await find_earlier(edge, *claim);
  if (!stored)
    co_return stored.error();
  if (*stored)
    co_return co_await replay_create(edge, c, **stored, **claim, form, 1);
  co_return explain_refusal(outcome.error());
}

http::response action_answer(const action& one) {
  auto answer = json_answer(http::status::accepted, to_json(one));
  answer.headers.set(http::field::location, "/v1/actions/" + std::to_string(one.id.value));
  return answer;
}

asio::awaitable<result<http::response>> replay_delete(
  edge_state& edge, const call& c, db::idempotency_binding bound, idempotency_claim claim, int own) {
  const auto action = co_await edge.servers.find_action(*bound.action, c.owner());
  if (!action)
    co_return action.error();
  const auto first =
    co_await edge.servers.set_first_status(claim.caller, claim.key, static_cast<int>(http::status::accepted));
  if (!first)
    co_return first.error();
  auto answer = action_answer(*action);
  if (bound.first_status || has_first_answer(edge, claim, own))
    mark_replayed(answer);
  co_return answer;
}

} // namespace

answer post_server(edge_state& edge, const call& c) {
  return create(edge, c, record_form::present);
}

answer post_server_old(edge_state& edge, const call& c) {
  return create(edge, c, record_form::old);
}

answer list_servers(edge_state& edge, const call& c) {
  static constexpr std::string_view list = "servers";
  auto query = parse_server_query(list, c.query);
  if (!query)
    co_return query.error();
  if (query->user && !c.key->is_operator())
    co_return only_operators_name_users();
  const server_id after{query->page.after ? *parse_id(*query->page.after) : 0};
  const db::server_filter filter{query->user ? query->user : c.owner(), std::move(query->states),
                                 std::move(query->label), std::move(query->external_reference)};
  auto found = co_await edge.servers.list(filter, after, query->page.limit + 1);
  if (!found)
    co_return found.error();
  co_return list_answer(
    list, std::move(*found), query->page.limit, [](json_writer& out, const server& one) { write(out, one); },
    [](const server& one) { return std::to_string(one.id.value); });
}

answer get_server(edge_state& edge, const call& c) {
  const auto found = co_await find_server(edge, c);
  if (!found)
    co_return found.error();
  co_return json_answer(http::status::ok, to_json(*found));
}

answer delete_server(edge_state& edge, const call& c) {
  const auto claim = read_claim(c);
  if (!claim)
    co_return claim.error();
  const auto earlier = co_await find_earlier(edge, *claim);
  if (!earlier)
    co_return earlier.error();
  if (*earlier)
    co_return co_await replay_delete(edge, c, **earlier, **claim, 0);
  const auto id = server_in_path(c);
  if (!id)
    co_return id.error();
  const first_answer pending{edge, *claim};
  const actors::delete_server wanted{*id, c.owner(), c.by(), *claim, c.request.deadline};
  const auto action = co_await edge.ask_provisioner<skyengine::action>(storing_limit, wanted);
  if (!action) {
    const auto stored = co_await find_earlier(edge, *claim);
    if (!stored)
      co_return stored.error();
    if (*stored)
      co_return co_await replay_delete(edge, c, **stored, **claim, 1);
    co_return action.error();
  }
  if (const auto kept = co_await keep_status(edge, *claim, http::status::accepted); !kept)
    co_return kept.error();
  co_return action_answer(*action);
}

} // namespace skyengine::net::api
