#pragma once

#include "net/http/message.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace skyengine::net::http {

struct client_options {
  /// `http://host[:port]` or `https://host[:port]`; a path in it is the caller's affair and ignored here.
  std::string origin;
  bool verify_tls = true;
  /// PEM file of extra authorities, for tests and private panels; empty: the system's.
  std::string ca_file;
  std::size_t max_connections = 64;
  std::size_t max_idle_connections = 16;
  std::size_t max_response_bytes = 8 * 1024 * 1024;
  std::chrono::milliseconds connect_timeout{5'000};
  /// An idle connection older than this is closed instead of used.
  std::chrono::milliseconds max_idle{30'000};
};

struct client_request {
  verb method = verb::get;
  std::string target;
  fields headers;
  std::string body;
  /// For this exchange, connecting included.
  std::chrono::milliseconds timeout{15'000};
  /// Only a fresh connection, or one that answered less than this ago; nullopt: any idle one.
  std::optional<std::chrono::milliseconds> freshness;
};

struct client_response {
  unsigned status = 0;
  fields headers;
  std::string body;
};

/// Why there is no answer. What matters to a caller is whether the peer can have seen the request.
struct exchange_failure {
  enum class kind : std::uint8_t {
    /// Not a byte was written (resolve, connect, TLS, no connection free in time).
    not_sent,
    /// At least a byte was written: the peer may have done the work.
    lost,
    /// As lost, but by time-out: the peer may still be working.
    timed_out,
    /// An answer came that is no HTTP, or is too large.
    unreadable,
  };
  kind what = kind::not_sent;
  std::string detail;
};

/// Found by `boost::system::result`: reading the answer of a failed exchange is a bug (`std::logic_error`).
[[noreturn]] void throw_exception_from_error(const exchange_failure& failure,
                                             const boost::source_location& where);

/// Whether `client_options::ca_file` can be used. errc::invalid_request names the file and what is wrong.
result<> check_ca_file(const std::string& file);

/// A keep-alive pool to one origin, on one loop. Interim answers (1xx) are skipped, compression is not asked
/// for. Redirects are answers like any other and never followed.
class client {
public:
  /// Throws when the origin is none or `ca_file` cannot be read: a start that cannot succeed.
  client(asio::any_io_executor loop, client_options options);
  ~client();
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  /// One exchange, tried once. An idle connection that turns out closed before the request's first byte was
  /// written is replaced silently. Host, Connection, Content-Length and Transfer-Encoding are the client's
  /// own. May outlive the client, and then ends as after `close`.
  asio::awaitable<boost::system::result<client_response, exchange_failure>> exchange(client_request request);

  /// Connecting, in use and idle.
  std::size_t connections() const noexcept;

  /// For good: closes all connections. Exchanges under way end as lost, waiting and later ones as not sent.
  void close() noexcept;

private:
  struct implementation;
  std::shared_ptr<implementation> implementation_;
};

} // namespace skyengine::net::http
