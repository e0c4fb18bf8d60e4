#include "domain/names.hpp"
#include "net/api/edge_state.hpp"
#include "net/api/problem.hpp"
#include "net/api/records.hpp"
#include "net/api/replays.hpp"
#include "net/api/routes.hpp"

/// Suspend, unsuspend and change of plan: stored as actions, and answered when they are over, if that is
/// soon.
namespace skyengine::net::api {

namespace {

using namespace std::chrono_literals;
using claim_of_key = std::optional<idempotency_claim>;
using standing = db::server_store::standing;

// As for orders: longer than all that storing waits for.
constexpr auto storing_limit = 2min;

unsigned status_of(const action& one) {
  if (one.state == action_state::failed && one.failure)
    return static_cast<unsigned>(problem_of(one.failure->code).status);
  return static_cast<unsigned>(one.state == action_state::succeeded ? http::status::ok
                                                                    : http::status::accepted);
}

http::response render(const call& c, const standing& now, unsigned status) {
  if (status >= 400 && now.action.failure)
    return make_problem(*now.action.failure, c.request.request_id, {now.server.id, now.action.id});
  if (status == static_cast<unsigned>(http::status::ok))
    return json_answer(http::status::ok, to_json(now.server));
  auto answer = json_answer(http::status::accepted, to_json(now.action));
  answer.headers.set(http::field::location, "/v1/actions/" + std::to_string(now.action.id.value));
  return answer;
}

/// The answer to what is stored as `action`. Its status is remembered before anybody hears it.
asio::awaitable<result<http::response>>
answer_stored(edge_state& edge, const call& c, action_id action, claim_of_key claim, bool is_replay) {
  const auto now = co_await edge.servers.find_standing(action);
  if (!now)
    co_return now.error();
  auto status = status_of(now->action);
  if (claim) {
    const auto first =
      co_await edge.servers.set_first_status(claim->caller, claim->key, static_cast<int>(status));
    if (!first)
      co_return first.error();
    status = static_cast<unsigned>(*first);
  }
  auto answer = render(c, *now, status);
  if (is_replay)
    mark_replayed(answer);
  co_return answer;
}

/// A repeat: waits with the one who was first, if nobody was answered yet.
asio::awaitable<result<http::response>>
replay(edge_state& edge, const call& c, db::idempotency_binding bound, idempotency_claim claim, int own) {
  const auto is_replay = bound.first_status || has_first_answer(edge, claim, own);
  if (!bound.first_status) {
    const actors::join_action join{*bound.action, edge.services.timers.now() + edge.options.patience,
                                   c.request.deadline};
    const auto joined =
      co_await edge.ask_provisioner<actors::action_outcome>(edge.options.patience + storing_limit, join);
    if (!joined)
      co_return joined.error();
  }
  co_return co_await answer_stored(edge, c, *bound.action, claim, is_replay);
}

/// The plan of a resize, when it may become the server's. errc::not_found; errc::invalid_request.
asio::awaitable<result<>> check_plan(edge_state& edge, const call& c, server_id id, plan_id wanted) {
  const auto server = co_await edge.servers.find(id, c.owner());
  if (!server)
    co_return server.error();
  if (server->order.plan == wanted)
    co_return result<>{};
  const auto target = co_await edge.catalogue.find_plan(wanted);
  if (!target && target.error().code != errc::not_found)
    co_return target.error();
  field_faults faults;
  if (!target)
    faults.add("planId", "there is no plan \"" + wanted.value + "\"");
  else if (!target->active)
    faults.add("planId", "the plan \"" + wanted.value + "\" is not sold any more");
  if (!faults.empty())
    co_return faults.as_error();
  const auto present = co_await edge.catalogue.find_plan(server->order.plan);
  if (!present)
    co_return present.error();
  if (present->currency != target->currency) {
    faults.add("planId", "the plan \"" + wanted.value + "\" is paid in " + target->currency.value +
                           ", the server's in " + present->currency.value);
    co_return faults.as_error();
  }
  co_return result<>{};
}

/// What a body asks for.
struct control_draft {
  std::optional<std::string> reason;
  std::optional<plan_id> plan;
};

result<control_draft> parse(action_kind kind, const call& c) {
  control_draft wanted;
  const auto body = kind == action_kind::resize ? read_body(c.request) : read_optional_body(c.request);
  if (!body)
    return body.error();
  field_faults faults;
  field_reader fields{*body, faults};
  if (kind == action_kind::suspend)
    wanted.reason = fields.text("reason", presence::optional, check_text);
  if (kind == action_kind::resize)
    if (auto plan = fields.text("planId", presence::required, check_short_name))
      wanted.plan = plan_id{std::move(*plan)};
  fields.finish();
  if (!faults.empty())
    return faults.as_error();
  return wanted;
}

asio::awaitable<result<http::response>> control(edge_state& edge, const call& c, action_kind kind) {
  const auto claim = read_claim(c);
  if (!claim)
    co_return claim.error();
  const auto earlier = co_await find_earlier(edge, *claim);
  if (!earlier)
    co_return earlier.error();
  if (*earlier)
    co_return co_await replay(edge, c, **earlier, **claim, 0);
  const auto id = server_in_path(c);
  if (!id)
    co_return id.error();
  const auto draft = parse(kind, c);
  if (!draft)
    co_return draft.error();
  if (draft->plan)
    if (const auto fits = co_await check_plan(edge, c, *id, *draft->plan); !fits)
      co_return fits.error();

  const first_answer pending{edge, *claim};
  const actors::control_server wanted{*id,
                                      kind,
                                      c.owner(),
                                      c.by(),
                                      draft->reason,
                                      draft->plan,
                                      *claim,
                                      edge.services.timers.now() + edge.options.patience,
                                      c.request.deadline};
  const auto outcome =
    co_await edge.ask_provisioner<actors::action_outcome>(edge.options.patience + storing_limit, wanted);
  if (!outcome) {
    // Somebody else was first with this key, or the order was stored and its answer lost.
    const auto stored = co_await find_earlier(edge, *claim);
    if (!stored)
      co_return stored.error();
    if (*stored)
      co_return co_await replay(edge, c, **stored, **claim, 1);
    co_return outcome.error();
  }
  if (outcome->action != action_id{})
    co_return co_await answer_stored(edge, c, outcome->action, *claim, false);
  const auto server = co_await edge.servers.find(*id, c.owner());
  if (!server)
    co_return server.error();
  co_return json_answer(http::status::ok, to_json(*server));
}

} // namespace

answer suspend_server(edge_state& edge, const call& c) {
  return control(edge, c, action_kind::suspend);
}

answer unsuspend_server(edge_state& edge, const call& c) {
  return control(edge, c, action_kind::unsuspend);
}

answer put_server_plan(edge_state& edge, const call& c) {
  return control(edge, c, action_kind::resize);
}

} // namespace skyengine::net::api
