#pragma once

#include "actors/runtime/steady_timers.hpp"
#include "db/node_store.hpp"
#include "domain/clock.hpp"
#include "domain/error.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace skyengine::actors {

/// This node's lease (10 s, renewed every 3 s) and its fencing token. Stores and timers must outlive it; the
/// caller holds the session lock on the node's name.
class node_lease {
public:
  /// Work that was begun under a lease ends before the lease is acquired anew.
  using drain = std::function<runtime::asio::awaitable<void>()>;
  using acquired = std::function<void(std::int64_t token)>;

  static constexpr std::chrono::seconds span{10};
  static constexpr std::chrono::seconds renewal{3};
  /// What must be left before anything is done outside: the call is on its way before another node can take
  /// over.
  static constexpr std::chrono::seconds margin{3};

  node_lease(db::node_store& nodes, runtime::steady_timers& timers, const clock& business, std::string name)
      : nodes_(nodes), timers_(timers), business_(business), name_(std::move(name)), wake_(timers) {}

  /// The first lease. errc::database_unavailable when the database does not answer.
  runtime::asio::awaitable<result<>> acquire();
  /// Renews until `stop`. A lost lease: `on_lost` runs to its end, then a new incarnation begins and
  /// `on_acquired` learns its token.
  runtime::asio::awaitable<void> keep(drain on_lost, acquired on_acquired);
  /// Ends `keep` and hands the lease back.
  runtime::asio::awaitable<void> release();

  std::int64_t token() const noexcept { return token_; }
  const std::string& name() const noexcept { return name_; }
  /// True while something may be begun outside.
  bool is_held() const noexcept { return timers_.now() + margin <= valid_until_; }

private:
  db::node_store& nodes_;
  runtime::steady_timers& timers_;
  const clock& business_;
  std::string name_;
  runtime::nudge wake_;
  std::int64_t token_ = 0;
  runtime::steady_time valid_until_{};
  bool stopping_ = false;
};

} // namespace skyengine::actors
