#include "tests/torture/rows.hpp"

#include "tests/support/postgres.hpp"

namespace skyengine::torture {

namespace json = boost::json;

json::array rows_of(const std::string& database_url, const std::string& query) {
  const auto found = test::run_sql(
    database_url, "SET TimeZone = 'UTC'; SELECT coalesce(json_agg(q), '[]') FROM (" + query + ") AS q");
  return json::parse(found).as_array();
}

std::int64_t number(const json::value& row, const char* name) {
  return row.as_object().at(name).to_number<std::int64_t>();
}

std::string text(const json::value& row, const char* name) {
  return std::string{row.as_object().at(name).as_string()};
}

std::string time_text(const std::string& column) {
  return "extract(epoch FROM " + column + ")::bigint";
}

} // namespace skyengine::torture
