#pragma once

#include "actors/billing.hpp"
#include "actors/cleaner.hpp"
#include "actors/metrics_sync.hpp"
#include "actors/virtfusion_gateway.hpp"
#include "config/settings.hpp"
#include "domain/clock.hpp"

/// What the settings say to actors that more than one command starts.
namespace skyengine::commands {

actors::cleaner_options cleaner_options(const config::settings& settings);
actors::metrics_sync_options metrics_sync_options(const config::settings& settings);
actors::billing_options billing_options(const config::settings& settings, const scaled_clock& business);
actors::gateway_options gateway_options(const config::virtfusion_settings& settings);

} // namespace skyengine::commands
