#include "net/api/problem.hpp"

#include "net/api/json_writer.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace skyengine::net::api {

namespace {

using http::status;
using namespace std::chrono_literals;

constexpr std::array<problem_kind, 22> kinds{{
  {errc::malformed_request, status::bad_request, "Request unreadable", {}},
  {errc::invalid_request, status::unprocessable_entity, "Request invalid", {}},
  {errc::unauthorized, status::unauthorized, "Valid API key needed", {}},
  {errc::forbidden, status::forbidden, "Not allowed with this key", {}},
  {errc::not_found, status::not_found, "Not found", {}},
  {errc::method_not_allowed, status::method_not_allowed, "Method not allowed", {}},
  {errc::not_acceptable, status::not_acceptable, "No acceptable representation", {}},
  {errc::request_timeout, status::request_timeout, "Request too slow", {}},
  {errc::conflict, status::conflict, "Conflict with the present state", {}},
  {errc::idempotency_mismatch, status::conflict, "Idempotency key used for another request", {}},
  {errc::capacity_exhausted, status::conflict, "No capacity left", {}},
  {errc::payload_too_large, status::payload_too_large, "Body too large", {}},
  {errc::unsupported_media_type, status::unsupported_media_type, "Body must be JSON", {}},
  {errc::virtfusion_rejected, status::unprocessable_entity, "Rejected by VirtFusion", {}},
  {errc::rate_limited, status::too_many_requests, "Too many requests", 1s},
  {errc::header_too_large, status::request_header_fields_too_large, "Header too large", {}},
  {errc::internal, status::internal_server_error, "Internal error", {}},
  {errc::overloaded, status::service_unavailable, "Overloaded", 1s},
  {errc::virtfusion_unavailable, status::service_unavailable, "VirtFusion unavailable", 5s},
  {errc::virtfusion_busy, status::service_unavailable, "VirtFusion busy", 5s},
  {errc::database_unavailable, status::service_unavailable, "Database unavailable", 1s},
  {errc::deadline_exceeded, status::gateway_timeout, "Not answered in time", {}},
}};

} // namespace

std::span<const problem_kind> problem_kinds() noexcept {
  return kinds;
}

const problem_kind& problem_of(errc code) noexcept {
  const auto found =
    std::find_if(kinds.begin(), kinds.end(), [code](const auto& kind) { return kind.code == code; });
  return found != kinds.end() ? *found : problem_of(errc::internal);
}

http::response make_problem(const error& why, std::string_view request_id, problem_subject subject) {
  const auto& kind = problem_of(why.code);
  const auto code = to_string(why.code);
  json_writer out;
  out.begin_object();
  out.member("type", "/docs#" + std::string{code});
  out.member("title", kind.title);
  out.member("status", static_cast<unsigned>(kind.status));
  out.member("detail", why.detail);
  out.member("code", code);
  out.member("requestId", request_id);
  out.key("errors");
  out.begin_array();
  for (const auto& each : why.fields) {
    out.begin_object();
    out.member("field", each.field);
    out.member("reason", each.reason);
    out.end_object();
  }
  out.end_array();
  out.member("error", kind.title);
  out.optional_member("serverId", subject.server);
  out.optional_member("actionId", subject.action);
  out.end_object();

  http::response answer;
  answer.status = kind.status;
  answer.headers.set(http::field::content_type, "application/problem+json");
  answer.headers.set(http::field::cache_control, "no-store");
  if (const auto wait = why.retry_after ? why.retry_after : kind.retry_after; wait && kind.retry_after)
    answer.headers.set(http::field::retry_after, std::to_string(std::max(wait->count(), 1L)));
  if (why.code == errc::unauthorized)
    answer.headers.set(http::field::www_authenticate, "Bearer");
  answer.body = std::move(out).take();
  return answer;
}

} // namespace skyengine::net::api
