#pragma once

#include "domain/error.hpp"

#include <caf/error.hpp>

#include <string_view>

namespace skyengine::actors::runtime {

/// Our errors in CAF's clothes: category `skyengine`, the `errc` as code, detail, fields and retry_after as
/// context.
caf::error to_caf(const error& e);

/// What from_caf says of a time-out.
inline constexpr std::string_view no_answer_in_time = "the engine did not answer in time";

/// And back. CAF's own errors become errc::deadline_exceeded (time-out), errc::overloaded (the receiver is
/// being restarted) or errc::internal; their text goes to the log only.
error from_caf(const caf::error& e);

} // namespace skyengine::actors::runtime
