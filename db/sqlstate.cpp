#include "db/sqlstate.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace skyengine::db::detail {

namespace {

using namespace std::chrono_literals;

/// One row a rule; the first whose prefix fits holds.
/// https://www.postgresql.org/docs/15/errcodes-appendix.html
struct rule {
  std::string_view prefix;
  errc code;
  const char* detail;
};

constexpr std::array rules{
  rule{"23503", errc::conflict, "a foreign key"},
  rule{"23505", errc::conflict, "a unique constraint"},
  rule{"23514", errc::conflict, "a check constraint"},
  rule{"23P01", errc::conflict, "an exclusion constraint"},
  rule{"22021", errc::invalid_request, "A text is not valid UTF-8."},
  rule{"22P05", errc::invalid_request, "A text has a character that cannot be stored."},
  rule{"25006", errc::database_unavailable, "The database is read only."},
  rule{"25P03", errc::database_unavailable, "A transaction was idle for too long."},
  rule{"40", errc::database_unavailable, "The database is busy with conflicting work."},
  rule{"53100", errc::database_unavailable, "The database's disk is full."},
  rule{"53300", errc::database_unavailable, "The database has too many connections."},
  rule{"53", errc::database_unavailable, "The database lacks resources."},
  rule{"55P03", errc::database_unavailable, "A lock in the database was not free in time."},
  rule{"57014", errc::database_unavailable, "The database did not answer in time."},
  rule{"57", errc::database_unavailable, "The database is starting or stopping."},
  rule{"08", errc::database_unavailable, "The database cannot be reached."},
  rule{"28", errc::database_unavailable, "The database refused the login."},
  rule{"3D000", errc::database_unavailable, "The database does not exist."},
  rule{"58", errc::database_unavailable, "The database cannot read or write its files."},
  // So it also says that a file may grow no more: a quota, a limit of the process.
  rule{"XX", errc::database_unavailable, "The database has an internal failure."},
};

} // namespace

error to_error(std::string_view sqlstate, std::string_view constraint) {
  const auto found =
    std::find_if(rules.begin(), rules.end(), [&](const rule& r) { return sqlstate.starts_with(r.prefix); });
  if (found == rules.end())
    return {errc::internal, "The database refused a statement."};
  if (found->code == errc::database_unavailable)
    return unavailable(found->detail);
  if (found->code == errc::conflict && !constraint.empty())
    return {errc::conflict, std::string{constraint}};
  return {found->code, found->detail};
}

bool is_retryable(std::string_view sqlstate) noexcept {
  return sqlstate == "40001" || sqlstate == "40P01";
}

bool has_harmless_message(std::string_view sqlstate) noexcept {
  constexpr std::array<std::string_view, 10> classes{"08", "28", "3D", "40", "42",
                                                     "53", "55", "57", "58", "XX"};
  return std::any_of(classes.begin(), classes.end(),
                     [&](std::string_view prefix) { return sqlstate.starts_with(prefix); });
}

error unavailable(std::string_view detail) {
  return {errc::database_unavailable, std::string{detail}, {}, 1s};
}

} // namespace skyengine::db::detail
