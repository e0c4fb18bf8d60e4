// From a target and a body to what is asked for: nothing may crash, and what is accepted must be within its
// bounds.
#include "domain/names.hpp"
#include "net/api/commands.hpp"
#include "net/api/cursor.hpp"
#include "net/api/media_type.hpp"
#include "net/http/strict_json.hpp"
#include "net/http/url.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace {

using namespace skyengine;
using namespace skyengine::net;

void require(bool holds) {
  if (!holds)
    std::abort();
}

void read_query(std::string_view text) {
  const auto query = http::parse_query(text);
  if (!query)
    return;
  if (const auto servers = api::parse_server_query("servers", *query)) {
    require(servers->page.limit >= 1 && servers->page.limit <= api::page_request::most);
    require(!servers->page.after || api::parse_id(*servers->page.after).has_value());
  }
  if (const auto charges = api::parse_charge_query("charges 1", *query))
    require(charges->limit >= 1 && charges->limit <= api::page_request::most && charges->from <= charges->to);
  if (const auto report = api::parse_report_query("usage", *query, api::month_choice::given))
    require(report->limit >= 1 && report->limit <= api::report_query::most_servers);
  if (const auto page = api::parse_page("plans", *query); page && page->after)
    require(api::read_cursor("plans", api::make_cursor("plans", *page->after)).value() == *page->after);
}

void read_order(const boost::json::object& body, api::strictness how) {
  api::field_faults faults;
  const auto order = api::parse_order(body, how, faults);
  if (!faults.empty()) {
    require(faults.as_error().fields.size() <= api::field_faults::most);
    return;
  }
  require(order.plan && order.region && order.labels.size() <= labels_max);
  require(check_short_name(order.plan->value).has_value() &&
          check_short_name(order.region->value).has_value());
}

void read_body(std::string_view text) {
  const auto parsed = http::parse_strict(text);
  if (!parsed || !parsed->is_object())
    return;
  const auto& body = parsed->get_object();
  read_order(body, api::strictness::strict);
  read_order(body, api::strictness::lenient);
  api::field_faults faults;
  const auto plan = api::parse_plan("p", body, faults);
  require(!faults.empty() || plan.terms.monthly_price.micros >= 0);
  api::parse_region("r", body, faults);
  api::parse_user({1}, body, faults);
  api::parse_api_key(body, faults);
}

} // namespace

/// The target stands in the first line, the Accept header in the second, the body behind them.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest{reinterpret_cast<const char*>(data), size};
  const auto take = [&rest] {
    const auto end = rest.find('\n');
    const auto line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    return line;
  };
  const auto target = take();
  const auto mark = target.find('?');
  if (const auto segments = http::path_segments(target.substr(0, mark)))
    for (const auto& each : *segments)
      if (const auto id = api::parse_id(each))
        require(*id > 0);
  if (mark != std::string_view::npos)
    read_query(target.substr(mark + 1));
  constexpr std::array<std::string_view, 2> offers{"application/json", "text/event-stream"};
  const auto accept = take();
  if (const auto chosen = api::negotiate(accept, offers))
    require(*chosen < offers.size());
  static_cast<void>(api::is_json(accept));
  static_cast<void>(api::check_idempotency_key(accept));
  read_body(rest);
  return 0;
}
