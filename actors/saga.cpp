#include "actors/saga.hpp"

#include "actors/control_saga.hpp"

#include <utility>

namespace skyengine::actors {

namespace {

std::unique_ptr<saga_run> make_saga(saga_services& services,
                                    action_id action,
                                    action_kind kind,
                                    std::shared_ptr<saga_control> control,
                                    std::function<void(saga_report)> report) {
  switch (kind) {
  case action_kind::create:
    return make_create_saga(services, action, std::move(control), std::move(report));
  case action_kind::suspend:
    return make_suspend_saga(services, action, std::move(control));
  case action_kind::unsuspend:
    return make_unsuspend_saga(services, action, std::move(control));
  case action_kind::resize:
    return make_resize_saga(services, action, std::move(control));
  case action_kind::remove:
    break;
  }
  return make_delete_saga(services, action, std::move(control));
}

} // namespace

runtime::asio::awaitable<std::optional<action_id>> run_saga(saga_services& services,
                                                            action_id action,
                                                            action_kind kind,
                                                            std::shared_ptr<saga_control> control,
                                                            std::function<void(saga_report)> report) {
  const auto [place, is_first] = services.active.insert(action);
  if (!is_first)
    co_return std::nullopt;
  struct leaving {
    saga_services& services;
    action_id action;
    ~leaving() { services.active.erase(action); }
  } const leave{services, action};
  const auto one = make_saga(services, action, kind, std::move(control), std::move(report));
  co_return co_await one->run();
}

} // namespace skyengine::actors
