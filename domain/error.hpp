#pragma once

#include <boost/assert/source_location.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine {

struct error;
/// Found by `boost::system::result`: reading the value of a failed result is a bug, so it throws
/// `std::logic_error`.
[[noreturn]] void throw_exception_from_error(const error& e, const boost::source_location& where);

} // namespace skyengine

#include <boost/system/result.hpp>

namespace skyengine {

/// Why something failed, as a user of the API learns it. Numbers travel between nodes: never renumbered.
enum class errc : std::uint8_t {
  /// Unreadable: not HTTP, not JSON, an impossible cursor (400 `invalid_request`).
  malformed_request = 1,
  /// Readable but wrong (422 `invalid_request`).
  invalid_request,
  unauthorized,
  forbidden,
  not_found,
  method_not_allowed,
  not_acceptable,
  request_timeout,
  conflict,
  idempotency_mismatch,
  capacity_exhausted,
  payload_too_large,
  unsupported_media_type,
  virtfusion_rejected,
  rate_limited,
  header_too_large,
  internal,
  overloaded,
  virtfusion_unavailable,
  virtfusion_busy,
  database_unavailable,
  deadline_exceeded,
};

/// The code as problem documents and rows carry it: `to_string(errc::not_found) == "not_found"`.
/// Both request errors read `invalid_request`.
std::string_view to_string(errc code) noexcept;
/// The first code with this text; errc::internal where there is none.
errc to_errc(std::string_view text) noexcept;

/// One field of a request and what is wrong with it: `{"planId", "unknown plan \"x\""}`.
struct field_error {
  std::string field;
  std::string reason;
  friend bool operator==(const field_error&, const field_error&) = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, field_error& x) {
    return f(x.field, x.reason);
  }
};

struct error {
  errc code = errc::internal;
  /// One sentence for whoever reads the answer; no secret stands in it.
  std::string detail;
  std::vector<field_error> fields = {};
  /// When it is worth asking again.
  std::optional<std::chrono::seconds> retry_after = {};
  friend bool operator==(const error&, const error&) = default;
};

/// A value or an `error`. Whatever a user, VirtFusion, PostgreSQL or a clock can cause is a value; exceptions
/// are bugs.
template <class T = void>
class [[nodiscard]] result : public boost::system::result<T, error> {
public:
  using boost::system::result<T, error>::result;
};

} // namespace skyengine
