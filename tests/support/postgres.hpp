#pragma once

#include "db/database.hpp"
#include "db/migrations.hpp"
#include "db/private_postgres.hpp"
#include "tests/support/temporary_folder.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

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

/// Holds every connection that the tests' PostgreSQL has, but those that are in use, until it goes. Cuts
/// those to `cut` first.
class connection_hog {
public:
  explicit connection_hog(const test_database& cut);
  ~connection_hog();
  connection_hog(const connection_hog&) = delete;
  connection_hog& operator=(const connection_hog&) = delete;

private:
  struct link;
  std::vector<link> held_;
};

/// While it lives no file of the tests' PostgreSQL grows beyond `bytes`: writes behind that are cut short, as
/// on a disk that is full.
class small_files {
public:
  explicit small_files(std::size_t bytes);
  ~small_files();
  small_files(const small_files&) = delete;
  small_files& operator=(const small_files&) = delete;
};

/// While it lives, whoever opens a transaction in the tests' PostgreSQL can only read, as on a standby.
class read_only_postgres {
public:
  read_only_postgres();
  ~read_only_postgres();
  read_only_postgres(const read_only_postgres&) = delete;
  read_only_postgres& operator=(const read_only_postgres&) = delete;
};

} // namespace skyengine::test
