#pragma once

#include "config/setting_value.hpp"
#include "config/settings.hpp"

#include <span>
#include <string>
#include <string_view>

namespace skyengine::config {

/// One thing that can be set: the loader, `skyengine settings` and docs/settings.md all come from these rows.
struct setting {
  /// `section.key` in the TOML file.
  std::string_view name;
  /// The well-known name in the environment; may be empty.
  std::string_view alias;
  value_type type;
  /// As somebody would write it.
  std::string_view initial;
  /// A secret's value is never shown, and may be a reference: `env:NAME`, `file:/path`.
  bool is_secret;
  /// One line for people.
  std::string_view help;
  /// Puts a value of `type` where the program reads it.
  void (*assign)(settings&, const value&);
};

/// All of them, by section.
std::span<const setting> setting_table();

/// The name that every setting has in the environment: `http.patience` is `SKYENGINE_HTTP_PATIENCE`.
std::string environment_name(std::string_view name);

/// nullptr when `name` is no setting.
const setting* find_setting(std::string_view name);

/// By its alias or its own name in the environment; nullptr when `name` is neither.
const setting* find_setting_in_environment(std::string_view name);

} // namespace skyengine::config
