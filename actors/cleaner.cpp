#include "actors/cleaner.hpp"

#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/crash_point.hpp"
#include "actors/runtime/prepare.hpp"
#include "actors/tick_runs.hpp"
#include "domain/log.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <memory>
#include <utility>

namespace skyengine::actors {

namespace {

struct cleaned {
  run_id run;
  result<cron_outcome> outcome;
};

} // namespace

} // namespace skyengine::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::cleaned)

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
using implementation = cron_handler_actor::extend<caf::reacts_to<cleaned>>;

/// Whether a cleaning is still wanted.
using wanted_flag = std::shared_ptr<bool>;

/// Does it batch by batch until one is not full.
template <class Delete>
asio::awaitable<result<std::int64_t>> empty(Delete batch, std::int64_t rows_at_once, wanted_flag is_wanted) {
  std::int64_t all = 0;
  for (;;) {
    const auto deleted = co_await batch();
    if (!deleted)
      co_return deleted.error();
    all += *deleted;
    if (*deleted < rows_at_once || !*is_wanted)
      co_return all;
  }
}

// A sync that began before midnight may still write.
constexpr std::chrono::hours late_looks{1};

/// Rolls up what is over, then drops what is old: how many months.
asio::awaitable<result<std::int64_t>>
age_metrics(db::clean_up_store& store, cleaner_options options, instant now, wanted_flag is_wanted) {
  for (;;) {
    runtime::crash_point("sync.before_roll_up");
    const auto rolled = co_await store.roll_up_metrics(now - late_looks, options.servers_at_once);
    if (!rolled)
      co_return rolled.error();
    if (*rolled)
      runtime::crash_point("sync.after_roll_up");
    if (!*rolled || !*is_wanted)
      break;
  }
  const auto detail = co_await store.drop_metrics(now - options.keep_detail);
  if (!detail)
    co_return detail.error();
  const auto hours = co_await store.drop_metric_hours(now - options.keep_hours);
  if (!hours)
    co_return hours.error();
  co_return *detail + *hours;
}

void tell(const db::hold_record& one) {
  log::error("a hold of billing is open: an operator has to decide",
             {{"alert", "hold_open"},
              {"hold", one.id},
              {"server_id", one.server.value_or(server_id{}).value},
              {"user_id", one.user.value},
              {"reason", one.reason}});
}

asio::awaitable<result<std::int64_t>> alert_batch(db::hold_store& holds, instant now, std::int64_t most) {
  const auto told = co_await holds.alert_holds(now, most);
  if (!told)
    co_return told.error();
  for (const auto& one : *told)
    tell(one);
  co_return static_cast<std::int64_t>(told->size());
}

asio::awaitable<result<cron_outcome>> clean_up(db::clean_up_store& store,
                                               db::hold_store& holds,
                                               cleaner_options options,
                                               instant now,
                                               wanted_flag is_wanted) {
  const auto most = options.rows_at_once;
  auto delete_keys = [&store, until = now - options.keep_keys, most] {
    return store.delete_keys(until, most);
  };
  auto delete_runs = [&store, until = now - options.keep_runs, most] {
    return store.delete_runs(until, most);
  };
  const auto keys = co_await empty(delete_keys, most, is_wanted);
  if (!keys)
    co_return keys.error();
  const auto runs = co_await empty(delete_runs, most, is_wanted);
  if (!runs)
    co_return runs.error();
  const auto partitions = co_await age_metrics(store, options, now, is_wanted);
  if (!partitions)
    co_return partitions.error();
  auto alert = [&holds, now, most] { return alert_batch(holds, now, most); };
  const auto alerted = co_await empty(alert, most, is_wanted);
  if (!alerted)
    co_return alerted.error();
  co_return cron_outcome{R"({"keys":)" + std::to_string(*keys) + R"(,"runs":)" + std::to_string(*runs) +
                         R"(,"partitions":)" + std::to_string(*partitions) + R"(,"holds":)" +
                         std::to_string(*alerted) + "}"};
}

struct cleaner_state {
  static constexpr const char* name = "cleaner";
  explicit cleaner_state(implementation::pointer actor) : self(actor) {}
  cleaner_state(const cleaner_state&) = delete;
  cleaner_state& operator=(const cleaner_state&) = delete;
  ~cleaner_state() {
    runs.for_each([](const wanted_flag& is_wanted) { *is_wanted = false; });
  }

  implementation::behavior_type make_behavior() {
    return {
      [this](const cron_tick& tick) { return on_cron_tick(tick); },
      [this](const cron_cancel& cancelled) {
        if (const auto* is_wanted = runs.cancel(cancelled.run))
          **is_wanted = false;
      },
      [this](const cleaned& done) {
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

  void begin(tick_runs<wanted_flag>::beginning what) {
    const auto tick = what.tick;
    const auto is_wanted = std::make_shared<bool>(true);
    runs.begin(std::move(what), is_wanted);
    const implementation handle{self};
    asio::co_spawn(loop, clean_up(*store, *holds, options, instant{tick.scheduled_at}, is_wanted),
                   [handle, run = tick.run](std::exception_ptr bug, result<cron_outcome> outcome) {
                     if (bug) {
                       log::error("a clean-up failed unexpectedly", {{"error", runtime::describe(bug)}});
                       outcome = error{errc::internal, "unexpected failure"};
                     }
                     caf::anon_send(handle, cleaned{run, std::move(outcome)});
                   });
  }

  implementation::pointer self;
  asio::any_io_executor loop;
  db::clean_up_store* store = nullptr;
  db::hold_store* holds = nullptr;
  cleaner_options options;
  tick_runs<wanted_flag> runs;
};

implementation::behavior_type cleaner(implementation::stateful_pointer<cleaner_state> self,
                                      asio::any_io_executor loop,
                                      db::clean_up_store* store,
                                      db::hold_store* holds,
                                      cleaner_options options) {
  runtime::prepare(self);
  self->state.loop = std::move(loop);
  self->state.store = store;
  self->state.holds = holds;
  self->state.options = options;
  return self->state.make_behavior();
}

} // namespace

cron_handler_actor spawn_cleaner(caf::actor_system& system,
                                 asio::any_io_executor loop,
                                 db::clean_up_store& store,
                                 db::hold_store& holds,
                                 cleaner_options options) {
  return system.spawn(cleaner, std::move(loop), &store, &holds, options);
}

} // namespace skyengine::actors
