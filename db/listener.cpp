#include "db/listener.hpp"

#include "db/back_off.hpp"
#include "db/connection.hpp"
#include "domain/log.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace skyengine::db {

using steady = std::chrono::steady_clock;

struct listener::implementation : std::enable_shared_from_this<implementation> {
  implementation(asio::any_io_executor executor,
                 detail::connection_settings given,
                 std::vector<std::string> names,
                 listener_callbacks told)
      : loop(std::move(executor)), settings(std::move(given)), channels(std::move(names)),
        callbacks(std::move(told)), wake(loop) {}

  asio::awaitable<result<>> open() {
    link = std::make_shared<detail::connection>(loop, settings);
    const auto opened = link;
    if (auto outcome = co_await opened->open(); !outcome)
      co_return outcome;
    std::string sql;
    for (const auto& channel : channels) {
      sql += "LISTEN \"";
      for (const auto c : channel)
        sql += c == '"' ? std::string{"\"\""} : std::string{c};
      sql += "\";";
    }
    const auto listening = co_await opened->run_script(std::move(sql));
    if (listening.kind != detail::fault::none)
      co_return listening.failure;
    opened->on_lost = [this](const std::string&) {
      is_connected = false;
      wake.cancel();
      if (callbacks.lost)
        callbacks.lost();
    };
    opened->on_notification = [this](std::string_view channel, std::string_view payload) {
      if (callbacks.notified)
        callbacks.notified(channel, payload);
    };
    co_return opened->enter_pipeline();
  }

  static asio::awaitable<void> keep(std::shared_ptr<implementation> self) {
    detail::reconnect_pauses pauses;
    std::string last_reason;
    boost::system::error_code ignored;
    while (!self->is_closing) {
      if (const auto longest = pauses.next(); longest.count() > 0) {
        self->wake.expires_after(detail::jittered(longest));
        co_await self->wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        if (self->is_closing)
          co_return;
      }
      const auto opened = co_await self->open();
      if (self->is_closing) {
        self->link->close();
        co_return;
      }
      if (!opened) {
        self->link->close();
        if (std::exchange(last_reason, opened.error().detail) != opened.error().detail)
          log::warn("PostgreSQL cannot be listened to", {{"error", last_reason}});
        continue;
      }
      last_reason.clear();
      const auto since = steady::now();
      self->is_connected = true;
      if (self->callbacks.connected)
        self->callbacks.connected();
      // The callback may have ended the listener, and the connection may be gone already.
      while (!self->is_closing && self->is_connected) {
        self->wake.expires_at(steady::time_point::max());
        co_await self->wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      }
      pauses.ended_after(steady::now() - since);
    }
  }

  asio::any_io_executor loop;
  detail::connection_settings settings;
  std::vector<std::string> channels;
  listener_callbacks callbacks;
  asio::steady_timer wake;
  std::shared_ptr<detail::connection> link;
  bool is_connected = false;
  bool is_closing = false;
};

listener::listener(asio::any_io_executor loop,
                   const database_options& options,
                   std::vector<std::string> channels,
                   listener_callbacks callbacks) {
  detail::connection_settings settings;
  settings.url = options.url;
  settings.application_name = options.application_name;
  settings.connect_timeout = options.connect_timeout;
  implementation_ =
    std::make_shared<implementation>(loop, std::move(settings), std::move(channels), std::move(callbacks));
  asio::co_spawn(loop, implementation::keep(implementation_), asio::detached);
}

listener::~listener() {
  auto& self = *implementation_;
  self.is_closing = true;
  self.is_connected = false;
  if (self.link)
    self.link->close();
  self.wake.cancel();
}

bool listener::is_connected() const noexcept {
  return implementation_->is_connected;
}

} // namespace skyengine::db
