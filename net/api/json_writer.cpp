#include "net/api/json_writer.hpp"

#include "domain/time_format.hpp"

namespace skyengine::net::api {

void json_writer::key(std::string_view name) {
  separate();
  quote(name);
  out_ += ':';
  is_first_ = true;
}

void json_writer::value(std::string_view text) {
  separate();
  quote(text);
}

void json_writer::value(instant at) {
  value(format_time(at));
}

void json_writer::quote(std::string_view text) {
  static constexpr std::string_view digits = "0123456789abcdef";
  out_ += '"';
  for (const auto c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out_ += '\\';
      out_ += c;
    } else if (byte < 0x20) {
      out_ += "\\u00";
      out_ += digits[byte >> 4];
      out_ += digits[byte & 0x0f];
    } else {
      out_ += c;
    }
  }
  out_ += '"';
}

} // namespace skyengine::net::api
