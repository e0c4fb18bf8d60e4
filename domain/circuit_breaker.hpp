#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace skyengine {

/// Stops calling who fails too often. Closed: calls pass and are counted; where they are too few to judge by,
/// a run of failures casts doubt, and a probe decides. Open: none passes until `probe_at`. Then one probe
/// decides: closed again, or open for another span.
class circuit_breaker {
public:
  using time_point = std::chrono::steady_clock::time_point;
  enum class state : std::uint8_t { closed, half_open, open };

  /// Fewer calls than this within the window say nothing.
  static constexpr std::uint32_t least_calls = 20;
  /// So many failures without an answer in between cast doubt.
  static constexpr std::uint32_t doubtful_run = 3;
  static constexpr std::chrono::seconds window{10};
  static constexpr std::chrono::seconds open_for{5};

  state now_in() const noexcept { return state_; }
  bool is_closed() const noexcept { return state_ == state::closed; }
  /// While open: when the probe is due.
  time_point probe_at() const noexcept { return probe_at_; }
  /// While closed: whether the caller should send a probe and tell what came of it.
  bool is_in_doubt() const noexcept { return is_closed() && run_ >= doubtful_run; }

  /// What calls brought. None counts while it is not closed: those calls were sent before it opened.
  void on_success(time_point now) noexcept;
  /// An answer that says nothing of the other side's health but that it is there.
  void on_answer() noexcept { run_ = 0; }
  /// What failed was asked for this alone: a probe is to decide at once.
  void cast_doubt() noexcept { run_ = doubtful_run; }
  /// True when this one opened it.
  bool on_failure(time_point now) noexcept;
  /// Opens at once, however few the calls. True when this one opened it.
  bool on_refusal(time_point now) noexcept;

  /// While open and due: the caller sends the probe and tells what came of it.
  void begin_probe() noexcept { state_ = state::half_open; }
  /// True when this one opened it.
  bool end_probe(bool has_succeeded, time_point now) noexcept;

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
  /// Failures since the last answer.
  std::uint32_t run_ = 0;
  std::array<second, static_cast<std::size_t>(window.count())> seconds_{};
};

} // namespace skyengine
