#include "actors/billing.hpp"

#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/prepare.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace skyengine::actors {

namespace {

/// What one look at the open hours has done.
struct closed_hours {
  std::uint64_t hours = 0;
  std::uint64_t charges = 0;
  std::uint64_t corrections = 0;
  /// Nothing that could be closed is left.
  bool is_done = false;
  /// It was told to stop before that.
  bool is_cut = false;
  db::billing_permission permission;
};

struct pass_ended {
  result<closed_hours> outcome;
};
struct look_again {};

} // namespace

} // namespace skyengine::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::pass_ended)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::look_again)

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using std::chrono::sys_seconds;
using implementation = billing_actor::extend<caf::reacts_to<pass_ended>, caf::reacts_to<look_again>>;
using stop_flag = std::shared_ptr<bool>;

/// Users of an hour, cut into batches that several lanes take in turn.
class hour_batches {
public:
  hour_batches(const db::closable_hour& hour, std::int64_t rows_at_once) {
    std::int64_t rows = rows_at_once;
    for (const auto& one : hour.users) {
      if (rows >= rows_at_once) {
        batches_.emplace_back();
        rows = 0;
      }
      batches_.back().push_back(one.user.value);
      rows += 1 + one.servers;
    }
  }

  /// nullptr when none is left.
  std::vector<std::int64_t>* next() { return taken_ == batches_.size() ? nullptr : &batches_[taken_++]; }

private:
  std::vector<std::vector<std::int64_t>> batches_;
  std::size_t taken_ = 0;
};

/// Closes what can be closed; owns all that it needs beyond the actor's life.
class billing_pass {
public:
  billing_pass(billing_services services, billing_options options, stop_flag is_stopped)
      : services_(std::move(services)), options_(options), is_stopped_(std::move(is_stopped)) {}

  asio::awaitable<result<closed_hours>> run() {
    const auto now = services_.business.now();
    const auto token = services_.token();
    auto permitted = co_await services_.store.permission(token, system_time(now));
    if (!permitted)
      co_return permitted.error();
    closed_.permission = *permitted;
    if (!permitted->is_lease_held || permitted->is_paused || permitted->do_clocks_differ)
      co_return closed_;
    const auto until = std::chrono::floor<std::chrono::hours>(now - options_.delay);
    const auto syncs_since =
      std::chrono::floor<std::chrono::seconds>(now - std::chrono::hours{1} - options_.sync_window);
    while (!*is_stopped_) {
      const auto hour = co_await services_.store.next_hour(until, syncs_since);
      if (!hour)
        co_return hour.error();
      if (!*hour)
        break;
      if (const auto made = co_await services_.store.ensure_month((*hour)->hour); !made)
        co_return made.error();
      const auto closed = co_await close(**hour, token);
      if (!closed)
        co_return closed.error();
      // Somebody else closes it, or the lease is lost: a later look tells.
      if (*closed == 0)
        co_return closed_;
      ++closed_.hours;
    }
    closed_.is_done = !*is_stopped_;
    permitted = co_await services_.store.permission(token, system_time(now));
    if (permitted)
      closed_.permission = *permitted;
    co_return closed_;
  }

private:
  std::optional<instant> system_time(instant now) const {
    return options_.is_system_time ? std::optional{now} : std::nullopt;
  }

  /// For how many users.
  asio::awaitable<result<std::int64_t>> close(const db::closable_hour& hour, std::int64_t token) {
    hour_batches batches{hour, options_.rows_at_once};
    std::vector<result<std::int64_t>> done(static_cast<std::size_t>(options_.lanes), std::int64_t{0});
    co_await lanes(batches, hour.hour, token, done, 0);
    std::int64_t users = 0;
    for (const auto& one : done) {
      if (!one)
        co_return one.error();
      users += *one;
    }
    co_return users;
  }

  asio::awaitable<void> lanes(hour_batches& batches,
                              sys_seconds hour,
                              std::int64_t token,
                              std::vector<result<std::int64_t>>& done,
                              std::size_t first) {
    using namespace asio::experimental::awaitable_operators;
    if (first + 1 == done.size())
      co_await lane(batches, hour, token, done[first]);
    else
      co_await (lane(batches, hour, token, done[first]) && lanes(batches, hour, token, done, first + 1));
  }

  asio::awaitable<void>
  lane(hour_batches& batches, sys_seconds hour, std::int64_t token, result<std::int64_t>& users) {
    while (auto* batch = *is_stopped_ ? nullptr : batches.next()) {
      const auto closed = co_await services_.store.close(token, hour, std::move(*batch));
      if (!closed) {
        users = closed.error();
        co_return;
      }
      *users += closed->users;
      closed_.charges += static_cast<std::uint64_t>(closed->charges);
      closed_.corrections += static_cast<std::uint64_t>(closed->corrections);
    }
  }

  billing_services services_;
  billing_options options_;
  stop_flag is_stopped_;
  closed_hours closed_;
};

asio::awaitable<result<closed_hours>>
close_hours(billing_services services, billing_options options, stop_flag is_stopped) {
  billing_pass pass{std::move(services), options, is_stopped};
  auto done = co_await pass.run();
  if (done)
    done->is_cut = *is_stopped && !done->is_done;
  co_return done;
}

cron_outcome to_outcome(const closed_hours& closed) {
  return {R"({"hours":)" + std::to_string(closed.hours) + R"(,"charges":)" + std::to_string(closed.charges) +
          R"(,"corrections":)" + std::to_string(closed.corrections) + "}"};
}

struct billing_state {
  static constexpr const char* name = "billing";
  explicit billing_state(implementation::pointer actor) : self(actor) {}
  billing_state(const billing_state&) = delete;
  billing_state& operator=(const billing_state&) = delete;
  ~billing_state() {
    if (is_stopped)
      *is_stopped = true;
    if (services)
      services->timers.cancel(next_look);
  }

  implementation::behavior_type make_behavior() {
    arm();
    return {
      [this](const cron_tick&) -> caf::result<cron_outcome> {
        auto promise = self->make_response_promise<cron_outcome>();
        waiting.emplace_back(promise);
        begin_pass();
        return promise;
      },
      // What a tick asked for is done anyway: nothing of it is worth ending.
      [](const cron_cancel&) {},
      [this](const billing_figures_query&) {
        auto told = figures;
        if (closed_until)
          told.lag = std::max(
            0s, std::chrono::floor<std::chrono::seconds>(services->business.now() - (*closed_until + 1h)));
        return told;
      },
      [this](const stop_billing&) -> caf::result<void> {
        *is_stopped = true;
        auto promise = self->make_response_promise<void>();
        stopping.emplace_back(promise);
        answer_stopping();
        return promise;
      },
      [this](const resume_billing&) {
        if (!*is_stopped)
          return;
        is_stopped = std::make_shared<bool>(false);
        not_before = {};
      },
      [this](const pass_ended& ended) { on_pass_ended(ended.outcome); },
      [this](const look_again&) {
        arm();
        tell_of_lag();
        const auto until = std::chrono::floor<std::chrono::hours>(services->business.now() - options.delay);
        if ((until > done_until || !waiting.empty()) && services->timers.now() >= not_before)
          begin_pass();
      },
    };
  }

  void arm() {
    const implementation handle{self};
    next_look = services->timers.schedule(services->timers.now() + options.look_every,
                                          [handle] { caf::anon_send(handle, look_again{}); });
  }

  void begin_pass() {
    if (is_under_way)
      return;
    if (*is_stopped) {
      fail_waiting({errc::database_unavailable, "this node has no lease at present"});
      return;
    }
    is_under_way = true;
    serving = std::exchange(waiting, {});
    pass_until = std::chrono::floor<std::chrono::hours>(services->business.now() - options.delay);
    runtime::start<pass_ended>(loop, implementation{self}, close_hours(*services, options, is_stopped));
  }

  void on_pass_ended(const result<closed_hours>& outcome) {
    is_under_way = false;
    not_before = services->timers.now() + options.retry_after;
    if (outcome) {
      figures.hours += outcome->hours;
      figures.charges += outcome->charges;
      figures.corrections += outcome->corrections;
      closed_until = outcome->permission.closed_until;
      is_paused = outcome->permission.is_paused;
      tell_of_clocks(outcome->permission.do_clocks_differ);
      if (outcome->hours > 0)
        log::info(
          "hours are closed",
          {{"hours", outcome->hours}, {"charges", outcome->charges}, {"corrections", outcome->corrections}});
      // Those that wait for their sync are looked at again.
      if (outcome->is_done && (!closed_until || *closed_until >= pass_until))
        done_until = pass_until;
      for (auto& promise : serving) {
        if (outcome->is_cut)
          promise.fail({errc::database_unavailable, "it was told to stop before every hour was closed"});
        else
          promise.deliver(to_outcome(*outcome));
      }
    } else {
      log::warn("hours could not be closed", {{"error", outcome.error().detail}});
      for (auto& promise : serving)
        promise.fail(outcome.error());
    }
    serving.clear();
    answer_stopping();
    if (!waiting.empty())
      begin_pass();
  }

  std::optional<std::chrono::seconds> lag() const {
    if (!closed_until)
      return std::nullopt;
    return std::max(
      0s, std::chrono::floor<std::chrono::seconds>(services->business.now() - (*closed_until + 1h)));
  }

  void tell_of_lag() {
    const auto is_late = !is_paused && lag() > options.late_after;
    if (is_late && !std::exchange(is_lag_alerted, true))
      log::error("hours are not closed", {{"alert", "billing_late"}, {"lag_seconds", lag()->count()}});
    else if (!is_late && std::exchange(is_lag_alerted, false))
      log::info("hours are closed again", {{"alert_cleared", "billing_late"}});
  }

  void tell_of_clocks(bool do_differ) {
    if (do_differ && !std::exchange(is_clock_alerted, true))
      log::error(
        "the clocks of this node and of the database differ by more than a minute: no hour is closed",
        {{"alert", "billing_clocks_differ"}});
    else if (!do_differ && std::exchange(is_clock_alerted, false))
      log::info("the clocks agree again: hours are closed", {{"alert_cleared", "billing_clocks_differ"}});
  }

  void answer_stopping() {
    if (is_under_way)
      return;
    for (auto& promise : stopping)
      promise.deliver(caf::unit);
    stopping.clear();
  }

  void fail_waiting(const error& why) {
    for (auto& promise : waiting)
      promise.fail(why);
    waiting.clear();
  }

  implementation::pointer self;
  asio::any_io_executor loop;
  std::optional<billing_services> services;
  billing_options options;
  billing_figures figures;
  stop_flag is_stopped = std::make_shared<bool>(false);
  bool is_under_way = false;
  bool is_paused = false;
  bool is_clock_alerted = false;
  bool is_lag_alerted = false;
  /// Every hour before it is closed, as far as this node knows.
  sys_seconds done_until{};
  std::optional<sys_seconds> closed_until;
  sys_seconds pass_until{};
  runtime::steady_time not_before{};
  runtime::steady_timers::handle next_look{};
  /// Ticks that the pass under way answers, and those that came meanwhile.
  std::vector<runtime::open_promise> serving;
  std::vector<runtime::open_promise> waiting;
  std::vector<runtime::open_promise> stopping;
};

implementation::behavior_type billing(implementation::stateful_pointer<billing_state> self,
                                      asio::any_io_executor loop,
                                      billing_services services,
                                      billing_options options) {
  runtime::prepare(self);
  self->state.loop = std::move(loop);
  self->state.services.emplace(std::move(services));
  self->state.options = options;
  return self->state.make_behavior();
}

} // namespace

billing_actor spawn_billing(caf::actor_system& system,
                            asio::any_io_executor loop,
                            billing_services services,
                            billing_options options) {
  return system.spawn(billing, std::move(loop), std::move(services), options);
}

} // namespace skyengine::actors
