#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace skyengine {

/// RFC 4648 with padding.
std::string base64_encode(std::string_view bytes);

/// The one encoding of some bytes, padding included; nullopt for anything else (spaces, lines, stray bits).
std::optional<std::string> base64_decode(std::string_view text);

/// The alphabet for URLs (`-`, `_`), without padding: cursors.
std::string base64url_encode(std::string_view bytes);

/// As base64_decode, for the other alphabet; padding is refused.
std::optional<std::string> base64url_decode(std::string_view text);

} // namespace skyengine
