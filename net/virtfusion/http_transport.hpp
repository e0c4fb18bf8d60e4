#pragma once

#include "domain/error.hpp"
#include "domain/secret.hpp"
#include "net/http/client.hpp"
#include "net/virtfusion/transport.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <string>
#include <string_view>

namespace skyengine::net::virtfusion {

/// Where the panel's API is: `https://host[:port]` and the path in front of every target.
struct api_base {
  std::string origin;
  /// `/api/v1`, or whatever path the operator gave; never ends with a slash.
  std::string path;
  friend bool operator==(const api_base&, const api_base&) = default;
};

/// Whether `virtfusion.ca_file` (empty: none) can be used. errc::invalid_request names it and what is wrong.
result<> check_ca_file(const std::string& file);

/// `https://host` gets `/api/v1`; a URL with a path (`https://host/` too) is used as it is.
/// errc::invalid_request when it is no http or https URL, or has user, query or fragment.
result<api_base> parse_api_base(std::string_view url);

struct http_transport_options {
  api_base base;
  secret token;
  bool verify_tls = true;
  /// PEM file of extra authorities; empty: the system's.
  std::string ca_file;
  /// At least what the gateway may have in flight.
  std::size_t max_connections = 64;
};

/// The real way to VirtFusion: one keep-alive pool on one loop.
class http_transport final : public transport {
public:
  http_transport(asio::any_io_executor loop, http_transport_options options);

  asio::awaitable<exchange_outcome> exchange(request what, std::chrono::milliseconds timeout) override;

  /// Closes all connections; exchanges under way end as lost.
  void close() noexcept { client_.close(); }

private:
  std::string path_;
  secret token_;
  http::client client_;
};

} // namespace skyengine::net::virtfusion
