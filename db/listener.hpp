#pragma once

#include "db/database.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine::db {

/// What a `listener` tells, always on the loop.
struct listener_callbacks {
  /// The channels are listened to from now on. What was notified before is lost: look at the tables.
  std::function<void()> connected;
  /// Notifications may be missed from now on: whoever caches by them forgets.
  std::function<void()> lost;
  std::function<void(std::string_view channel, std::string_view payload)> notified;
};

/// LISTEN on a connection of its own, which it renews with back-off for as long as it lives.
class listener {
public:
  /// Starts at once. Of `options` it takes the url, the connect time-out and the application's name.
  listener(asio::any_io_executor loop,
           const database_options& options,
           std::vector<std::string> channels,
           listener_callbacks callbacks);
  /// Ends it; no callback comes from here on.
  ~listener();
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;

  /// True between `connected` and `lost`.
  bool is_connected() const noexcept;

private:
  struct implementation;
  std::shared_ptr<implementation> implementation_;
};

} // namespace skyengine::db
