#pragma once

#include "tests/torture/history.hpp"
#include "tests/torture/world.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace skyengine::torture {

struct check_options {
  /// All that was begun must end within this.
  std::chrono::milliseconds patience{120'000};
  /// Whether a create may end as `failed`.
  bool may_fail = false;
};

/// What a campaign left, in figures.
struct outcome_figures {
  std::map<std::string, std::int64_t> servers_by_state = {};
  std::int64_t living_in_panel = 0;
};

/// The checks after every campaign: everything begun comes to an end; `skyengine audit` is content; the panel
/// and the engine's servers agree; nothing that a client was told is missing, and nothing is there that no
/// client was told of; no secret stands in a log. Everything that differs, as a sentence each; the engines
/// run.
std::vector<std::string> differences(world& after,
                                     const history& told,
                                     check_options options = {},
                                     outcome_figures* figures = nullptr);

/// Each of `secrets` that stands in `text`, as a sentence each, without the secret.
std::vector<std::string>
leaks(const std::vector<std::string>& secrets, const std::string& text, const std::string& where);

} // namespace skyengine::torture
