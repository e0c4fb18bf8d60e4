#pragma once

#include "domain/error.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/verb.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

namespace skyengine::net::http {

namespace asio = boost::asio;
using boost::beast::http::field;
using boost::beast::http::fields;
using boost::beast::http::status;
using boost::beast::http::verb;

/// One request, whole. It belongs to the connection and outlives the handler's coroutine.
struct request {
  verb method = verb::unknown;
  std::string method_text;
  /// As it came: path, and query behind `?`.
  std::string target;
  fields headers;
  std::string body;
  /// The peer's address without port.
  std::string remote_address;
  /// `X-Request-Id` when it was sane, else made by the server.
  std::string request_id;
  /// When the client must have its answer.
  std::chrono::steady_clock::time_point deadline;

  /// The path of the target, not decoded.
  std::string_view path() const noexcept;
  /// What stands behind `?`, not decoded.
  std::string_view query() const noexcept;
};

/// Writes a body piece by piece, as server-sent events need it. Its buffer is bounded.
class stream_writer {
public:
  virtual ~stream_writer() = default;
  /// False when the peer is gone or does not read: the stream is over.
  virtual asio::awaitable<bool> write(std::string_view piece) = 0;
  /// True as soon as the peer has closed or the server is stopping.
  virtual bool is_closed() const noexcept = 0;
  /// Waits, at most that long, for the stream's end: `is_closed()` when it returns. One caller at a time.
  /// What a writer with nothing to say waits with, so that it notices a peer that left.
  virtual asio::awaitable<bool> wait_closed(std::chrono::milliseconds at_most) = 0;
};

struct response {
  boost::beast::http::status status = boost::beast::http::status::ok;
  /// Everything but Content-Length, Connection, Date, Server and X-Request-Id, which the server sets.
  fields headers;
  std::string body;
  /// When set, `body` is empty and the writer's pieces are the (chunked) body; the connection closes behind
  /// it. An exception out of it cuts the connection without the end mark, so that the client sees it was cut.
  std::function<asio::awaitable<void>(stream_writer&)> stream;
};

} // namespace skyengine::net::http
