#pragma once

#include "config/settings.hpp"
#include "domain/error.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

/// The subcommands. Each answers its exit code; results go to stdout, all else to the log or stderr. Those
/// that need no settings answer what is to be printed.
namespace skyengine::commands {

/// What every subcommand is given.
struct context {
  config::settings settings;
  std::filesystem::path data_dir = "data";
};

/// Runs a node until SIGTERM or SIGINT.
int serve(const context& given);

struct demo_options {
  /// Play the story, check it, and end.
  bool is_once = false;
  /// A port that was asked for is not replaced by a free one.
  bool is_listen_set = false;
};
int demo(const context& given, const demo_options& options);

/// Brings the database to this program's version.
int migrate(const context& given);

/// Reports settings, database and VirtFusion, changing nothing.
int check(const context& given);

/// Prints each invariant with its count; 1 when one is violated.
int audit(const context& given);

/// Prints a new key alone. Without a user it is the operator's.
int create_api_key(const context& given,
                   std::optional<std::int64_t> user,
                   std::vector<std::string> scopes,
                   const std::string& name);

/// Writes plans and regions of a TOML file into the catalogue, and says what changed.
int apply_catalogue(const context& given, const std::filesystem::path& file);

/// What `run` takes: `hourly`, `monthly`, …
std::vector<std::string> run_words();
struct run_options {
  /// One of run_words().
  std::string what;
  /// A time in that tick, as it stands on the command line. Absent: the latest.
  std::optional<std::string> at = {};
};
/// Runs one tick of a built-in schedule to its end and prints its outcome; 0 when it has succeeded, also
/// before.
int run_tick(const context& given, const run_options& options);

struct adopt_options {
  /// Only say what would be done.
  bool is_dry_run = false;
  /// `SERVER=PLAN`, as they stand on the command line: VirtFusion's id of a server, and the plan that it is
  /// to have.
  std::vector<std::string> plans = {};
};
/// Takes over what VirtFusion has and we do not, and prints a line for each server; 0, or 3 when something
/// was left.
int adopt(const context& given, const adopt_options& options);

/// As they stand on the command line.
struct cron_next_options {
  std::string expression;
  std::string zone = "UTC";
  /// Absent: now.
  std::optional<std::string> from = {};
  std::string count = "1";
};
/// When the expression fires next, a line each, on the zone's clock. errc::invalid_request names the argument
/// that is wrong, and why. Needs no settings.
result<std::string> cron_next(const cron_next_options& options);

/// The expression as a sentence, in a line. As cron_next otherwise.
result<std::string> cron_describe(const std::string& expression);

/// As they stand on the command line.
struct billing_preview_options {
  std::string price;
  std::string currency;
  std::string hours_per_month = "730";
  std::string granularity = "second";
  /// START/END
  std::vector<std::string> active;
};
/// What a server that was active then costs, by hour and month, as JSON in a line. As cron_next otherwise.
result<std::string> billing_preview(const billing_preview_options& options);

} // namespace skyengine::commands
