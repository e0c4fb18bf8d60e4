#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine::simulator {

enum class fault_kind : std::uint8_t {
  delay,
  status,
  rate_limit,
  lost_answer,
  late_effect,
  reset,
  truncate,
  malformed,
  trickle,
  stall,
  build_fails,
  suspend_leaves_running,
  stale_list
};

std::optional<fault_kind> parse_fault_kind(std::string_view name) noexcept;
std::string_view to_string(fault_kind kind) noexcept;

struct fault {
  /// Method and the vendor's path template, or `*`.
  std::string operation;
  fault_kind kind = fault_kind::delay;
  /// How many of those that it fits it hits, from 0 to 1.
  double share = 1;
  /// How often it hits at most; without it, always.
  std::optional<std::int64_t> count = {};
  unsigned status = 500;
  /// Seconds or a date, as the header will say; empty: no header.
  std::string retry_after = {};
  std::optional<std::chrono::milliseconds> delay = {};
  /// It hits calls for servers of this hypervisor alone.
  std::optional<std::int64_t> hypervisor = {};
};

/// What is to go wrong with one request.
struct drawn_faults {
  /// All delays that hit, together.
  std::chrono::milliseconds delay{0};
  /// The first other fault that hit, as it stood.
  std::optional<fault> hit = {};
  /// How often that fault has hit before.
  std::size_t earlier_hits = 0;
};

/// The faults that the control side asked for, in the order made. The same seed and the same requests draw
/// the same faults.
class fault_plan {
public:
  explicit fault_plan(std::uint64_t seed) : random_(seed) {}

  void add(fault wanted) { entries_.push_back({std::move(wanted), 0}); }
  void clear() noexcept { entries_.clear(); }
  /// Each fault that fits `operation` is drawn in turn; a delay lets the next ones be drawn. `hypervisor`: of
  /// the server that is asked for.
  drawn_faults draw(std::string_view operation, std::optional<std::int64_t> hypervisor = {});

private:
  struct entry {
    fault what;
    std::size_t hits;
  };
  std::vector<entry> entries_;
  std::mt19937_64 random_;
};

} // namespace skyengine::simulator
