#include "actors/billing.hpp"

#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/prepare.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <exception>
#include <map>
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
  /// As far as that could be asked.
  std::optional<db::billing_permission> permission;
  /// Users whose hours cannot be closed, and why.
  std::map<std::int64_t, error> failing;
  /// Why it ended before its time.
  std::optional<error> failure;
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

using failing_users = std::map<std::int64_t, error>;

void tell(const db::passed_limit& one) {
  const auto alert = "spending_" + one.kind;
  log::warn("a user's month has come to a spending limit", {{"alert", alert},
                                                            {"user_id", one.user.value},
                                                            {"limit", to_string(one.limit)},
                                                            {"so_far", to_string(one.so_far)},
                                                            {"currency", one.currency.value}});
}

/// Users of an hour, cut into batches that several lanes take in turn; those that failed before stand alone.
class hour_batches {
public:
  hour_batches(const db::closable_hour& hour, std::int64_t rows_at_once, const failing_users& suspects) {
    std::int64_t rows = rows_at_once;
    for (const auto& one : hour.users) {
      if (suspects.contains(one.user.value)) {
        batches_.push_front({one.user.value});
        continue;
      }
      if (rows >= rows_at_once) {
        batches_.emplace_back();
        rows = 0;
      }
      batches_.back().push_back(one.user.value);
      rows += 1 + one.servers;
    }
  }

  /// Empty when none is left.
  std::vector<std::int64_t> next() {
    if (batches_.empty())
      return {};
    auto one = std::move(batches_.front());
    batches_.pop_front();
    return one;
  }
  /// Each of them alone.
  void divide(const std::vector<std::int64_t>& users) {
    for (const auto user : users)
      batches_.push_front({user});
  }

private:
  std::deque<std::vector<std::int64_t>> batches_;
};

// More than so many users that fail are no fault of theirs.
constexpr std::size_t most_failing = 20;

/// Closes what can be closed; owns all that it needs beyond the actor's life.
class billing_pass {
public:
  billing_pass(billing_services services,
               billing_options options,
               stop_flag is_stopped,
               failing_users suspects)
      : services_(std::move(services)), options_(options), is_stopped_(std::move(is_stopped)),
        suspects_(std::move(suspects)) {}

  /// First of those that did not fail before: nobody waits for them.
  asio::awaitable<closed_hours> run() {
    for (const auto with_suspects : {false, true}) {
      if (with_suspects && suspects_.empty())
        break;
      while (co_await close_next(with_suspects)) {
      }
      if (closed_.failure || *is_stopped_)
        break;
    }
    // Where it stands now. All is done, whether that can be asked or not.
    if (closed_.is_done)
      if (const auto asked = co_await look_up_permission())
        closed_.permission = *asked;
    closed_.is_cut = *is_stopped_ && !closed_.is_done;
    co_return closed_;
  }

private:
  /// Whether there may be more.
  asio::awaitable<bool> close_next(bool with_suspects) {
    closed_.is_done = false;
    if (*is_stopped_ || !co_await ask_permission())
      co_return false;
    const auto now = services_.business.now();
    const auto until = std::chrono::floor<std::chrono::hours>(now - options_.delay);
    const auto syncs_since =
      std::chrono::floor<std::chrono::seconds>(now - std::chrono::hours{1} - options_.sync_window);
    auto hour = co_await services_.store.next_hour(until, syncs_since, left_out(with_suspects));
    if (!hour)
      co_return fail(hour.error());
    if (!*hour) {
      closed_.is_done = true;
      co_return false;
    }
    if (const auto made = co_await services_.store.ensure_month((*hour)->hour); !made)
      co_return fail(made.error());
    const auto failing_before = closed_.failing.size();
    const auto closed = co_await close(**hour);
    closed_.hours += closed > 0 ? 1 : 0;
    // Where nothing was closed somebody else closes it, or the lease is lost: a later look tells.
    co_return !closed_.failure && (closed > 0 || closed_.failing.size() > failing_before);
  }

  bool fail(const error& why) {
    closed_.failure = why;
    return false;
  }

  asio::awaitable<result<db::billing_permission>> look_up_permission() {
    const auto now = services_.business.now();
    const auto system_now = options_.is_system_time ? std::optional{now} : std::nullopt;
    return services_.store.permission(services_.token(), now, system_now);
  }

  /// True when hours may be closed.
  asio::awaitable<bool> ask_permission() {
    const auto asked = co_await look_up_permission();
    if (!asked)
      co_return fail(asked.error());
    closed_.permission = *asked;
    co_return asked->is_lease_held && !asked->is_paused && !asked->do_clocks_differ;
  }

  std::vector<std::int64_t> left_out(bool with_suspects) const {
    std::vector<std::int64_t> users;
    users.reserve(closed_.failing.size() + suspects_.size());
    for (const auto& [user, why] : closed_.failing)
      users.push_back(user);
    if (!with_suspects)
      for (const auto& [user, why] : suspects_)
        users.push_back(user);
    return users;
  }

  /// For how many users.
  asio::awaitable<std::int64_t> close(const db::closable_hour& hour) {
    hour_batches batches{hour, options_.rows_at_once, suspects_};
    std::int64_t users = 0;
    co_await lanes(batches, hour.hour, services_.token(), users, options_.lanes);
    co_return users;
  }

  asio::awaitable<void>
  lanes(hour_batches& batches, sys_seconds hour, std::int64_t token, std::int64_t& users, int count) {
    using namespace asio::experimental::awaitable_operators;
    if (count == 1)
      co_await lane(batches, hour, token, users);
    else
      co_await (lane(batches, hour, token, users) && lanes(batches, hour, token, users, count - 1));
  }

  asio::awaitable<void>
  lane(hour_batches& batches, sys_seconds hour, std::int64_t token, std::int64_t& users) {
    for (auto batch = batches.next(); !batch.empty() && !*is_stopped_ && !closed_.failure;
         batch = batches.next()) {
      const auto closed = co_await close_batch(token, hour, batch);
      if (closed) {
        users += closed->users;
        closed_.charges += static_cast<std::uint64_t>(closed->charges);
        closed_.corrections += static_cast<std::uint64_t>(closed->corrections);
        for (const auto& one : closed->passed)
          tell(one);
      } else if (const auto asked = co_await look_up_permission(); !asked) {
        // It is not these users.
        fail(asked.error());
      } else if (batch.size() > 1) {
        batches.divide(batch);
      } else {
        closed_.failing.insert_or_assign(batch.front(), closed.error());
        if (closed_.failing.size() > most_failing)
          fail(closed.error());
      }
    }
  }

  /// An exception in one lane must not end the other one.
  asio::awaitable<result<db::closed_batch>>
  close_batch(std::int64_t token, sys_seconds hour, std::vector<std::int64_t> users) {
    std::exception_ptr bug;
    try {
      co_return co_await services_.store.close(token, hour, std::move(users));
    } catch (...) {
      bug = std::current_exception();
    }
    log::error("the closing of an hour failed unexpectedly", {{"error", runtime::describe(bug)}});
    co_return error{errc::internal, "unexpected failure"};
  }

  billing_services services_;
  billing_options options_;
  stop_flag is_stopped_;
  failing_users suspects_;
  closed_hours closed_;
};

asio::awaitable<result<closed_hours>> close_hours(billing_services services,
                                                  billing_options options,
                                                  stop_flag is_stopped,
                                                  failing_users suspects) {
  billing_pass pass{std::move(services), options, std::move(is_stopped), std::move(suspects)};
  co_return co_await pass.run();
}

cron_outcome to_outcome(const closed_hours& closed) {
  return {R"({"hours":)" + std::to_string(closed.hours) + R"(,"charges":)" + std::to_string(closed.charges) +
          R"(,"corrections":)" + std::to_string(closed.corrections) + R"(,"failing":)" +
          std::to_string(closed.failing.size()) + "}"};
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
    begun_at = services->timers.now();
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
        told.lag = lag();
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
    runtime::start<pass_ended>(loop, implementation{self},
                               close_hours(*services, options, is_stopped, failing));
  }

  void on_pass_ended(const result<closed_hours>& outcome) {
    is_under_way = false;
    not_before = services->timers.now() + options.retry_after;
    closed_hours closed;
    if (outcome)
      closed = *outcome;
    else
      closed.failure = outcome.error();
    take(closed);
    for (auto& promise : serving) {
      if (closed.failure)
        promise.fail(*closed.failure);
      else if (closed.is_cut)
        promise.fail({errc::database_unavailable, "it was told to stop before every hour was closed"});
      else
        promise.deliver(to_outcome(closed));
    }
    serving.clear();
    answer_stopping();
    if (!waiting.empty())
      begin_pass();
  }

  void take(const closed_hours& closed) {
    figures.hours += closed.hours;
    figures.charges += closed.charges;
    figures.corrections += closed.corrections;
    if (closed.hours > 0)
      log::info("hours are closed",
                {{"hours", closed.hours}, {"charges", closed.charges}, {"corrections", closed.corrections}});
    if (closed.failure)
      log::warn("hours could not be closed", {{"error", closed.failure->detail}});
    else
      tell_of_failing(closed.failing);
    if (!closed.permission)
      return;
    known_since = services->timers.now();
    closed_until = closed.permission->closed_until;
    is_paused = closed.permission->is_paused;
    tell_of_clocks(closed.permission->do_clocks_differ);
    tell_of_users_ahead(closed.permission->users_ahead);
    // Those that wait for their sync are looked at again, and those that fail.
    if (closed.is_done && closed.failing.empty() && (!closed_until || *closed_until >= pass_until))
      done_until = pass_until;
  }

  std::optional<std::chrono::seconds> lag() const {
    if (!closed_until)
      return std::nullopt;
    return std::max(
      0s, std::chrono::floor<std::chrono::seconds>(services->business.now() - (*closed_until + 1h)));
  }

  /// Also while nothing is known, as after a start without a database.
  bool is_late() const {
    const auto most = std::max<std::chrono::seconds>(options.late_after, options.sync_window + 1h);
    if (is_paused)
      return false;
    return known_since ? lag() > most : services->timers.now() - begun_at > most;
  }

  void tell_of_lag() {
    const auto now_late = is_late();
    if (now_late && !std::exchange(is_lag_alerted, true))
      log::error("hours are not closed",
                 {{"alert", "billing_late"}, {"lag_seconds", lag().value_or(0s).count()}});
    else if (!now_late && std::exchange(is_lag_alerted, false))
      log::info("hours are closed again", {{"alert_cleared", "billing_late"}});
  }

  void tell_of_failing(const failing_users& now_failing) {
    for (const auto& [user, why] : now_failing)
      if (!failing.contains(user))
        log::error("a user's hours cannot be closed",
                   {{"alert", "billing_user_failing"}, {"user_id", user}, {"error", why.detail}});
    for (const auto& [user, why] : failing)
      if (!now_failing.contains(user))
        log::info("a user's hours are closed again",
                  {{"alert_cleared", "billing_user_failing"}, {"user_id", user}});
    failing = now_failing;
  }

  void tell_of_users_ahead(std::int64_t users) {
    if (users > 0 && !std::exchange(is_ahead_alerted, true))
      log::error(
        "hours of users are closed that are not over: a clock was ahead when their first server was stored",
        {{"alert", "billing_ahead"}, {"users", users}});
    else if (users == 0 && std::exchange(is_ahead_alerted, false))
      log::info("no hours are closed any more that are not over", {{"alert_cleared", "billing_ahead"}});
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
  bool is_ahead_alerted = false;
  /// They are closed after all others.
  failing_users failing;
  runtime::steady_time begun_at{};
  std::optional<runtime::steady_time> known_since;
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
