#pragma once

#include "db/rows.hpp"

#include <chrono>
#include <cstdint>
#include <string_view>

/// Whole seconds as statements have them: bound for `to_timestamp($1::bigint)`, read from
/// `extract(epoch FROM …)::bigint`.
namespace skyengine::db {

inline std::int64_t since_epoch(std::chrono::sys_seconds at) {
  return at.time_since_epoch().count();
}

inline std::chrono::sys_seconds seconds_in(std::int64_t since) {
  return std::chrono::sys_seconds{std::chrono::seconds{since}};
}

inline std::chrono::sys_seconds seconds_in(const row& r, std::string_view column) {
  return seconds_in(r.get<std::int64_t>(column));
}

} // namespace skyengine::db
