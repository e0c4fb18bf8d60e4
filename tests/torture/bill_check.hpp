#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace skyengine::torture {

/// What the bills of a database came to, by a reckoning of its own.
struct bill_figures {
  std::int64_t servers = 0;
  std::int64_t months = 0;
  std::int64_t charges = 0;
  std::int64_t corrections = 0;
  /// Of charges that gave something back.
  std::int64_t negative = 0;
  std::int64_t total_micros = 0;
};

/// Holds charges, corrections and balances against what `server_events`, prices, holds and looks at the power
/// say: second by second, by exact fractions, with nothing of the engine's own arithmetic. What differs, as a
/// sentence each. No terms may count by the hour. Nobody closes hours meanwhile.
std::vector<std::string> bill_differences(const std::string& database_url, bill_figures& figures);

} // namespace skyengine::torture
