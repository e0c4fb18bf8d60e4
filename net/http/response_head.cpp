#include "net/http/response_head.hpp"

#include "net/http/text.hpp"

#include <boost/beast/core/string.hpp>

#include <algorithm>

namespace skyengine::net::http {

namespace {

namespace beast = boost::beast;

bool is_set_by_server(const fields::value_type& header) noexcept {
  switch (header.name()) {
  case field::content_length:
  case field::connection:
  case field::date:
  case field::server:
  case field::transfer_encoding:
    return true;
  case field::unknown:
    return beast::iequals(header.name_string(), "X-Request-Id");
  default:
    return false;
  }
}

void append_value(std::string& out, beast::string_view value) {
  const auto begin = out.size();
  out.append(value.data(), value.size());
  std::replace_if(out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(), is_control, ' ');
}

} // namespace

bool has_body(status code) noexcept {
  const auto number = static_cast<unsigned>(code);
  return number >= 200 && code != status::no_content && code != status::not_modified;
}

void append_head(std::string& out, const response& answer, const answer_frame& frame) {
  out += "HTTP/1.1 ";
  append_number(out, static_cast<unsigned>(answer.status));
  out += ' ';
  out += beast::http::obsolete_reason(answer.status);
  out += "\r\nServer: skyengine\r\nDate: ";
  out += frame.date;
  out += "\r\nX-Request-Id: ";
  out += frame.request_id;
  for (const auto& header : answer.headers) {
    if (is_set_by_server(header))
      continue;
    out += "\r\n";
    append_value(out, header.name_string());
    out += ": ";
    append_value(out, header.value());
  }
  if (has_body(answer.status)) {
    if (frame.framing == body_framing::chunked) {
      out += "\r\nTransfer-Encoding: chunked";
    } else if (frame.framing == body_framing::content_length) {
      out += "\r\nContent-Length: ";
      append_number(out, answer.body.size());
    }
  }
  if (frame.closes)
    out += "\r\nConnection: close";
  else if (frame.confirms_keep_alive)
    out += "\r\nConnection: keep-alive";
  out += "\r\n\r\n";
}

} // namespace skyengine::net::http
