#pragma once

#include "domain/error.hpp"

#include <string_view>

namespace skyengine {

/// A host name as RFC 1123 has it: at most 253 characters; labels of 1 to 63 letters, digits and inner
/// hyphens; the last label no number, since the whole would read as an address. errc::invalid_request with
/// the reason otherwise.
result<> check_hostname(std::string_view name);

} // namespace skyengine
