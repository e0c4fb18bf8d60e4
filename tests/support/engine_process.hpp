#pragma once

#include "tests/support/process.hpp"
#include "tests/support/simulator.hpp"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skyengine::test {

struct engine_options {
  /// Must exist and outlive the engine.
  std::filesystem::path data_dir;
  /// Empty: the private PostgreSQL below `data_dir`.
  std::string database_url = {};
  std::string node = "node-1";
  /// Port 0: another free one at each start, which the log tells. With any other the log is not read.
  std::string listen = "127.0.0.1:0";
  /// Takes the standard error; empty: `<data_dir>/engine.log`.
  std::string log_file = {};
  /// Further settings as environment, which win over those above.
  std::map<std::string, std::string> environment = {};
};

/// What a command left.
struct command_result {
  /// Its exit code, or minus the signal that ended it.
  int code = 0;
  std::string output = {};
};

/// `skyengine serve` as a process against a simulated panel, to be killed and started again. One thread
/// starts and ends it; any may call it. It dies with the thread that started it.
class engine_process {
public:
  /// Starts nothing. `panel` must outlive it.
  engine_process(const simulated_panel& panel, engine_options options);

  /// Starts it and waits until it is ready. std::runtime_error, with the end of its log, when it is not.
  void start(const std::string& crash_at = {});
  /// Starts it; `crash_at` is SKYENGINE_CRASH_AT, for builds with crash points.
  void launch(const std::string& crash_at = {});
  /// Waits for `/readyz`; false when it ended before, or is not ready within `span`.
  bool wait_ready(std::chrono::milliseconds span = std::chrono::seconds{60});

  /// Waits while it lives; false when `holds` did not within a minute.
  bool eventually(const std::function<bool()>& holds);

  process& child() noexcept { return *child_; }
  void kill() { child_->kill(); }
  /// SIGTERM, and the exit code.
  std::optional<int> terminate(std::chrono::milliseconds span = std::chrono::seconds{30}) {
    return child_->terminate(span);
  }

  /// `http://127.0.0.1:PORT` of the last start that came so far as to have one.
  std::string origin() const;
  /// A request to the present origin, on a connection of its own.
  call_answer call(std::string_view method,
                   std::string_view path,
                   const std::string& key,
                   const std::string& body = {},
                   std::vector<std::pair<std::string, std::string>> headers = {},
                   std::chrono::milliseconds patience = std::chrono::seconds{40}) const;

  /// Another subcommand of the program, with the same settings and data folder.
  command_result run(std::vector<std::string> arguments) const;
  /// std::runtime_error when no key comes.
  std::string make_operator_key() const;
  /// Plans `small` (package 1) and `large` (2), regions `north` and `south` (groups 1 and 2).
  void apply_catalogue() const;

  const engine_options& options() const noexcept { return options_; }
  const std::string& log_file() const noexcept { return options_.log_file; }
  std::string log() const;

private:
  process_options invocation(std::vector<std::string> arguments) const;
  /// The port that the log tells since the last launch; empty while it does not.
  std::string told_port() const;

  engine_options options_;
  std::map<std::string, std::string> environment_;
  std::unique_ptr<process> child_;
  /// Size of the log when the present process was launched.
  std::uintmax_t log_begin_ = 0;
  mutable std::mutex mutex_;
  std::string origin_;
};

/// The whole text of a file; empty when it cannot be read.
std::string read_file(const std::filesystem::path& file);

} // namespace skyengine::test
