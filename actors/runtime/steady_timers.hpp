#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

namespace skyengine::actors::runtime {

namespace asio = boost::asio;

using steady_time = std::chrono::steady_clock::time_point;
using steady_duration = std::chrono::steady_clock::duration;

/// Everything that waits on the loop waits here: the clock of the actors, time-outs, retries, polls. Real
/// time is driven by one Asio timer; virtual time stands still until a test moves it. Used on the loop's
/// thread only.
class steady_timers {
public:
  enum class mode : std::uint8_t { real, manual };
  /// Names one entry; the number keeps entries of the same instant in the order they were made.
  using handle = std::pair<steady_time, std::uint64_t>;

  explicit steady_timers(asio::io_context& loop, mode time = mode::real);
  ~steady_timers();
  steady_timers(const steady_timers&) = delete;
  steady_timers& operator=(const steady_timers&) = delete;

  steady_time now() const noexcept;

  /// Calls `due` on the loop at `when`, or soon when that has passed; never from inside this call.
  handle schedule(steady_time when, std::function<void()> due);
  /// Takes an entry back; nothing happens when it was called or taken back already.
  void cancel(const handle& entry) noexcept;
  /// Takes all entries back.
  void clear() noexcept;

  /// Manual time only: goes to `until`, entry by entry in order of time, and lets `settle` run what each one
  /// caused.
  void advance_to(steady_time until, const std::function<void()>& settle);

private:
  void arm();
  void fire_due();

  mode mode_;
  steady_time manual_now_;
  std::uint64_t next_number_ = 1;
  std::map<handle, std::function<void()>> entries_;
  asio::steady_timer timer_;
  steady_time armed_for_ = steady_time::max();
};

/// Completes at `when`.
asio::awaitable<void> wait_until(steady_timers& timers, steady_time when);

/// Lets one coroutine wait for a time or for a nudge, whichever comes first. One waiter at a time.
/// `timers` must outlive it.
class nudge {
public:
  explicit nudge(steady_timers& timers) : state_(std::make_shared<state>(timers)) {}

  /// True when nudged (also when that happened before the call), false when `when` came first.
  asio::awaitable<bool> wait_until(steady_time when);
  /// Wakes the waiter, or the next wait.
  void notify();

private:
  struct state {
    explicit state(steady_timers& t) : timers(t) {}
    steady_timers& timers;
    bool nudged = false;
    // Owned by the timer's entry alone: it owns the waiting coroutine, which owns this state.
    std::weak_ptr<std::function<void(bool)>> waiter;
    steady_timers::handle entry{};
  };
  static void complete(const std::shared_ptr<state>& state, bool nudged);

  std::shared_ptr<state> state_;
};

} // namespace skyengine::actors::runtime
