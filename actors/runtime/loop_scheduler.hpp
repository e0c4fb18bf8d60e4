#pragma once

#include "actors/runtime/actor_figures.hpp"
#include "actors/runtime/steady_timers.hpp"

#include <boost/asio/io_context.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/detail/simple_actor_clock.hpp>
#include <caf/resumable.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

#include <deque>
#include <memory>
#include <mutex>

namespace skyengine::actors::runtime {

/// The configuration of every actor system of ours: actors run on `loop`, their time-outs on `timers`, both
/// of which must outlive the system. Nothing is read from the command line, files or environment.
class loop_config : public caf::actor_system_config {
public:
  loop_config(asio::io_context& io, steady_timers& time);

  asio::io_context& loop() const noexcept { return loop_; }
  steady_timers& timers() const noexcept { return timers_; }

private:
  asio::io_context& loop_;
  steady_timers& timers_;
};

/// The clock of the actors, driven by the loop's timers. CAF's middleman calls it from its own thread.
class loop_clock final : public caf::detail::simple_actor_clock {
public:
  loop_clock(asio::io_context& loop, steady_timers& timers) : loop_(loop), timers_(timers) {}

  time_point now() const noexcept override;
  void
  set_ordinary_timeout(time_point t, caf::abstract_actor* self, caf::atom_value type, uint64_t id) override;
  void set_multi_timeout(time_point t, caf::abstract_actor* self, caf::atom_value type, uint64_t id) override;
  void set_request_timeout(time_point t, caf::abstract_actor* self, caf::message_id id) override;
  void cancel_ordinary_timeout(caf::abstract_actor* self, caf::atom_value type) override;
  void cancel_request_timeout(caf::abstract_actor* self, caf::message_id id) override;
  void cancel_timeouts(caf::abstract_actor* self) override;
  void schedule_message(time_point t, caf::strong_actor_ptr to, caf::mailbox_element_ptr content) override;
  void
  schedule_message(time_point t, caf::group to, caf::strong_actor_ptr sender, caf::message content) override;
  void cancel_all() override;

private:
  template <class Change>
  void change(Change apply);
  void rearm();

  asio::io_context& loop_;
  steady_timers& timers_;
  // Recursive: erasing an entry may destroy an actor, which cancels its own time-outs.
  std::recursive_mutex mutex_;
  bool armed_ = false;
  time_point armed_for_{};
  steady_timers::handle entry_{};
};

/// Runs actors on the Asio loop that also serves the sockets, so that a message costs no change of thread and
/// the two never race. Actors made ready on the loop wait in a queue that one posted handler drains in
/// slices.
class loop_scheduler final : public caf::scheduler::abstract_coordinator {
public:
  explicit loop_scheduler(caf::actor_system& system);
  ~loop_scheduler() override;

  void enqueue(caf::resumable* ready) override;
  caf::actor_clock& clock() noexcept override { return clock_; }
  bool detaches_utility_actors() const override { return false; }
  /// CAF's own printer would take a thread of its own; nothing here prints through it.
  void start() override;
  /// Called by the system's destructor on a thread that is not the loop's, while the loop still runs.
  void stop() override;

  /// Shared with the actors, some of which may outlive it in a system that gave up waiting for them.
  const std::shared_ptr<actor_figures>& figures() const noexcept { return figures_; }

  static caf::actor_system::module* make(caf::actor_system& system, caf::detail::type_list<>);

private:
  struct loop_unit final : caf::execution_unit {
    explicit loop_unit(loop_scheduler& s) : caf::execution_unit(&s.system()), scheduler(s) {}
    void exec_later(caf::resumable* ready) override { scheduler.make_ready(ready); }
    loop_scheduler& scheduler;
  };

  void make_ready(caf::resumable* ready);
  void drain();
  caf::resumable::resume_result run(caf::resumable& ready);

  asio::io_context& loop_;
  loop_unit unit_;
  loop_clock clock_;
  std::deque<caf::resumable*> ready_;
  bool drain_posted_ = false;
  std::shared_ptr<actor_figures> figures_ = std::make_shared<actor_figures>();
};

} // namespace skyengine::actors::runtime
