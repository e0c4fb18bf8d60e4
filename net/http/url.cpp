#include "net/http/url.hpp"

#include "domain/utf8.hpp"
#include "net/http/text.hpp"

#include <cstddef>

namespace skyengine::net::http {

namespace {

constexpr std::size_t max_query_parameters = 100;
constexpr std::string_view hex_digits = "0123456789ABCDEF";

/// -1 when `c` is no hexadecimal digit.
int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

bool is_plain_text(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto size = utf8_sequence(text);
    if (size == 0 || skyengine::is_control(text.substr(0, size)))
      return false;
    text.remove_prefix(size);
  }
  return true;
}

result<std::string> decode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      decoded += ' ';
    } else if (text[i] != '%') {
      decoded += text[i];
    } else {
      const auto high = i + 1 < text.size() ? hex_value(text[i + 1]) : -1;
      const auto low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return error{errc::malformed_request, "a % in the address without two hexadecimal digits"};
      decoded += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  if (!is_plain_text(decoded))
    return error{errc::malformed_request, "the address encodes what is no UTF-8 text"};
  return decoded;
}

} // namespace

result<std::string> decode_segment(std::string_view segment) {
  return decode(segment, false);
}

result<std::vector<std::string>> path_segments(std::string_view path) {
  std::vector<std::string> segments;
  if (!path.starts_with('/'))
    return error{errc::malformed_request, "the path is not absolute"};
  path.remove_prefix(1);
  if (path.empty())
    return segments;
  for (;;) {
    const auto slash = path.find('/');
    auto segment = decode_segment(path.substr(0, slash));
    if (!segment)
      return segment.error();
    if (*segment == "." || *segment == "..")
      return error{errc::malformed_request, "the path has a relative segment"};
    segments.push_back(std::move(*segment));
    if (slash == std::string_view::npos)
      return segments;
    path.remove_prefix(slash + 1);
  }
}

result<std::vector<query_parameter>> parse_query(std::string_view query) {
  std::vector<query_parameter> parameters;
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto pair = query.substr(0, end);
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
    if (pair.empty())
      continue;
    if (parameters.size() == max_query_parameters)
      return error{errc::malformed_request, "the address has too many parameters"};
    const auto equals = pair.find('=');
    auto name = decode(pair.substr(0, equals), true);
    if (!name)
      return name.error();
    auto value =
      decode(equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1), true);
    if (!value)
      return value.error();
    parameters.push_back({std::move(*name), std::move(*value)});
  }
  return parameters;
}

std::string encode_component(std::string_view text) {
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    if (is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += hex_digits[byte >> 4U];
    encoded += hex_digits[byte & 15U];
  }
  return encoded;
}

std::string make_query(const std::vector<query_parameter>& parameters) {
  std::string query;
  for (const auto& parameter : parameters) {
    if (!query.empty())
      query += '&';
    query += encode_component(parameter.name);
    query += '=';
    query += encode_component(parameter.value);
  }
  return query;
}

} // namespace skyengine::net::http
