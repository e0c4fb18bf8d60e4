#include "actors/cron_context.hpp"

#include "actors/runtime/coroutines.hpp"
#include "domain/log.hpp"

namespace skyengine::actors {

bool is_passing(const error& why) {
  return why.code == errc::database_unavailable || why.code == errc::overloaded;
}

error unexpected(std::string_view task, const std::exception_ptr& bug) {
  log::error("a task of the timer failed unexpectedly", {{"task", task}, {"error", runtime::describe(bug)}});
  return {errc::internal, "unexpected failure"};
}

std::function<bool()> cron_context::is_current() const {
  return [holder = services.holder, token = holder().token] { return holder().token == token; };
}

std::function<std::optional<db::real_time>()> cron_context::system_clock() const {
  return [is_system = options.clock_rate == 1, real_now = options.real_now] {
    return is_system ? std::optional{real_now()} : std::nullopt;
  };
}

} // namespace skyengine::actors
