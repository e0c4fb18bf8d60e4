#include "actors/metrics_sync.hpp"

#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/crash_point.hpp"
#include "actors/runtime/prepare.hpp"
#include "actors/tick_runs.hpp"

#include <boost/asio/co_spawn.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <memory>
#include <utility>

namespace skyengine::actors {

namespace {

struct synchronised {
  run_id run;
  result<cron_outcome> outcome;
};

} // namespace

} // namespace skyengine::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::synchronised)

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
using implementation = metrics_sync_actor::extend<caf::reacts_to<synchronised>>;

struct metrics_sync_setup {
  asio::any_io_executor loop;
  metrics_sync_services services;
  metrics_sync_options options;
};

struct metrics_sync_state {
  metrics_sync_state(implementation::pointer actor, metrics_sync_setup given)
      : self(actor), setup(std::move(given)) {}
  metrics_sync_state(const metrics_sync_state&) = delete;
  metrics_sync_state& operator=(const metrics_sync_state&) = delete;
  ~metrics_sync_state() {
    runs.for_each([](const std::shared_ptr<sync_run>& sync) { sync->cancel(); });
  }

  implementation::behavior_type make_behavior() {
    return {
      [this](const cron_tick& tick) { return on_cron_tick(tick); },
      [this](const cron_cancel& cancelled) {
        if (const auto* sync = runs.cancel(cancelled.run))
          (*sync)->cancel();
      },
      [this](const sync_figures_query&) {
        const auto* sync = runs.newest();
        return sync == nullptr ? sync_figures{} : (*sync)->figures();
      },
      [this](const synchronised& done) {
        runtime::crash_point("sync.after_end");
        if (auto next = runs.end(done.run, done.outcome))
          begin(std::move(*next));
      },
    };
  }

  caf::result<cron_outcome> on_cron_tick(const cron_tick& tick) {
    auto promise = self->make_response_promise<cron_outcome>();
    if (auto now = runs.on_tick(tick, promise))
      begin(std::move(*now));
    return promise;
  }

  void begin(tick_runs<std::shared_ptr<sync_run>>::beginning what) {
    const auto run = what.tick.run;
    const auto sync = std::make_shared<sync_run>(setup.loop, setup.services, setup.options, what.tick);
    runs.begin(std::move(what), sync);
    const implementation handle{self};
    asio::co_spawn(setup.loop, sync->run(),
                   [handle, sync, run](std::exception_ptr bug, result<cron_outcome> outcome) {
                     if (bug) {
                       log::error("a sync failed unexpectedly", {{"error", runtime::describe(bug)}});
                       outcome = error{errc::internal, "unexpected failure"};
                     }
                     caf::anon_send(handle, synchronised{run, std::move(outcome)});
                   });
  }

  implementation::pointer self;
  metrics_sync_setup setup;
  tick_runs<std::shared_ptr<sync_run>> runs;
};

class metrics_sync final : public implementation::base {
public:
  metrics_sync(caf::actor_config& config, metrics_sync_setup setup)
      : implementation::base(config), state_(std::make_unique<metrics_sync_state>(this, std::move(setup))) {
    runtime::prepare(this);
  }

  const char* name() const override { return "metrics_sync"; }
  // The state's promises answer when the actor ends, not when its last handle goes.
  void on_exit() override { state_.reset(); }

protected:
  behavior_type make_behavior() override { return state_->make_behavior(); }

private:
  std::unique_ptr<metrics_sync_state> state_;
};

} // namespace

metrics_sync_actor spawn_metrics_sync(caf::actor_system& system,
                                      asio::any_io_executor loop,
                                      metrics_sync_services services,
                                      metrics_sync_options options) {
  return system.spawn<metrics_sync>(metrics_sync_setup{std::move(loop), services, std::move(options)});
}

} // namespace skyengine::actors
