#pragma once

#include "actors/runtime/actor_runtime.hpp"
#include "config/settings.hpp"
#include "db/database.hpp"
#include "db/panel_store.hpp"
#include "db/private_postgres.hpp"
#include "domain/clock.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>

#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

namespace skyengine::commands {

/// Runs `loop` until `task` has ended, and answers what it answered.
template <class T>
T run_to_end(boost::asio::io_context& loop, boost::asio::awaitable<T> task) {
  std::exception_ptr thrown;
  std::optional<T> value;
  auto is_done = false;
  boost::asio::co_spawn(loop, std::move(task), [&](std::exception_ptr bug, T result) {
    thrown = bug;
    if (!bug)
      value.emplace(std::move(result));
    is_done = true;
  });
  loop.restart();
  // NOLINTNEXTLINE(bugprone-infinite-loop): the handler above ends it.
  while (!is_done)
    loop.run_one();
  if (thrown)
    std::rethrow_exception(thrown);
  return std::move(*value);
}

/// The database of a command: the private PostgreSQL when no other is set (started when it does not run yet),
/// migrated and connected, with its business clock. Everything that fails is one sentence.
class database_session {
public:
  enum class access : std::uint8_t {
    /// Brings it to this program's version.
    migrated,
    /// Writes nothing, and refuses a database of another version. There is no business clock.
    unchanged,
  };

  /// Starts what must run before the loop does. Blocks, for seconds when the data folder is new.
  static result<std::unique_ptr<database_session>> open(const config::settings& settings,
                                                        const std::filesystem::path& data_dir,
                                                        access how = access::migrated);

  ~database_session();
  database_session(const database_session&) = delete;
  database_session& operator=(const database_session&) = delete;

  db::database& database() noexcept { return *database_; }
  const scaled_clock& business() const noexcept { return business_; }
  boost::asio::io_context& loop() noexcept { return runtime_->loop(); }
  actors::runtime::actor_runtime& runtime() noexcept { return *runtime_; }
  const db::database_options& options() const noexcept { return database_->options(); }
  /// Whether this call has made the private PostgreSQL.
  bool is_new() const noexcept { return is_new_; }
  /// Starts the private PostgreSQL again if it died.
  result<> ensure_running();

private:
  database_session() = default;

  std::optional<db::private_postgres> postgres_;
  std::unique_ptr<actors::runtime::actor_runtime> runtime_;
  std::unique_ptr<db::database> database_;
  scaled_clock business_;
  bool is_new_ = false;
};

/// errc::not_found where there is neither another database nor a private one in `data_dir`: one that were
/// made anew would be empty, and a wrong folder look well.
result<> check_database_exists(const config::settings& settings, const std::filesystem::path& data_dir);

/// As `db::claim_panel`; errc::conflict says which way out there is.
result<> claim_panel(database_session& session,
                     const config::settings& settings,
                     const std::filesystem::path& data_dir,
                     db::panel_kind wanted);

/// One line on stderr where a command may work on another database than was meant: one that it has just made,
/// or the demo's.
void warn_of_place(database_session& session,
                   const config::settings& settings,
                   const std::filesystem::path& data_dir);

} // namespace skyengine::commands
