#include "net/http/strict_json.hpp"

#include <boost/json/serialize.hpp>

#include <cstdint>
#include <cstdlib>
#include <string_view>

/// Whatever is read is read again from its own text; whatever is refused says where.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using skyengine::net::http::parse_strict;
  const auto parsed = parse_strict({reinterpret_cast<const char*>(data), size});
  if (parsed) {
    const auto text = boost::json::serialize(*parsed);
    if (parse_strict(text).has_error())
      std::abort();
  } else if (parsed.error().code != skyengine::errc::malformed_request ||
             !parsed.error().detail.starts_with("line ")) {
    std::abort();
  }
  return 0;
}
