#pragma once

#include "config/loader.hpp"

#include <string>

namespace skyengine::config {

/// `skyengine settings`: every setting with the value that holds and where it came from, as a TOML file.
/// Secrets are
/// `"***"`.
std::string render_settings(const loaded_settings& loaded);

/// docs/settings.md.
std::string render_markdown();

} // namespace skyengine::config
