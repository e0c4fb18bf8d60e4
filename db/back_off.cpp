#include "db/back_off.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <random>
#include <utility>

namespace skyengine::db::detail {

namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr steady::duration first_pause = 50ms;
constexpr steady::duration longest_pause = 5s;
constexpr steady::duration good_life = 5s;

} // namespace

steady::duration jittered(steady::duration longest) {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  std::uniform_int_distribution<steady::rep> spread{longest.count() / 2, longest.count()};
  return steady::duration{spread(generator)};
}

boost::asio::awaitable<void> pause(steady::duration span) {
  boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor, span};
  co_await timer.async_wait(boost::asio::use_awaitable);
}

steady::duration reconnect_pauses::next() noexcept {
  return std::exchange(next_, std::clamp(next_ * 2, first_pause, longest_pause));
}

void reconnect_pauses::ended_after(steady::duration life) noexcept {
  if (life > good_life)
    next_ = {};
}

} // namespace skyengine::db::detail
