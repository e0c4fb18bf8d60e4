#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace skyengine {

/// Who is waiting for a call, in order of priority.
enum class call_class : std::uint8_t {
  /// A person.
  interactive,
  /// What must happen soon: suspend, unsuspend, delete.
  control,
  /// The sync.
  background,
  /// Looking after builds: background work that a tenth of the slots is kept for.
  build_poll,
};

inline constexpr std::size_t call_classes = 4;

/// `interactive`, …: label of metrics and field of the log.
constexpr std::string_view to_string(call_class which) noexcept {
  constexpr std::array<std::string_view, call_classes> names{"interactive", "control", "background",
                                                             "build_poll"};
  return names[static_cast<std::size_t>(which)];
}

/// Per class a value.
template <class T>
struct per_class {
  std::array<T, call_classes> values{};
  constexpr T& operator[](call_class which) noexcept { return values[static_cast<std::size_t>(which)]; }
  constexpr const T& operator[](call_class which) const noexcept {
    return values[static_cast<std::size_t>(which)];
  }
};

/// A bounded queue for each class. Within one the oldest comes first, also when it comes back to be tried
/// again.
template <class T>
class class_queues {
public:
  using time_point = std::chrono::steady_clock::time_point;
  /// Names an item for as long as it lives; older items have smaller ones.
  using ticket = std::uint64_t;

  struct entry {
    ticket number = 0;
    call_class which = call_class::interactive;
    time_point deadline;
    T item;
  };

  explicit class_queues(per_class<std::size_t> capacities) noexcept : capacities_(capacities) {}

  /// Waiting and parked ones.
  std::size_t size(call_class which) const noexcept {
    return lanes_[which].waiting.size() + lanes_[which].parked;
  }
  std::size_t waiting(call_class which) const noexcept { return lanes_[which].waiting.size(); }
  std::size_t room(call_class which) const noexcept {
    return capacities_[which] - std::min(capacities_[which], size(which));
  }

  ticket next_ticket() noexcept { return next_++; }

  /// @pre there is room
  void push(entry e) {
    deadlines_.emplace(std::pair{e.deadline, e.number}, place{e.which, e.number, false});
    lanes_[e.which].waiting.emplace(e.number, std::move(e));
  }

  /// As push, but nobody is to see it before `until`. @pre there is room
  void park(entry e, time_point until) {
    deadlines_.emplace(std::pair{e.deadline, e.number}, place{e.which, e.number, true});
    ++lanes_[e.which].parked;
    const auto number = e.number;
    parked_.emplace(std::pair{until, number}, std::move(e));
  }

  /// Puts back in line who was parked until `now` or earlier.
  void unpark(time_point now) {
    while (!parked_.empty() && parked_.begin()->first.first <= now) {
      auto e = std::move(parked_.extract(parked_.begin()).mapped());
      forget(e);
      --lanes_[e.which].parked;
      push(std::move(e));
    }
  }

  /// The class whose turn it is: polls while fewer of them than guaranteed are under way, then by priority,
  /// polls before the rest of the background work. `is_stopped(class)`: passed over.
  template <class Predicate>
  std::optional<call_class> next(std::size_t polls_under_way, std::size_t limit, Predicate is_stopped) const {
    const auto may = [&](call_class which) { return !lanes_[which].waiting.empty() && !is_stopped(which); };
    const auto guaranteed = std::max<std::size_t>(limit / 10, 1);
    if (polls_under_way < guaranteed && may(call_class::build_poll))
      return call_class::build_poll;
    for (const auto which :
         {call_class::interactive, call_class::control, call_class::build_poll, call_class::background})
      if (may(which))
        return which;
    return std::nullopt;
  }

  /// How many stand before a new one of this class.
  std::size_t ahead_of(call_class which) const noexcept {
    auto count = waiting(call_class::interactive);
    if (which != call_class::interactive)
      count += waiting(call_class::control);
    if (which == call_class::build_poll || which == call_class::background)
      count += waiting(call_class::build_poll);
    if (which == call_class::background)
      count += waiting(call_class::background);
    return count;
  }

  /// @pre waiting(which) > 0
  entry pop(call_class which) {
    auto& lane = lanes_[which].waiting;
    auto e = std::move(lane.extract(lane.begin()).mapped());
    forget(e);
    return e;
  }

  /// Takes out everything whose deadline is `now` or earlier, parked ones too.
  std::vector<entry> expire(time_point now) {
    std::vector<entry> out;
    while (!deadlines_.empty() && deadlines_.begin()->first.first <= now)
      out.push_back(take(deadlines_.begin()->second));
    return out;
  }

  /// Takes out everything of a class.
  std::vector<entry> drain(call_class which) {
    std::vector<entry> out;
    for (auto at = deadlines_.begin(); at != deadlines_.end();) {
      const auto found = at++->second;
      if (found.which == which)
        out.push_back(take(found));
    }
    return out;
  }

  std::optional<time_point> next_deadline() const noexcept {
    return deadlines_.empty() ? std::nullopt : std::optional{deadlines_.begin()->first.first};
  }
  std::optional<time_point> next_unpark() const noexcept {
    return parked_.empty() ? std::nullopt : std::optional{parked_.begin()->first.first};
  }

private:
  struct place {
    call_class which;
    ticket number;
    bool is_parked;
  };
  struct lane {
    std::map<ticket, entry> waiting;
    std::size_t parked = 0;
  };

  void forget(const entry& e) { deadlines_.erase({e.deadline, e.number}); }

  entry take(place from) {
    if (!from.is_parked) {
      auto& waiting = lanes_[from.which].waiting;
      auto e = std::move(waiting.extract(from.number).mapped());
      forget(e);
      return e;
    }
    const auto found = std::find_if(parked_.begin(), parked_.end(),
                                    [&](const auto& p) { return p.first.second == from.number; });
    auto e = std::move(parked_.extract(found).mapped());
    --lanes_[from.which].parked;
    forget(e);
    return e;
  }

  per_class<std::size_t> capacities_;
  per_class<lane> lanes_;
  std::map<std::pair<time_point, ticket>, entry> parked_;
  std::map<std::pair<time_point, ticket>, place> deadlines_;
  ticket next_ = 1;
};

} // namespace skyengine
