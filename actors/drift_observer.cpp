#include "actors/drift_observer.hpp"

#include "domain/log.hpp"

#include <string_view>
#include <utility>

namespace skyengine::actors {

namespace {

/// The next list tells it again.
void log_failure(std::string_view what, const result<>& done) {
  if (!done)
    log::warn("drift was not looked for", {{"in", what}, {"error", done.error().detail}});
}

} // namespace

boost::asio::awaitable<void> drift_observer::on_page(listed_page page) {
  std::vector<drift_watcher::listed_server> servers;
  servers.reserve(page.servers.size());
  for (const auto& one : page.servers)
    servers.push_back({one.id, one.owner, one.is_suspended});
  log_failure("a page of the list",
              co_await watcher_.on_page(std::move(servers), page.asked_at, page.total, page.goes_on));
}

boost::asio::awaitable<void> drift_observer::on_list_end(list_end end) {
  log_failure("the whole list", co_await watcher_.on_list_end(end.begun_at, end.is_complete, end.goes_on));
}

boost::asio::awaitable<void> drift_observer::on_live(live_record seen) {
  log_failure("a record", co_await watcher_.on_record(std::move(seen.record), seen.asked_at));
}

} // namespace skyengine::actors
