#include "actors/node_lease.hpp"

#include "domain/log.hpp"

namespace skyengine::actors {

runtime::asio::awaitable<result<>> node_lease::acquire() {
  // Counted from before the question: the database began its ten seconds later than this.
  const auto asked = timers_.now();
  const auto token = co_await nodes_.acquire(name_, span, business_.now());
  if (!token)
    co_return token.error();
  token_ = *token;
  valid_until_ = asked + span;
  log::info("lease acquired", {{"node", name_}, {"token", token_}});
  co_return result<>{};
}

runtime::asio::awaitable<void> node_lease::keep(drain on_lost, acquired on_acquired) {
  while (!stopping_) {
    static_cast<void>(co_await wake_.wait_until(timers_.now() + renewal));
    if (stopping_)
      break;
    const auto asked = timers_.now();
    const auto renewed = co_await nodes_.renew(name_, token_, span);
    if (renewed && *renewed) {
      valid_until_ = asked + span;
      continue;
    }
    // While the database is away the lease runs on until its end: nobody else can take it either.
    if (!renewed && timers_.now() < valid_until_)
      continue;
    valid_until_ = {};
    log::error("lease lost: this node stops its sagas and begins anew",
               {{"node", name_}, {"alert", "lease_lost"}});
    co_await on_lost();
    while (!stopping_ && !(co_await acquire()))
      static_cast<void>(co_await wake_.wait_until(timers_.now() + std::chrono::seconds{1}));
    if (!stopping_)
      on_acquired(token_);
  }
}

runtime::asio::awaitable<void> node_lease::release() {
  stopping_ = true;
  valid_until_ = {};
  wake_.notify();
  const auto released = co_await nodes_.release(name_, token_);
  if (!released)
    log::warn("the lease could not be handed back: it runs out by itself",
              {{"error", released.error().detail}});
}

} // namespace skyengine::actors
