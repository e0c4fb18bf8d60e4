#include "actors/saga_base.hpp"

#include "domain/backoff.hpp"

#include <algorithm>
#include <random>

namespace skyengine::actors {

namespace {

using namespace std::chrono_literals;
using failure_kind = vf::call_failure::kind;

// A saga waits its turn however long the queue is; this only bounds one stay in it, and by that how long the
// end of a saga, and so a new lease, may have to wait for one.
constexpr auto queue_patience = 60s;

} // namespace

bool is_surely_unsent(failure_kind what) noexcept {
  return what == failure_kind::overloaded || what == failure_kind::not_sent ||
         what == failure_kind::refused || what == failure_kind::unauthorized;
}

bool is_passing(failure_kind what) noexcept {
  return is_surely_unsent(what) || what == failure_kind::busy || what == failure_kind::unknown;
}

runtime::asio::awaitable<bool> saga_base::pause(std::chrono::milliseconds span) {
  co_return !co_await control_->wake.wait_until(now() + span) && !is_stopping();
}

std::chrono::milliseconds saga_base::wait_after(int failures, const vf::call_failure& failed) {
  const auto drawn = std::max(backoff{}.draw(failures, services_.random), 100ms);
  return failed.retry_after ? std::max<std::chrono::milliseconds>(*failed.retry_after, drawn) : drawn;
}

call_options saga_base::options(call_class priority, user_id user, const std::string& request_id) const {
  return {priority, now() + queue_patience, user, request_id};
}

runtime::asio::awaitable<bool> saga_base::hold_lease() {
  while (!services_.lease.is_held() && !is_stopping())
    static_cast<void>(co_await pause(500ms));
  co_return !is_stopping();
}

saga_base::known_resources saga_base::keep_resources(const std::vector<vf::package_record>& packages,
                                                     package_id wanted) {
  known_resources found;
  for (const auto& known : packages) {
    services_.resources[known.id] = {known.resources, now() + catalogue_life};
    if (known.id == wanted)
      found = known.resources;
  }
  return found;
}

runtime::asio::awaitable<std::optional<std::vector<virtfusion_server_id>>>
saga_base::candidates(call_options how, order_traits order) {
  how.deadline = now() + services_.options.call_patience;
  const auto listed = co_await services_.virtfusion.call(how, vf::list_user_servers(order.user));
  if (!listed)
    co_return std::nullopt;
  std::vector<std::int64_t> young;
  for (const auto& item : *listed)
    if (item.id > order.mark)
      young.push_back(item.id.value);
  if (young.empty())
    co_return std::vector<virtfusion_server_id>{};
  std::sort(young.begin(), young.end());
  const auto claimed = co_await services_.sagas.claimed_ids(young);
  if (!claimed)
    co_return std::nullopt;
  const auto sent = co_await services_.sagas.resources_sent(order.action);
  if (!sent)
    co_return std::nullopt;
  const auto was_sent = [&](const server_resources& made) {
    return std::find(sent->begin(), sent->end(), made) != sent->end();
  };
  std::optional<known_resources> at_present;
  std::vector<virtfusion_server_id> found;
  for (const auto id : young) {
    if (std::find(claimed->begin(), claimed->end(), id) != claimed->end())
      continue;
    if (is_stopping())
      co_return std::nullopt;
    how.deadline = now() + services_.options.call_patience;
    const auto record = co_await services_.virtfusion.call(how, vf::get_server({id}));
    if (!record) {
      if (record.error().what == failure_kind::not_found_server)
        continue;
      co_return std::nullopt;
    }
    if (!record->is_untouched() || record->group != order.group)
      continue;
    if (was_sent(record->resources)) {
      found.push_back(record->id);
      continue;
    }
    if (!at_present) {
      const auto packages = co_await services_.virtfusion.call(how, vf::list_packages());
      if (!packages)
        co_return std::nullopt;
      at_present = keep_resources(*packages, order.package);
      // Nothing is left to know it by.
      if (!*at_present && sent->empty())
        co_return std::nullopt;
    }
    if (record->resources == *at_present)
      found.push_back(record->id);
  }
  co_return found;
}

void saga_base::tell_blind(action_id action, user_id user, std::string_view what) {
  if (services_.blind.insert(action).second)
    log::error(what, {{"alert", "attempt_unresolved"}, {"action_id", action.value}, {"user_id", user.value}});
}

void saga_base::tell_sighted(action_id action) {
  if (services_.blind.erase(action) > 0)
    log::info("what a lost create has made can be looked for again",
              {{"alert_cleared", "attempt_unresolved"}, {"action_id", action.value}});
}

saga_services::saga_services(db::saga_store& store,
                             virtfusion_caller& caller,
                             node_lease& node,
                             const clock& business_clock,
                             saga_options limits)
    : sagas(store), virtfusion(caller), lease(node), business(business_clock), timers(caller.timers()),
      options(std::move(limits)), random(options.seed) {}

} // namespace skyengine::actors
