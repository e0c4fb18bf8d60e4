#include "net/http/request_reader.hpp"

#include "net/http/chunks.hpp"
#include "net/http/text.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <algorithm>
#include <limits>
#include <new>
#include <optional>

namespace skyengine::net::http {

namespace {

namespace beast = boost::beast;
using beast::error_code;

constexpr std::size_t longest_request_id = 128;

bool is_sane_request_id(std::string_view text) noexcept {
  return !text.empty() && text.size() <= longest_request_id && std::ranges::all_of(text, [](char c) {
    return is_alphanumeric(c) || c == '.' || c == '_' || c == '-';
  });
}

bool is_host(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) {
    return is_alphanumeric(c) || std::string_view{"-._~%!$&'()*+;=:[]"}.find(c) != std::string_view::npos;
  });
}

bool is_decimal(std::string_view text) noexcept {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

/// The path and query of an absolute target (`http://host/path?query`), which every server has to understand.
std::optional<std::string_view> without_origin(std::string_view target) noexcept {
  for (const std::string_view scheme : {"http://", "https://"})
    if (target.size() > scheme.size() && beast::iequals(target.substr(0, scheme.size()), scheme)) {
      const auto slash = target.find_first_of("/?", scheme.size());
      return slash == std::string_view::npos ? std::string_view{} : target.substr(slash);
    }
  return std::nullopt;
}

} // namespace

class request_reader::parser final : public beast::http::basic_parser<true> {
public:
  parser(request& into, const limits& bounds) : into_(into), limits_(bounds) {
    // The reader never shows more than this of a header; the body is counted here.
    header_limit(static_cast<std::uint32_t>(
      std::min<std::size_t>(bounds.max_header_bytes + 1, std::numeric_limits<std::uint32_t>::max())));
    body_limit(boost::none);
  }

  const char* complaint() const noexcept { return complaint_; }
  bool is_too_large() const noexcept { return is_too_large_; }
  bool is_http_1_0() const noexcept { return version_ == 10; }
  bool expects_continue() const noexcept { return expects_continue_ && version_ == 11; }

private:
  void complain(const char* what, error_code& ec) noexcept {
    complaint_ = what;
    ec = beast::http::error::bad_value;
  }

  void too_large(error_code& ec) noexcept {
    is_too_large_ = true;
    ec = beast::http::error::body_limit;
  }

  void on_request_impl(beast::http::verb method,
                       beast::string_view method_text,
                       beast::string_view target,
                       int version,
                       error_code& ec) override {
    into_.method = method;
    into_.method_text.assign(method_text.data(), method_text.size());
    version_ = version;
    const std::string_view whole{target.data(), target.size()};
    if (whole.front() == '/' || method == verb::connect || (whole == "*" && method == verb::options)) {
      into_.target = whole;
      return;
    }
    const auto local = without_origin(whole);
    if (!local) {
      complain("the request target is not a path", ec);
      return;
    }
    if (local->empty() || local->front() != '/')
      into_.target = "/";
    else
      into_.target.clear();
    into_.target.append(*local);
  }

  void on_field_impl(beast::http::field name,
                     beast::string_view name_text,
                     beast::string_view value,
                     error_code& ec) override {
    // Trailers are read for their framing only: what they say comes too late to be believed.
    if (is_header_done())
      return;
    const std::string_view text{value.data(), value.size()};
    switch (name) {
    case field::host:
      if (++hosts_ > 1)
        return complain("more than one Host", ec);
      if (!is_host(text))
        return complain("the Host is not a host", ec);
      break;
    case field::content_length:
      if (++lengths_ > 1 || !is_decimal(text))
        return complain("Content-Length is not one number", ec);
      break;
    case field::transfer_encoding:
      if (++encodings_ > 1 || !beast::iequals(text, "chunked"))
        return complain("no Transfer-Encoding but chunked is understood", ec);
      break;
    case field::expect:
      expects_continue_ = beast::iequals(text, "100-continue");
      break;
    case field::unknown:
      if (into_.request_id.empty() && beast::iequals(name_text, "X-Request-Id") && is_sane_request_id(text))
        into_.request_id = text;
      break;
    default:
      break;
    }
    into_.headers.insert(name, name_text, value);
  }

  void on_header_impl(error_code& ec) override {
    if (hosts_ == 0 && version_ == 11)
      return complain("no Host", ec);
    if (encodings_ != 0 && version_ != 11)
      return complain("Transfer-Encoding needs HTTP/1.1", ec);
    if (const auto length = content_length(); length && *length > limits_.max_body_bytes)
      too_large(ec);
  }

  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}

  std::size_t on_body_impl(beast::string_view piece, error_code&) override {
    into_.body.append(piece.data(), piece.size());
    return piece.size();
  }

  void on_chunk_header_impl(std::uint64_t size, beast::string_view, error_code& ec) override {
    // A length that no file has is meant to overflow somebody's sum.
    if (size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      complain("an impossible chunk size", ec);
    else if (size > limits_.max_body_bytes - into_.body.size())
      too_large(ec);
  }

  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view piece, error_code&) override {
    into_.body.append(piece.data(), piece.size());
    return piece.size();
  }

  void on_finish_impl(error_code&) override {}

  // For responses only; Beast wants every one of its functions.
  void on_response_impl(int, beast::string_view, int, error_code&) override {}

  request& into_;
  const limits& limits_;
  const char* complaint_ = nullptr;
  int version_ = 0;
  int hosts_ = 0;
  int lengths_ = 0;
  int encodings_ = 0;
  bool expects_continue_ = false;
  bool is_too_large_ = false;
};

request_reader::request_reader(request& into, limits bounds) : into_(into), limits_(bounds) {
  restart();
}

request_reader::~request_reader() = default;

void request_reader::restart() {
  if (parser_) {
    // Beast's parser reads one message; made anew in its place it costs no allocation.
    std::destroy_at(parser_.get());
    std::construct_at(parser_.get(), into_, limits_);
  } else {
    parser_ = std::make_unique<parser>(into_, limits_);
  }
  into_.method = verb::unknown;
  into_.method_text.clear();
  into_.target.clear();
  into_.headers.clear();
  into_.request_id.clear();
  // A connection that waits must not hold the memory of its largest body.
  constexpr std::size_t kept_body_bytes = 16 * 1024;
  if (into_.body.capacity() > kept_body_bytes)
    into_.body = {};
  else
    into_.body.clear();
  scanned_ = 0;
  line_begin_ = 0;
  empty_line_seen_ = false;
  header_done_ = false;
}

request_reader::step request_reader::feed(std::string_view bytes) {
  if (header_done_)
    return feed_body(bytes);
  // RFC 9112, 2.2: one empty line before a request is a habit of old clients.
  if (scanned_ == 0 && !empty_line_seen_ && bytes.starts_with('\r')) {
    if (bytes.size() == 1)
      return {0, progress::need_more};
    if (bytes[1] != '\n')
      return refuse(errc::malformed_request, "the request begins with a bare CR");
    empty_line_seen_ = true;
    auto rest = feed(bytes.substr(2));
    rest.consumed += 2;
    return rest;
  }
  return feed_header(bytes);
}

request_reader::step request_reader::feed_header(std::string_view bytes) {
  std::size_t end = 0;
  while (end == 0) {
    const auto newline = bytes.find('\n', scanned_);
    if (newline == std::string_view::npos || newline >= limits_.max_header_bytes) {
      if (bytes.size() >= limits_.max_header_bytes)
        return refuse(errc::header_too_large,
                      "the header is larger than " + std::to_string(limits_.max_header_bytes) + " bytes");
      scanned_ = bytes.size();
      return {0, progress::need_more};
    }
    if (newline == 0 || bytes[newline - 1] != '\r')
      return refuse(errc::malformed_request, "a line of the header ends without CR");
    if (line_begin_ != 0 && (bytes[line_begin_] == ' ' || bytes[line_begin_] == '\t'))
      return refuse(errc::malformed_request, "a line of the header is folded");
    if (newline == line_begin_ + 1)
      end = newline + 1;
    line_begin_ = scanned_ = newline + 1;
  }
  error_code ec;
  parser_->put(boost::asio::buffer(bytes.data(), end), ec);
  if (parser_->is_too_large())
    return refuse(errc::payload_too_large,
                  "the body is larger than " + std::to_string(limits_.max_body_bytes) + " bytes");
  if (ec || !parser_->is_header_done())
    return refuse(errc::malformed_request, parser_->complaint() ? parser_->complaint() : ec.message());
  header_done_ = true;
  parser_->eager(true);
  return {end, parser_->is_done() ? progress::complete : progress::header_ready};
}

request_reader::step request_reader::feed_body(std::string_view bytes) {
  if (bytes.empty() || (parser_->chunked() && bytes.size() < smallest_end_of_chunks))
    return {0, progress::need_more};
  error_code ec;
  const auto consumed = parser_->put(boost::asio::buffer(bytes.data(), bytes.size()), ec);
  if (parser_->is_too_large())
    return refuse(errc::payload_too_large,
                  "the body is larger than " + std::to_string(limits_.max_body_bytes) + " bytes");
  if (ec && ec != beast::http::error::need_more)
    return refuse(errc::malformed_request, parser_->complaint() ? parser_->complaint() : ec.message());
  if (parser_->is_done())
    return {consumed, progress::complete};
  // What the parser leaves is the line of a chunk, or trailers.
  if (bytes.size() - consumed >= limits_.max_header_bytes)
    return refuse(errc::malformed_request, "the line of a chunk is too long");
  return {consumed, progress::need_more};
}

request_reader::step request_reader::refuse(errc code, std::string_view why) {
  refusal_ = error{code, std::string{why}};
  return {0, progress::refused};
}

const error& request_reader::refusal() const noexcept {
  return refusal_;
}

bool request_reader::keeps_alive() const noexcept {
  return parser_->keep_alive();
}

bool request_reader::is_http_1_0() const noexcept {
  return parser_->is_http_1_0();
}

bool request_reader::expects_continue() const noexcept {
  return parser_->expects_continue();
}

} // namespace skyengine::net::http
