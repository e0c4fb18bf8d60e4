#pragma once

#include "config/secret_filter.hpp"
#include "config/settings.hpp"
#include "domain/log.hpp"

#include <chrono>
#include <initializer_list>
#include <string>
#include <string_view>

namespace skyengine::config {

/// What was logged, before it is text.
struct log_entry {
  std::chrono::sys_time<std::chrono::milliseconds> at;
  log::level severity = log::level::info;
  std::string_view message;
  std::initializer_list<log::field> fields;
};

/// Bytes of one string in a line; what is longer is cut.
inline constexpr std::size_t logged_string_max = 16'384;

/// One line without its end. json: an object `{"ts", "level", "msg", …fields}`; pretty: for people, coloured
/// if `is_coloured`. No secret of `secrets` stands in it, and nothing that a terminal or a parser takes for a
/// command: controls are escaped, what is not UTF-8 is U+FFFD.
std::string
log_line(const log_entry& entry, log_format format, bool is_coloured, const secret_filter& secrets);

} // namespace skyengine::config
