#pragma once

#include "net/virtfusion/request.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace skyengine::net::virtfusion {

namespace asio = boost::asio;

/// Why there is no answer, by whether VirtFusion can have seen the request.
struct no_answer {
  enum class kind : std::uint8_t {
    /// Not a byte was written.
    not_sent,
    /// Not sent by us: this says nothing of VirtFusion.
    held_back,
    /// Cut after the first byte.
    lost,
    /// VirtFusion may still be working.
    timed_out,
    /// What came is no HTTP, or too large.
    unreadable,
  };
  kind what = kind::not_sent;
  /// For the log; no secret stands in it.
  std::string detail;
};

[[noreturn]] void throw_exception_from_error(const no_answer& e, const boost::source_location& where);

using exchange_outcome = boost::system::result<answer, no_answer>;

/// Carries one request to VirtFusion and its answer back: no queue, no limit, no retry, which are the
/// gateway's.
class transport {
public:
  virtual ~transport() = default;
  /// One exchange, tried once, connecting included in `timeout`.
  virtual asio::awaitable<exchange_outcome> exchange(request what, std::chrono::milliseconds timeout) = 0;
};

} // namespace skyengine::net::virtfusion
