#pragma once

#include "domain/error.hpp"

#include <string_view>

namespace skyengine::db::detail {

/// What a SQLSTATE means to a caller, as `database` documents it. `constraint` is empty unless PostgreSQL
/// named one.
error to_error(std::string_view sqlstate, std::string_view constraint);

/// A serialization failure or a deadlock: nothing was done, and the same again may succeed.
bool is_retryable(std::string_view sqlstate) noexcept;

/// True for SQLSTATEs whose message never quotes a value, so that it may be logged.
bool has_harmless_message(std::string_view sqlstate) noexcept;

/// No connection, or one that was lost; `detail` says which.
error unavailable(std::string_view detail);

} // namespace skyengine::db::detail
