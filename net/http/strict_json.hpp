#pragma once

#include "domain/error.hpp"

#include <boost/json/value.hpp>

#include <cstddef>
#include <string_view>

namespace skyengine::net::http {

inline constexpr std::size_t max_json_depth = 32;
inline constexpr std::size_t max_json_string_bytes = 256 * 1024;
/// In one object. Bounds what a body of colliding keys can cost.
inline constexpr std::size_t max_json_members = 1'000;

/// Reads one JSON document as it was meant, or not at all: no second meaning is guessed from duplicate keys,
/// numbers that overflow, half surrogates, NUL, a byte order mark or bytes that are no UTF-8. int64, uint64
/// and double stay apart. errc::malformed_request names line, column (in characters, both from 1) and reason.
result<boost::json::value> parse_strict(std::string_view text);

} // namespace skyengine::net::http
