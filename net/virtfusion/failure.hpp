#pragma once

#include "domain/error.hpp"
#include "net/virtfusion/operations.hpp"
#include "net/virtfusion/request.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace skyengine::net::virtfusion {

/// Why a call brought nothing, told apart by what a caller may do next.
struct call_failure {
  enum class kind : std::uint8_t {
    /// Not sent: the queue is full, or the deadline cannot be met or has passed.
    overloaded,
    /// Not sent: no connection could be made, or the breaker is open.
    not_sent,
    /// 429, 503, or a 404 that is not VirtFusion's: surely not done, ask again after `retry_after` or a
    /// back-off.
    refused,
    /// Any other 4xx: final.
    rejected,
    /// 423: the server has a task running.
    busy,
    /// 409: it does not fit the server's state. Look: if it is as wanted, that is success.
    conflict,
    /// 403: the token lacks a permission.
    forbidden,
    /// 401: the token is not good.
    unauthorized,
    /// The server is gone: its 404 says so in VirtFusion's own words.
    not_found_server,
    /// VirtFusion knows no user of this extRelationId, and says so in its own words.
    not_found_user,
    /// 500, 502, 504, any other status that is neither 2xx nor 4xx, time-out, cut, unreadable, a 2xx without
    /// what we
    /// need: it may have been done.
    unknown,
    /// Not sent: the server belongs to another user than the one on whose behalf it was to be changed.
    wrong_owner,
  };
  kind what = kind::unknown;
  /// 0 when there was no answer.
  unsigned status = 0;
  /// For people: at most 500 characters, without control characters and secrets.
  std::string text = {};
  std::optional<std::chrono::seconds> retry_after = {};
  /// `text` is not VirtFusion's own (the page of a proxy): for the log alone.
  bool is_foreign = false;
  friend bool operator==(const call_failure&, const call_failure&) = default;

  /// True when VirtFusion said that no hypervisor has room for it.
  bool is_capacity() const noexcept;
  /// As a user of ours learns it.
  error as_error() const;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, call_failure& x) {
    detail::wait_on_the_wire wait{x.retry_after};
    return f(x.what, x.status, x.text, wait.seconds, x.is_foreign);
  }
};

/// `refused`, `not_found_server`, …: the outcome of the metric and the field of the log.
std::string_view to_string(call_failure::kind what) noexcept;

[[noreturn]] void throw_exception_from_error(const call_failure& e, const boost::source_location& where);

/// What a call read, or why there is nothing.
template <class T = void>
class [[nodiscard]] call_result : public boost::system::result<T, call_failure> {
public:
  using boost::system::result<T, call_failure>::result;
};

/// Nothing when the answer is a success.
std::optional<call_failure> failure_of(operation op, const answer& given);

/// What an answer says about what went wrong: the first of `errors`, `msg`, `message`, `error`, else the
/// body, cleaned.
std::string text_of(std::string_view body);

/// The same without the body as last resort: VirtFusion's own words, or empty.
std::string words_of(std::string_view body);

/// `text` in one line of at most `limit` characters: valid UTF-8, no control characters, values of passwords
/// and tokens replaced by `***`.
std::string cleaned(std::string_view text, std::size_t limit = 500);

/// A `Retry-After`: seconds, or an HTTP date seen from `now`. Nothing when it is neither; never negative, and
/// at most an hour, so that no answer can stop us for longer.
std::optional<std::chrono::seconds> parse_retry_after(std::string_view text, std::chrono::sys_seconds now);

/// An HTTP date of the preferred form, `Sun, 06 Nov 1994 08:49:37 GMT`.
std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view text);

} // namespace skyengine::net::virtfusion
