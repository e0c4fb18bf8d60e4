#include "net/api/commands.hpp"

#include "domain/api_key.hpp"
#include "domain/hostname.hpp"
#include "domain/names.hpp"
#include "domain/ssh_key.hpp"
#include "domain/time_format.hpp"
#include "net/api/cursor.hpp"

#include <algorithm>
#include <charconv>
#include <functional>

namespace skyengine::net::api {

namespace {

namespace json = boost::json;
using enum presence;

constexpr std::size_t most_ssh_keys = 20;
constexpr std::size_t most_os_templates = 200;
constexpr std::size_t idempotency_key_max = 255;
constexpr std::size_t email_max = 254;
constexpr std::size_t place_name_max = 64;
// A price of 10⁹ units is a slip of the pen.
constexpr money most_price{999'999'999'999'999};

bool is_alphanumeric(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

result<> check_email(std::string_view text) {
  if (const auto plain = check_text(text); !plain)
    return plain.error();
  const auto at = text.find('@');
  const auto is_plausible = text.size() <= email_max && at != std::string_view::npos && at > 0 &&
                            at + 1 < text.size() && text.find('@', at + 1) == std::string_view::npos &&
                            text.find_first_of(" \"<>,;") == std::string_view::npos;
  if (!is_plausible)
    return error{errc::invalid_request, "is no e-mail address"};
  return {};
}

result<> check_locale(std::string_view text) {
  const auto fits = [](char c) { return is_alphanumeric(c) || c == '-'; };
  if (text.size() < 2 || text.size() > 35 || !std::all_of(text.begin(), text.end(), fits) ||
      text.front() == '-' || text.back() == '-')
    return error{errc::invalid_request, "is no language tag such as \"en\" or \"pt-BR\""};
  return {};
}

result<> check_timezone(std::string_view text) {
  const auto fits = [](char c) { return is_alphanumeric(c) || c == '/' || c == '_' || c == '-' || c == '+'; };
  if (text.empty() || text.size() > place_name_max || !std::all_of(text.begin(), text.end(), fits))
    return error{errc::invalid_request, "is no time zone such as \"Europe/Berlin\""};
  return {};
}

/// A sum that is more than nothing, and its currency.
std::optional<amount> read_limit(field_reader& fields, std::string_view name, field_faults& faults) {
  const auto* given = fields.object(name, optional);
  if (given == nullptr)
    return std::nullopt;
  field_reader parts{*given, faults, strictness::strict, "spendingLimits." + std::string{name} + "."};
  std::optional<money> sum;
  std::optional<currency_code> currency;
  if (const auto text = parts.text("amount", required)) {
    const auto parsed = parse_money(*text);
    if (!parsed)
      parts.fault("amount", parsed.error().detail);
    else if (parsed->micros == 0)
      parts.fault("amount", "is not more than nothing");
    else
      sum = *parsed;
  }
  if (const auto text = parts.text("currency", required)) {
    if (const auto code = parse_currency(*text))
      currency = *code;
    else
      parts.fault("currency", code.error().detail);
  }
  parts.finish();
  return sum && currency ? std::optional{amount{*sum, *currency}} : std::nullopt;
}

spending_limits
read_spending_limits(field_reader& fields, const currency_code& currency, field_faults& faults) {
  spending_limits limits;
  const auto* given = fields.object("spendingLimits", optional);
  if (given == nullptr)
    return limits;
  field_reader parts{*given, faults, strictness::strict, "spendingLimits."};
  const auto read = [&](std::string_view name) -> std::optional<money> {
    const auto limit = read_limit(parts, name, faults);
    if (!limit)
      return std::nullopt;
    if (limit->currency != currency)
      parts.fault(std::string{name} + ".currency", "is not the user's, which is " + currency.value);
    return limit->sum;
  };
  limits.alert_at = read("alertAt");
  limits.suspend_at = read("suspendAt");
  parts.finish();
  return limits;
}

std::optional<plan_id> read_plan_id(field_reader& fields, const json::object& body, strictness how) {
  if (const auto* given = body.if_contains("planId");
      how == strictness::lenient && given != nullptr && given->is_int64()) {
    if (const auto number = fields.integer("planId", required, 0))
      return plan_id{std::to_string(*number)};
    return std::nullopt;
  }
  if (auto text = fields.text("planId", required, check_short_name))
    return plan_id{std::move(*text)};
  return std::nullopt;
}

std::vector<std::string> read_ssh_keys(field_reader& fields) {
  std::vector<std::string> lines;
  const auto* given = fields.array("sshKeys", optional, most_ssh_keys);
  if (given == nullptr)
    return lines;
  for (std::size_t i = 0; i < given->size(); ++i) {
    const auto& item = (*given)[i];
    const auto name = "sshKeys[" + std::to_string(i) + "]";
    if (!item.is_string()) {
      fields.fault(name, "is not a string");
      continue;
    }
    const auto key = parse_ssh_key(item.get_string());
    if (!key) {
      fields.fault(name, key.error().detail);
      continue;
    }
    auto line = to_string(*key);
    if (std::find(lines.begin(), lines.end(), line) == lines.end())
      lines.push_back(std::move(line));
  }
  return lines;
}

std::map<std::string, std::string> read_labels(field_reader& fields) {
  std::map<std::string, std::string> labels;
  const auto* given = fields.object("labels", optional);
  if (given == nullptr)
    return labels;
  if (given->size() > labels_max) {
    fields.fault("labels", "has more than " + std::to_string(labels_max) + " labels");
    return labels;
  }
  for (const auto& member : *given) {
    const std::string name{std::string_view{member.key()}};
    if (const auto checked = check_label_name(name); !checked)
      fields.fault("labels." + name, checked.error().detail);
    else if (!member.value().is_string())
      fields.fault("labels." + name, "is not a string");
    else if (const auto text = check_label_value(member.value().get_string()); !text)
      fields.fault("labels." + name, text.error().detail);
    else
      labels.emplace(name, std::string_view{member.value().get_string()});
  }
  return labels;
}

/// One parameter of a query: nullptr when it is absent; a repeated one is a fault.
const std::string*
find_parameter(const query_parameters& query, std::string_view name, std::vector<field_error>& faults) {
  const std::string* found = nullptr;
  for (const auto& each : query) {
    if (each.name != name)
      continue;
    if (found != nullptr) {
      faults.push_back({std::string{name}, "is given twice"});
      return nullptr;
    }
    found = &each.value;
  }
  return found;
}

void refuse_others(const query_parameters& query,
                   std::initializer_list<std::string_view> known,
                   std::vector<field_error>& faults) {
  for (const auto& each : query)
    if (std::find(known.begin(), known.end(), each.name) == known.end())
      faults.push_back({each.name, "is unknown"});
}

page_request read_page(std::string_view list,
                       const query_parameters& query,
                       std::vector<field_error>& faults,
                       int default_limit = page_request{}.limit) {
  page_request page;
  page.limit = default_limit;
  if (const auto* limit = find_parameter(query, "limit", faults)) {
    const auto number = parse_id(*limit);
    if (!number || *number > page_request::most)
      faults.push_back({"limit", "is not an integer from 1 to " + std::to_string(page_request::most)});
    else
      page.limit = static_cast<int>(*number);
  }
  if (const auto* cursor = find_parameter(query, "cursor", faults)) {
    if (auto key = read_cursor(list, *cursor))
      page.after = std::move(*key);
    else
      faults.push_back({"cursor", "is none that this list gave"});
  }
  return page;
}

error unreadable(std::vector<field_error> faults) {
  auto detail = "query parameter " + faults.front().field + ": " + faults.front().reason;
  return {errc::malformed_request, std::move(detail), std::move(faults)};
}

std::vector<server_state> read_states(const std::string& text, std::vector<field_error>& faults) {
  std::vector<server_state> states;
  std::string_view rest{text};
  for (;;) {
    const auto comma = rest.find(',');
    if (const auto state = parse_server_state(rest.substr(0, comma)))
      states.push_back(*state);
    else {
      std::string known;
      for (int i = 0; i <= static_cast<int>(server_state::deleted); ++i)
        known.append(known.empty() ? "" : ", ").append(to_string(static_cast<server_state>(i)));
      faults.push_back({"state", "is no list of states of servers, which are " + known});
      return states;
    }
    if (comma == std::string_view::npos)
      return states;
    rest.remove_prefix(comma + 1);
  }
}

// No charge is older than the epoch, or younger than this.
constexpr std::chrono::sys_seconds end_of_hours = std::chrono::sys_days{std::chrono::year{10'000} / 1 / 1};

std::optional<user_id> read_user(const query_parameters& query, std::vector<field_error>& faults) {
  const auto* text = find_parameter(query, "userId", faults);
  if (text == nullptr)
    return std::nullopt;
  const auto id = parse_id(*text);
  if (!id) {
    faults.push_back({"userId", "is not a positive integer"});
    return std::nullopt;
  }
  return user_id{*id};
}

std::optional<instant>
read_time(const query_parameters& query, std::string_view name, std::vector<field_error>& faults) {
  const auto* text = find_parameter(query, name, faults);
  if (text == nullptr)
    return std::nullopt;
  const auto at = parse_time(*text);
  if (at)
    return *at;
  faults.push_back({std::string{name}, at.error().detail});
  return std::nullopt;
}

/// A bound of hours: the first full second at or after the time that is given.
std::chrono::sys_seconds read_bound(const query_parameters& query,
                                    std::string_view name,
                                    std::chrono::sys_seconds without,
                                    std::vector<field_error>& faults) {
  const auto at = read_time(query, name, faults);
  return at ? std::chrono::ceil<std::chrono::seconds>(*at) : without;
}

std::string not_one_of(std::span<const std::string_view> choices) {
  std::string reason = "is not one of ";
  for (const auto choice : choices)
    reason.append(choice == choices.front() ? "" : ", ").append(choice);
  return reason;
}

std::optional<std::pair<std::chrono::sys_seconds, std::chrono::sys_seconds>>
parse_charge_key(std::string_view key) {
  const auto dot = key.find('.');
  const auto hour = parse_id(key.substr(0, dot));
  if (!hour || dot == std::string_view::npos)
    return std::nullopt;
  const auto rest = key.substr(dot + 1);
  const auto month = rest == "0" ? std::optional<std::int64_t>{0} : parse_id(rest);
  if (!month || std::max(*hour, *month) > end_of_hours.time_since_epoch().count())
    return std::nullopt;
  return std::pair{std::chrono::sys_seconds{std::chrono::seconds{*hour}},
                   std::chrono::sys_seconds{std::chrono::seconds{*month}}};
}

} // namespace

order_draft parse_order(const json::object& body, strictness how, field_faults& faults) {
  field_reader fields{body, faults, how};
  order_draft order;
  order.plan = read_plan_id(fields, body, how);
  if (auto region = fields.text("region", required, check_short_name))
    order.region = region_id{std::move(*region)};
  order.hostname = fields.text("hostname", optional, check_hostname);
  if (const auto id = fields.integer("osTemplateId", optional, 1))
    order.os_template = os_template_id{*id};
  order.ssh_keys = read_ssh_keys(fields);
  order.ipv6 = fields.boolean("ipv6", optional);
  order.is_dry_run = fields.boolean("dryRun", optional).value_or(false);
  if (const auto id = fields.integer("userId", optional, 1))
    order.user = user_id{*id};
  order.labels = read_labels(fields);
  order.external_reference = fields.text("externalReference", optional, check_text);
  fields.finish();
  return order;
}

plan parse_plan(std::string_view id, const json::object& body, field_faults& faults) {
  plan wanted;
  wanted.id = {std::string{id}};
  field_reader fields{body, faults};
  wanted.name = fields.text("name", required, check_text).value_or("");
  if (const auto* price = fields.object("price", required)) {
    field_reader parts{*price, faults, strictness::strict, "price."};
    if (const auto amount = parts.text("amount", required)) {
      if (const auto sum = parse_money(*amount, most_price))
        wanted.terms.monthly_price = *sum;
      else
        parts.fault("amount", sum.error().detail);
    }
    if (const auto currency = parts.text("currency", required)) {
      if (const auto code = parse_currency(*currency))
        wanted.currency = *code;
      else
        parts.fault("currency", code.error().detail);
    }
    parts.finish();
  }
  wanted.package = {fields.integer("virtfusionPackageId", required, 1).value_or(0)};
  wanted.terms.hours_per_month = static_cast<int>(
    fields.integer("hoursPerMonth", optional, 1, 8'784).value_or(wanted.terms.hours_per_month));
  if (const auto text = fields.text("basis", optional)) {
    if (const auto basis = parse_billing_basis(*text))
      wanted.terms.basis = *basis;
    else
      fields.fault("basis", "is neither allocated nor uptime");
  }
  if (const auto text = fields.text("granularity", optional)) {
    if (const auto granularity = parse_billing_granularity(*text))
      wanted.terms.granularity = *granularity;
    else
      fields.fault("granularity", "is neither second nor hour");
  }
  if (const auto* templates = fields.array("osTemplateIds", optional, most_os_templates))
    for (std::size_t i = 0; i < templates->size(); ++i) {
      const auto* number = (*templates)[i].if_int64();
      if (number == nullptr || *number < 1)
        fields.fault("osTemplateIds[" + std::to_string(i) + "]", "is not an id");
      else
        wanted.os_templates.push_back(*number);
    }
  wanted.ipv6 = fields.boolean("ipv6", optional).value_or(false);
  wanted.active = fields.boolean("active", optional).value_or(true);
  fields.finish();
  return wanted;
}

region parse_region(std::string_view id, const json::object& body, field_faults& faults) {
  region wanted;
  wanted.id = {std::string{id}};
  field_reader fields{body, faults};
  wanted.name = fields.text("name", required, check_text).value_or("");
  wanted.group = {fields.integer("virtfusionHypervisorGroupId", required, 1).value_or(0)};
  wanted.active = fields.boolean("active", optional).value_or(true);
  fields.finish();
  return wanted;
}

user parse_user(user_id id, const json::object& body, field_faults& faults) {
  user wanted;
  wanted.id = id;
  wanted.currency = {"USD"};
  field_reader fields{body, faults};
  wanted.name = fields.text("name", required, check_text).value_or("");
  wanted.email = fields.text("email", required, check_email).value_or("");
  if (const auto text = fields.text("currency", optional)) {
    if (const auto code = parse_currency(*text))
      wanted.currency = *code;
    else
      fields.fault("currency", code.error().detail);
  }
  wanted.tax_basis_points =
    static_cast<int>(fields.integer("taxBasisPoints", optional, 0, 10'000).value_or(0));
  wanted.locale = fields.text("locale", optional, check_locale).value_or(wanted.locale);
  wanted.timezone = fields.text("timezone", optional, check_timezone).value_or(wanted.timezone);
  wanted.limits = read_spending_limits(fields, wanted.currency, faults);
  fields.finish();
  return wanted;
}

api_key_draft parse_api_key(const json::object& body, field_faults& faults) {
  api_key_draft wanted;
  field_reader fields{body, faults};
  const auto user = fields.integer("userId", optional, 1);
  const auto is_operator = fields.boolean("operator", optional).value_or(false);
  if (user)
    wanted.user = user_id{*user};
  if (body.contains("userId") == is_operator)
    fields.fault("userId", "either userId or operator: true says whose key it is");
  const auto* scopes = fields.array("scopes", is_operator ? optional : required, known_scopes.size());
  if (scopes != nullptr) {
    for (std::size_t i = 0; i < scopes->size(); ++i) {
      const auto* text = (*scopes)[i].if_string();
      const auto is_known = text != nullptr && std::find(known_scopes.begin(), known_scopes.end(),
                                                         std::string_view{*text}) != known_scopes.end();
      if (!is_known)
        fields.fault("scopes[" + std::to_string(i) + "]", "is no scope: there are " + all_scopes());
      else if (std::find(wanted.scopes.begin(), wanted.scopes.end(), std::string_view{*text}) ==
               wanted.scopes.end())
        wanted.scopes.emplace_back(std::string_view{*text});
    }
  }
  wanted.name = fields.text("name", required, check_text).value_or("");
  fields.finish();
  return wanted;
}

hold_draft parse_hold(const json::object& body, field_faults& faults) {
  hold_draft wanted;
  field_reader fields{body, faults};
  if (const auto server = fields.integer("serverId", optional, 1))
    wanted.server = server_id{*server};
  if (const auto user = fields.integer("userId", optional, 1))
    wanted.user = user_id{*user};
  if (body.contains("serverId") == body.contains("userId"))
    fields.fault("serverId", "either serverId or userId says whose time is held");
  wanted.reason = fields.text("reason", required, check_text).value_or("");
  fields.finish();
  return wanted;
}

std::optional<drift_way> parse_drift_resolution(const json::object& body, field_faults& faults) {
  field_reader fields{body, faults};
  const auto text = fields.text("how", required);
  const auto how = text ? parse_drift_way(*text) : std::nullopt;
  if (text && !how)
    fields.fault("how", "is not one of adopt, ignore, delete, take_over");
  fields.finish();
  return how;
}

std::optional<std::int64_t> parse_id(std::string_view text) noexcept {
  std::int64_t number = 0;
  if (text.empty() || text.front() < '1' || text.front() > '9')
    return std::nullopt;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return number;
}

result<page_request> parse_page(std::string_view list, const query_parameters& query) {
  std::vector<field_error> faults;
  auto page = read_page(list, query, faults);
  refuse_others(query, {"limit", "cursor"}, faults);
  if (!faults.empty())
    return unreadable(std::move(faults));
  return page;
}

result<std::pair<page_request, std::optional<std::int64_t>>> parse_id_page(std::string_view list,
                                                                           const query_parameters& query) {
  auto page = parse_page(list, query);
  if (!page)
    return page.error();
  std::optional<std::int64_t> after;
  if (page->after) {
    after = parse_id(*page->after);
    if (!after)
      return unreadable({{"cursor", "is none that this list gave"}});
  }
  return std::pair{std::move(*page), after};
}

result<std::optional<std::size_t>>
take_choice(query_parameters& query, std::string_view name, std::span<const std::string_view> choices) {
  const auto has_name = [&](const auto& one) { return one.name == name; };
  const auto first = std::find_if(query.begin(), query.end(), has_name);
  if (first == query.end())
    return std::optional<std::size_t>{};
  const auto chosen = std::find(choices.begin(), choices.end(), first->value);
  if (chosen == choices.end() || std::count_if(query.begin(), query.end(), has_name) > 1) {
    return unreadable({{std::string{name}, not_one_of(choices)}});
  }
  query.erase(first);
  return std::optional{static_cast<std::size_t>(chosen - choices.begin())};
}

result<server_query> parse_server_query(std::string_view list, const query_parameters& query) {
  std::vector<field_error> faults;
  server_query wanted;
  wanted.page = read_page(list, query, faults);
  wanted.user = read_user(query, faults);
  if (const auto* states = find_parameter(query, "state", faults))
    wanted.states = read_states(*states, faults);
  if (const auto* label = find_parameter(query, "label", faults)) {
    const auto colon = label->find(':');
    if (colon == std::string::npos || !check_label_name(std::string_view{*label}.substr(0, colon)))
      faults.push_back({"label", "is not name:value"});
    else
      wanted.label.emplace(label->substr(0, colon), label->substr(colon + 1));
  }
  if (const auto* reference = find_parameter(query, "externalReference", faults))
    wanted.external_reference = *reference;
  refuse_others(query, {"limit", "cursor", "userId", "state", "label", "externalReference"}, faults);
  if (wanted.page.after && !parse_id(*wanted.page.after))
    faults.push_back({"cursor", "is none that this list gave"});
  if (!faults.empty())
    return unreadable(std::move(faults));
  return wanted;
}

result<charge_query> parse_charge_query(std::string_view list, const query_parameters& query) {
  std::vector<field_error> faults;
  const auto page = read_page(list, query, faults);
  charge_query wanted{page.limit, read_bound(query, "from", {}, faults),
                      read_bound(query, "to", end_of_hours, faults), std::nullopt};
  refuse_others(query, {"limit", "cursor", "from", "to"}, faults);
  if (faults.empty() && wanted.to < wanted.from)
    faults.push_back({"to", "is before from"});
  if (page.after) {
    wanted.after = parse_charge_key(*page.after);
    if (!wanted.after)
      faults.push_back({"cursor", "is none that this list gave"});
  }
  if (!faults.empty())
    return unreadable(std::move(faults));
  return wanted;
}

result<series_query> parse_series_query(const query_parameters& query) {
  std::vector<field_error> faults;
  series_query wanted;
  if (const auto* text = find_parameter(query, "step", faults)) {
    const auto* const found = std::find(series_steps.begin(), series_steps.end(), *text);
    if (found == series_steps.end())
      faults.push_back({"step", not_one_of(series_steps)});
    else
      wanted.step = static_cast<std::size_t>(found - series_steps.begin());
  }
  wanted.from = read_time(query, "from", faults);
  wanted.to = read_time(query, "to", faults);
  refuse_others(query, {"from", "to", "step"}, faults);
  if (wanted.from && wanted.to && *wanted.to < *wanted.from)
    faults.push_back({"to", "is before from"});
  if (!faults.empty())
    return unreadable(std::move(faults));
  return wanted;
}

std::string charge_key(std::chrono::sys_seconds hour, std::chrono::sys_seconds month) {
  return std::to_string(hour.time_since_epoch().count()) + '.' +
         std::to_string(month.time_since_epoch().count());
}

result<report_query>
parse_report_query(std::string_view list, const query_parameters& query, month_choice choice) {
  std::vector<field_error> faults;
  report_query wanted;
  const auto page = read_page(list, query, faults, report_query::most_servers);
  wanted.limit = page.limit;
  if (page.after) {
    const auto after = parse_id(*page.after);
    if (!after)
      faults.push_back({"cursor", "is none that this list gave"});
    wanted.after = {after.value_or(0)};
  }
  wanted.user = read_user(query, faults);
  if (choice == month_choice::given) {
    if (const auto* text = find_parameter(query, "month", faults)) {
      wanted.month = parse_month(*text);
      if (!wanted.month)
        faults.push_back({"month", "is no month such as 2026-11"});
    }
    refuse_others(query, {"limit", "cursor", "userId", "month"}, faults);
  } else {
    refuse_others(query, {"limit", "cursor", "userId"}, faults);
  }
  if (!faults.empty())
    return unreadable(std::move(faults));
  return wanted;
}

result<std::optional<user_id>> parse_user_query(const query_parameters& query) {
  std::vector<field_error> faults;
  const auto user = read_user(query, faults);
  refuse_others(query, {"userId"}, faults);
  if (!faults.empty())
    return unreadable(std::move(faults));
  return user;
}

std::optional<std::chrono::sys_seconds> parse_month(std::string_view text) noexcept {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.size() != 7 || text[4] != '-')
    return std::nullopt;
  for (const auto i : {0, 1, 2, 3, 5, 6})
    if (!is_digit(text[static_cast<std::size_t>(i)]))
      return std::nullopt;
  int year = 0;
  unsigned month = 0;
  std::from_chars(text.data(), text.data() + 4, year);
  std::from_chars(text.data() + 5, text.data() + 7, month);
  const std::chrono::year_month_day day{std::chrono::year{year}, std::chrono::month{month},
                                        std::chrono::day{1}};
  if (!day.ok())
    return std::nullopt;
  return std::chrono::sys_days{day};
}

std::string month_text(std::chrono::sys_seconds month) {
  return format_time(instant{month}).substr(0, 7);
}

result<> check_idempotency_key(std::string_view key) {
  const auto is_printable = [](char c) { return c >= ' ' && c <= '~'; };
  if (key.empty() || key.size() > idempotency_key_max || !std::all_of(key.begin(), key.end(), is_printable))
    return error{errc::malformed_request, "Idempotency-Key is not 1 to 255 printable ASCII characters"};
  return {};
}

} // namespace skyengine::net::api
