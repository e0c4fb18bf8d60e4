#include "actors/runtime/loop_scheduler.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/logger.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/unit.hpp>

#include <future>
#include <stdexcept>

namespace skyengine::actors::runtime {

namespace {

// Sockets get their turn between slices; 64 keeps the cost of the post below a tenth of a resume.
constexpr int resumes_per_slice = 64;
// CAF's default is no limit: a flooded actor would starve the loop.
constexpr std::size_t messages_per_resume = 50;

const loop_config& config_of(caf::actor_system& system) {
  const auto* config = dynamic_cast<const loop_config*>(&system.config());
  if (config == nullptr)
    throw std::logic_error("loop_scheduler needs a system made with loop_config");
  return *config;
}

} // namespace

loop_config::loop_config(asio::io_context& io, steady_timers& time) : loop_(io), timers_(time) {
  load<loop_scheduler>();
  set("scheduler.max-throughput", messages_per_resume);
  set("logger.verbosity", caf::atom("quiet"));
}

template <class Change>
void loop_clock::change(Change apply) {
  const std::lock_guard lock{mutex_};
  apply();
  if (schedule().empty())
    return;
  const auto head = schedule().begin()->first;
  if (armed_ && armed_for_ <= head)
    return;
  armed_ = true;
  armed_for_ = head;
  asio::dispatch(loop_, [this] { rearm(); });
}

void loop_clock::rearm() {
  const std::lock_guard lock{mutex_};
  timers_.cancel(entry_);
  armed_ = !schedule().empty();
  if (!armed_)
    return;
  armed_for_ = schedule().begin()->first;
  entry_ = timers_.schedule(armed_for_, [this] {
    {
      const std::lock_guard again{mutex_};
      trigger_expired_timeouts();
    }
    rearm();
  });
}

loop_clock::time_point loop_clock::now() const noexcept {
  return timers_.now();
}

void loop_clock::set_ordinary_timeout(time_point t,
                                      caf::abstract_actor* self,
                                      caf::atom_value type,
                                      uint64_t id) {
  change([&] { simple_actor_clock::set_ordinary_timeout(t, self, type, id); });
}

void loop_clock::set_multi_timeout(time_point t,
                                   caf::abstract_actor* self,
                                   caf::atom_value type,
                                   uint64_t id) {
  change([&] { simple_actor_clock::set_multi_timeout(t, self, type, id); });
}

void loop_clock::set_request_timeout(time_point t, caf::abstract_actor* self, caf::message_id id) {
  change([&] { simple_actor_clock::set_request_timeout(t, self, id); });
}

void loop_clock::cancel_ordinary_timeout(caf::abstract_actor* self, caf::atom_value type) {
  change([&] { simple_actor_clock::cancel_ordinary_timeout(self, type); });
}

void loop_clock::cancel_request_timeout(caf::abstract_actor* self, caf::message_id id) {
  change([&] { simple_actor_clock::cancel_request_timeout(self, id); });
}

void loop_clock::cancel_timeouts(caf::abstract_actor* self) {
  change([&] { simple_actor_clock::cancel_timeouts(self); });
}

void loop_clock::schedule_message(time_point t, caf::strong_actor_ptr to, caf::mailbox_element_ptr content) {
  change([&] { simple_actor_clock::schedule_message(t, std::move(to), std::move(content)); });
}

void loop_clock::schedule_message(time_point t,
                                  caf::group to,
                                  caf::strong_actor_ptr sender,
                                  caf::message content) {
  change(
    [&] { simple_actor_clock::schedule_message(t, std::move(to), std::move(sender), std::move(content)); });
}

void loop_clock::cancel_all() {
  const std::lock_guard lock{mutex_};
  timers_.cancel(entry_);
  armed_ = false;
  simple_actor_clock::cancel_all();
}

loop_scheduler::loop_scheduler(caf::actor_system& system)
    : caf::scheduler::abstract_coordinator(system), loop_(config_of(system).loop()), unit_(*this),
      clock_(loop_, config_of(system).timers()) {}

loop_scheduler::~loop_scheduler() {
  for (auto* left : ready_)
    caf::intrusive_ptr_release(left);
}

void loop_scheduler::enqueue(caf::resumable* ready) {
  if (loop_.get_executor().running_in_this_thread())
    make_ready(ready);
  else
    asio::post(loop_, [this, ready] { make_ready(ready); });
}

void loop_scheduler::make_ready(caf::resumable* ready) {
  ready_.push_back(ready);
  if (!std::exchange(drain_posted_, true))
    asio::post(loop_, [this] { drain(); });
}

/// One turn, as far as the throughput allows. CAF tells nobody of single messages (its profiler is not built
/// in), so a turn is made of turns of one message each, and each is timed.
caf::resumable::resume_result loop_scheduler::run(caf::resumable& ready) {
  if (ready.subtype() != caf::resumable::scheduled_actor)
    return ready.resume(&unit_, max_throughput());
  const auto* const name = static_cast<caf::scheduled_actor&>(ready).name();
  auto begun = std::chrono::steady_clock::now();
  for (std::size_t handled = 0; handled < max_throughput(); ++handled) {
    const auto outcome = ready.resume(&unit_, 1);
    const auto ended = std::chrono::steady_clock::now();
    figures_->count(name, ended - begun);
    if (outcome != caf::resumable::resume_later)
      return outcome;
    begun = ended;
  }
  return caf::resumable::resume_later;
}

void loop_scheduler::drain() {
  for (int resumed = 0; resumed < resumes_per_slice && !ready_.empty(); ++resumed) {
    auto* next = ready_.front();
    ready_.pop_front();
    switch (run(*next)) {
    case caf::resumable::resume_later:
      ready_.push_back(next);
      break;
    case caf::resumable::shutdown_execution_unit:
      break;
    default:
      caf::intrusive_ptr_release(next);
    }
  }
  if (ready_.empty())
    drain_posted_ = false;
  else
    asio::post(loop_, [this] { drain(); });
}

void loop_scheduler::start() {
  utility_actors_[printer_id] =
    system().spawn<caf::hidden>([](caf::event_based_actor*) { return caf::behavior{[](caf::unit_t) {}}; });
}

void loop_scheduler::stop() {
  stop_actors();
  std::promise<void> done;
  asio::post(loop_, [&] {
    clock_.cancel_all();
    // CAF keeps its logger in a thread-local of each thread that ever ran an actor, and waits for it.
    caf::logger::set_current_actor_system(nullptr);
    done.set_value();
  });
  done.get_future().wait();
}

caf::actor_system::module* loop_scheduler::make(caf::actor_system& system, caf::detail::type_list<>) {
  return new loop_scheduler(system);
}

} // namespace skyengine::actors::runtime
