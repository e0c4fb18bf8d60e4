#pragma once

#include "db/rows.hpp"
#include "db/statement.hpp"
#include "domain/error.hpp"
#include "domain/histogram.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
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
  /// Longest wait of a statement, or of a transaction's connect, for a connection that is up.
  std::chrono::milliseconds max_wait{2000};
  /// Transactions that wait for one of the transaction connections; beyond that: errc::overloaded.
  std::size_t max_waiting_transactions = 1024;
  /// Longest wait for one of the transaction connections; after that: errc::overloaded.
  std::chrono::milliseconds transaction_wait{5000};
  /// A transaction whose body lets PostgreSQL wait longer than this is ended by PostgreSQL.
  std::chrono::milliseconds idle_transaction_timeout{30000};
  /// How long the outcome of a commit whose answer was lost is sought.
  std::chrono::milliseconds decision_timeout{30000};
  /// What PostgreSQL shows of us in `pg_stat_activity`.
  std::string application_name = "skyengine";
};

enum class isolation : std::uint8_t { read_committed, repeatable_read, serializable };

namespace detail {
/// The parameters of a statement, each made in its place.
template <class... Parameters>
std::vector<parameter> bind(Parameters&&... values) {
  std::vector<parameter> bound;
  bound.reserve(sizeof...(values));
  (bound.emplace_back(std::forward<Parameters>(values)), ...);
  return bound;
}
} // namespace detail

/// A transaction on a connection of its own, for as long as the body given to `database::transact` runs.
class transaction {
public:
  virtual ~transaction() = default;

  template <class... Parameters>
  asio::awaitable<result<rows>> run(const statement& s, Parameters&&... parameters) {
    return execute(s, detail::bind(std::forward<Parameters>(parameters)...));
  }
  virtual asio::awaitable<result<rows>> execute(const statement& s, std::vector<parameter> parameters) = 0;
};

namespace detail {
class transaction_runs;
}

/// Upper bounds, in seconds, of the buckets of `db_query_duration_seconds`; one more bucket has the rest.
inline constexpr std::array<double, 12> query_buckets{0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                                      0.025,   0.05,   0.1,   0.5,    1,     5};

/// Figures for metrics: since the start, by what happened.
struct database_counters {
  std::uint64_t queries = 0;
  std::uint64_t failed = 0;
  std::uint64_t reconnects = 0;
  /// Statements that wait or run, and transactions that do.
  std::size_t outstanding = 0;
  std::size_t transactions = 0;
  /// Of each statement, from when it was asked for, its wait for a connection included, to its answer.
  histogram<query_buckets> seconds;
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
    return execute(s, detail::bind(std::forward<Parameters>(parameters)...));
  }
  asio::awaitable<result<rows>> execute(const statement& s, std::vector<parameter> parameters);

  /// BEGIN, `body(transaction&)`, COMMIT; ROLLBACK when the body fails or throws. Body is
  /// `asio::awaitable<result<T>>(transaction&)`; it may run again (serialization failure, deadlock: at most 5
  /// times), so its only effects are in the database. A commit whose answer was lost is decided by
  /// `pg_xact_status` of the id taken at the begin, before this returns; errc::database_unavailable when it
  /// could not be decided in time. A body that hides the failure of one of its statements fails with it.
  template <class Body>
  std::invoke_result_t<Body&, transaction&> transact(Body body, isolation level = isolation::read_committed);

  /// Lets what is under way end (at most `grace`), then closes all connections.
  asio::awaitable<void> close(std::chrono::milliseconds grace);

private:
  friend class detail::transaction_runs;
  struct implementation;
  std::shared_ptr<implementation> implementation_;
};

namespace detail {

/// What `database::transact` does whatever its body returns: one begin and one end for each run of the body.
class transaction_runs {
public:
  transaction_runs(database& owner, isolation level);
  /// Ends a run that was never ended by closing its connection.
  ~transaction_runs();
  transaction_runs(const transaction_runs&) = delete;
  transaction_runs& operator=(const transaction_runs&) = delete;

  asio::awaitable<result<>> begin();
  transaction& current() noexcept;
  /// Commits when `keep`, else rolls back. True: nothing was done, run the body again. `may_repeat` is false
  /// for a body that threw.
  asio::awaitable<result<bool>> end(bool keep, bool may_repeat);

private:
  struct run_state;
  std::shared_ptr<database::implementation> owner_;
  isolation level_;
  int repeats_ = 0;
  std::unique_ptr<run_state> run_;
};

template <class Body>
std::invoke_result_t<Body&, transaction&> transact(database& owner, Body body, isolation level) {
  using outcome_type = typename std::invoke_result_t<Body&, transaction&>::value_type;
  transaction_runs runs{owner, level};
  for (;;) {
    if (const auto begun = co_await runs.begin(); !begun)
      co_return outcome_type{begun.error()};
    std::optional<outcome_type> outcome;
    std::exception_ptr bug;
    try {
      outcome.emplace(co_await body(runs.current()));
    } catch (...) {
      bug = std::current_exception();
    }
    const auto ended = co_await runs.end(outcome && outcome->has_value(), !bug);
    if (bug)
      std::rethrow_exception(bug);
    if (!ended)
      co_return outcome_type{ended.error()};
    if (!*ended)
      co_return std::move(*outcome);
  }
}

} // namespace detail

template <class Body>
std::invoke_result_t<Body&, transaction&> database::transact(Body body, isolation level) {
  return detail::transact(*this, std::move(body), level);
}

} // namespace skyengine::db
