#include "actors/runtime/crash_point.hpp"
#include "actors/server_removal.hpp"

#include <utility>

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
using runtime::crash_point;
using namespace std::chrono_literals;

class delete_saga final : public server_removal {
public:
  using server_removal::server_removal;

private:
  asio::awaitable<outcome> step() override {
    if (state_.action.step == saga_step::begin && state_.server.virtfusion_id) {
      crash_point("delete.before_call");
      db::saga_change change;
      change.step = saga_step::remove;
      change.server = server_state::deleting;
      co_return co_await commit(std::move(change));
    }
    if (state_.server.virtfusion_id) {
      const auto removed = co_await remove_from_virtfusion();
      if (removed == removal::abandoned)
        co_return co_await abandon_delete();
      if (removed == removal::interrupted)
        co_return outcome::interrupted;
    }
    crash_point("delete.before_deleted");
    db::saga_change change;
    change.step = saga_step::done;
    change.state = action_state::succeeded;
    change.server = server_state::deleted;
    change.event = "deleted";
    change.power = power_state::off;
    const auto done = co_await commit(std::move(change));
    if (done == outcome::advanced) {
      crash_point("delete.after_deleted");
      say(log::level::info, "server deleted");
    }
    co_return done;
  }

  /// VirtFusion refuses the delete, and an operator wants it no more: the server stays what it was.
  asio::awaitable<outcome> abandon_delete() {
    const error why{errc::virtfusion_rejected, "VirtFusion refuses to delete the server: " + refusal_};
    const auto ended = co_await services_.sagas.abandon_delete(state_.ref(), why, services_.business.now());
    if (ended && *ended)
      say(log::level::warn, "delete abandoned by an operator", refusal_);
    else
      static_cast<void>(co_await pause(200ms));
    co_return outcome::reload;
  }
};

} // namespace

std::unique_ptr<saga_run>
make_delete_saga(saga_services& services, action_id action, std::shared_ptr<saga_control> control) {
  return std::make_unique<delete_saga>(services, action, std::move(control));
}

} // namespace skyengine::actors
