#pragma once

#include "domain/catalogue.hpp"
#include "domain/clock.hpp"
#include "domain/drift.hpp"
#include "domain/error.hpp"
#include "domain/ids.hpp"
#include "domain/server_lifecycle.hpp"
#include "net/api/field_reader.hpp"
#include "net/http/url.hpp"

#include <boost/json/object.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// From a request's texts to what is asked for, without knowing what exists: pure, and noting every fault.
namespace skyengine::net::api {

/// A create as far as its body alone tells. What is nullopt and needed is in the faults.
struct order_draft {
  std::optional<plan_id> plan;
  std::optional<region_id> region;
  std::optional<user_id> user;
  std::optional<std::string> hostname;
  std::optional<os_template_id> os_template;
  std::vector<std::string> ssh_keys;
  /// nullopt: as the plan says.
  std::optional<bool> ipv6;
  std::map<std::string, std::string> labels;
  std::optional<std::string> external_reference;
  bool is_dry_run = false;
};
/// Lenient: `planId` may be a number.
order_draft parse_order(const boost::json::object& body, strictness how, field_faults& faults);

plan parse_plan(std::string_view id, const boost::json::object& body, field_faults& faults);
region parse_region(std::string_view id, const boost::json::object& body, field_faults& faults);
user parse_user(user_id id, const boost::json::object& body, field_faults& faults);

struct api_key_draft {
  /// nullopt: the operator's.
  std::optional<user_id> user;
  std::vector<std::string> scopes;
  std::string name;
};
api_key_draft parse_api_key(const boost::json::object& body, field_faults& faults);

/// Whose time is held, and why: `server` or `user`, exactly one of them unless there are faults.
struct hold_draft {
  std::optional<server_id> server;
  std::optional<user_id> user;
  std::string reason;
};
hold_draft parse_hold(const boost::json::object& body, field_faults& faults);
/// `{"how": …}`; nullopt with a fault.
std::optional<drift_way> parse_drift_resolution(const boost::json::object& body, field_faults& faults);

/// An id in a path: a positive integer in plain digits; nullopt for anything else, which names nothing.
std::optional<std::int64_t> parse_id(std::string_view text) noexcept;

/// Which part of a list is wanted.
struct page_request {
  static constexpr int most = 200;
  int limit = 50;
  /// The sort key of the last item of the page before.
  std::optional<std::string> after;
};

struct server_query {
  page_request page;
  std::optional<user_id> user;
  std::vector<server_state> states;
  std::optional<std::pair<std::string, std::string>> label;
  std::optional<std::string> external_reference;
};

using query_parameters = std::vector<http::query_parameter>;

/// errc::malformed_request with every parameter that is unknown, made up or given twice. `list` is the name
/// that the list's cursors carry.
result<page_request> parse_page(std::string_view list, const query_parameters& query);
/// The same for a list in order of numeric ids: the page, and the id that it begins behind.
result<std::pair<page_request, std::optional<std::int64_t>>> parse_id_page(std::string_view list,
                                                                           const query_parameters& query);
/// Takes the parameter `name` out of the query, which is one of `choices`: its place there; nullopt where it
/// is not given. errc::malformed_request.
result<std::optional<std::size_t>>
take_choice(query_parameters& query, std::string_view name, std::span<const std::string_view> choices);
result<server_query> parse_server_query(std::string_view list, const query_parameters& query);

struct charge_query {
  int limit = 50;
  /// [from, to), by hour.
  std::chrono::sys_seconds from;
  std::chrono::sys_seconds to;
  /// The hour of the last item of the page before, and the month that it corrects (the epoch: it is a
  /// charge).
  std::optional<std::pair<std::chrono::sys_seconds, std::chrono::sys_seconds>> after;
};
result<charge_query> parse_charge_query(std::string_view list, const query_parameters& query);
/// The cursor key that it reads.
std::string charge_key(std::chrono::sys_seconds hour, std::chrono::sys_seconds month);

/// Each observation, or means by hour or day.
constexpr std::array<std::string_view, 3> series_steps{"raw", "hour", "day"};
struct series_query {
  /// Its place in `series_steps`.
  std::optional<std::size_t> step;
  std::optional<instant> from;
  std::optional<instant> to;
};
result<series_query> parse_series_query(const query_parameters& query);

/// A user's month, with a page of its servers.
struct report_query {
  static constexpr int most_servers = 1'000;
  /// As many as there may be, when nothing is said.
  int limit = most_servers;
  server_id after;
  std::optional<user_id> user;
  /// Its beginning.
  std::optional<std::chrono::sys_seconds> month;
};
enum class month_choice : std::uint8_t { given, none };
/// `month` is unknown where there is no choice.
result<report_query>
parse_report_query(std::string_view list, const query_parameters& query, month_choice choice);

/// `userId` alone.
result<std::optional<user_id>> parse_user_query(const query_parameters& query);

/// `2026-11`; the beginning of that month of UTC.
std::optional<std::chrono::sys_seconds> parse_month(std::string_view text) noexcept;
std::string month_text(std::chrono::sys_seconds month);

/// An `Idempotency-Key`: 1 to 255 printable ASCII characters. errc::malformed_request otherwise.
result<> check_idempotency_key(std::string_view key);

} // namespace skyengine::net::api
