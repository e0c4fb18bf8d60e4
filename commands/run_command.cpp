#include "actors/cron_timer.hpp"
#include "actors/node_lease.hpp"
#include "actors/runtime/coroutines.hpp"
#include "actors/zone_loader.hpp"
#include "commands/actor_options.hpp"
#include "commands/command_line_faults.hpp"
#include "commands/commands.hpp"
#include "commands/database_session.hpp"
#include "commands/hourly_parts.hpp"
#include "commands/run_progress.hpp"
#include "commands/virtfusion_link.hpp"
#include "db/clean_up_store.hpp"
#include "db/cron_store.hpp"
#include "db/hold_store.hpp"
#include "db/node_store.hpp"
#include "db/schedule_store.hpp"
#include "db/session_lock.hpp"
#include "domain/cron_expression.hpp"
#include "domain/schedule_plan.hpp"
#include "domain/time_format.hpp"
#include "domain/time_zone_file.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/host_name.hpp>
#include <boost/asio/signal_set.hpp>
#include <caf/send.hpp>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace skyengine::commands {

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using std::chrono::sys_seconds;

constexpr std::array<std::pair<std::string_view, std::string_view>, 4> schedules_by_word{
  {{"hourly", "hourly-sync-and-billing"},
   {"monthly", "monthly-invoices"},
   {"dunning", "daily-dunning"},
   {"clean-up", "daily-clean-up"}}};
constexpr std::string_view clean_up_handler = "daily-clean-up";

constexpr auto poll = 100ms;
// How often to look whether the node that fires has gone.
constexpr auto lead_again = 2s;

/// Looks for a tick's run, asks for it where there is none, and sees it to its end: beside a node that fires
/// by watching it, alone as a node with a lease.
class tick_runner {
public:
  /// `virtfusion` for what cannot be carried out without.
  tick_runner(std::unique_ptr<database_session> session,
              const config::settings& settings,
              std::string_view word,
              const std::optional<net::virtfusion::http_transport_options>& virtfusion)
      : session_(std::move(session)), settings_(settings),
        node_(asio::ip::host_name() + ":run-" + std::string{word}),
        lease_(nodes_, timers(), session_->business(), node_) {
    name_lock_ = std::make_unique<db::session_lock>(
      loop().get_executor(), session_->options(), "skyengine node " + node_,
      [this] { asio::co_spawn(loop(), keep_name(), asio::detached); });
    if (virtfusion) {
      virtfusion_.emplace(*session_, *virtfusion, gateway_options(settings.virtfusion),
                          [this] { return lease_.is_held(); });
      hourly_.emplace(*session_, settings, virtfusion_->caller(), lease_);
    }
  }

  ~tick_runner() {
    has_left_ = true;
    if (timer_)
      caf::anon_send_exit(timer_, caf::exit_reason::user_shutdown);
    if (cleaner_)
      caf::anon_send_exit(cleaner_, caf::exit_reason::user_shutdown);
    timer_ = nullptr;
    cleaner_ = nullptr;
    if (hourly_)
      hourly_->close();
    if (virtfusion_)
      virtfusion_->close();
    // What is still suspended on the loop refers to the rest.
    name_lock_.reset();
    session_.reset();
  }
  tick_runner(const tick_runner&) = delete;
  tick_runner& operator=(const tick_runner&) = delete;

  struct report {
    schedule_run run;
    /// It had succeeded before this was asked for.
    bool was_done = false;
  };

  asio::io_context& loop() { return session_->loop(); }

  /// errc::conflict when it was told to stop before the end.
  asio::awaitable<result<report>> run(std::string schedule_name, std::optional<sys_seconds> at) {
    auto done = co_await run_to_its_end(std::move(schedule_name), at);
    bar_.clear();
    co_await leave();
    co_return done;
  }

  /// A run of this process is cancelled; anybody else's is left to go on.
  void stop() {
    is_stopping_ = true;
    wake_.notify();
  }

private:
  actors::runtime::steady_timers& timers() { return session_->runtime().timers(); }

  asio::awaitable<result<report>> run_to_its_end(std::string schedule_name, std::optional<sys_seconds> at) {
    const auto owner = co_await schedules_.find(schedule_name);
    if (!owner)
      co_return owner.error();
    if (hourly_ && owner->what.is_paused)
      std::fprintf(stderr, "hours are not closed while %s is paused: PATCH /v1/cron/%s {\"paused\": false}\n",
                   schedule_name.c_str(), schedule_name.c_str());
    const auto due = tick_of(owner->what, at);
    if (!due)
      co_return due.error();
    const auto asked =
      co_await schedules_.request_run(owner->what.id, *due, "command line", std::nullopt, now(), true);
    if (!asked)
      co_return asked.error();
    if (asked->state == run_state::succeeded)
      co_return report{*asked, true};
    co_return co_await see_to_its_end(*asked, std::move(schedule_name));
  }

  instant now() const { return session_->business().now(); }

  /// The schedule's last time at or before `at`.
  result<sys_seconds> tick_of(const schedule& what, std::optional<sys_seconds> at) const {
    const auto parsed = parse_cron(what.expression);
    if (!parsed)
      return parsed.error();
    const auto zone = load_time_zone(what.timezone);
    if (!zone)
      return zone.error();
    const auto latest = std::chrono::floor<std::chrono::seconds>(now());
    if (at && *at > latest)
      return error{errc::invalid_request, "--at is yet to come: it is " + format_time(instant{latest})};
    const auto due = last_due(*parsed, *zone, at.value_or(latest));
    if (!due)
      return error{errc::invalid_request, "the schedule has no time at or before that"};
    return *due;
  }

  asio::awaitable<result<report>> see_to_its_end(schedule_run run, std::string schedule_name) {
    std::optional<std::pair<run_state, std::optional<instant>>> told;
    auto look_for_lead = timers().now();
    for (;;) {
      if (std::exchange(told, std::pair{run.state, run.not_before}) != std::pair{run.state, run.not_before})
        tell(run);
      if (run.state == run_state::running)
        bar_.show(run.figures);
      if (is_over(run.state))
        co_return report{run, false};
      if (is_stopping_ && !co_await cancel(run))
        co_return error{errc::conflict,
                        (run.state == run_state::queued ? "the run waits for its turn" : "the run goes on") +
                          std::string{": GET /v1/cron/"} + schedule_name + "/runs/" +
                          std::to_string(run.id.value)};
      if (!timer_ && timers().now() >= look_for_lead) {
        look_for_lead = timers().now() + lead_again;
        co_await become_node(run.id);
      }
      static_cast<void>(co_await wake_.wait_until(timers().now() + poll));
      const auto found = co_await schedules_.find_run(run.schedule, run.id);
      if (found)
        run = *found;
      else if (found.error().code != errc::database_unavailable && found.error().code != errc::overloaded)
        co_return found.error();
    }
  }

  void tell(const schedule_run& run) {
    auto text =
      std::string{to_string(run.state)} + (run.node && *run.node != node_ ? " on " + *run.node : "");
    if (run.not_before)
      text += ", not before " + format_time(std::chrono::floor<std::chrono::seconds>(*run.not_before)) +
              (run.failure ? ": " + run.failure->detail : "");
    if (const auto progress = is_over(run.state) ? progress_text(run.figures) : std::nullopt)
      text += ", " + *progress;
    bar_.clear();
    std::fprintf(stderr, "run %lld of %s: %s\n", static_cast<long long>(run.id.value),
                 format_time(instant{run.scheduled_at}).c_str(), text.c_str());
  }

  /// False: it is somebody else's.
  asio::awaitable<bool> cancel(schedule_run run) {
    if (std::exchange(is_cancelling_, true))
      co_return true;
    const auto is_ours = co_await fires();
    if (is_ours) {
      static_cast<void>(
        co_await schedules_.cancel(run.schedule, run.id, "command line", std::nullopt, now()));
      caf::anon_send(timer_, actors::schedules_changed{});
      co_await stop_billing();
    }
    co_return is_ours;
  }

  asio::awaitable<bool> fires() {
    if (!timer_)
      co_return false;
    const actors::cron_figures_query query;
    const auto figures = co_await session_->runtime().asker().ask<actors::cron_figures>(timer_, 5s, query);
    co_return figures && figures->is_firing;
  }

  /// A lease under this name, and a timer that carries out the run as soon as no other node fires.
  asio::awaitable<void> become_node(run_id run) {
    if (!name_lock_->is_held() && !co_await name_lock_->acquire(0ms))
      co_return;
    if (!co_await lease_.acquire())
      co_return;
    actors::cron_timer_options options;
    options.clock_rate = session_->business().rate();
    options.only = run;
    timer_ = actors::spawn_cron_timer(session_->runtime().system(), loop().get_executor(),
                                      {store_,
                                       [this] {
                                         return db::timer_holder{lease_.name(), lease_.token()};
                                       },
                                       session_->business(), timers(), session_->runtime().asker(),
                                       actors::load_zone, handlers()},
                                      options);
    caf::anon_send(timer_, actors::timer_lease_acquired{});
    asio::co_spawn(loop(),
                   lease_.keep(
                     [this]() -> asio::awaitable<void> {
                       static_cast<void>(
                         co_await session_->runtime().asker().ask<void>(timer_, 5s, actors::stop_firing{}));
                       co_await stop_billing();
                       // A lease goes by the node's name.
                       while (!name_lock_->is_held() && !has_left_)
                         co_await actors::runtime::wait_until(timers(), timers().now() + poll);
                     },
                     [this](std::int64_t) {
                       if (hourly_)
                         hourly_->resume_billing();
                       caf::anon_send(timer_, actors::timer_lease_acquired{});
                     }),
                   [](std::exception_ptr bug) {
                     if (bug)
                       std::rethrow_exception(bug);
                   });
  }

  // Whom ticks are for begins with the first one: until then another node does the work, and billing would
  // close hours beside it.
  std::map<std::string, std::function<actors::cron_handler_actor()>> handlers() {
    std::map<std::string, std::function<actors::cron_handler_actor()>> known;
    known.emplace(clean_up_handler, [this] {
      if (!cleaner_ && !has_left_)
        cleaner_ = actors::spawn_cleaner(session_->runtime().system(), loop().get_executor(), clean_up_,
                                         holds_, cleaner_options(settings_));
      return cleaner_;
    });
    if (hourly_)
      known.emplace(hourly_parts::handler_name, [this] {
        if (!hourly_->handler() && !has_left_) {
          virtfusion_->start_gateway();
          hourly_->start_sync();
          hourly_->start_billing();
          hourly_->start_handler();
        }
        return hourly_->handler();
      });
    return known;
  }

  asio::awaitable<void> stop_billing() {
    if (hourly_)
      co_await hourly_->stop_billing(5s);
  }

  /// The connection that held the name was lost.
  asio::awaitable<void> keep_name() {
    while (!has_left_ && !co_await name_lock_->acquire(1s))
      co_await actors::runtime::wait_until(timers(), timers().now() + 1s);
  }

  asio::awaitable<void> leave() {
    if (!timer_)
      co_return;
    static_cast<void>(co_await session_->runtime().asker().ask<void>(timer_, 5s, actors::stop_firing{}));
    has_left_ = true;
    co_await stop_billing();
    co_await lease_.release();
    name_lock_->release();
  }

  std::unique_ptr<database_session> session_;
  const config::settings& settings_;
  std::string node_;
  db::schedule_store schedules_{session_->database()};
  db::postgres_cron_store store_{session_->database()};
  db::clean_up_store clean_up_{session_->database()};
  db::hold_store holds_{session_->database()};
  db::node_store nodes_{session_->database()};
  std::unique_ptr<db::session_lock> name_lock_;
  actors::node_lease lease_;
  std::optional<virtfusion_link> virtfusion_;
  std::optional<hourly_parts> hourly_;
  actors::runtime::nudge wake_{timers()};
  progress_bar bar_;
  actors::cron_handler_actor cleaner_;
  actors::cron_timer_actor timer_;
  bool is_stopping_ = false;
  bool is_cancelling_ = false;
  bool has_left_ = false;
};

std::string told(const std::string& schedule_name, const schedule_run& run) {
  auto text =
    schedule_name + " " + format_time(instant{run.scheduled_at}) + " " + std::string{to_string(run.state)};
  return text + (run.failure ? ": " + run.failure->detail : " " + run.figures);
}

int refuse(const std::string& why, int code = 1) {
  std::fprintf(stderr, "skyengine: %s\n", why.c_str());
  return code;
}

result<sys_seconds> parse_at(const std::string& text) {
  auto parsed = parse_whole_seconds(text);
  if (parsed && *parsed < earliest_run)
    return error{errc::invalid_request, "is before the year 2000"};
  return parsed;
}

} // namespace

std::vector<std::string> run_words() {
  std::vector<std::string> words;
  words.reserve(schedules_by_word.size());
  for (const auto& [word, name] : schedules_by_word)
    words.emplace_back(word);
  return words;
}

int run_tick(const context& given, const run_options& options) {
  const auto* const chosen = std::find_if(schedules_by_word.begin(), schedules_by_word.end(),
                                          [&](const auto& one) { return one.first == options.what; });
  const std::string name{chosen->second};
  std::optional<sys_seconds> at;
  if (options.at) {
    const auto parsed = parse_at(*options.at);
    if (!parsed)
      return refuse("--at: " + parsed.error().detail, bad_command_line);
    at = *parsed;
  }
  const auto is_hourly = name == hourly_parts::handler_name;
  if (!is_hourly && name != clean_up_handler)
    return refuse(name + " cannot be run: " + std::string{nothing_carries_out});
  std::optional<net::virtfusion::http_transport_options> virtfusion;
  if (is_hourly) {
    const auto usable = virtfusion_transport_options(given.settings.virtfusion);
    if (!usable)
      return refuse(usable.error().detail);
    virtfusion = *usable;
  }
  if (const auto there = check_database_exists(given.settings, given.data_dir); !there)
    return refuse(there.error().detail);
  auto session = database_session::open(given.settings, given.data_dir);
  if (!session)
    return refuse(session.error().detail);
  if (is_hourly)
    // The VirtFusion of the settings knows nothing of a demo's servers.
    if (const auto claimed = claim_panel(**session, given.settings, given.data_dir, db::panel_kind::real);
        !claimed)
      return refuse(claimed.error().detail);
  warn_of_place(**session, given.settings, given.data_dir);
  tick_runner runner{std::move(*session), given.settings, options.what, virtfusion};
  auto ended_by = 0;
  asio::signal_set signals{runner.loop(), SIGTERM, SIGINT};
  signals.async_wait([&](boost::system::error_code cancelled, int signal) {
    if (cancelled)
      return;
    ended_by = signal;
    // A second one ends it at once.
    signals.clear();
    runner.stop();
  });
  const auto done = run_to_end(runner.loop(), runner.run(name, at));
  if (!done) {
    const auto code = done.error().code == errc::invalid_request ? bad_command_line : 1;
    return refuse(done.error().detail, ended_by != 0 ? 128 + ended_by : code);
  }
  if (done->was_done)
    std::printf("%s: it has run already, nothing was done\n", told(name, done->run).c_str());
  else
    std::puts(told(name, done->run).c_str());
  if (done->run.state == run_state::succeeded)
    return 0;
  return ended_by != 0 ? 128 + ended_by : 1;
}

} // namespace skyengine::commands
