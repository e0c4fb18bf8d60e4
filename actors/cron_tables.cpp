#include "actors/cron_tables.hpp"

#include <utility>

namespace skyengine::actors {

boost::asio::awaitable<result<table_state>>
read_tables(cron_services services, db::timer_holder who, table_question wanted) {
  table_state found;
  const auto taken = co_await services.store.take_timer(who);
  if (!taken)
    co_return taken.error();
  found.is_holder = *taken;
  if (!found.is_holder)
    co_return found;
  auto changes = co_await services.store.changed_after(wanted.after);
  if (!changes)
    co_return changes.error();
  found.changes = std::move(*changes);
  found.zones = std::move(wanted.known);
  auto names = std::move(wanted.missing_zones);
  for (const auto& one : found.changes.schedules)
    names.insert(one.timezone);
  for (const auto& name : names) {
    if (found.zones.contains(name))
      continue;
    if (auto zone = co_await services.load_zone(name))
      found.zones.emplace(name, std::move(*zone));
  }
  if (wanted.wants_last_successes) {
    auto times = co_await services.store.last_successes();
    if (!times)
      co_return times.error();
    found.last_successes = std::move(*times);
  }
  auto runs = co_await services.store.open_runs(who, services.business.now(), wanted.only);
  if (!runs)
    co_return runs.error();
  found.runs = std::move(*runs);
  co_return found;
}

} // namespace skyengine::actors
