#pragma once

#include "db/rows.hpp"
#include "db/statement.hpp"
#include "domain/error.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace skyengine::db {

namespace asio = boost::asio;

struct database_options {
  /// A libpq connection string or `postgresql://` URL. Host names are resolved by Asio, never by libpq.
  std::string url;
  /// Shared connections in pipeline mode for single statements; one statement has its own sync.
  std::size_t pipelined_connections = 4;
  /// Connections that a multi-statement transaction has to itself, opened on demand.
  std::size_t transaction_connections = 4;
  std::chrono::milliseconds connect_timeout{5000};
  std::chrono::milliseconds statement_timeout{10000};
  std::chrono::milliseconds lock_timeout{5000};
  /// Statements that wait or run on all pipelined connections together; beyond that: errc::overloaded.
  std::size_t max_outstanding = 4096;
};

/// A transaction on a connection of its own, for as long as the body given to `database::transact` runs.
class transaction {
public:
  virtual ~transaction() = default;

  template <class... Parameters>
  asio::awaitable<result<rows>> run(const statement& s, Parameters&&... parameters) {
    return execute(s, std::vector<parameter>{parameter(std::forward<Parameters>(parameters))...});
  }
  virtual asio::awaitable<result<rows>> execute(const statement& s, std::vector<parameter> parameters) = 0;
};

/// Figures for metrics: since the start, by what happened.
struct database_counters {
  std::uint64_t queries = 0;
  std::uint64_t failed = 0;
  std::uint64_t reconnects = 0;
  std::size_t outstanding = 0;
};

/// Asynchronous PostgreSQL on one loop. Reconnects by itself with back-off; all calls are made on the loop's
/// thread.
///
/// Errors: errc::database_unavailable (no connection, lost connection, time-out, read only, disk full, too
/// many connections: with retry_after), errc::conflict (a unique, foreign key, check or exclusion constraint;
/// `detail` is the constraint's name), errc::overloaded (too many outstanding), errc::internal (a statement
/// PostgreSQL does not understand: a bug, logged with its SQLSTATE).
///
/// A single statement caught by a lost connection fails unless it is known not to have been sent.
class database {
public:
  database(asio::any_io_executor loop, database_options options);
  ~database();
  database(const database&) = delete;
  database& operator=(const database&) = delete;

  /// Opens the first pipelined connection; the rest follow in the background.
  asio::awaitable<result<>> connect();

  /// True while at least one pipelined connection is up.
  bool is_up() const noexcept;
  database_counters counters() const noexcept;
  const database_options& options() const noexcept;

  /// One statement, which is its own transaction.
  template <class... Parameters>
  asio::awaitable<result<rows>> run(const statement& s, Parameters&&... parameters) {
    return execute(s, std::vector<parameter>{parameter(std::forward<Parameters>(parameters))...});
  }
  asio::awaitable<result<rows>> execute(const statement& s, std::vector<parameter> parameters);

  /// BEGIN, `body(transaction&)`, COMMIT; ROLLBACK when the body fails or throws. Body is
  /// `asio::awaitable<result<T>>(transaction&)`; it may run again (serialization failure, deadlock: at most 5
  /// times), so its only effects are in the database. A commit whose answer was lost is decided by
  /// `pg_xact_status` of the id taken at the begin, before this returns.
  template <class Body>
  std::invoke_result_t<Body&, transaction&> transact(Body body);

  /// Lets what is under way end (at most `grace`), then closes all connections.
  asio::awaitable<void> close(std::chrono::milliseconds grace);

private:
  struct implementation;
  std::unique_ptr<implementation> implementation_;
};

} // namespace skyengine::db
