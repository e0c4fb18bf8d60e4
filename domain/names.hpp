#pragma once

#include "domain/error.hpp"

#include <cstddef>
#include <string_view>

namespace skyengine {

/// Labels that one server may have.
inline constexpr std::size_t labels_max = 16;
/// Characters of a label's name.
inline constexpr std::size_t label_name_max = 63;
/// Bytes of a label's value, of an external reference, and of a name for people.
inline constexpr std::size_t text_max = 255;

/// The operator's own short name of a plan or region: `[a-z0-9-]{1,64}`.
result<> check_short_name(std::string_view name);

/// 1 to 63 letters, digits, `.`, `_`, `-` and `/`; so a filter `name:value` has one meaning.
result<> check_label_name(std::string_view name);

/// UTF-8 without control characters, at most 255 bytes; may be empty.
result<> check_label_value(std::string_view value);

/// What people or the panel wrote (a reference, a display name): as a label's value, but not empty.
result<> check_text(std::string_view text);

} // namespace skyengine
