#pragma once

#include "config/settings.hpp"
#include "domain/error.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace skyengine::config {

/// What a program was started with.
struct load_input {
  std::map<std::string, std::string> environment;
  /// `--config`; else the variable SKYENGINE_CONFIG, else no file.
  std::optional<std::string> config_file;
  /// Where `.env` is looked for and a relative path of the file begins.
  std::string working_directory = ".";
};

/// A setting as it holds, for people.
struct shown_setting {
  std::string name;
  /// As it would stand in a TOML file; a secret is `"***"`.
  std::string value;
  /// `default`, `SKYENGINE_LISTEN in the environment`, `line 3 of skyengine.toml`, …
  std::string origin;
};

struct loaded_settings {
  settings values;
  /// All of them, in the order of the table.
  std::vector<shown_setting> shown;
  /// Sentences for the log: what is allowed and yet unwise.
  std::vector<std::string> warnings;
  /// What must appear nowhere: every secret that holds, and passwords inside of them.
  std::vector<std::string> secrets;
};

/// The environment over `.env` over the TOML file over the defaults. A variable that is set to nothing is not
/// set. errc::invalid_request names every mistake at once: `detail` in lines for people, `fields` one by one.
result<loaded_settings> load(const load_input& input);

/// The input of this process.
load_input process_input(std::optional<std::string> config_file);

} // namespace skyengine::config
