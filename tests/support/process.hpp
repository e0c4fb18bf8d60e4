#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine::test {

struct process_options {
  std::string program;
  std::vector<std::string> arguments = {};
  /// Added to the environment of the test, replacing what it has of the same name.
  std::map<std::string, std::string> environment = {};
  /// File that takes the standard error; empty: that of the test.
  std::string error_file = {};
};

/// A program of this build: it stands beside the one that runs.
std::string built_program(std::string_view name);

/// SIGKILL for every process that works in or below `folder`. For a PostgreSQL that is its data folder:
/// killed alone, a postmaster is outlived by those of its backends that are never idle.
void kill_all_in(const std::filesystem::path& folder);

/// A child process. It dies with the thread that started it, and at the latest with this object.
class process {
public:
  /// Throws std::system_error when it cannot be started.
  explicit process(const process_options& options);
  ~process();
  process(const process&) = delete;
  process& operator=(const process&) = delete;

  pid_t pid() const noexcept { return pid_; }
  /// The next line of its standard output without its end; nullopt when none comes within `patience`.
  std::optional<std::string> read_line(std::chrono::milliseconds patience = std::chrono::seconds{20});
  /// What is left of its standard output, until it closes it; waits at most `patience`.
  std::string read_all(std::chrono::milliseconds patience = std::chrono::seconds{20});
  void send(int signal) const;
  /// SIGKILL, and waits for the end.
  void kill();
  /// SIGTERM, and waits for the end: see `wait`.
  std::optional<int> terminate(std::chrono::milliseconds patience = std::chrono::seconds{20});
  /// Its exit code, or minus the signal that ended it; nullopt when it still runs after `patience`.
  std::optional<int> wait(std::chrono::milliseconds patience = std::chrono::seconds{20});
  bool is_running() { return !wait(std::chrono::milliseconds{0}); }

private:
  /// False when nothing can be read before `limit`.
  bool read_some(std::chrono::steady_clock::time_point limit);

  pid_t pid_ = -1;
  int pidfd_ = -1;
  int output_ = -1;
  std::string unread_;
  bool is_at_end_ = false;
  std::optional<int> ended_;
};

/// False in a sanitizer's build, which keeps what was freed: there a growth of memory says nothing.
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool memory_counts = false;
#else
inline constexpr bool memory_counts = true;
#endif

/// A field of `/proc/PID/status` in KiB, as `VmRSS` and `VmHWM`; 0 when there is none.
long memory_kib(pid_t pid, const std::string& field);
/// How many files a process has open.
std::size_t open_files(pid_t pid);

} // namespace skyengine::test
