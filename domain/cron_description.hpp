#pragma once

#include "domain/cron_expression.hpp"

#include <string>

namespace skyengine {

/// The expression as one English sentence without its full stop: `At 03:00, every day`. It tells the values
/// that are meant, not how they are written: `0,30` reads as `*/30` does. The zone is not part of it.
std::string describe(const cron_expression& expression);

} // namespace skyengine
