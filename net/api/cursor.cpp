#include "net/api/cursor.hpp"

#include "domain/base64.hpp"
#include "net/api/api_key_secret.hpp"

namespace skyengine::net::api {

namespace {

// Enough that nobody hits upon one by chance; a cursor only chooses a place, so it need not be a secret.
constexpr std::size_t check_size = 8;

std::string check_of(std::string_view list, std::string_view key) {
  std::string text{"cursor\n"};
  text.append(list).append("\n").append(key);
  return sha256_hex(text).substr(0, check_size);
}

} // namespace

std::string make_cursor(std::string_view list, std::string_view key) {
  return base64url_encode(check_of(list, key).append(key));
}

result<std::string> read_cursor(std::string_view list, std::string_view cursor) {
  const auto bytes = base64url_decode(cursor);
  if (bytes && bytes->size() > check_size) {
    auto key = bytes->substr(check_size);
    if (bytes->substr(0, check_size) == check_of(list, key))
      return key;
  }
  return error{errc::malformed_request, "the cursor is none that this list gave", {{"cursor", "is unknown"}}};
}

} // namespace skyengine::net::api
