#pragma once

#include "tests/torture/checks.hpp"
#include "tests/torture/history.hpp"

#include <string>
#include <utility>
#include <vector>

namespace skyengine::torture {

using figure_list = std::vector<std::pair<std::string, std::string>>;

/// Orders, acknowledged servers, answers by status, and how long they took.
void append(figure_list& figures, const history& told);
/// How the servers ended.
void append(figure_list& figures, const outcome_figures& ends);

} // namespace skyengine::torture
