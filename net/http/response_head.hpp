#pragma once

#include "net/http/message.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace skyengine::net::http {

/// How an answer's end is marked.
enum class body_framing : std::uint8_t { content_length, chunked, until_close };

/// What the server knows of an answer and the handler does not.
struct answer_frame {
  body_framing framing = body_framing::content_length;
  bool closes = false;
  /// The client speaks HTTP/1.0 and asked to keep the connection, which it must hear.
  bool confirms_keep_alive = false;
  std::string_view request_id;
  /// RFC 9110 form.
  std::string_view date;
};

/// Appends status line and header, with the empty line, to `out`. Fields that are the server's own are left
/// out of `answer.headers`, and a control character in a value becomes a space: no value can end a line.
void append_head(std::string& out, const response& answer, const answer_frame& frame);

/// Whether an answer of this status has a body at all.
bool has_body(status code) noexcept;

} // namespace skyengine::net::http
