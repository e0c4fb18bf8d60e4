#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace skyengine {

/// Stops calling who fails too often. Closed: calls pass and are counted. Open: none passes until `probe_at`.
/// Then one probe decides: closed again, or open for another span.
class circuit_breaker {
public:
  using time_point = std::chrono::steady_clock::time_point;
  enum class state : std::uint8_t { closed, half_open, open };

  /// Fewer calls than this within the window say nothing.
  static constexpr std::uint32_t least_calls = 20;
  static constexpr std::chrono::seconds window{10};
  static constexpr std::chrono::seconds open_for{5};

  state now_in() const noexcept { return state_; }
  bool is_closed() const noexcept { return state_ == state::closed; }
  /// While open: when the probe is due.
  time_point probe_at() const noexcept { return probe_at_; }

  /// What calls brought. Neither counts while it is not closed: those calls were sent before it opened.
  void on_success(time_point now) noexcept;
  /// True when this one opened it.
  bool on_failure(time_point now) noexcept;
  /// Opens at once, however few the calls. True when this one opened it.
  bool on_refusal(time_point now) noexcept;

  /// While open and due: the caller sends the probe and tells what came of it.
  void begin_probe() noexcept { state_ = state::half_open; }
  void end_probe(bool has_succeeded, time_point now) noexcept;

private:
  // The window slides by the second.
  struct second {
    std::chrono::seconds at{-1};
    std::uint32_t successes = 0;
    std::uint32_t failures = 0;
  };

  second& bucket(time_point now) noexcept;
  void open(time_point now) noexcept;

  state state_ = state::closed;
  time_point probe_at_{};
  std::array<second, static_cast<std::size_t>(window.count())> seconds_{};
};

} // namespace skyengine
