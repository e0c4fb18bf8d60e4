#pragma once

#include "actors/runtime/steady_timers.hpp"

#include <boost/asio/awaitable.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

namespace skyengine::actors::runtime {

/// One turn at a time for each key, in the order of asking. Lives on the loop's thread and outlives its
/// turns.
template <class Key>
class keyed_turns {
public:
  /// Whoever holds it has the turn; it ends with this object.
  class turn {
  public:
    turn() = default;
    turn(keyed_turns& owner, Key key) : owner_(&owner), key_(std::move(key)) {}
    turn(turn&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), key_(std::move(other.key_)) {}
    turn& operator=(turn&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(key_, other.key_);
      return *this;
    }
    ~turn() {
      if (owner_ != nullptr)
        owner_->pass_on(key_);
    }
    explicit operator bool() const noexcept { return owner_ != nullptr; }

  private:
    keyed_turns* owner_ = nullptr;
    Key key_{};
  };

  keyed_turns() = default;
  keyed_turns(const keyed_turns&) = delete;
  keyed_turns& operator=(const keyed_turns&) = delete;

  /// Waits for the turn of `key`; a `wake` that is notified meanwhile gives up, and the turn is empty.
  asio::awaitable<turn> take(Key key, nudge& wake) {
    auto& queue = waiting_[key];
    queue.push_back(&wake);
    // Each place in the queue is known by its nudge: the turn is ours when it stands first.
    while (waiting_[key].front() != &wake) {
      if (!co_await wake.wait_until(steady_time::max()))
        continue;
      if (waiting_[key].front() == &wake)
        break;
      leave(key, wake);
      co_return turn{};
    }
    co_return turn{*this, std::move(key)};
  }

private:
  void leave(const Key& key, nudge& wake) {
    auto& queue = waiting_[key];
    queue.erase(std::find(queue.begin(), queue.end(), &wake));
    if (queue.empty())
      waiting_.erase(key);
  }

  void pass_on(const Key& key) {
    const auto found = waiting_.find(key);
    found->second.pop_front();
    if (found->second.empty())
      waiting_.erase(found);
    else
      found->second.front()->notify();
  }

  std::map<Key, std::deque<nudge*>> waiting_;
};

} // namespace skyengine::actors::runtime
