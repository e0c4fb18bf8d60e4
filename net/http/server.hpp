#pragma once

#include "net/http/message.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace skyengine::net::http {

/// Limits with the answers of docs/architecture.md; each has a setting of the same name under `http.`, but
/// `request_timeout`, which follows from `http.patience`.
struct server_options {
  std::size_t max_header_bytes = 16 * 1024;
  std::size_t max_body_bytes = 256 * 1024;
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{30'000};
  std::chrono::milliseconds idle_timeout{60'000};
  /// How long a handler has: request::deadline.
  std::chrono::milliseconds request_timeout{30'000};
  /// How long a peer may take to read an answer.
  std::chrono::milliseconds write_timeout{30'000};
  std::size_t max_connections = 1024;
  std::size_t max_connections_per_address = 512;
  /// Whether loopback is without the limit above.
  bool exempts_loopback = true;
  /// Other addresses without it.
  std::vector<std::string> trusted_proxies;
  /// PEM files; both empty: plain HTTP.
  std::string tls_certificate;
  std::string tls_key;
};

struct server_counters {
  std::size_t connections = 0;
  /// Handlers and streams at work.
  std::size_t requests_in_flight = 0;
  /// Answered 503 and closed at a limit of connections.
  std::uint64_t refused_connections = 0;
  /// Closed while they waited without a request, to make room for a new one.
  std::uint64_t evicted_connections = 0;
  /// How often accepting had to wait for a free descriptor.
  std::uint64_t accept_pauses = 0;
};

/// Whether a server can use them: files in PEM. errc::invalid_request names the file and what is wrong.
result<> check_certificate(const std::string& certificate, const std::string& key);

/// An HTTP/1.1 server on one loop. Requests of one connection are handled one after the other. At
/// `max_connections` a new one takes the place of the one that has waited longest without a request (those
/// that never made any first); when all are at work, or one address has too many, it is answered 503 and
/// closed. What never reaches the handler (bad framing, limits, time-outs) is
/// answered with the response that `reject` makes and, where the peer cannot be trusted to be in step, the
/// connection closes.
class server {
public:
  using handler = std::function<asio::awaitable<response>(const request&)>;
  /// Makes the answer to what was refused before it was a request. `request_id` is already made.
  using rejecter = std::function<response(const error&, const std::string& request_id)>;

  server(asio::any_io_executor loop, server_options options, handler handle, rejecter reject);
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  /// Binds and listens; once. `host` is an IP address or `localhost`, port 0 takes a free one. A busy port,
  /// an address that is not ours or unreadable TLS files are an error with one clear sentence.
  result<asio::ip::tcp::endpoint> listen(const std::string& host, std::uint16_t port);

  server_counters counters() const noexcept;

  /// Stops accepting, closes idle connections, lets requests in flight end within `grace`, then closes the
  /// rest. Ends early when nothing is in flight. A handler still running then goes on to its end, unheard.
  asio::awaitable<void> stop(std::chrono::milliseconds grace);

private:
  struct implementation;
  std::shared_ptr<implementation> implementation_;
};

} // namespace skyengine::net::http
