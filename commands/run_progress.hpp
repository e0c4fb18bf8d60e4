#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace skyengine::commands {

/// How far a run's sync has come, as its figures say: `8 of 16` looks, or the servers that its list had so
/// far. Nothing where the run has no sync, or that has not begun.
std::optional<std::string> progress_text(const std::string& figures);

/// Progress on one line of a terminal, painted over itself; in a file there is nothing of it.
class progress_bar {
public:
  progress_bar();
  ~progress_bar() { clear(); }
  progress_bar(const progress_bar&) = delete;
  progress_bar& operator=(const progress_bar&) = delete;

  void show(const std::string& figures);
  /// Before anything else is written there.
  void clear();

private:
  void paint(const std::string& line);

  bool is_terminal_;
  std::string painted_;
};

} // namespace skyengine::commands
