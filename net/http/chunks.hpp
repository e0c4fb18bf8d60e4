#pragma once

#include <cstddef>

namespace skyengine::net::http {

/// `0 CR LF CR LF`: while a chunked body is not over, at least so many bytes are still to come. Beast 1.81
/// asserts that it sees them all when it looks at a last chunk for the second time, so its parser is not
/// shown fewer.
inline constexpr std::size_t smallest_end_of_chunks = 5;

} // namespace skyengine::net::http
