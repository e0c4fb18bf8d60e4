#include "commands/run_progress.hpp"

#include <boost/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string_view>

namespace skyengine::commands {

namespace {

namespace json = boost::json;

constexpr std::int64_t bar_width = 24;

struct sync_counts {
  std::int64_t listed = 0;
  std::int64_t looks = 0;
  /// As counted when the looks began; 0 before.
  std::int64_t due = 0;
};

std::int64_t number_in(const json::object& sync, std::string_view part, std::string_view name) {
  const auto* const owner = sync.if_contains(part);
  const auto* const counts = owner != nullptr ? owner->if_object() : nullptr;
  const auto* const count = counts != nullptr ? counts->if_contains(name) : nullptr;
  return count != nullptr && count->is_int64() ? count->get_int64() : 0;
}

std::optional<sync_counts> counts_in(const std::string& figures) {
  boost::system::error_code failed;
  const auto read = json::parse(figures, failed);
  const auto* const all = failed ? nullptr : read.if_object();
  const auto* const part = all != nullptr ? all->if_contains("sync") : nullptr;
  const auto* const sync = part != nullptr ? part->if_object() : nullptr;
  if (sync == nullptr)
    return std::nullopt;
  sync_counts counts;
  counts.listed = number_in(*sync, "list", "servers");
  for (const auto* depth : {"traffic", "live"}) {
    counts.looks += number_in(*sync, depth, "seen") + number_in(*sync, depth, "failed");
    counts.due += number_in(*sync, depth, "due");
  }
  // Servers that came later are looked at, too.
  if (counts.due > 0)
    counts.due = std::max(counts.due, counts.looks);
  return counts;
}

std::string text_of(const sync_counts& counts) {
  if (counts.due == 0)
    return std::to_string(counts.listed) + " servers listed";
  return std::to_string(counts.looks) + " of " + std::to_string(counts.due) + " looks";
}

} // namespace

std::optional<std::string> progress_text(const std::string& figures) {
  const auto counts = counts_in(figures);
  return counts ? std::optional{text_of(*counts)} : std::nullopt;
}

progress_bar::progress_bar() : is_terminal_(::isatty(STDERR_FILENO) == 1) {}

void progress_bar::show(const std::string& figures) {
  const auto counts = is_terminal_ ? counts_in(figures) : std::nullopt;
  if (!counts)
    return;
  const auto done = counts->due == 0 ? 0 : bar_width * counts->looks / counts->due;
  paint("  sync  [" + std::string(static_cast<std::size_t>(done), '#') +
        std::string(static_cast<std::size_t>(bar_width - done), ' ') + "]  " + text_of(*counts));
}

void progress_bar::clear() {
  if (painted_.empty())
    return;
  paint("");
  std::fputc('\r', stderr);
}

void progress_bar::paint(const std::string& line) {
  if (line == painted_)
    return;
  const auto rest = painted_.size() - std::min(painted_.size(), line.size());
  std::fprintf(stderr, "\r%s%s", line.c_str(), std::string(rest, ' ').c_str());
  painted_ = line;
}

} // namespace skyengine::commands
