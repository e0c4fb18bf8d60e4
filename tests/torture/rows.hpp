#pragma once

#include <boost/json.hpp>

#include <cstdint>
#include <string>

namespace skyengine::torture {

/// The rows that a query has, as JSON objects; times in UTC. Throws what `test::run_sql` throws.
boost::json::array rows_of(const std::string& database_url, const std::string& query);

/// A member of such a row.
std::int64_t number(const boost::json::value& row, const char* name);
std::string text(const boost::json::value& row, const char* name);

/// A column of times as whole seconds since 1970.
std::string time_text(const std::string& column);

} // namespace skyengine::torture
