#pragma once

#include "config/settings.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

/// The subcommands. Each answers its exit code; results go to stdout, all else to the log or stderr.
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

} // namespace skyengine::commands
