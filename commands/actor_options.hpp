#pragma once

#include "actors/cleaner.hpp"
#include "actors/metrics_sync.hpp"
#include "config/settings.hpp"

/// What the settings say to actors that more than one command starts.
namespace skyengine::commands {

actors::cleaner_options cleaner_options(const config::settings& settings);
actors::metrics_sync_options metrics_sync_options(const config::settings& settings);

} // namespace skyengine::commands
