#pragma once

#include "domain/error.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace skyengine::config {

struct resolved_secret {
  std::string value;
  /// What is wrong with how it is kept; empty when nothing is.
  std::string warning;
};

/// The value of a variable of the environment or `.env`; nullopt when there is none.
using variable_lookup = std::function<std::optional<std::string>(const std::string& name)>;

/// `env:NAME` is what the variable holds, `file:/path` what the file holds without its last line's end,
/// anything else itself. errc::invalid_request when the reference leads nowhere; no value of a secret stands
/// in the detail.
result<resolved_secret> resolve_secret(std::string_view text, const variable_lookup& variable);

} // namespace skyengine::config
