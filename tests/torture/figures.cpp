#include "tests/torture/figures.hpp"

#include <algorithm>

namespace skyengine::torture {

void append(figure_list& figures, const history& told) {
  auto counted = told.counted();
  figures.emplace_back("orders", std::to_string(counted.orders_ended));
  figures.emplace_back("servers acknowledged", std::to_string(told.servers().size()));
  for (const auto& [status, count] : counted.by_status)
    figures.emplace_back(status == 0 ? "requests cut" : "answers " + std::to_string(status),
                         std::to_string(count));
  auto& times = counted.answer_times;
  if (times.empty())
    return;
  std::sort(times.begin(), times.end());
  figures.emplace_back("median answer ms", std::to_string(times[times.size() / 2].count()));
  figures.emplace_back("p99 answer ms", std::to_string(times[times.size() * 99 / 100].count()));
  figures.emplace_back("longest answer ms", std::to_string(times.back().count()));
}

void append(figure_list& figures, const outcome_figures& ends) {
  for (const auto& [state, count] : ends.servers_by_state)
    figures.emplace_back("servers " + state, std::to_string(count));
  figures.emplace_back("servers in VirtFusion", std::to_string(ends.living_in_panel));
}

} // namespace skyengine::torture
