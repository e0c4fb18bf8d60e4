#include "net/http/request_reader.hpp"
#include "net/http/url.hpp"

#include <boost/beast/http/fields.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace skyengine::net::http;
using progress = request_reader::progress;

constexpr request_reader::limits bounds{.max_header_bytes = 1024, .max_body_bytes = 4096};

/// What a connection's bytes came to: each request as text, and whether the end was a refusal.
struct reading {
  std::vector<std::string> requests;
  bool is_refused = false;
};

std::string describe(const request& req) {
  std::string text = req.method_text + ' ' + req.target + ' ' + req.request_id + '\n';
  for (const auto& header : req.headers)
    text.append(header.name_string()).append("=").append(header.value()).append("\n");
  return text + req.body;
}

/// Feeds the reader as a connection does, with `piece` bytes read at a time.
reading read_all(std::string_view bytes, std::size_t piece) {
  reading result;
  request req;
  request_reader reader{req, bounds};
  std::size_t begin = 0;
  std::size_t end = 0;
  for (;;) {
    const auto step = reader.feed(bytes.substr(begin, end - begin));
    if (step.consumed > end - begin)
      std::abort();
    begin += step.consumed;
    switch (step.state) {
    case progress::complete:
      if (req.body.size() > bounds.max_body_bytes || req.headers.count(field::host) > 1 || req.target.empty())
        std::abort();
      if (const auto segments = path_segments(req.path());
          segments && segments->size() > bounds.max_header_bytes)
        std::abort();
      if (const auto query = parse_query(req.query()); query && parse_query(make_query(*query)).has_error())
        std::abort();
      result.requests.push_back(describe(req));
      reader.restart();
      break;
    case progress::refused:
      result.is_refused = true;
      return result;
    case progress::header_ready:
      break;
    case progress::need_more:
      // A reader that asks for more than its limit would make the connection's buffer grow without end.
      if (end - begin >= bounds.max_header_bytes)
        std::abort();
      if (end == bytes.size())
        return result;
      end += std::min(piece, bytes.size() - end);
      break;
    }
  }
}

/// A refusal may come with the next read only, and the limit of trailers bounds memory, not their exact
/// length: readings may end at different points, but never see different requests.
bool agree(const reading& a, const reading& b) {
  const auto common = static_cast<std::ptrdiff_t>(std::min(a.requests.size(), b.requests.size()));
  return std::equal(a.requests.begin(), a.requests.begin() + common, b.requests.begin()) &&
         (a.is_refused || b.is_refused || a.requests.size() == b.requests.size());
}

} // namespace

/// However the bytes are cut into reads, they are the same requests.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  const auto one_by_one = read_all(bytes, 1);
  const auto in_pieces = read_all(bytes, 7);
  const auto at_once = read_all(bytes, std::max<std::size_t>(size, 1));
  if (!agree(one_by_one, in_pieces) || !agree(one_by_one, at_once))
    std::abort();
  return 0;
}
