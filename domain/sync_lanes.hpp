#pragma once

#include "domain/ids.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

namespace skyengine {

/// How closely a sync looks at one server: one light call, or one that asks hypervisor and guest.
enum class sync_depth : std::uint8_t { traffic, live };

std::string_view to_string(sync_depth depth) noexcept;

/// A server that is due to be looked at.
struct due_server {
  server_id id;
  virtfusion_server_id panel_id;
  /// 0: not known.
  std::int64_t hypervisor = 0;
  /// Calls that have failed.
  int failures = 0;
};

/// Whose turn it is: due servers in one lane for each depth and hypervisor, so that one whose guests hang
/// costs the others nothing. The lane with the fewest calls under way comes first, traffic and live take
/// turns, and within a lane the order is that of `add`.
///
/// A lane begins with one call and may have twice as many after each success, up to its share; a time-out
/// sets it back to one. After `most_timeouts` in a row, each sent after the one before had ended and while
/// other lanes were answered, it is given up.
class sync_lanes {
public:
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr int most_timeouts = 3;

  struct pick {
    sync_depth depth = sync_depth::traffic;
    due_server server;
  };

  /// @pre slots ≥ 1: how many calls there may be under way at once, all lanes together.
  explicit sync_lanes(std::size_t slots) noexcept : slots_(slots) {}

  /// Nothing happens when its lane was given up.
  void add(sync_depth depth, due_server server);
  /// The next one, which is under way from now on; nothing when none may begin.
  std::optional<pick> next();

  // What came of one that was under way.
  void on_success(const pick& done, time_point now);
  void on_timeout(const pick& done, time_point sent_at, time_point now);
  /// Anything else: it says nothing of the hypervisor.
  void on_failure(const pick& done);

  /// Whether anybody but its lane was answered since then: if nobody was, it may be the panel that hangs.
  bool were_others_answered(const pick& but, time_point since) const;
  /// The panel has answered a call that is in no lane.
  void on_panel_answer(time_point now) noexcept { panel_answered_at_ = now; }

  /// Nothing more is to be asked of this depth.
  void stop(sync_depth depth);

  std::size_t waiting() const noexcept { return waiting_; }
  std::size_t under_way() const noexcept { return under_way_; }
  /// How many of this depth could begin without waiting for a call of their own lane.
  std::size_t ready(sync_depth depth) const;
  std::set<std::int64_t> given_up(sync_depth depth) const;

private:
  using lane_key = std::pair<sync_depth, std::int64_t>;
  struct lane {
    std::deque<std::pair<std::uint64_t, due_server>> waiting;
    std::size_t under_way = 0;
    std::size_t allowed = 1;
    int timeouts = 0;
    time_point counted_at = time_point::min();
    time_point answered_at = time_point::min();
    bool is_given_up = false;
  };

  lane* best(sync_depth depth);
  /// How many calls one lane may have.
  std::size_t share_of(sync_depth depth) const;
  void drop_waiting(lane& one) noexcept;
  lane& finish(const pick& done);
  bool were_others_answered(const lane* but, time_point since) const;

  std::size_t slots_;
  std::map<lane_key, lane> lanes_;
  std::size_t waiting_ = 0;
  std::size_t under_way_ = 0;
  std::uint64_t next_number_ = 0;
  time_point panel_answered_at_ = time_point::min();
  std::set<sync_depth> stopped_;
  sync_depth last_ = sync_depth::live;
};

} // namespace skyengine
