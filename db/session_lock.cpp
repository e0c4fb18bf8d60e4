#include "db/session_lock.hpp"

#include "db/connection.hpp"
#include "db/sqlstate.hpp"

#include <algorithm>
#include <utility>

namespace skyengine::db {

using namespace std::chrono_literals;

namespace {

constexpr statement take_lock{"session_lock", "SELECT pg_advisory_lock(hashtextextended($1, 0))"};
constexpr auto lock_not_available = "55P03";

} // namespace

struct session_lock::implementation {
  asio::any_io_executor loop;
  detail::connection_settings settings;
  std::string name;
  std::function<void()> lost;
  std::shared_ptr<detail::connection> link;
  bool is_held = false;
};

session_lock::session_lock(asio::any_io_executor loop,
                           const database_options& options,
                           std::string name,
                           std::function<void()> lost) {
  detail::connection_settings settings;
  settings.url = options.url;
  settings.application_name = options.application_name;
  settings.connect_timeout = options.connect_timeout;
  implementation_ = std::make_shared<implementation>(
    implementation{std::move(loop), std::move(settings), std::move(name), std::move(lost), nullptr, false});
}

session_lock::~session_lock() {
  release();
}

asio::awaitable<result<>> session_lock::acquire(std::chrono::milliseconds patience) {
  const auto self = implementation_;
  auto settings = self->settings;
  // 0 would be "for ever". The statement must outlive the wait for the lock.
  settings.lock_timeout = std::max(patience, 1ms);
  settings.statement_timeout = settings.lock_timeout + 5s;
  const auto link = std::make_shared<detail::connection>(self->loop, std::move(settings));
  self->link = link;
  if (auto opened = co_await link->open(); !opened)
    co_return opened;
  if (auto entered = link->enter_pipeline(); !entered)
    co_return entered;
  const auto parameters = detail::bind(self->name);
  const auto taken = co_await link->run(take_lock, parameters);
  if (self->link != link || !link->is_open())
    co_return detail::unavailable("The connection to the database is lost.");
  if (taken.kind != detail::fault::none) {
    link->close();
    if (taken.sqlstate == lock_not_available)
      co_return error{errc::conflict, "Another session holds the lock \"" + self->name + "\"."};
    co_return taken.failure;
  }
  self->is_held = true;
  link->on_lost = [weak = std::weak_ptr{self}](const std::string&) {
    const auto holder = weak.lock();
    if (!holder)
      return;
    holder->is_held = false;
    if (holder->lost)
      holder->lost();
  };
  co_return result<>{};
}

void session_lock::release() {
  auto& self = *implementation_;
  self.is_held = false;
  if (const auto link = std::exchange(self.link, nullptr))
    link->close();
}

bool session_lock::is_held() const noexcept {
  return implementation_->is_held;
}

} // namespace skyengine::db
