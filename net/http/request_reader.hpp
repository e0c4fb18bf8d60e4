#pragma once

#include "net/http/message.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace skyengine::net::http {

/// Makes requests out of a connection's bytes, without a socket: Beast's parser behind stricter rules of
/// framing. What two readers could understand differently is refused: bare LF, folded lines, more than one
/// Content-Length, any Transfer-Encoding but a single `chunked`, none or several Host.
class request_reader {
public:
  struct limits {
    std::size_t max_header_bytes;
    std::size_t max_body_bytes;
  };

  enum class progress : std::uint8_t {
    /// All that could be used is consumed; more bytes decide.
    need_more,
    /// The header is whole and accepted, a body follows. Told once a request.
    header_ready,
    complete,
    /// See `refusal`. The connection is out of step and must close.
    refused,
  };

  struct step {
    std::size_t consumed;
    progress state;
  };

  /// `into` is filled in place and must outlive the reader.
  request_reader(request& into, limits bounds);
  ~request_reader();
  request_reader(const request_reader&) = delete;
  request_reader& operator=(const request_reader&) = delete;

  /// Forgets the last request, and clears `into`.
  void restart();

  /// Takes what it can from the front of `bytes`; the caller gives the rest again, with more behind it. Never
  /// needs more than max_header_bytes at once.
  step feed(std::string_view bytes);

  /// After `refused`: malformed_request, header_too_large or payload_too_large.
  const error& refusal() const noexcept;

  /// After `complete`: whether the client wants to go on with this connection.
  bool keeps_alive() const noexcept;
  bool is_http_1_0() const noexcept;
  /// The client waits for `100 Continue` before it sends the body.
  bool expects_continue() const noexcept;

private:
  class parser;
  step feed_header(std::string_view bytes);
  step feed_body(std::string_view bytes);
  step refuse(errc code, std::string_view why);

  std::unique_ptr<parser> parser_;
  request& into_;
  limits limits_;
  error refusal_;
  std::size_t scanned_ = 0;
  std::size_t line_begin_ = 0;
  bool empty_line_seen_ = false;
  bool header_done_ = false;
};

} // namespace skyengine::net::http
