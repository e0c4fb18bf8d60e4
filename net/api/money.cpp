#include "domain/rating.hpp"
#include "domain/time_format.hpp"
#include "net/api/edge_state.hpp"
#include "net/api/records.hpp"
#include "net/api/routes.hpp"

#include <algorithm>

namespace skyengine::net::api {

namespace {

using std::chrono::sys_seconds;

/// Whose money is asked for: the key's own user's, or with an operator's key that of the user it names.
result<user_id> whose(const call& c, std::optional<user_id> named) {
  if (!c.key->is_operator()) {
    if (named)
      return only_operators_name_users();
    return *c.key->user;
  }
  if (!named)
    return error{errc::invalid_request,
                 "an operator's key names the user: ?userId=",
                 {{"userId", "is missing: an operator's key names the user"}}};
  return *named;
}

/// As `failed`, in the words of the parameter where there is no such user.
error explain(const error& failed) {
  if (failed.code == errc::not_found)
    return {errc::invalid_request, "userId is unknown", {{"userId", "is unknown"}}};
  return failed;
}

error too_many_reports() {
  return {errc::overloaded, "too many reports are being made"};
}

sys_seconds present_month(const edge_state& edge) {
  return month_of(std::chrono::floor<std::chrono::seconds>(edge.services.business.now()));
}

std::string day_text(std::chrono::sys_days day) {
  return format_time(instant{day}).substr(0, 10);
}

void write_posted(json_writer& out, server_id server, const db::posted_charge& one) {
  out.begin_object();
  out.member("serverId", server);
  if (one.month)
    out.member("month", month_text(*one.month));
  out.member("hour", instant{one.hour});
  out.member("seconds", one.seconds);
  write_amount(out, "amount", one.amount, one.currency);
  out.member("planId", one.plan);
  if (!one.month) {
    out.member("basis", to_string(one.basis));
    out.member("estimated", one.is_estimated);
  }
  out.end_object();
}

void write_server(json_writer& out, const db::server_usage& one) {
  std::int64_t seconds = 0;
  money sum;
  for (const auto& plan : one.plans) {
    seconds += plan.seconds;
    sum.micros += plan.sum.micros;
  }
  out.begin_object();
  out.member("serverId", one.server);
  out.member("seconds", seconds);
  write_amount(out, "amount", sum, one.currency);
  out.key("plans");
  out.begin_array();
  for (const auto& plan : one.plans) {
    out.begin_object();
    out.member("planId", plan.plan);
    out.member("seconds", plan.seconds);
    write_amount(out, "amount", plan.sum, one.currency);
    out.end_object();
  }
  out.end_array();
  out.end_object();
}

/// The members that say what a month has come to in one currency.
void write_currency(json_writer& out, const db::currency_usage& one) {
  out.member("currency", one.currency);
  write_amount(out, "soFar", one.so_far, one.currency);
  write_amount(out, "forecast", one.forecast, one.currency);
  write_amount(out, "corrections", one.corrections, one.currency);
  out.key("days");
  out.begin_array();
  for (const auto& day : one.days) {
    out.begin_object();
    out.member("day", day_text(day.day));
    write_amount(out, "amount", day.sum, one.currency);
    out.end_object();
  }
  out.end_array();
}

/// Which of `currencies` the answer speaks of first: the user's own where it has one, else the first.
std::size_t first_of(const std::vector<db::currency_usage>& currencies, const currency_code& own) {
  const auto found = std::find_if(currencies.begin(), currencies.end(),
                                  [&](const db::currency_usage& one) { return one.currency == own; });
  return found == currencies.end() ? 0 : static_cast<std::size_t>(found - currencies.begin());
}

http::response
usage_answer(std::string_view list, sys_seconds month, user_id user, const db::month_usage& usage) {
  json_writer out{1'024 + usage.servers.size() * 200};
  out.begin_object();
  out.member("month", month_text(month));
  out.member("userId", user);
  const auto first = first_of(usage.currencies, usage.currency);
  db::currency_usage nothing;
  nothing.currency = usage.currency;
  write_currency(out, usage.currencies.empty() ? nothing : usage.currencies[first]);
  if (usage.currencies.size() > 1) {
    out.key("otherCurrencies");
    out.begin_array();
    for (std::size_t i = 0; i < usage.currencies.size(); ++i) {
      if (i == first)
        continue;
      out.begin_object();
      write_currency(out, usage.currencies[i]);
      out.end_object();
    }
    out.end_array();
  }
  out.key("servers");
  out.begin_array();
  for (const auto& one : usage.servers)
    write_server(out, one);
  out.end_array();
  if (usage.has_more_servers)
    out.member("nextCursor", make_cursor(list, std::to_string(usage.servers.back().server.value)));
  out.end_object();
  return json_answer(http::status::ok, std::move(out).take());
}

void write_line(json_writer& out, const invoice_line& line, const currency_code& currency) {
  out.begin_object();
  out.member("serverId", line.item.server);
  out.member("planId", line.item.plan);
  out.member("seconds", line.item.seconds);
  out.member("hours", hours_text(line.item.seconds));
  write_amount(out, "unitPrice", line.item.monthly_price, currency);
  out.member("hoursPerMonth", line.item.hours_per_month);
  write_amount(out, "charged", line.item.charged, currency);
  write_amount(out, "amount", line.amount, currency);
  out.end_object();
}

/// The servers that a page of lines shows: those behind `after`, up to and with `last`.
struct server_range {
  server_id after;
  server_id last;
  bool has_more = false;
};

server_range page_of(const std::vector<invoice>& invoices, server_id after, int limit) {
  std::vector<server_id> servers;
  for (const auto& one : invoices)
    for (const auto& line : one.lines)
      if (line.item.server > after)
        servers.push_back(line.item.server);
  std::sort(servers.begin(), servers.end());
  servers.erase(std::unique(servers.begin(), servers.end()), servers.end());
  const auto size = std::min(servers.size(), static_cast<std::size_t>(limit));
  return {after, size == 0 ? after : servers[size - 1], servers.size() > size};
}

void write_invoice(json_writer& out, const invoice& one, const server_range& page) {
  out.begin_object();
  out.member("currency", one.currency);
  out.key("lines");
  out.begin_array();
  for (const auto& line : one.lines)
    if (line.item.server > page.after && line.item.server <= page.last)
      write_line(out, line, one.currency);
  out.end_array();
  write_amount(out, "subtotal", one.subtotal, one.currency);
  out.member("taxBasisPoints", one.tax_basis_points);
  write_amount(out, "tax", one.tax, one.currency);
  write_amount(out, "total", one.total, one.currency);
  write_amount(out, "rounding", one.rounding, one.currency);
  out.end_object();
}

} // namespace

answer list_server_charges(edge_state& edge, const call& c) {
  const auto server = co_await find_server(edge, c);
  if (!server)
    co_return server.error();
  const auto list = "charges " + std::to_string(server->id.value);
  const auto query = parse_charge_query(list, c.query);
  if (!query)
    co_return query.error();
  db::charge_range range{query->from, query->to, std::nullopt};
  if (query->after)
    range.after = {query->after->first, query->after->second};
  auto found = co_await edge.money.charges_of(server->id, range, query->limit + 1);
  if (!found)
    co_return found.error();
  const auto has_more = found->size() > static_cast<std::size_t>(query->limit);
  if (has_more)
    found->pop_back();
  json_writer out{256 + found->size() * 200};
  out.begin_object();
  out.key("items");
  out.begin_array();
  for (const auto& one : *found)
    if (!one.month)
      write_posted(out, server->id, one);
  out.end_array();
  out.key("corrections");
  out.begin_array();
  for (const auto& one : *found)
    if (one.month)
      write_posted(out, server->id, one);
  out.end_array();
  if (has_more) {
    const auto& last = found->back();
    out.member("nextCursor", make_cursor(list, charge_key(last.hour, last.month.value_or(sys_seconds{}))));
  }
  out.end_object();
  co_return json_answer(http::status::ok, std::move(out).take());
}

answer get_usage(edge_state& edge, const call& c) {
  static constexpr std::string_view list = "usage";
  const auto query = parse_report_query(list, c.query, month_choice::given);
  if (!query)
    co_return query.error();
  const auto user = whose(c, query->user);
  if (!user)
    co_return user.error();
  const auto present = present_month(edge);
  const auto month = query->month.value_or(present);
  if (month > present)
    co_return error{errc::invalid_request, "that month is yet to come", {{"month", "is yet to come"}}};
  const auto place = edge.report_gate.enter(*user);
  if (!place)
    co_return too_many_reports();
  const auto state = month < present ? db::month_state::over : db::month_state::present;
  const auto usage = co_await edge.money.usage_of(*user, month, state, query->after, query->limit);
  if (!usage)
    co_return explain(usage.error());
  co_return usage_answer(list, month, *user, *usage);
}

answer get_balance(edge_state& edge, const call& c) {
  const auto named = parse_user_query(c.query);
  if (!named)
    co_return named.error();
  const auto user = whose(c, *named);
  if (!user)
    co_return user.error();
  const auto balances = co_await edge.money.balances_of(*user);
  if (!balances)
    co_return explain(balances.error());
  json_writer out;
  out.begin_object();
  out.member("userId", *user);
  out.key("items");
  out.begin_array();
  for (const auto& one : *balances) {
    out.begin_object();
    out.member("currency", one.currency);
    write_amount(out, "unbilled", one.unbilled, one.currency);
    write_amount(out, "open", one.open, one.currency);
    write_amount(out, "credit", one.credit, one.currency);
    out.end_object();
  }
  out.end_array();
  out.end_object();
  co_return json_answer(http::status::ok, std::move(out).take());
}

answer preview_invoice(edge_state& edge, const call& c) {
  static constexpr std::string_view list = "invoice-preview";
  const auto query = parse_report_query(list, c.query, month_choice::none);
  if (!query)
    co_return query.error();
  const auto user = whose(c, query->user);
  if (!user)
    co_return user.error();
  const auto place = edge.report_gate.enter(*user);
  if (!place)
    co_return too_many_reports();
  const auto month = present_month(edge);
  const auto invoices = co_await edge.money.preview_invoices(*user, month);
  if (!invoices)
    co_return explain(invoices.error());
  const auto page = page_of(*invoices, query->after, query->limit);
  json_writer out{1'024};
  out.begin_object();
  out.member("month", month_text(month));
  out.member("userId", *user);
  out.key("items");
  out.begin_array();
  for (const auto& one : *invoices)
    write_invoice(out, one, page);
  out.end_array();
  if (page.has_more)
    out.member("nextCursor", make_cursor(list, std::to_string(page.last.value)));
  out.end_object();
  co_return json_answer(http::status::ok, std::move(out).take());
}

} // namespace skyengine::net::api
