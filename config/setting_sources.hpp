#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine::config {

/// A mistake in what somebody set. Neither part holds a secret.
struct mistake {
  /// The setting, variable or file.
  std::string key;
  std::string reason;

  friend bool operator==(const mistake&, const mistake&) = default;
};

/// What was written somewhere, before anybody knows what it means.
struct written_value {
  std::string text;
  /// For people: `line 3 of skyengine.toml`.
  std::string origin;

  friend bool operator==(const written_value&, const written_value&) = default;
};

/// By setting name for TOML, by variable for `.env`.
struct source {
  std::map<std::string, written_value> values;
  std::vector<mistake> mistakes;
};

/// Reads the settings file. Each known key is a setting with a value of TOML's own type for it; unknown keys,
/// wrong types and what is not TOML become mistakes. `name` is how people know the file.
source read_toml(std::string_view text, const std::string& name);

/// Reads `KEY=value` lines: `#` comments, an optional `export`, single quotes (as it stands) or double quotes
/// (with \n, \t, \", \\, \$). A line of another form and a key that stands twice become mistakes.
source read_dotenv(std::string_view text, const std::string& name);

} // namespace skyengine::config
