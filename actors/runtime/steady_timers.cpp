#include "actors/runtime/steady_timers.hpp"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace skyengine::actors::runtime {

steady_timers::steady_timers(asio::io_context& loop, mode time)
    : mode_(time), manual_now_(std::chrono::hours{24}), timer_(loop) {}

steady_timers::~steady_timers() {
  clear();
}

steady_time steady_timers::now() const noexcept {
  return mode_ == mode::manual ? manual_now_ : std::chrono::steady_clock::now();
}

steady_timers::handle steady_timers::schedule(steady_time when, std::function<void()> due) {
  handle entry{when, next_number_++};
  // Nearly always the last one.
  entries_.emplace_hint(entries_.end(), entry, std::move(due));
  arm();
  return entry;
}

void steady_timers::cancel(const handle& entry) noexcept {
  const auto found = entries_.find(entry);
  if (found == entries_.end())
    return;
  // Destroying the callback may cancel other entries: it leaves the map first.
  const auto doomed = std::move(found->second);
  entries_.erase(found);
}

void steady_timers::clear() noexcept {
  timer_.cancel();
  armed_for_ = steady_time::max();
  while (!entries_.empty())
    cancel(entries_.begin()->first);
}

void steady_timers::arm() {
  if (mode_ == mode::manual || entries_.empty())
    return;
  const auto head = entries_.begin()->first.first;
  // A cancelled head keeps its alarm: one wake-up too many costs less than re-arming for each answered
  // request.
  if (head >= armed_for_)
    return;
  armed_for_ = head;
  timer_.expires_at(head);
  timer_.async_wait([this](boost::system::error_code failed) {
    if (failed)
      return;
    armed_for_ = steady_time::max();
    fire_due();
    arm();
  });
}

void steady_timers::fire_due() {
  const auto until = now();
  while (!entries_.empty() && entries_.begin()->first.first <= until) {
    const auto due = std::move(entries_.begin()->second);
    entries_.erase(entries_.begin());
    due();
  }
}

void steady_timers::advance_to(steady_time until, const std::function<void()>& settle) {
  settle();
  while (!entries_.empty() && entries_.begin()->first.first <= until) {
    manual_now_ = std::max(manual_now_, entries_.begin()->first.first);
    const auto due = std::move(entries_.begin()->second);
    entries_.erase(entries_.begin());
    due();
    settle();
  }
  manual_now_ = std::max(manual_now_, until);
}

asio::awaitable<void> wait_until(steady_timers& timers, steady_time when) {
  nudge never{timers};
  static_cast<void>(co_await never.wait_until(when));
}

void nudge::complete(const std::shared_ptr<state>& state, bool nudged) {
  const auto waiter = state->waiter.lock();
  if (!waiter)
    return;
  state->waiter.reset();
  state->timers.cancel(state->entry);
  (*waiter)(nudged);
}

void nudge::notify() {
  if (state_->waiter.expired())
    state_->nudged = true;
  else
    complete(state_, true);
}

asio::awaitable<bool> nudge::wait_until(steady_time when) {
  if (std::exchange(state_->nudged, false))
    co_return true;
  const auto executor = co_await asio::this_coro::executor;
  auto initiate = [executor](auto handler, std::shared_ptr<state> waiting, steady_time until) {
    auto completion = std::make_shared<decltype(handler)>(std::move(handler));
    const auto resume = std::make_shared<std::function<void(bool)>>([executor, completion](bool nudged) {
      asio::post(executor, [completion, nudged] { std::move (*completion)(nudged); });
    });
    waiting->waiter = resume;
    waiting->entry = waiting->timers.schedule(until, [weak = std::weak_ptr(waiting), resume] {
      if (const auto alive = weak.lock())
        complete(alive, false);
    });
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(bool)>(
    initiate, asio::use_awaitable, state_, when);
}

} // namespace skyengine::actors::runtime
