#pragma once

#include "domain/error.hpp"

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace skyengine::commands {

/// A program that runs beside us and ends with us.
class child_process {
public:
  /// Starts `program` with `arguments`; its first line on stdout is `first_line`, stderr goes to `log_file`.
  /// Blocks until that line, or the end of the program.
  static result<child_process> start(const std::filesystem::path& program,
                                     const std::vector<std::string>& arguments,
                                     const std::filesystem::path& log_file);

  child_process(child_process&& other) noexcept;
  child_process& operator=(child_process&&) = delete;
  /// Ends it (SIGTERM) and waits for it.
  ~child_process();

  const std::string& first_line() const noexcept { return first_line_; }
  /// False once it has ended by itself.
  bool is_running() noexcept;

private:
  child_process(pid_t pid, int output, std::string first_line)
      : pid_(pid), output_(output), first_line_(std::move(first_line)) {}

  pid_t pid_ = -1;
  int output_ = -1;
  std::string first_line_;
};

} // namespace skyengine::commands
