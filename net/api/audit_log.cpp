#include "net/api/edge_state.hpp"
#include "net/api/routes.hpp"

namespace skyengine::net::api {

namespace {

void write_entry(json_writer& out, const db::audit_entry& one) {
  out.begin_object();
  out.member("id", one.id);
  out.member("at", one.at);
  out.member("actor", one.actor);
  out.member("action", one.action);
  out.member("target", one.target);
  out.key("detail");
  out.raw(one.detail);
  out.end_object();
}

} // namespace

answer list_audit_log(edge_state& edge, const call& c) {
  static constexpr std::string_view list = "audit-log";
  const auto page = parse_id_page(list, c.query);
  if (!page)
    co_return page.error();
  const auto limit = page->first.limit;
  auto found = co_await edge.audit.list(page->second, limit + 1);
  if (!found)
    co_return found.error();
  co_return list_answer(list, std::move(*found), limit, write_entry,
                        [](const db::audit_entry& one) { return std::to_string(one.id); });
}

} // namespace skyengine::net::api
