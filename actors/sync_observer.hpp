#pragma once

#include "domain/clock.hpp"
#include "domain/ids.hpp"
#include "net/virtfusion/records.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace skyengine::actors {

/// False once the sync is cancelled or its window over: whoever makes calls of its own asks it before each.
using sync_goes_on = std::function<bool()>;

/// One row of VirtFusion's list, whosever server it is.
struct listed_server {
  virtfusion_server_id id;
  /// Nothing where the list did not tell, like what follows.
  std::optional<virtfusion_user_id> owner;
  std::int64_t hypervisor = 0;
  std::optional<bool> is_suspended;
  std::optional<bool> is_built;
  std::optional<instant> created_at;
};

/// What one page of a list said. Pages come in any order; a server may stand on two of them, and one that is
/// there on none, when others come and go meanwhile.
struct listed_page {
  std::chrono::sys_seconds tick;
  instant asked_at;
  std::vector<listed_server> servers;
  /// How many servers the page says that there are; nothing where it does not.
  std::optional<std::int64_t> total;
  sync_goes_on goes_on = {};
};

/// A list is over: all that its pages had was told before.
struct list_end {
  std::chrono::sys_seconds tick;
  /// Before its first page was asked for.
  instant begun_at;
  instant ended_at;
  /// False when pages are missing.
  bool is_complete = false;
  sync_goes_on goes_on = {};
};

/// What a live look brought, whole.
struct live_record {
  server_id server;
  instant asked_at;
  net::virtfusion::server_record record;
};

/// Is told all that a sync reads, for what compares it with what we know. The list's end waits for all its
/// pages, looks at servers wait for nothing but their own record, and the sync's end for all. An exception is
/// logged, and the sync goes on.
class sync_observer {
public:
  virtual ~sync_observer() = default;
  virtual boost::asio::awaitable<void> on_page(listed_page page) = 0;
  virtual boost::asio::awaitable<void> on_list_end(list_end end) = 0;
  virtual boost::asio::awaitable<void> on_live(live_record seen) = 0;
};

} // namespace skyengine::actors
