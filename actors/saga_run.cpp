#include "actors/saga_run.hpp"

#include "domain/backoff.hpp"

#include <algorithm>
#include <utility>

namespace skyengine::actors {

using namespace std::chrono_literals;

runtime::asio::awaitable<std::optional<action_id>> saga_run::run() {
  auto reload = true;
  while (!is_stopping()) {
    if (reload && !co_await load())
      co_return std::nullopt;
    reload = false;
    if (is_over(state_.action.state)) {
      on_over();
      co_return std::nullopt;
    }
    if (state_.server.delete_requested && may_give_way()) {
      const auto next = co_await give_way();
      if (next)
        co_return next;
      reload = true;
      continue;
    }
    if (state_.abandon_requested && may_abandon()) {
      reload = co_await abandon() != outcome::advanced;
      continue;
    }
    const auto done = co_await step();
    // An interruption may mean that a delete waits: the row tells.
    reload = done != outcome::advanced;
  }
  co_return std::nullopt;
}

runtime::asio::awaitable<std::optional<action_id>> saga_run::hand_over(bool is_resolved) {
  const auto next = co_await services_.sagas.give_way(state_.ref(), is_resolved, settling_from_now(),
                                                      services_.business.now());
  if (!next || !*next) {
    static_cast<void>(co_await pause(200ms));
    co_return std::nullopt;
  }
  say(log::level::info, "an action gives way to delete");
  co_return **next;
}

runtime::asio::awaitable<bool> saga_run::load() {
  for (int failures = 1; !is_stopping(); ++failures) {
    auto loaded = co_await services_.sagas.load(action_);
    if (loaded) {
      state_ = std::move(*loaded);
      on_loaded();
      co_return is_over(state_.action.state) || state_.token == services_.lease.token();
    }
    if (loaded.error().code != errc::database_unavailable && loaded.error().code != errc::overloaded) {
      log::error("a saga cannot be read", {{"action_id", action_.value}, {"error", loaded.error().detail}});
      co_return false;
    }
    static_cast<void>(co_await pause(std::max(backoff{}.draw(failures, services_.random), 100ms)));
  }
  co_return false;
}

runtime::asio::awaitable<outcome> saga_run::commit(db::saga_change change) {
  const auto moved =
    co_await services_.sagas.advance(state_.ref(), change, settling_from_now(), services_.business.now());
  is_id_taken_ = !moved && moved.error().code == errc::conflict;
  if (!co_await is_written(moved, change.step))
    co_return outcome::reload;
  auto& a = state_.action;
  auto& s = state_.server;
  a.step = change.step;
  a.state = change.state;
  a.version += 1;
  a.builds += change.counts_build ? 1 : 0;
  if (change.failure)
    a.failure = change.failure;
  s.state = change.server;
  if (change.virtfusion_id)
    s.virtfusion_id = change.virtfusion_id;
  if (change.attempt_ends)
    state_.attempt.reset();
  co_return outcome::advanced;
}

runtime::asio::awaitable<bool> saga_run::is_written(result<bool> moved, saga_step step) {
  if (moved && *moved)
    co_return true;
  if (!moved && moved.error().code != errc::database_unavailable)
    log::warn("a step was not committed",
              {{"action_id", action_.value}, {"step", to_string(step)}, {"error", moved.error().detail}});
  if (!moved)
    static_cast<void>(co_await pause(200ms));
  co_return false;
}

void saga_run::say(log::level severity, std::string_view what) const {
  log::write(severity, what,
             {{"action_id", action_.value},
              {"server_id", state_.server.id.value},
              {"user_id", state_.server.order.user.value},
              {"request_id", state_.action.request_id},
              {"virtfusion_id", state_.server.virtfusion_id.value_or(virtfusion_server_id{}).value}});
}

void saga_run::say(log::level severity, std::string_view what, std::string_view why) const {
  log::write(severity, what,
             {{"action_id", action_.value},
              {"server_id", state_.server.id.value},
              {"user_id", state_.server.order.user.value},
              {"request_id", state_.action.request_id},
              {"virtfusion_id", state_.server.virtfusion_id.value_or(virtfusion_server_id{}).value},
              {"error", why}});
}

void saga_run::alert(std::string_view kind, std::string_view what, std::string_view why) const {
  log::error(what, {{"alert", kind},
                    {"action_id", action_.value},
                    {"server_id", state_.server.id.value},
                    {"user_id", state_.server.order.user.value},
                    {"error", why}});
}

} // namespace skyengine::actors
