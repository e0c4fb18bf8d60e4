#pragma once

#include "domain/secret.hpp"

#include <string>
#include <string_view>

namespace skyengine::net::api {

/// A new key's text, shown once: `sky_` and 256 random bits in base64url. Throws when the system gives no
/// random bytes.
secret make_api_key_secret();

/// SHA-256 of `text` in lower-case hex: what is stored of a key, and what a repeated request's body is known
/// by.
std::string sha256_hex(std::string_view text);

} // namespace skyengine::net::api
