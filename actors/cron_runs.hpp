#pragma once

#include "actors/cron_context.hpp"
#include "actors/cron_messages.hpp"
#include "actors/cron_schedules.hpp"
#include "db/cron_store.hpp"
#include "domain/error.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace skyengine::actors {

/// A run of the schedule may begin now that was not to before.
struct run_due {
  schedule_id schedule;
};
struct run_begun {
  std::uint64_t incarnation;
  run_id run;
  result<bool> outcome;
};
struct run_answered {
  std::uint64_t incarnation;
  run_id run;
  result<cron_outcome> outcome;
};
struct runs_ended {
  std::uint64_t incarnation;
  std::vector<db::run_end> attempts;
  result<std::vector<db::cron_store::ended>> outcome;
};

/// What CronTimer is told of its runs, and hands to `cron_runs`.
using cron_runs_inbox = caf::typed_actor<caf::reacts_to<run_due>,
                                         caf::reacts_to<run_begun>,
                                         caf::reacts_to<run_answered>,
                                         caf::reacts_to<runs_ended>>;

/// What the runs ask of the timer that has them, and tell it.
class cron_runs_host {
public:
  virtual ~cron_runs_host() = default;

  virtual cron_runs_inbox inbox() const = 0;
  /// This node fires, and its clock agrees with the database's.
  virtual bool may_begin() const = 0;
  /// Due times are being written: that goes before the ends of runs.
  virtual bool is_writing_times() const = 0;
  virtual void on_clocks_differ() = 0;
  virtual void on_clocks_agree() = 0;
  /// Failures have paused a schedule, which its row says.
  virtual void on_schedule_paused() = 0;
};

/// The life of the runs that CronTimer has on this node. A run waits in its schedule's line until the overlap
/// and its own time allow it; it is begun by its row, and only then its handler is told. The answer is its
/// attempt's end, which is written, together with others; by that the run is settled: it is over, or it waits
/// for its next try. Runs come by the tables (`take_up`) or with the time that was fired (`add`).
/// Part of the actor: what it waits for comes back as a message to `host.inbox()`. All that is referred to
/// outlives it.
class cron_runs {
public:
  cron_runs(cron_runs_host& host, const cron_context& context, cron_schedules& schedules)
      : host_(host), context_(context), schedules_(schedules) {}
  cron_runs(const cron_runs&) = delete;
  cron_runs& operator=(const cron_runs&) = delete;

  /// The runs are another's, or this node's under another token: no answer to what was asked so far counts.
  void forget();
  /// Tells all that are under way on this node to stop.
  void cancel_all();
  /// What waits is not sure any more: the next look tells it anew, and the one under way is not wanted. What
  /// is under way goes on.
  void forget_waiting();
  /// The answers to what was asked under another number are of no account.
  std::uint64_t incarnation() const { return incarnation_; }

  bool is_any_under_way() const { return !running_.empty(); }
  /// It is not known yet whether they have begun.
  bool is_any_beginning() const { return beginning_ > 0; }
  /// Of the runs alone: outcomes, lateness, last successes.
  const cron_figures& figures() const { return figures_; }
  void set_last_successes(std::map<std::string, std::chrono::sys_seconds> times);

  /// A look at the tables is under way, which does not see what happens from here on.
  void on_look_begun();
  bool is_looking() const { return is_looking_; }
  /// It is over, or its answer is not wanted.
  void on_look_over() { is_looking_ = false; }
  /// A run as its row has it. `may_adopt`: what this node runs by its row and does not know is told of now.
  void take_up(const db::open_run& found, bool may_adopt);
  /// What waited when the look began and is not among the `open` runs any more was ended by somebody else. Of
  /// a schedule with many waiting runs only the first are among them.
  void drop_cancelled(const std::vector<db::open_run>& open);

  /// A run whose row was written with its time.
  void add(cron_schedule& owner, run_id id, const db::firing::due_run& run);

  /// Begins what may begin of the runs that wait.
  void start_waiting(cron_schedule& owner);
  void start_all_waiting();
  /// Writes the ends that wait for it, unless others are being written or must be first.
  void write_ends();

  void on_run_due(const run_due& due);
  void on_run_begun(const run_begun& begun);
  void on_run_answered(const run_answered& answered);
  void on_runs_ended(const runs_ended& ended);

private:
  using waiting_run = cron_line::waiting_run;
  struct running_run {
    schedule_id schedule;
    std::chrono::sys_seconds scheduled_at;
    /// This one too.
    int tries = 1;
    bool is_backlog = false;
    bool is_cancelled = false;
  };

  void enqueue(cron_schedule& owner, waiting_run one);
  /// Counts the run among those that this node runs.
  void take_on(cron_schedule& owner, run_id id, const running_run& one);
  running_run take_off(run_id id);
  void begin(const waiting_run& one, cron_schedule& owner);
  /// It has begun by its row.
  void start(cron_schedule& owner, run_id id, const running_run& one);
  void tell(run_id id);
  void cancel(run_id id, running_run& one);
  cron_handler_actor handler_of(const cron_schedule& owner) const;
  void write_end(db::run_end how);
  void write_ends(std::vector<db::run_end> attempts);
  /// What follows from an attempt's end; `counted` is null when the run has moved on.
  void settle(const db::run_end& how, const db::cron_store::ended* counted);
  /// The run is over for this node: what waited for it may begin.
  void leave(run_id id);
  void count(const cron_schedule& owner, run_state outcome);

  cron_runs_host& host_;
  const cron_context& context_;
  cron_schedules& schedules_;

  std::unordered_map<run_id, running_run> running_;
  /// Those of them that are being begun.
  int beginning_ = 0;
  /// Every run in a queue, until when it waits, or under way.
  std::unordered_map<run_id, std::optional<db::real_time>> known_;
  bool is_looking_ = false;
  /// Runs that were over before the look under way told of them.
  std::set<run_id> gone_in_look_;
  /// Runs that have waited only since the look under way began.
  std::set<run_id> queued_in_look_;
  /// Attempts whose end is to be written, once those before them are.
  std::deque<db::run_end> ends_;
  bool is_ending_ = false;
  /// So many of the first of them are written by statements of their own.
  std::size_t alone_ = 0;
  std::uint64_t incarnation_ = 0;
  cron_figures figures_;
};

} // namespace skyengine::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::run_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::run_begun)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::run_answered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(skyengine::actors::runs_ended)
