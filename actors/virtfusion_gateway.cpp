#include "actors/virtfusion_gateway.hpp"

#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/crash_point.hpp"
#include "actors/runtime/prepare.hpp"
#include "domain/adaptive_limit.hpp"
#include "domain/backoff.hpp"
#include "domain/call_pace.hpp"
#include "domain/circuit_breaker.hpp"
#include "domain/log.hpp"
#include "domain/token_bucket.hpp"

#include <boost/asio/co_spawn.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string_view>
#include <utility>

namespace skyengine::actors {

namespace {

using net::virtfusion::answer;
using net::virtfusion::call_failure;
using net::virtfusion::exchange_outcome;
using net::virtfusion::no_answer;
using net::virtfusion::operation;
using net::virtfusion::traits_of;
using runtime::steady_duration;
using runtime::steady_time;

/// What came of the exchange in a slot.
struct exchange_ended {
  std::uint64_t flight = 0;
  exchange_outcome outcome;
};

/// VirtFusion has had its time again for a call that timed out.
struct slot_freed {
  std::uint64_t flight = 0;
};

struct wake {};

} // namespace

} // namespace skyengine::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::exchange_ended)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::slot_freed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::wake)

namespace skyengine::actors {

namespace {

using implementation = virtfusion_gateway_actor::
  extend<caf::reacts_to<exchange_ended>, caf::reacts_to<slot_freed>, caf::reacts_to<wake>>;

constexpr int least_in_flight = 2;
// A call that failed five times in a row for another reason than a running task will not succeed the sixth
// time.
constexpr int max_attempts = 5;
// How long a class waits after a 429 that does not say.
constexpr std::chrono::seconds unspecified_stop{1};

std::chrono::seconds rounded_up(steady_duration span) {
  return std::max(std::chrono::ceil<std::chrono::seconds>(span), std::chrono::seconds{1});
}

std::optional<call_failure> failure_in(operation op, const exchange_outcome& outcome) {
  using kind = call_failure::kind;
  if (outcome.has_value())
    return net::virtfusion::failure_of(op, *outcome);
  const auto what = outcome.error().what;
  const auto is_unsent = what == no_answer::kind::not_sent || what == no_answer::kind::held_back;
  return call_failure{is_unsent ? kind::not_sent : kind::unknown, 0,
                      net::virtfusion::cleaned(outcome.error().detail)};
}

bool has_timed_out(const exchange_outcome& outcome) {
  return outcome.has_error() && outcome.error().what == no_answer::kind::timed_out;
}

bool is_held_back(const exchange_outcome& outcome) noexcept {
  return outcome.has_error() && outcome.error().what == no_answer::kind::held_back;
}

/// Nothing of VirtFusion's own is behind this answer, or nobody answered.
bool is_absence(const call_failure& failure) noexcept {
  return failure.status / 100 != 4 || (failure.status == 404 && failure.what == call_failure::kind::refused);
}

/// For an operator: why VirtFusion cannot be used.
std::string trouble_in(const call_failure& last) {
  if (last.status == 401)
    return "VirtFusion does not accept our token";
  if (last.status == 404)
    return "no VirtFusion answers at virtfusion.api_url (404): is its path right?";
  if (last.status != 0)
    return "VirtFusion fails (status " + std::to_string(last.status) + ")";
  return "VirtFusion cannot be reached";
}

/// Whether another try may end otherwise.
bool may_pass(call_failure::kind what) noexcept {
  using kind = call_failure::kind;
  return what == kind::not_sent || what == kind::refused || what == kind::busy || what == kind::unknown;
}

struct waiting_call {
  virtfusion_call call;
  runtime::open_promise promise;
  int failures = 0;
  /// Of the last try.
  std::optional<call_failure> last;
};

using queues_type = class_queues<waiting_call>;

/// A slot in use.
struct flight {
  /// Nothing for a probe, and once the call has timed out and was answered.
  std::optional<queues_type::entry> call;
  operation op = operation::connect;
  call_class which = call_class::interactive;
  bool is_probe = false;
  steady_time sent_at;
  /// Set while the slot is kept for a call that timed out.
  std::optional<runtime::steady_timers::handle> release;
};

struct gateway_setup {
  runtime::asio::any_io_executor loop;
  runtime::steady_timers* timers;
  net::virtfusion::transport* transport;
  gateway_options options;
};

struct virtfusion_gateway_state {
  virtfusion_gateway_state(implementation::pointer actor, gateway_setup given)
      : self(actor), setup(std::move(given)),
        queues({{setup.options.queue_interactive, setup.options.queue_control, setup.options.queue_background,
                 setup.options.queue_background}}),
        limit(std::min(least_in_flight, setup.options.max_in_flight), setup.options.max_in_flight),
        tokens(setup.options.rate, setup.options.burst), random(setup.options.seed) {}

  ~virtfusion_gateway_state() {
    if (alarm)
      setup.timers->cancel(*alarm);
    for (const auto& [id, slot] : flights)
      if (slot.release)
        setup.timers->cancel(*slot.release);
  }
  virtfusion_gateway_state(const virtfusion_gateway_state&) = delete;
  virtfusion_gateway_state& operator=(const virtfusion_gateway_state&) = delete;

  implementation::behavior_type make_behavior() {
    return {
      [this](const virtfusion_call& call) { return on_virtfusion_call(call); },
      [this](const gateway_pace_query& query) { return on_pace_query(query); },
      [this](const gateway_figures_query&) { return figures(); },
      [this](const exchange_ended& ended) { on_exchange_ended(ended); },
      [this](const slot_freed& freed) { on_slot_freed(freed); },
      [this](const wake&) { on_wake(); },
    };
  }

  caf::result<virtfusion_answer> on_virtfusion_call(const virtfusion_call& call) {
    const auto now = setup.timers->now();
    if (auto refused = refusal_of(call, now))
      return virtfusion_answer{{}, std::move(*refused)};
    auto promise = self->make_response_promise<virtfusion_answer>();
    auto waiting = waiting_call{call, runtime::open_promise{promise}, 0, {}};
    queues.push({queues.next_ticket(), call.priority, call.deadline, std::move(waiting)});
    pump();
    return promise;
  }

  gateway_pace on_pace_query(const gateway_pace_query& query) const {
    const auto now = setup.timers->now();
    const auto wait = expected_wait(call_class::interactive, query.calls, now);
    gateway_pace pace_now;
    pace_now.expected_wait = std::chrono::ceil<std::chrono::milliseconds>(wait);
    pace_now.is_available = breaker.is_closed();
    pace_now.retry_after = rounded_up(wait);
    return pace_now;
  }

  void on_exchange_ended(const exchange_ended& ended) {
    const auto found = flights.find(ended.flight);
    if (found == flights.end())
      return;
    if (found->second.op == operation::create_server)
      runtime::crash_point("create.in_gateway");
    const auto now = setup.timers->now();
    auto slot = std::move(found->second);
    const auto failure = failure_in(slot.op, ended.outcome);
    ++requests[{slot.op, failure ? to_string(failure->what) : std::string_view{"ok"}}];
    if (has_timed_out(ended.outcome))
      keep_slot(found, slot, now);
    else
      release_slot(found, slot, now, is_held_back(ended.outcome));
    if (slot.is_probe)
      end_probe(ended.outcome, failure, now);
    else
      learn(slot, ended.outcome, failure, now);
    if (slot.call)
      conclude(std::move(*slot.call), ended.outcome, failure, now - slot.sent_at);
    pump();
  }

  void on_slot_freed(const slot_freed& freed) {
    const auto found = flights.find(freed.flight);
    if (found == flights.end())
      return;
    const auto slot = std::move(found->second);
    release_slot(found, slot, setup.timers->now(), false);
    pump();
  }

  void on_wake() {
    alarm.reset();
    pump();
  }

  gateway_figures figures() const {
    gateway_figures out;
    out.in_flight = flights.size();
    out.max_in_flight_seen = max_in_flight_seen;
    out.limit = static_cast<std::uint64_t>(limit.value());
    out.breaker_state = static_cast<std::uint64_t>(breaker.now_in());
    out.trouble = trouble;
    out.deadline_dropped = deadline_dropped;
    for (std::size_t i = 0; i < call_classes; ++i)
      out.classes.push_back({queues.size(static_cast<call_class>(i)), rejected.values[i]});
    for (const auto& [series, number] : requests)
      out.requests.push_back({std::string{traits_of(series.first).name}, std::string{series.second}, number});
    return out;
  }

  /// Why a call cannot even wait.
  std::optional<call_failure> refusal_of(const virtfusion_call& call, steady_time now) {
    const auto which = call.priority;
    if (call.deadline <= now) {
      ++deadline_dropped;
      return call_failure{call_failure::kind::overloaded, 0, "the deadline had passed"};
    }
    // A person who waits hears of it at once; other work waits for the breaker as for any other turn.
    if (!breaker.is_closed() && which == call_class::interactive) {
      ++rejected[which];
      return unreachable(now);
    }
    const auto wait = expected_wait(which, 1, now);
    if (queues.room(which) > 0 && now + wait <= call.deadline)
      return std::nullopt;
    ++rejected[which];
    return call_failure{call_failure::kind::overloaded, 0, "too many calls are waiting", rounded_up(wait)};
  }

  call_failure unreachable(steady_time now) const {
    return {call_failure::kind::not_sent, 0, "VirtFusion does not answer at the moment",
            rounded_up(breaker.probe_at() - now)};
  }

  /// How long until the last of `calls` more of this class is sent.
  steady_duration expected_wait(call_class which, std::int64_t calls, steady_time now) const {
    const auto slots = static_cast<std::int64_t>(limit.value());
    const auto used = static_cast<std::int64_t>(flights.size());
    const auto in_line = static_cast<std::int64_t>(queues.ahead_of(which)) + calls;
    steady_duration wait = pace.expected_wait(in_line, slots - used, slots, average_age(now));
    if (which == call_class::build_poll) {
      const auto kept = std::max<std::int64_t>(slots / 10, 1);
      const auto polls = static_cast<std::int64_t>(queues.waiting(which)) + calls;
      const auto kept_free = kept - static_cast<std::int64_t>(polls_under_way);
      wait = std::min<steady_duration>(wait, pace.expected_wait(polls, kept_free, kept, average_age(now)));
    }
    wait = std::max(wait, tokens.wait(in_line, now));
    wait = std::max(wait, stopped_until[which] - now);
    if (!breaker.is_closed())
      wait = std::max(wait, breaker.probe_at() - now);
    return wait;
  }

  std::chrono::microseconds average_age(steady_time now) const {
    if (flights.empty())
      return {};
    steady_duration sum{};
    for (const auto& [id, slot] : flights)
      sum += now - slot.sent_at;
    return std::chrono::duration_cast<std::chrono::microseconds>(sum /
                                                                 static_cast<std::int64_t>(flights.size()));
  }

  /// Sends all that may be sent now, answers what is too late, and sees to the next wake-up.
  void pump() {
    const auto now = setup.timers->now();
    for (auto& late : queues.expire(now))
      drop(std::move(late));
    queues.unpark(now);
    const auto is_probe_due = breaker.is_in_doubt() ||
                              (breaker.now_in() == circuit_breaker::state::open && breaker.probe_at() <= now);
    if (is_probe_due && !is_probing && flights.size() < static_cast<std::size_t>(setup.options.max_in_flight))
      send_probe(now);
    if (breaker.is_closed())
      send_waiting(now);
    arm(now);
  }

  void send_waiting(steady_time now) {
    while (flights.size() < static_cast<std::size_t>(limit.value())) {
      const auto which = queues.next(polls_under_way, static_cast<std::size_t>(limit.value()),
                                     [&](call_class c) { return stopped_until[c] > now; });
      if (!which || !tokens.try_take(now))
        return;
      send(queues.pop(*which), now);
    }
  }

  void send(queues_type::entry entry, steady_time now) {
    auto request = entry.item.call.request;
    flight slot;
    slot.op = request.op;
    slot.which = entry.which;
    slot.sent_at = now;
    slot.call = std::move(entry);
    take_off(std::move(slot), std::move(request));
  }

  void send_probe(steady_time now) {
    is_probing = true;
    // In doubt, calls pass until the probe has decided.
    if (!breaker.is_closed())
      breaker.begin_probe();
    flight slot;
    slot.is_probe = true;
    slot.sent_at = now;
    take_off(std::move(slot), {operation::connect, "/connect", {}});
  }

  void take_off(flight slot, net::virtfusion::request request) {
    const auto id = next_flight++;
    if (slot.which == call_class::build_poll)
      ++polls_under_way;
    const auto timeout = traits_of(slot.op).timeout;
    flights.emplace(id, std::move(slot));
    max_in_flight_seen = std::max<std::uint64_t>(max_in_flight_seen, flights.size());
    auto ended = [handle = implementation{self}, id](std::exception_ptr bug, exchange_outcome outcome) {
      if (bug) {
        log::error("a call to VirtFusion failed unexpectedly", {{"error", runtime::describe(bug)}});
        outcome = no_answer{no_answer::kind::lost, "unexpected failure"};
      }
      caf::anon_send(handle, exchange_ended{id, std::move(outcome)});
    };
    runtime::asio::co_spawn(setup.loop, setup.transport->exchange(std::move(request), timeout),
                            std::move(ended));
  }

  using flight_iterator = std::map<std::uint64_t, flight>::iterator;

  void release_slot(flight_iterator at, const flight& slot, steady_time now, bool was_held_back) {
    if (slot.which == call_class::build_poll)
      --polls_under_way;
    if (!was_held_back)
      pace.record(std::chrono::duration_cast<std::chrono::microseconds>(now - slot.sent_at));
    flights.erase(at);
  }

  /// VirtFusion goes on working on what it did not answer in time: for the same span again the slot is not
  /// free.
  void keep_slot(flight_iterator at, const flight& slot, steady_time now) {
    auto& kept = at->second;
    kept.call.reset();
    kept.release = setup.timers->schedule(
      now + traits_of(slot.op).timeout,
      [handle = implementation{self}, id = at->first] { caf::anon_send(handle, slot_freed{id}); });
  }

  /// What an outcome says about VirtFusion, whoever asked.
  void learn(const flight& slot,
             const exchange_outcome& outcome,
             const std::optional<call_failure>& failure,
             steady_time now) {
    if (!failure) {
      limit.on_success();
      breaker.on_success(now);
      forbidden.erase(slot.op);
      return;
    }
    if (is_held_back(outcome))
      return;
    const auto status = failure->status;
    if (status == 429 || status >= 500 || has_timed_out(outcome))
      limit.on_trouble(slot.sent_at, now);
    if (status == 429) {
      const steady_duration stop = failure->retry_after.value_or(unspecified_stop);
      stopped_until[slot.which] = std::max(stopped_until[slot.which], now + stop);
    }
    if (status == 403 && forbidden.insert(slot.op).second)
      log::error("the VirtFusion token lacks a permission, or our address is not on its list",
                 {{"alert", "virtfusion_forbidden"},
                  {"operation", traits_of(slot.op).name},
                  {"error", failure->text}});
    const auto is_away = is_absence(*failure);
    if (status == 401 ? breaker.on_refusal(now) : is_away && breaker.on_failure(now))
      on_breaker_opened(*failure, now);
    if (!is_away)
      breaker.on_answer();
    else if (slot.op == operation::connect)
      breaker.cast_doubt();
  }

  void on_breaker_opened(const call_failure& last, steady_time now) {
    tell_trouble(last);
    for (auto& waiting : queues.drain(call_class::interactive)) {
      ++rejected[waiting.which];
      deliver(std::move(waiting), unreachable(now));
    }
  }

  /// Told again when VirtFusion is away for another reason than before.
  void tell_trouble(const call_failure& last) {
    const auto now_in = trouble_in(last);
    if (now_in == trouble)
      return;
    trouble = now_in;
    log::error(trouble + "; calls are held back",
               {{"alert", "virtfusion_down"}, {"status", last.status}, {"error", last.text}});
  }

  void
  end_probe(const exchange_outcome& outcome, const std::optional<call_failure>& failure, steady_time now) {
    is_probing = false;
    // Any answer but a failure or "I do not know you" shows that somebody is at home.
    const auto has_succeeded = outcome.has_value() && outcome->status >= 200 && outcome->status < 500 &&
                               outcome->status != 401 && outcome->status / 100 != 3 &&
                               (!failure || !is_absence(*failure));
    const auto was_half_open = breaker.now_in() == circuit_breaker::state::half_open;
    if (breaker.end_probe(has_succeeded, now))
      on_breaker_opened(*failure, now);
    else if (!has_succeeded && was_half_open)
      tell_trouble(*failure);
    if (breaker.is_closed() && !std::exchange(trouble, {}).empty())
      log::info("VirtFusion answers again", {{"alert_cleared", "virtfusion_down"}});
  }

  /// Answers a call that came back, or puts it in line again.
  void conclude(queues_type::entry entry,
                const exchange_outcome& outcome,
                const std::optional<call_failure>& failure,
                steady_duration took) {
    if (!failure) {
      deliver(std::move(entry), *outcome);
      return;
    }
    report(entry, *failure, took);
    if (const auto delay = retry_delay(entry, *failure)) {
      ++entry.item.failures;
      entry.item.last = *failure;
      queues.park(std::move(entry), setup.timers->now() + *delay);
      return;
    }
    deliver(std::move(entry), *failure);
  }

  /// Nothing when there is to be no other try.
  std::optional<steady_duration> retry_delay(const queues_type::entry& entry, const call_failure& failure) {
    const auto& wanted = entry.item.call;
    if (!traits_of(wanted.request.op).is_safe_to_repeat || wanted.is_sent_once || !may_pass(failure.what))
      return std::nullopt;
    const auto attempts = entry.item.failures + 1;
    if (failure.what != call_failure::kind::busy && attempts >= max_attempts)
      return std::nullopt;
    if (queues.room(entry.which) == 0 || (!breaker.is_closed() && entry.which == call_class::interactive))
      return std::nullopt;
    const steady_duration drawn = retries.draw(attempts, random);
    const auto delay =
      std::max(drawn, steady_duration{failure.retry_after.value_or(std::chrono::seconds{0})});
    if (setup.timers->now() + delay >= entry.deadline)
      return std::nullopt;
    return delay;
  }

  void drop(queues_type::entry late) {
    ++deadline_dropped;
    auto last = late.item.last;
    deliver(std::move(late),
            last ? *last
                 : call_failure{call_failure::kind::overloaded, 0, "the deadline passed in the queue"});
  }

  void deliver(queues_type::entry entry, answer given) {
    entry.item.promise.deliver(virtfusion_answer{std::move(given), {}});
  }

  void deliver(queues_type::entry entry, call_failure failure) {
    entry.item.promise.deliver(virtfusion_answer{{}, std::move(failure)});
  }

  void report(const queues_type::entry& entry, const call_failure& failure, steady_duration took) const {
    const auto& call = entry.item.call;
    log::warn("a call to VirtFusion failed",
              {{"operation", traits_of(call.request.op).name},
               {"outcome", to_string(failure.what)},
               {"status", failure.status},
               {"error", failure.text},
               {"attempt", entry.item.failures + 1},
               {"took_ms", std::chrono::duration_cast<std::chrono::milliseconds>(took).count()},
               {"class", to_string(call.priority)},
               {"request_id", call.request_id},
               {"user_id", call.user.value}});
  }

  /// One alarm, for the next moment at which something changes by itself.
  void arm(steady_time now) {
    auto next = steady_time::max();
    const auto consider = [&](std::optional<steady_time> when) {
      next = std::min(next, when.value_or(next));
    };
    consider(queues.next_deadline());
    consider(queues.next_unpark());
    bool is_anyone_waiting = false;
    for (std::size_t i = 0; i < call_classes; ++i) {
      if (queues.waiting(static_cast<call_class>(i)) == 0)
        continue;
      is_anyone_waiting = true;
      if (stopped_until.values[i] > now)
        consider(stopped_until.values[i]);
    }
    if (is_anyone_waiting && tokens.wait(1, now) > steady_duration::zero())
      consider(now + tokens.wait(1, now));
    if (breaker.now_in() == circuit_breaker::state::open && breaker.probe_at() > now)
      consider(breaker.probe_at());
    if (alarm && alarm->first == next)
      return;
    if (alarm)
      setup.timers->cancel(*alarm);
    alarm.reset();
    if (next != steady_time::max())
      alarm =
        setup.timers->schedule(next, [handle = implementation{self}] { caf::anon_send(handle, wake{}); });
  }

  implementation::pointer self;
  gateway_setup setup;
  queues_type queues;
  adaptive_limit limit;
  token_bucket tokens;
  circuit_breaker breaker;
  call_pace pace;
  backoff retries;
  std::mt19937_64 random;
  std::map<std::uint64_t, flight> flights;
  std::uint64_t next_flight = 1;
  std::size_t polls_under_way = 0;
  bool is_probing = false;
  per_class<steady_time> stopped_until{};
  /// Operations that the token was refused for: one alert each, until one succeeds again.
  std::set<operation> forbidden;
  std::optional<runtime::steady_timers::handle> alarm;
  std::uint64_t max_in_flight_seen = 0;
  /// Why VirtFusion cannot be used, as it was last told; empty while the breaker is closed.
  std::string trouble;
  std::uint64_t deadline_dropped = 0;
  per_class<std::uint64_t> rejected;
  std::map<std::pair<operation, std::string_view>, std::uint64_t> requests;
};

class virtfusion_gateway final : public implementation::base {
public:
  virtfusion_gateway(caf::actor_config& config, gateway_setup setup)
      : implementation::base(config),
        state_(std::make_unique<virtfusion_gateway_state>(this, std::move(setup))) {
    runtime::prepare(this);
  }

  const char* name() const override { return "virtfusion_gateway"; }
  // The state's promises answer when the actor ends, not when its last handle goes.
  void on_exit() override { state_.reset(); }

protected:
  behavior_type make_behavior() override { return state_->make_behavior(); }

private:
  std::unique_ptr<virtfusion_gateway_state> state_;
};

} // namespace

virtfusion_gateway_actor spawn_virtfusion_gateway(caf::actor_system& system,
                                                  runtime::asio::any_io_executor loop,
                                                  runtime::steady_timers& timers,
                                                  net::virtfusion::transport& transport,
                                                  gateway_options options) {
  return system.spawn<virtfusion_gateway>(gateway_setup{std::move(loop), &timers, &transport, options});
}

} // namespace skyengine::actors
