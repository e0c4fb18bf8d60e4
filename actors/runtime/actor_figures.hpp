#pragma once

#include "domain/histogram.hpp"

#include <caf/fwd.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <map>
#include <string_view>
#include <vector>

namespace skyengine::actors::runtime {

/// Upper bounds, in seconds, of the buckets of `actor_handling_seconds`; one more bucket has the rest. A
/// handler that takes a millisecond holds up everything else on the loop.
inline constexpr std::array<double, 8> handling_buckets{0.000005, 0.00001, 0.00005, 0.0001,
                                                        0.0005,   0.001,   0.01,    0.1};

/// What the scheduler measures of the actors that called `prepare`, by their names, which are fixed texts of
/// the program. Used on the loop's thread only.
class actor_figures {
public:
  struct series {
    /// Of each message, what its handler took; coroutines that it started are not counted in.
    histogram<handling_buckets> seconds;
    /// Messages that wait at present, for all living actors of the name together.
    std::size_t mailbox_depth = 0;
  };

  void enter(caf::scheduled_actor& one);
  void leave(caf::scheduled_actor& one);
  /// `name` is the one that the actor gave when it entered, the same text at the same place; others are not
  /// counted.
  void count(const char* name, std::chrono::steady_clock::duration took);

  std::map<std::string_view, series> look() const;

private:
  struct named {
    const char* name;
    series figures;
  };
  std::vector<named> all_;
  std::vector<caf::scheduled_actor*> living_;
};

} // namespace skyengine::actors::runtime
