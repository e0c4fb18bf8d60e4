#pragma once

#include "domain/error.hpp"

#include <caf/error.hpp>

namespace skyengine::actors::runtime {

/// Our errors in CAF's clothes: category `skyengine`, the `errc` as code, detail, fields and retry_after as
/// context.
caf::error to_caf(const error& e);

/// And back. CAF's own errors become errc::deadline_exceeded (time-out), errc::overloaded (the receiver is
/// being restarted) or errc::internal; their text goes to the log only.
error from_caf(const caf::error& e);

} // namespace skyengine::actors::runtime
