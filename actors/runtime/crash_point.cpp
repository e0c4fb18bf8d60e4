#include "actors/runtime/crash_point.hpp"

#ifdef SKYENGINE_CRASH_POINTS
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#endif

namespace skyengine::actors::runtime {

std::vector<std::string_view> crash_points() {
  return {
    "create.in_provisioner",
    "create.before_commit",
    "create.after_commit",
    "create.before_user",
    "create.after_user",
    "create.before_attempt",
    "create.after_attempt",
    "create.in_gateway",
    "create.after_post",
    "create.before_made",
    "create.after_made",
    "create.before_build",
    "create.after_build_mark",
    "create.after_build",
    "create.after_building",
    "create.before_active",
    "create.after_active",
    "create.before_cleanup",
    "create.after_cleanup",
    "create.before_failed",
    "create.after_failed",
    "delete.before_commit",
    "delete.after_commit",
    "delete.before_call",
    "delete.after_call",
    "delete.before_deleted",
    "delete.after_deleted",
    "suspend.before_commit",
    "suspend.after_commit",
    "suspend.before_power_off",
    "suspend.after_power_off",
    "suspend.before_mark",
    "suspend.after_mark",
    "suspend.after_call",
    "suspend.before_suspended",
    "suspend.after_suspended",
    "suspend.before_stopped",
    "suspend.after_stopped",
    "unsuspend.before_commit",
    "unsuspend.after_commit",
    "unsuspend.before_call",
    "unsuspend.after_call",
    "unsuspend.before_active",
    "unsuspend.after_active",
    "unsuspend.after_boot",
    "unsuspend.before_booted",
    "unsuspend.after_booted",
    "resize.before_commit",
    "resize.after_commit",
    "resize.before_call",
    "resize.after_call",
    "resize.before_changed",
    "resize.after_changed",
    "look.after_named",
    "look.after_delete",
    "look.before_finish",
    "billing.claimed",
    "billing.charged",
    "billing.corrected",
    "billing.before_commit",
    "billing.after_commit",
    "billing.limit_before",
    "billing.limit_after",
    "run.begun",
    "sync.before_page",
    "sync.page_seen",
    "sync.page_compared",
    "sync.after_page",
    "sync.before_list_end",
    "sync.absences_counted",
    "sync.list_compared",
    "sync.after_list_end",
    "sync.live_compared",
    "sync.before_traffic",
    "sync.after_traffic",
    "sync.before_live",
    "sync.after_live",
    "sync.before_progress",
    "sync.after_progress",
    "sync.before_end",
    "sync.after_end",
    "run.before_end",
    "run.after_end",
    "sync.before_roll_up",
    "sync.after_roll_up",
  };
}

#ifdef SKYENGINE_CRASH_POINTS
namespace {

struct planned_crash {
  std::string_view point;
  bool is_exception = false;
  /// 0: each time.
  int turn = 1;
};

planned_crash parse(std::string_view text) {
  constexpr std::string_view exception = "throw:";
  planned_crash planned;
  planned.is_exception = text.starts_with(exception);
  if (planned.is_exception) {
    planned.turn = 0;
    text.remove_prefix(exception.size());
  }
  const auto colon = std::min(text.find(':'), text.size());
  planned.point = text.substr(0, colon);
  if (colon < text.size())
    std::from_chars(text.data() + colon + 1, text.data() + text.size(), planned.turn);
  return planned;
}

} // namespace

void crash_point(std::string_view point) {
  static const auto known = crash_points();
  if (std::find(known.begin(), known.end(), point) == known.end())
    throw std::logic_error("unlisted crash point " + std::string{point});
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in the process changes the environment.
  static const char* wanted = std::getenv("SKYENGINE_CRASH_AT");
  if (wanted == nullptr)
    return;
  static const auto planned = parse(wanted);
  static int passed = 0;
  if (planned.point != point || (++passed != planned.turn && planned.turn != 0))
    return;
  if (planned.is_exception)
    throw std::runtime_error("planned failure at " + std::string{point});
  ::kill(::getpid(), SIGKILL);
}
#endif

} // namespace skyengine::actors::runtime
