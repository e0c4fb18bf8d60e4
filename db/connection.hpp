#pragma once

#include "db/rows.hpp"
#include "db/statement.hpp"
#include "domain/error.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

struct pg_conn;

namespace skyengine::db::detail {

namespace asio = boost::asio;

/// Why a statement has no rows, for those who must tell more apart than its caller.
enum class fault : std::uint8_t {
  none,
  /// PostgreSQL refused it; nothing was done.
  refused,
  /// A serialization failure or a deadlock; nothing was done, and again may succeed.
  retryable,
  /// The prepared statement is gone or outdated; nothing was done, and again will prepare it anew.
  stale,
  /// The connection ended after the statement was handed over: it may have been done.
  lost,
  /// It was never handed over.
  unsent,
};

/// What became of one statement.
struct answer {
  rows value;
  fault kind = fault::none;
  error failure;
  std::string sqlstate;
  /// PostgreSQL's own words, where they quote no value.
  std::string message;
};

/// A statement on its way. It lives in the coroutine that waits for it, and so do the parameters.
struct pending {
  const statement* what = nullptr;
  const std::vector<parameter>* parameters = nullptr;
  /// Runs before `what` and before the same sync: if it fails, so does `what`.
  const statement* prelude = nullptr;
  std::chrono::steady_clock::time_point queued_at;
  /// Optional, since in Boost 1.81 the assignment of such a handler never returns.
  std::optional<asio::any_completion_handler<void(answer)>> handler;

  answer reply;
  /// How many results came, and which of them answers the preparation of `what` (-1: none).
  int results = 0;
  int preparation = -1;
};

/// Ends the coroutine that waits for a statement which nobody will answer any more.
struct abandon {
  void operator()(pending* p) const noexcept;
};
using pending_ptr = std::unique_ptr<pending, abandon>;

/// Hands the reply to whoever waits for it: resumes that coroutine at once.
void complete(pending_ptr p);

struct connection_settings {
  std::string url;
  std::string application_name = "skyengine";
  std::chrono::milliseconds connect_timeout{5000};
  /// For these three, 0 is "no limit".
  std::chrono::milliseconds statement_timeout{10000};
  std::chrono::milliseconds lock_timeout{5000};
  std::chrono::milliseconds idle_transaction_timeout{30000};
};

/// One PostgreSQL connection on the loop. Opened once, and done for when lost. All calls are made on the
/// loop's thread.
class connection : public std::enable_shared_from_this<connection> {
public:
  connection(asio::any_io_executor loop, connection_settings settings);
  ~connection();
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  /// Called once when an open connection ends other than by `close`, before the statements on it fail.
  std::function<void(const std::string& reason)> on_lost;
  /// Called after answers were handed out, so that more can be sent.
  std::function<void()> on_answered;
  /// LISTEN's notifications, in order.
  std::function<void(std::string_view channel, std::string_view payload)> on_notification;

  /// Resolves, connects and sets the session up. errc::database_unavailable says why not, without secrets.
  asio::awaitable<result<>> open();

  /// Runs a script of several statements with the simple protocol, in one implicit transaction unless it has
  /// its own; answers what its last statement did. Only between `open` and `enter_pipeline`, one at a time.
  asio::awaitable<answer> run_script(std::string sql);

  /// From here on statements go by `send`.
  result<> enter_pipeline();

  /// Hands `p` to libpq and takes it over; false leaves it: the connection is lost and nothing was sent that
  /// could be committed.
  bool send(pending_ptr& p);

  /// Sends `what` and waits for its answer. Statement and parameters outlive the coroutine.
  asio::awaitable<answer>
  run(const statement& what, const std::vector<parameter>& parameters, const statement* prelude = nullptr);

  bool is_open() const noexcept { return state_ == state::open; }
  /// False inside a transaction block.
  bool is_idle() const noexcept;
  std::size_t in_flight() const noexcept { return in_flight_.size(); }
  /// Differs between two starts or crash recoveries of the server, and between servers.
  const std::string& incarnation() const noexcept { return incarnation_; }

  /// Ends it at once; statements on it fail as lost.
  void close();

private:
  enum class state : std::uint8_t { fresh, opening, open, closed };
  struct prepared {
    const char* sql;
    std::string name;
    int generation = 0;
    bool exists = false;
  };

  asio::awaitable<result<>> connect();
  asio::awaitable<result<>> resolve(std::vector<std::string>& keywords, std::vector<std::string>& values);
  asio::awaitable<bool> wait_for(asio::posix::descriptor_base::wait_type what);
  asio::awaitable<answer> receive_script();
  void watch();
  void guard();
  void on_readable();
  bool receive(std::vector<pending_ptr>& answered);
  void record(pending& p, pg_result* r);
  void deliver_notifications();
  void flush();
  void lose(std::string reason);
  void drop();
  std::string reason() const;
  prepared& preparation_of(const statement& s);

  asio::any_io_executor loop_;
  connection_settings settings_;
  asio::posix::stream_descriptor socket_;
  asio::steady_timer deadline_;
  bool timed_out_ = false;
  std::chrono::steady_clock::time_point answered_at_;
  bool writing_ = false;
  state state_ = state::fresh;
  pg_conn* pg_ = nullptr;
  std::deque<pending_ptr> in_flight_;
  std::unordered_map<std::string_view, prepared> prepared_;
  std::vector<const char*> values_;
  std::string incarnation_;
};

} // namespace skyengine::db::detail
