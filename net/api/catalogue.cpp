#include "domain/names.hpp"
#include "net/api/edge_state.hpp"
#include "net/api/records.hpp"
#include "net/api/routes.hpp"

namespace skyengine::net::api {

namespace {

http::status status_of(db::upsert done) {
  return done == db::upsert::created ? http::status::created : http::status::ok;
}

/// errc::invalid_request when a short name in a path is none.
result<> check_path_name(std::string_view field, std::string_view name) {
  if (const auto checked = check_short_name(name); !checked)
    return error{
      errc::invalid_request, checked.error().detail, {{std::string{field}, checked.error().detail}}};
  return {};
}

} // namespace

// -- plans -----------------------------------------------------------------------

answer put_plan(edge_state& edge, const call& c) {
  if (const auto named = check_path_name("planId", c.parameters[0]); !named)
    co_return named.error();
  const auto body = read_body(c.request);
  if (!body)
    co_return body.error();
  field_faults faults;
  const auto wanted = parse_plan(c.parameters[0], *body, faults);
  if (!faults.empty())
    co_return faults.as_error();
  const auto done = co_await edge.catalogue.put_plan(wanted, c.key->caller(), edge.services.business.now());
  if (!done)
    co_return done.error();
  co_return json_answer(status_of(*done), to_json(wanted));
}

answer get_plan(edge_state& edge, const call& c) {
  const auto found = co_await edge.catalogue.find_plan({c.parameters[0]});
  if (!found)
    co_return found.error();
  co_return json_answer(http::status::ok, to_json(*found));
}

answer list_plans(edge_state& edge, const call& c) {
  static constexpr std::string_view list = "plans";
  const auto page = parse_page(list, c.query);
  if (!page)
    co_return page.error();
  auto found = co_await edge.catalogue.list_plans({page->after.value_or("")}, page->limit + 1);
  if (!found)
    co_return found.error();
  co_return list_answer(
    list, std::move(*found), page->limit, [](json_writer& out, const plan& one) { write(out, one); },
    [](const plan& one) { return one.id.value; });
}

// -- regions ---------------------------------------------------------------------

answer put_region(edge_state& edge, const call& c) {
  if (const auto named = check_path_name("region", c.parameters[0]); !named)
    co_return named.error();
  const auto body = read_body(c.request);
  if (!body)
    co_return body.error();
  field_faults faults;
  const auto wanted = parse_region(c.parameters[0], *body, faults);
  if (!faults.empty())
    co_return faults.as_error();
  const auto done = co_await edge.catalogue.put_region(wanted, c.key->caller(), edge.services.business.now());
  if (!done)
    co_return done.error();
  co_return json_answer(status_of(*done), to_json(wanted));
}

answer get_region(edge_state& edge, const call& c) {
  const auto found = co_await edge.catalogue.find_region({c.parameters[0]});
  if (!found)
    co_return found.error();
  co_return json_answer(http::status::ok, to_json(*found));
}

answer list_regions(edge_state& edge, const call& c) {
  static constexpr std::string_view list = "regions";
  const auto page = parse_page(list, c.query);
  if (!page)
    co_return page.error();
  auto found = co_await edge.catalogue.list_regions({page->after.value_or("")}, page->limit + 1);
  if (!found)
    co_return found.error();
  co_return list_answer(
    list, std::move(*found), page->limit, [](json_writer& out, const region& one) { write(out, one); },
    [](const region& one) { return one.id.value; });
}

// -- users -----------------------------------------------------------------------

answer put_user(edge_state& edge, const call& c) {
  const auto id = parse_id(c.parameters[0]);
  if (!id)
    co_return error{errc::invalid_request,
                    "the id of a user is a positive integer",
                    {{"userId", "is not a positive integer"}}};
  const auto body = read_body(c.request);
  if (!body)
    co_return body.error();
  field_faults faults;
  const auto wanted = parse_user({*id}, *body, faults);
  if (!edge.zones.contains(wanted.timezone))
    faults.add("timezone", "is no time zone that this system knows");
  if (!faults.empty())
    co_return faults.as_error();
  const auto done = co_await edge.catalogue.put_user(wanted, c.key->caller(), edge.services.business.now());
  if (!done)
    co_return done.error();
  const auto stored = co_await edge.catalogue.find_user(wanted.id);
  if (!stored)
    co_return stored.error();
  co_return json_answer(status_of(*done), to_json(*stored));
}

answer get_user(edge_state& edge, const call& c) {
  const auto id = parse_id(c.parameters[0]);
  if (!id)
    co_return error{errc::not_found, "no such user"};
  const auto found = co_await edge.catalogue.find_user({*id});
  if (!found)
    co_return found.error();
  co_return json_answer(http::status::ok, to_json(*found));
}

answer list_users(edge_state& edge, const call& c) {
  static constexpr std::string_view list = "users";
  const auto page = parse_id_page(list, c.query);
  if (!page)
    co_return page.error();
  const auto limit = page->first.limit;
  auto found = co_await edge.catalogue.list_users({page->second.value_or(0)}, limit + 1);
  if (!found)
    co_return found.error();
  co_return list_answer(
    list, std::move(*found), limit, [](json_writer& out, const user& one) { write(out, one); },
    [](const user& one) { return std::to_string(one.id.value); });
}

} // namespace skyengine::net::api
