#include "actors/cron_schedules.hpp"

#include <algorithm>

namespace skyengine::actors {

cron_line::counts cron_line::count() const {
  counts out;
  out.backlog = static_cast<std::size_t>(
    std::count_if(queue_.begin(), queue_.end(), [](const auto& one) { return one.is_backlog; }));
  out.queued = queue_.size() - out.backlog;
  out.active = queue_.size() + static_cast<std::size_t>(running_);
  out.backlog += static_cast<std::size_t>(running_backlog_);
  return out;
}

} // namespace skyengine::actors
