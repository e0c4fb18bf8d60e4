#pragma once

#include "db/database.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace skyengine::db {

/// A right that one session of the whole database holds, by name: a session advisory lock on a connection of
/// its own. PostgreSQL frees it when that connection ends, however it ends; it is not taken again by itself.
class session_lock {
public:
  /// `lost` is called on the loop when the connection, and with it the lock, is gone.
  session_lock(asio::any_io_executor loop,
               const database_options& options,
               std::string name,
               std::function<void()> lost);
  /// Releases it; `lost` is not called.
  ~session_lock();
  session_lock(const session_lock&) = delete;
  session_lock& operator=(const session_lock&) = delete;

  /// Waits at most `patience` for it. errc::conflict: another session has it; errc::database_unavailable: no
  /// connection. Not to be called while it is held or being taken. The lock outlives the coroutine.
  asio::awaitable<result<>> acquire(std::chrono::milliseconds patience);
  void release();
  bool is_held() const noexcept;

private:
  struct implementation;
  std::shared_ptr<implementation> implementation_;
};

} // namespace skyengine::db
