#pragma once

#include <string_view>

namespace skyengine::commands {

/// `0.1.0`.
std::string_view program_version() noexcept;
/// The first twelve digits of the commit that was built; `unknown` outside a git checkout.
std::string_view program_commit() noexcept;

} // namespace skyengine::commands
