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
    "create.before_commit",  "create.after_commit",  "create.before_user",      "create.after_user",
    "create.before_attempt", "create.after_attempt", "create.after_post",       "create.before_made",
    "create.after_made",     "create.before_build",  "create.after_build_mark", "create.after_build",
    "create.after_building", "create.before_active", "create.after_active",     "create.before_cleanup",
    "create.after_cleanup",  "create.before_failed", "create.after_failed",     "delete.before_commit",
    "delete.after_commit",   "delete.before_call",   "delete.after_call",       "delete.before_deleted",
    "delete.after_deleted",  "look.after_named",     "look.after_delete",       "look.before_finish",
  };
}

#ifdef SKYENGINE_CRASH_POINTS
void crash_point(std::string_view point) {
  static const auto known = crash_points();
  if (std::find(known.begin(), known.end(), point) == known.end())
    throw std::logic_error("unlisted crash point " + std::string{point});
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in the process changes the environment.
  static const char* wanted = std::getenv("SKYENGINE_CRASH_AT");
  if (wanted == nullptr)
    return;
  std::string_view name{wanted};
  int turn = 1;
  if (const auto colon = name.find(':'); colon != std::string_view::npos) {
    const auto number = name.substr(colon + 1);
    std::from_chars(number.data(), number.data() + number.size(), turn);
    name = name.substr(0, colon);
  }
  static int passed = 0;
  if (name == point && ++passed == turn)
    ::kill(::getpid(), SIGKILL);
}
#endif

} // namespace skyengine::actors::runtime
