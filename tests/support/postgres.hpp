#pragma once

#include "db/database.hpp"
#include "db/migrations.hpp"
#include "db/private_postgres.hpp"
#include "tests/support/temporary_folder.hpp"

#include <span>
#include <string>

namespace skyengine::test {

/// The one private PostgreSQL of this test process: started when first asked for, without fsync, stopped when
/// the process ends in whatever way.
db::private_postgres& postgres();

/// A database of its own with all migrations applied, made from a template. It goes with the PostgreSQL: to
/// drop it would cost more than the test.
class test_database {
public:
  test_database();
  /// One with `migrations` instead of the program's own.
  explicit test_database(std::span<const db::migration> migrations);

  const std::string& url() const noexcept { return url_; }
  const std::string& name() const noexcept { return name_; }
  /// Options for a `db::database` on it.
  db::database_options options() const;

private:
  std::string name_;
  std::string url_;
};

/// Runs `sql` at once over a connection of its own; the first column of the last row, empty without one.
/// `std::runtime_error` with PostgreSQL's words when it fails. Blocks: not while a loop must run.
std::string run_sql(const std::string& url, const std::string& sql);

} // namespace skyengine::test
