#pragma once

#include "actors/drift_watcher.hpp"
#include "actors/sync_observer.hpp"

namespace skyengine::actors {

/// Tells a drift watcher, which must outlive it, what a sync reads.
class drift_observer final : public sync_observer {
public:
  explicit drift_observer(drift_watcher& watcher) : watcher_(watcher) {}

  boost::asio::awaitable<void> on_page(listed_page page) override;
  boost::asio::awaitable<void> on_list_end(list_end end) override;
  boost::asio::awaitable<void> on_live(live_record seen) override;

private:
  drift_watcher& watcher_;
};

} // namespace skyengine::actors
