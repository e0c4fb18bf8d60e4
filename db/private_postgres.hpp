#pragma once

#include "domain/error.hpp"

#include <filesystem>
#include <memory>
#include <string>

namespace skyengine::db {

struct private_postgres_options {
  /// The engine's data folder; the database lies in its `postgres`.
  std::filesystem::path data_dir;
  /// The folder of `initdb` and `postgres`; empty: `pg_config --bindir`, then
  /// `/usr/lib/postgresql/*/bin`.
  std::filesystem::path bindir = {};
  /// False: without fsync, for databases that live no longer than a test.
  bool is_durable = true;
};

/// A PostgreSQL of our own on a unix socket in a folder of mode 0700. Shared by all processes with the same
/// data folder: the first starts it, one that finds it running (also after its starter was killed) takes it
/// over, the last to leave stops it. It has no account to guard: who can reach the folder owns it.
///
/// Started by root it runs as the account whose folder it is, a new one as `postgres`; where that account
/// cannot reach the folder the database lies in
/// `/var/lib/skyengine/<hash>`, which the log says.
///
/// Blocks (for seconds when the folder is new): not for use on the loop. Not thread-safe.
class private_postgres {
public:
  /// errc::database_unavailable: one sentence says what is missing and what to do.
  static result<private_postgres> start(const private_postgres_options& options);

  private_postgres(private_postgres&&) noexcept;
  private_postgres& operator=(private_postgres&&) noexcept;
  ~private_postgres();

  /// For `database_options::url`.
  const std::string& url() const noexcept;
  /// Where it really lies, `data_dir/postgres` unless that could not be reached.
  const std::filesystem::path& folder() const noexcept;
  /// The process id of the server.
  int pid() const noexcept;

  /// Starts it again if it died. The url stays.
  result<> ensure_running();

  /// Stops it if nobody else uses it. The destructor does the same.
  void leave();

private:
  struct implementation;
  explicit private_postgres(std::unique_ptr<implementation> made);
  std::unique_ptr<implementation> implementation_;
};

} // namespace skyengine::db
