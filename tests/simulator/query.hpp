#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine::simulator {

/// All values of `name` in a query string, decoded, in their order; `name[]` counts as `name`.
std::vector<std::string> query_values(std::string_view query, std::string_view name);
/// The last of them.
std::optional<std::string> query_value(std::string_view query, std::string_view name);
/// `true` and `1` are true.
bool query_flag(std::string_view query, std::string_view name);
/// `%20` and `+` undone; what is not valid stays as it is.
std::string percent_decode(std::string_view text, bool plus_is_space);
std::optional<std::int64_t> parse_integer(std::string_view text) noexcept;

} // namespace skyengine::simulator
