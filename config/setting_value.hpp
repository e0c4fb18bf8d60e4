#pragma once

#include "config/settings.hpp"
#include "domain/error.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace skyengine::config {

/// What a text of each kind becomes: text, path, url and database → string; integer, size and choice (the
/// index of the word) → int64; duration → milliseconds.
using value = std::variant<std::string,
                           std::int64_t,
                           bool,
                           std::chrono::milliseconds,
                           listen_address,
                           std::vector<std::string>>;

enum class value_kind : std::uint8_t {
  /// UTF-8 without control characters, of at most `most` bytes.
  text,
  /// An http(s) URL; without a path it gets `/api/v1`.
  url,
  /// A libpq URL or connection string.
  database,
  /// Printable ASCII without spaces: what may stand in an HTTP header.
  token,
  integer,
  /// Bytes, with KiB or MiB behind if need be.
  size,
  boolean,
  /// `0`, or digits and one of ms, s, m, h.
  duration,
  /// `host:port`, `[v6]:port`.
  address,
  /// IP addresses, with commas between.
  addresses,
  /// One of some words.
  choice,
};

struct value_type {
  value_kind kind = value_kind::text;
  /// Of integers, bytes (of a size or a text) and milliseconds, both included.
  std::int64_t least = 0;
  std::int64_t most = std::numeric_limits<std::int64_t>::max();
  /// Of a choice: `json|pretty`.
  std::string_view words = {};
};

/// Reads `text`. Where it does not fit: errc::invalid_request, whose detail says what is allowed (`allowed`)
/// and does not repeat the text.
result<value> parse_value(const value_type& type, std::string_view text);

/// What a value of this type may be, for people: `a whole number of 2 to 10000`.
std::string allowed(const value_type& type);

} // namespace skyengine::config
