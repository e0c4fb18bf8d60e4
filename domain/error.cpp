#include "domain/error.hpp"

#include <stdexcept>

namespace skyengine {

std::string_view to_string(errc code) noexcept {
  switch (code) {
  case errc::malformed_request:
  case errc::invalid_request:
    return "invalid_request";
  case errc::unauthorized:
    return "unauthorized";
  case errc::forbidden:
    return "forbidden";
  case errc::not_found:
    return "not_found";
  case errc::method_not_allowed:
    return "method_not_allowed";
  case errc::not_acceptable:
    return "not_acceptable";
  case errc::request_timeout:
    return "request_timeout";
  case errc::conflict:
    return "conflict";
  case errc::idempotency_mismatch:
    return "idempotency_mismatch";
  case errc::capacity_exhausted:
    return "capacity_exhausted";
  case errc::payload_too_large:
    return "payload_too_large";
  case errc::unsupported_media_type:
    return "unsupported_media_type";
  case errc::virtfusion_rejected:
    return "virtfusion_rejected";
  case errc::rate_limited:
    return "rate_limited";
  case errc::header_too_large:
    return "header_too_large";
  case errc::internal:
    return "internal";
  case errc::overloaded:
    return "overloaded";
  case errc::virtfusion_unavailable:
    return "virtfusion_unavailable";
  case errc::virtfusion_busy:
    return "virtfusion_busy";
  case errc::database_unavailable:
    return "database_unavailable";
  case errc::deadline_exceeded:
    return "deadline_exceeded";
  }
  return "internal";
}

void throw_exception_from_error(const error& e, const boost::source_location&) {
  throw std::logic_error("a failed result was read without a check: " + e.detail);
}

errc to_errc(std::string_view text) noexcept {
  for (auto code = static_cast<int>(errc::invalid_request); code <= static_cast<int>(errc::deadline_exceeded);
       ++code)
    if (to_string(static_cast<errc>(code)) == text)
      return static_cast<errc>(code);
  return errc::internal;
}

} // namespace skyengine
