#include "actors/limit_keeper.hpp"

#include "actors/runtime/crash_point.hpp"
#include "domain/log.hpp"

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;

// With each sweep so many: a user with very many servers leaves room for those of others.
constexpr std::int64_t most_at_once = 256;

void tell(const error& why) {
  // The database tells itself that it is away, and the next sweep tries again.
  if (why.code != errc::database_unavailable)
    log::warn("servers cannot be suspended by spending limits", {{"error", why.detail}});
}

} // namespace

asio::awaitable<void> keep_limits(db::server_store& servers, saga_services& services) {
  const auto is_open = co_await servers.has_open_limits();
  if (!is_open)
    tell(is_open.error());
  if (!is_open || !*is_open)
    co_return;
  runtime::crash_point("billing.limit_before");
  const auto begun =
    co_await servers.suspend_by_limits(services.lease.token(), most_at_once, services.business.now());
  if (!begun) {
    tell(begun.error());
    co_return;
  }
  for (const auto& one : *begun)
    log::info("servers are suspended by a spending limit",
              {{"user_id", one.user.value}, {"servers", one.servers}});
  if (!begun->empty())
    runtime::crash_point("billing.limit_after");
}

} // namespace skyengine::actors
