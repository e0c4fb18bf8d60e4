#pragma once

#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine::config {

/// Replaces known secrets by `***`. Safe to use from any thread.
class secret_filter {
public:
  /// Secrets of fewer characters are left alone: they would stand in every second word.
  static constexpr std::size_t length_min = 4;

  void add(std::string secret);
  std::string clean(std::string_view text) const;

private:
  mutable std::shared_mutex mutex_;
  /// Longest first, since one may contain another.
  std::vector<std::string> secrets_;
};

} // namespace skyengine::config
