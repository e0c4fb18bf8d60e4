#include "net/api/edge_state.hpp"
#include "net/api/records.hpp"
#include "net/api/replays.hpp"
#include "net/api/routes.hpp"

#include <array>

namespace skyengine::net::api {

namespace {

using stored = asio::awaitable<result<db::hold_record>>;
using claim = std::optional<idempotency_claim>;

error no_such_hold() {
  return {errc::not_found, "no such hold"};
}

http::response created_answer(const db::hold_record& one) {
  auto answer = json_answer(http::status::created, to_json(one));
  answer.headers.set(http::field::location, "/v1/holds/" + std::to_string(one.id));
  return answer;
}

http::response ok_answer(const db::hold_record& one) {
  return json_answer(http::status::ok, to_json(one));
}

asio::awaitable<result<http::response>> end_hold(edge_state& edge, const call& c, db::hold_outcome outcome) {
  const auto key = read_claim(c);
  if (!key)
    co_return key.error();
  const auto id = parse_id(c.parameters[0]);
  if (!id)
    co_return no_such_hold();
  const auto record = [&edge, &c, id = *id, outcome](claim bound) -> stored {
    co_return co_await edge.holds.end(id, outcome, c.key->caller(), std::move(bound),
                                      edge.services.business.now());
  };
  const auto load = [&edge, id = *id](const db::idempotency_binding&) -> stored {
    co_return co_await edge.holds.find(id);
  };
  co_return co_await answer_once(edge, *key, record, load, ok_answer);
}

} // namespace

answer list_holds(edge_state& edge, const call& c) {
  static constexpr std::array<std::string_view, 2> states{"open", "ended"};
  auto query = c.query;
  const auto state = take_choice(query, "state", states);
  if (!state)
    co_return state.error();
  const auto list = "holds " + (*state ? std::string{states[**state]} : std::string{});
  const auto page = parse_id_page(list, query);
  if (!page)
    co_return page.error();
  const auto limit = page->first.limit;
  const auto is_open = *state ? std::optional{**state == 0} : std::nullopt;
  auto found = co_await edge.holds.list(is_open, page->second, limit + 1);
  if (!found)
    co_return found.error();
  co_return list_answer(
    list, std::move(*found), limit, [](json_writer& out, const db::hold_record& one) { write(out, one); },
    [](const db::hold_record& one) { return std::to_string(one.id); });
}

answer get_hold(edge_state& edge, const call& c) {
  const auto id = parse_id(c.parameters[0]);
  if (!id)
    co_return no_such_hold();
  const auto found = co_await edge.holds.find(*id);
  if (!found)
    co_return found.error();
  co_return ok_answer(*found);
}

answer post_hold(edge_state& edge, const call& c) {
  const auto key = read_claim(c);
  if (!key)
    co_return key.error();
  const auto body = read_body(c.request);
  if (!body)
    co_return body.error();
  field_faults faults;
  const auto wanted = parse_hold(*body, faults);
  if (!faults.empty())
    co_return faults.as_error();
  const auto record = [&edge, &c, &wanted](claim bound) -> stored {
    const db::hold_store::wanted what{wanted.server, wanted.user, wanted.reason};
    co_return co_await edge.holds.insert(what, c.key->caller(), std::move(bound),
                                         edge.services.business.now());
  };
  const auto load = [&edge](const db::idempotency_binding& bound) -> stored {
    co_return co_await edge.holds.find_made(bound.audit_line.value_or(0));
  };
  co_return co_await answer_once(edge, *key, record, load, created_answer);
}

answer release_hold(edge_state& edge, const call& c) {
  co_return co_await end_hold(edge, c, db::hold_outcome::released);
}

answer write_off_hold(edge_state& edge, const call& c) {
  co_return co_await end_hold(edge, c, db::hold_outcome::written_off);
}

} // namespace skyengine::net::api
