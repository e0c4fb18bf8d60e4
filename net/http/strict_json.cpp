#include "net/http/strict_json.hpp"

#include <boost/json/array.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/object.hpp>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace skyengine::net::http {

namespace {

namespace json = boost::json;
using boost::system::error_code;

/// Builds the value. Where it refuses, `complaint` says why.
struct strict_handler {
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_object_size = max_json_members;
  static constexpr std::size_t max_string_size = max_json_string_bytes;
  static constexpr std::size_t max_key_size = max_json_string_bytes;

  /// An object or array that is not closed yet, and for an object the key that waits for its value.
  struct open_value {
    json::value value;
    std::string key;
  };

  bool refuse(std::string why, error_code& ec) {
    complaint = std::move(why);
    ec = json::error::syntax;
    return false;
  }

  bool add(json::value value) {
    if (open.empty()) {
      root = std::move(value);
    } else if (auto* const list = open.back().value.if_array()) {
      list->push_back(std::move(value));
    } else {
      open.back().value.get_object().emplace(open.back().key, std::move(value));
    }
    return true;
  }

  bool close() {
    auto value = std::move(open.back().value);
    open.pop_back();
    return add(std::move(value));
  }

  /// Ends a string or key, which may come in parts.
  bool finish_text(json::string_view last, error_code& ec) {
    text.append(last.data(), last.size());
    if (text.find('\0') != std::string::npos)
      return refuse("NUL in a string", ec);
    return true;
  }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }

  bool on_array_begin(error_code&) {
    open.push_back({json::array{}, {}});
    return true;
  }
  bool on_array_end(std::size_t, error_code&) { return close(); }

  bool on_object_begin(error_code&) {
    open.push_back({json::object{}, {}});
    return true;
  }
  bool on_object_end(std::size_t, error_code&) { return close(); }

  bool on_string_part(json::string_view part, std::size_t, error_code&) {
    text.append(part.data(), part.size());
    return true;
  }
  bool on_string(json::string_view last, std::size_t, error_code& ec) {
    if (!finish_text(last, ec))
      return false;
    add(json::string{text});
    text.clear();
    return true;
  }

  bool on_key_part(json::string_view part, std::size_t, error_code&) {
    text.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view last, std::size_t, error_code& ec) {
    if (!finish_text(last, ec))
      return false;
    if (open.back().value.get_object().contains(text))
      return refuse("a key that stands there twice", ec);
    open.back().key = std::exchange(text, {});
    return true;
  }

  bool on_number_part(json::string_view, error_code&) { return true; }
  bool on_int64(std::int64_t number, json::string_view, error_code&) { return add(number); }
  bool on_uint64(std::uint64_t number, json::string_view, error_code&) { return add(number); }
  bool on_double(double number, json::string_view, error_code& ec) {
    return std::isfinite(number) ? add(number) : refuse("a number too large", ec);
  }
  bool on_bool(bool truth, error_code&) { return add(truth); }
  bool on_null(error_code&) { return add(nullptr); }
  bool on_comment_part(json::string_view, error_code&) { return true; }
  bool on_comment(json::string_view, error_code&) { return true; }

  std::vector<open_value> open;
  std::string text;
  json::value root;
  std::string complaint;
};

error refusal(std::string_view text, std::size_t at, std::string_view why) {
  std::size_t line = 1;
  std::size_t column = 1;
  for (const char c : text.substr(0, at)) {
    if (c == '\n') {
      ++line;
      column = 1;
    } else if ((static_cast<unsigned char>(c) & 0xc0U) != 0x80U) {
      ++column;
    }
  }
  return {errc::malformed_request,
          "line " + std::to_string(line) + ", column " + std::to_string(column) + ": " + std::string{why}};
}

std::string_view reason(const error_code& ec, std::string_view complaint) {
  if (!complaint.empty())
    return complaint;
  if (ec == json::error::incomplete)
    return "the document ends too early";
  if (ec == json::error::too_deep)
    return "nested too deeply";
  if (ec == json::error::exponent_overflow)
    return "a number too large";
  if (ec == json::error::illegal_leading_surrogate || ec == json::error::illegal_trailing_surrogate ||
      ec == json::error::expected_utf16_escape)
    return "half of a surrogate pair";
  if (ec == json::error::expected_hex_digit)
    return "an escape without its four hexadecimal digits";
  if (ec == json::error::string_too_large || ec == json::error::key_too_large)
    return "a string too long";
  if (ec == json::error::object_too_large)
    return "an object with too many members";
  return "not JSON";
}

} // namespace

result<json::value> parse_strict(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf"))
    return refusal(text, 0, "a byte order mark before the document");
  if (text.starts_with("\xfe\xff") || text.starts_with("\xff\xfe") ||
      text.substr(0, 4).find('\0') != std::string_view::npos)
    return refusal(text, 0, "not UTF-8");
  json::parse_options rules;
  rules.max_depth = max_json_depth;
  json::basic_parser<strict_handler> parser{rules};
  error_code ec;
  auto used = parser.write_some(false, text.data(), text.size(), ec);
  if (ec)
    return refusal(text, used, reason(ec, parser.handler().complaint));
  if (used != text.size())
    return refusal(text, used, "more behind the document's end");
  return std::move(parser.handler().root);
}

} // namespace skyengine::net::http
