#pragma once

#include "db/database.hpp"
#include "domain/error.hpp"

#include <boost/asio/awaitable.hpp>

#include <span>
#include <string>
#include <vector>

namespace skyengine::db {

/// One numbered script of `db/migrations/NNNN_what.sql`; the texts live as long as the program.
struct migration {
  int version;
  const char* name;
  const char* sql;
};

struct migration_report {
  /// Names of those that this call applied, in order.
  std::vector<std::string> applied;
  /// The database's version now, 0 when there is no migration.
  int version = 0;
};

/// The scripts this binary was built with, by version, without gaps from 1.
std::span<const migration> embedded_migrations();

/// Brings the database of `options` to the last of `migrations`, over a connection of its own and under an
/// advisory lock, each script in its own transaction and recorded with its SHA-256.
///
/// errc::conflict: an applied script has changed, or the database is newer than `migrations`; `detail` says
/// which. errc::internal: a script failed; it left nothing behind. errc::database_unavailable: no connection,
/// or another runner held the lock for too long.
asio::awaitable<result<migration_report>>
migrate(database_options options, std::span<const migration> migrations = embedded_migrations());

/// Whether the database of `options` has all of `migrations` and no other; changes nothing.
/// errc::database_unavailable: no connection.
asio::awaitable<result<bool>> is_migrated(database_options options,
                                          std::span<const migration> migrations = embedded_migrations());

} // namespace skyengine::db
