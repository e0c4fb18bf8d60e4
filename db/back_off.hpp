#pragma once

#include <boost/asio/awaitable.hpp>

#include <chrono>

namespace skyengine::db::detail {

/// Between half of `longest` and `longest`, so that many who wait do not come back together.
std::chrono::steady_clock::duration jittered(std::chrono::steady_clock::duration longest);

/// Waits `span` on the loop.
boost::asio::awaitable<void> pause(std::chrono::steady_clock::duration span);

/// The pauses between attempts to connect: none at first, then doubling up to a bound. A connection that did
/// not live long is no success: a server that falls over at each start is not asked all the time.
class reconnect_pauses {
public:
  /// The longest pause before the next attempt, to be jittered.
  std::chrono::steady_clock::duration next() noexcept;
  /// A connection of this age ended.
  void ended_after(std::chrono::steady_clock::duration life) noexcept;

private:
  std::chrono::steady_clock::duration next_{0};
};

} // namespace skyengine::db::detail
