#include "actors/sync_run.hpp"

#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/crash_point.hpp"
#include "domain/log.hpp"
#include "net/virtfusion/operations.hpp"

#include <boost/asio/co_spawn.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
namespace vf = net::virtfusion;
using namespace std::chrono_literals;
using kind = vf::call_failure::kind;
using runtime::crash_point;
using runtime::steady_duration;
using runtime::steady_time;

// A call that has not begun by then is asked for anew. Shorter than a call's own time, so that the gateway
// does not repeat what timed out: which hypervisor hangs is decided here.
constexpr auto begin_within = 12s;
constexpr auto usual_pause = 1s;
constexpr auto longest_pause = 30s;
constexpr int most_failures = 3;
// Due servers that one statement reads, and that wait for their turn at most.
constexpr std::int64_t due_page_size = 4'096;
constexpr std::size_t most_waiting = 16'384;
// What is written at once, how long the first of them waits for the others, and how many may wait.
constexpr std::size_t batch_size = 500;
constexpr auto batch_time = 200ms;
constexpr std::size_t most_pending = 4 * batch_size;
constexpr auto write_pause = 500ms;
constexpr int most_writes_after_end = 60;
constexpr auto progress_every = 1s;
constexpr std::int64_t most_named = 50;
constexpr std::int64_t most_pages = 100'000;

// The least that is between two ticks: what was seen since the one before is due when it would be older than
// it may get by the next.
constexpr auto tick_period = std::chrono::hours{1};

/// The gateway's slots, and some more that wait in its line, so that a slot that gets free has its next call.
std::size_t calls_at_once(std::size_t slots) {
  return std::max<std::size_t>(slots, 1) + std::max<std::size_t>(slots / 4, 1);
}

std::optional<instant> seen_before(std::chrono::sys_seconds tick, std::chrono::milliseconds every) {
  if (every.count() == 0)
    return std::nullopt;
  return instant{tick} - std::max<std::chrono::milliseconds>(every - tick_period, 0ms);
}

constexpr unsigned too_many_requests = 429;

/// VirtFusion as a whole cannot be asked: asked again as long as there is time.
bool is_postponed(const vf::call_failure& why) noexcept {
  return why.what == kind::overloaded || why.what == kind::not_sent || why.what == kind::unauthorized ||
         (why.what == kind::refused && why.status == too_many_requests);
}

/// It may be the panel or this one server: the panel itself tells which.
bool is_in_doubt(const vf::call_failure& why) noexcept {
  return why.what == kind::unknown || why.what == kind::refused;
}

/// A hook's trouble is its own.
template <class Told>
asio::awaitable<void>
tell(sync_observer* observer, asio::awaitable<void> (sync_observer::*hook)(Told), Told told) {
  if (observer == nullptr)
    co_return;
  try {
    co_await (observer->*hook)(std::move(told));
  } catch (...) {
    log::error("an observer of the sync failed unexpectedly",
               {{"error", runtime::describe(std::current_exception())}});
  }
}

// A figure that cannot be is as good as none: it must not spoil the batch that it is written with.
constexpr double most_cpu_percent = 1e6;
constexpr std::int64_t most_bytes = std::int64_t{1} << 60;

std::optional<std::int64_t> sane(std::optional<std::int64_t> bytes) {
  return bytes && *bytes >= 0 && *bytes <= most_bytes ? bytes : std::nullopt;
}

std::optional<std::int64_t> in_bytes(std::optional<std::int64_t> kib) {
  return kib && *kib >= 0 && *kib <= most_bytes / 1'024 ? std::optional{*kib * 1'024} : std::nullopt;
}

db::live_observation to_observation(server_id server, instant at, const vf::remote_state& remote) {
  db::live_observation seen;
  seen.server = server;
  seen.at = at;
  seen.is_on = remote.is_running;
  if (remote.cpu_percent && *remote.cpu_percent >= 0 && *remote.cpu_percent <= most_cpu_percent)
    seen.cpu_percent = remote.cpu_percent;
  const auto available = in_bytes(remote.memory_available_kib);
  seen.memory_total = in_bytes(remote.memory_total_kib);
  if (seen.memory_total && available && *available <= *seen.memory_total)
    seen.memory_used = *seen.memory_total - *available;
  seen.disk_total = sane(remote.disk_capacity_bytes);
  seen.disk_used = sane(remote.disk_allocation_bytes);
  return seen;
}

std::string ids_json(const std::vector<server_id>& ids) {
  std::string out = "[";
  for (const auto id : ids)
    out += (out.size() > 1 ? "," : "") + std::to_string(id.value);
  return out + "]";
}

std::string ids_json(const std::set<std::int64_t>& ids) {
  std::string out = "[";
  for (const auto id : ids)
    out += (out.size() > 1 ? "," : "") + std::to_string(id);
  return out + "]";
}

} // namespace

sync_run::sync_run(asio::any_io_executor loop,
                   metrics_sync_services services,
                   metrics_sync_options options,
                   cron_tick tick)
    : loop_(std::move(loop)), services_(services), options_(std::move(options)), tick_(tick),
      timers_(services_.virtfusion.timers()), lanes_(calls_at_once(options_.slots)), changed_(timers_),
      to_write_(timers_), to_tell_(timers_) {}

std::size_t sync_run::observations::size() const noexcept {
  return traffic.seen.size() + traffic.failed.size() + live.seen.size() + live.failed.size();
}

bool sync_run::goes_on() const noexcept {
  return !is_cancelled_ && timers_.now() < window_end_;
}

void sync_run::cancel() {
  is_cancelled_ = true;
  changed_.notify();
}

/// For what runs beside `run`: an exception ends the sync.
std::function<void(std::exception_ptr)> sync_run::watched(std::string what) {
  return [self = shared_from_this(), what = std::move(what)](std::exception_ptr bug) {
    if (!bug)
      return;
    log::error("a part of the sync failed unexpectedly", {{"part", what}, {"error", runtime::describe(bug)}});
    self->has_bug_ = true;
    self->cancel();
  };
}

sync_figures sync_run::figures() const noexcept {
  const auto left = [](const depth_figures& one) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(one.due - one.seen - one.failed, 0));
  };
  const auto& traffic = of(sync_depth::traffic);
  const auto& live = of(sync_depth::live);
  return {true,
          static_cast<std::uint64_t>(listed_),
          static_cast<std::uint64_t>(traffic.seen),
          static_cast<std::uint64_t>(live.seen),
          left(traffic),
          left(live)};
}

asio::awaitable<result<cron_outcome>> sync_run::run() {
  begun_ = services_.business.now();
  window_end_ = timers_.now() + options_.window;
  limits_.traffic_before = seen_before(tick_.scheduled_at, options_.traffic_every);
  limits_.live_before = seen_before(tick_.scheduled_at, options_.live_every);
  limits_.uptime_before = instant{tick_.scheduled_at};
  limits_.tried_before = begun_;
  limits_.now = begun_;
  asio::co_spawn(loop_, write_observations(shared_from_this()), watched("writer"));
  asio::co_spawn(loop_, tell_progress(shared_from_this()), watched("progress"));
  const auto list = co_await services_.store.find_list(tick_.scheduled_at);
  asio::co_spawn(loop_, count_due(shared_from_this()), watched("count"));
  if (list && list->is_read)
    is_list_skipped_ = true;
  else
    co_await read_list(list ? list->servers : 0);
  while (!is_due_counted_ && !has_bug_)
    co_await changed_.wait_until(timers_.now() + progress_every);
  co_await look_at_servers();
  while (!is_list_end_told_ && !has_bug_)
    co_await changed_.wait_until(timers_.now() + progress_every);
  is_ending_ = true;
  to_write_.notify();
  to_tell_.notify();
  while (!is_all_written_ && !has_bug_)
    co_await changed_.wait_until(timers_.now() + progress_every);
  crash_point("sync.before_end");
  if (has_bug_)
    co_return error{errc::internal, "unexpected failure"};
  co_return co_await conclude();
}

/// One call, put off for as long as VirtFusion cannot be asked.
template <class T>
asio::awaitable<sync_run::asked<T>> sync_run::ask(vf::call<T> what, std::int64_t& calls) {
  const auto is_of_the_whole = what.what.op == vf::operation::connect;
  for (;;) {
    const auto asked_at = services_.business.now();
    const auto sent_at = timers_.now();
    const call_options how{call_class::background, sent_at + begin_within, {}, "sync"};
    ++calls;
    auto outcome = co_await services_.virtfusion.call(how, what);
    const auto is_to_wait =
      outcome.has_error() &&
      (is_postponed(outcome.error()) || (is_of_the_whole && outcome.error().what == kind::refused));
    if (!is_to_wait || !goes_on())
      co_return asked<T>{std::move(outcome), asked_at, sent_at};
    --calls;
    const steady_duration wanted = outcome.error().retry_after.value_or(usual_pause);
    const auto pause = std::clamp<steady_duration>(wanted, usual_pause, longest_pause);
    co_await runtime::wait_until(timers_, std::min(timers_.now() + pause, window_end_));
  }
}

/// While the list is read, which changes nothing about what is due.
asio::awaitable<void> sync_run::count_due(pointer self) {
  for (const auto depth : {sync_depth::traffic, sync_depth::live})
    if (const auto counted = co_await self->services_.store.rest(depth, self->limits_, 0))
      self->of(depth).due = counted->count;
  self->is_due_counted_ = true;
  self->changed_.notify();
}

asio::awaitable<void> sync_run::read_list(std::int64_t known_servers) {
  // The pages that our own servers fill are asked for at once; each says then how many there are.
  last_page_ = std::clamp<std::int64_t>(known_servers / vf::max_page_size, 1, most_pages);
  is_list_under_way_ = true;
  const auto begun = services_.business.now();
  const auto at_once = calls_at_once(options_.slots);
  while (goes_on() && !is_list_refused_) {
    // A page that is being written holds no call back, as long as the database keeps up.
    while (next_page_ <= last_page_ && pages_asked_ < at_once && pages_under_way_ < 4 * at_once) {
      ++pages_asked_;
      ++pages_under_way_;
      asio::co_spawn(loop_, read_page(shared_from_this(), next_page_++), watched("list"));
    }
    if (pages_under_way_ == 0)
      break;
    co_await changed_.wait_until(window_end_);
  }
  while (!is_cancelled_ && pages_under_way_ > 0)
    co_await changed_.wait_until(timers_.now() + longest_pause);
  is_list_complete_ =
    next_page_ > last_page_ && pages_under_way_ == 0 && pages_failed_ == 0 && !is_list_refused_;
  is_list_under_way_ = false;
  const auto ended = services_.business.now();
  list_end end{tick_.scheduled_at, begun, ended, is_list_complete_, [this] { return goes_on(); }};
  is_list_end_told_ = false;
  asio::co_spawn(loop_, end_list(shared_from_this(), std::move(end)), watched("list"));
}

/// What the observer does about a list's end may take its time: the servers are looked at meanwhile.
asio::awaitable<void> sync_run::end_list(pointer self, list_end end) {
  auto& run = *self;
  const auto is_complete = end.is_complete;
  const auto begun = end.begun_at;
  const auto ended = end.ended_at;
  crash_point("sync.before_list_end");
  co_await tell(run.services_.observer, &sync_observer::on_list_end, std::move(end));
  crash_point("sync.list_compared");
  if (is_complete) {
    if (const auto noted = co_await run.services_.store.note_list_read(run.tick_.scheduled_at, begun, ended);
        !noted)
      log::warn("the end of the list was not noted; it will be read again",
                {{"error", noted.error().detail}});
    crash_point("sync.after_list_end");
  }
  run.is_list_end_told_ = true;
  run.changed_.notify();
}

asio::awaitable<void> sync_run::read_page(pointer self, std::int64_t number) {
  auto& run = *self;
  std::optional<vf::page<vf::server_list_item>> page;
  instant asked_at;
  for (int failures = 0; failures < most_failures;) {
    const auto wanted = vf::list_servers(number);
    auto came = co_await run.ask(wanted, run.list_calls_);
    if (came.outcome.has_value()) {
      page = std::move(*came.outcome);
      asked_at = came.asked_at;
      break;
    }
    const auto what = came.outcome.error().what;
    run.is_list_refused_ = run.is_list_refused_ || what == kind::forbidden || what == kind::rejected;
    if (run.is_list_refused_ || !run.goes_on())
      break;
    if (co_await run.is_panel_at_home({}, came.sent_at))
      ++failures;
  }
  --run.pages_asked_;
  run.changed_.notify();
  bool is_kept = false;
  if (page)
    is_kept = co_await run.keep_page(std::move(*page), asked_at);
  if (is_kept)
    ++run.pages_read_;
  else
    ++run.pages_failed_;
  --run.pages_under_way_;
  run.changed_.notify();
}

/// False when it could not be written.
asio::awaitable<bool> sync_run::keep_page(vf::page<vf::server_list_item> page, instant asked_at) {
  if (!is_list_under_way_)
    co_return false;
  // Servers come and go meanwhile: what any page says of the last one counts, but that nothing is behind an
  // empty one.
  last_page_ = std::min(std::max(last_page_, page.last_page), most_pages);
  if (page.items.empty())
    last_page_ = std::min(last_page_, next_page_ - 1);
  listed_page told{tick_.scheduled_at, asked_at, {}, page.total, [this] { return goes_on(); }};
  std::vector<db::listed_observation> seen;
  told.servers.reserve(page.items.size());
  seen.reserve(page.items.size());
  for (const auto& item : page.items) {
    const auto is_built = item.commission_status ? std::optional{*item.commission_status == 3} : std::nullopt;
    told.servers.push_back(
      {item.id, item.owner, item.hypervisor, item.is_suspended, is_built, item.created_at});
    seen.push_back({item.id, item.hypervisor});
  }
  crash_point("sync.before_page");
  co_await tell(services_.observer, &sync_observer::on_page, std::move(told));
  crash_point("sync.page_compared");
  if (seen.empty())
    co_return true;
  for (;;) {
    const auto written = co_await services_.store.write_list(seen, asked_at);
    if (written) {
      crash_point("sync.after_page");
      listed_ += *written;
      co_return true;
    }
    log::warn("a page of the list was not written", {{"error", written.error().detail}});
    if (!goes_on())
      co_return false;
    co_await runtime::wait_until(timers_, timers_.now() + write_pause);
  }
}

asio::awaitable<void> sync_run::look_at_servers() {
  while (goes_on()) {
    load_more(sync_depth::traffic);
    load_more(sync_depth::live);
    // A database that does not take what was seen stops the asking, too.
    while (pending_.size() < most_pending) {
      const auto next = lanes_.next();
      if (!next)
        break;
      if (next->depth == sync_depth::traffic)
        asio::co_spawn(loop_, look_at_traffic(shared_from_this(), *next), watched("traffic"));
      else
        asio::co_spawn(loop_, look_live(shared_from_this(), *next), watched("live"));
    }
    const auto is_loading = std::any_of(sources_.begin(), sources_.end(),
                                        [](const source& one) { return one.is_loading || !one.is_empty; });
    if (!is_loading && lanes_.under_way() == 0 && lanes_.waiting() == 0)
      break;
    co_await changed_.wait_until(window_end_);
  }
  // They have their own time-outs.
  while (!is_cancelled_ && lanes_.under_way() > 0)
    co_await changed_.wait_until(timers_.now() + longest_pause);
}

void sync_run::load_more(sync_depth depth) {
  auto& from = source_of(depth);
  if (from.is_loading || from.is_empty || lanes_.waiting() >= most_waiting ||
      lanes_.ready(depth) >= calls_at_once(options_.slots))
    return;
  from.is_loading = true;
  asio::co_spawn(loop_, load(shared_from_this(), depth), watched("due"));
}

asio::awaitable<void> sync_run::load(pointer self, sync_depth depth) {
  auto& run = *self;
  auto& from = run.source_of(depth);
  auto skip = run.lanes_.given_up(depth);
  const auto page =
    co_await run.services_.store.due(depth, run.limits_, from.next, std::move(skip), due_page_size);
  if (page) {
    for (const auto& one : page->servers)
      run.lanes_.add(depth, one);
    from.next = page->next;
    from.is_empty = page->is_last;
  } else {
    log::warn("what is due cannot be read", {{"error", page.error().detail}});
    co_await runtime::wait_until(run.timers_, run.timers_.now() + write_pause);
  }
  from.is_loading = false;
  run.changed_.notify();
}

asio::awaitable<void> sync_run::look_at_traffic(pointer self, sync_lanes::pick what) {
  auto& run = *self;
  auto& counted = run.of(what.depth);
  const auto wanted = vf::get_traffic(what.server.panel_id);
  const auto came = co_await run.ask(wanted, counted.calls);
  const auto has_traffic = came.outcome.has_value() && !came.outcome->empty() &&
                           sane(came.outcome->front().received_bytes) &&
                           sane(came.outcome->front().sent_bytes);
  if (has_traffic) {
    const auto& period = came.outcome->front();
    run.pending_.traffic.seen.push_back(
      {what.server.id, came.asked_at, period.received_bytes, period.sent_bytes, period.begins_at});
    run.lanes_.on_success(what, run.timers_.now());
    run.on_observed();
    co_return;
  }
  const auto why = came.outcome.has_error() ? came.outcome.error()
                                            : vf::call_failure{kind::conflict, 200, "no traffic period"};
  co_await fail(self, what, why, came.asked_at, came.sent_at);
}

asio::awaitable<void> sync_run::look_live(pointer self, sync_lanes::pick what) {
  auto& run = *self;
  auto& counted = run.of(what.depth);
  const auto wanted = vf::get_server(what.server.panel_id, true);
  auto came = co_await run.ask(wanted, counted.calls);
  if (came.outcome.has_error()) {
    const auto why = came.outcome.error();
    co_await fail(self, what, why, came.asked_at, came.sent_at);
    co_return;
  }
  auto record = std::move(*came.outcome);
  const auto remote = record.remote;
  live_record told{what.server.id, came.asked_at, std::move(record)};
  co_await tell(run.services_.observer, &sync_observer::on_live, std::move(told));
  crash_point("sync.live_compared");
  if (!remote) {
    const vf::call_failure why{kind::conflict, 200, "no remote state"};
    co_await fail(self, what, why, came.asked_at, came.sent_at);
    co_return;
  }
  run.pending_.live.seen.push_back(to_observation(what.server.id, came.asked_at, *remote));
  run.lanes_.on_success(what, run.timers_.now());
  run.on_observed();
}

asio::awaitable<void> sync_run::fail(
  pointer self, sync_lanes::pick what, vf::call_failure why, instant asked_at, steady_time sent_at) {
  auto& run = *self;
  const auto op = what.depth == sync_depth::traffic ? vf::operation::get_traffic : vf::operation::get_server;
  const auto ended_at = run.timers_.now();
  const auto has_timed_out =
    why.what == kind::unknown && why.status == 0 && ended_at - sent_at >= vf::traits_of(op).timeout;
  const auto is_its_own = !is_in_doubt(why) || co_await run.is_panel_at_home(what, sent_at);
  if (has_timed_out)
    run.lanes_.on_timeout(what, sent_at, ended_at);
  else
    run.lanes_.on_failure(what);
  if (why.what == kind::forbidden) {
    // Every other server would be refused, too; the gateway has told the operator.
    run.refused_depths_.push_back(to_string(what.depth));
    run.lanes_.stop(what.depth);
    run.source_of(what.depth).is_empty = true;
  } else if (!is_its_own) {
    run.lanes_.add(what.depth, what.server);
  } else if (is_postponed(why)) {
    // Time is over: it was not asked.
  } else if (is_in_doubt(why) && what.server.failures + 1 < most_failures) {
    auto again = what.server;
    ++again.failures;
    run.lanes_.add(what.depth, again);
  } else {
    run.give_up(what, asked_at);
  }
  run.changed_.notify();
}

/// Whether somebody but this server's lane is answered: asked of the panel itself where nobody was since.
asio::awaitable<bool> sync_run::is_panel_at_home(sync_lanes::pick but, steady_time since) {
  if (lanes_.were_others_answered(but, since))
    co_return true;
  const auto wanted = vf::connect();
  const auto came = co_await ask(wanted, probe_calls_);
  if (came.outcome.has_error() && came.outcome.error().status / 100 != 4)
    co_return false;
  lanes_.on_panel_answer(timers_.now());
  co_return true;
}

void sync_run::give_up(const sync_lanes::pick& what, instant asked_at) {
  const db::failed_observation tried{what.server.id, std::max(asked_at, begun_)};
  if (what.depth == sync_depth::traffic)
    pending_.traffic.failed.push_back(tried);
  else
    pending_.live.failed.push_back(tried);
  if (failed_.size() < static_cast<std::size_t>(most_named))
    failed_.push_back(what.server.id);
  on_observed();
}

void sync_run::on_observed() {
  if (pending_.size() == 1)
    pending_since_ = timers_.now();
  if (pending_.size() == 1 || pending_.size() >= batch_size)
    to_write_.notify();
  changed_.notify();
}

asio::awaitable<void> sync_run::write_observations(pointer self) {
  auto& run = *self;
  int writes_after_end = 0;
  for (;;) {
    const auto now = run.timers_.now();
    if (run.pending_.size() == 0) {
      if (run.is_ending_)
        break;
      co_await run.to_write_.wait_until(now + longest_pause);
      continue;
    }
    if (run.pending_.size() < batch_size && !run.is_ending_ && now < run.pending_since_ + batch_time) {
      co_await run.to_write_.wait_until(run.pending_since_ + batch_time);
      continue;
    }
    const auto batch = std::exchange(run.pending_, {});
    while (!co_await run.write(batch)) {
      // Whoever begins the next sync asks for it again.
      if (run.is_ending_ && ++writes_after_end >= most_writes_after_end) {
        run.unwritten_ += static_cast<std::int64_t>(batch.size());
        break;
      }
      co_await runtime::wait_until(run.timers_, run.timers_.now() + write_pause);
    }
    run.changed_.notify();
  }
  run.is_all_written_ = true;
  run.changed_.notify();
}

asio::awaitable<bool> sync_run::write(const observations& batch) {
  const auto now = services_.business.now();
  if (!batch.traffic.seen.empty() || !batch.traffic.failed.empty()) {
    crash_point("sync.before_traffic");
    if (const auto written = co_await services_.store.write_traffic(batch.traffic); !written) {
      log::warn("observations were not written", {{"error", written.error().detail}});
      co_return false;
    }
    crash_point("sync.after_traffic");
  }
  if (!batch.live.seen.empty() || !batch.live.failed.empty()) {
    crash_point("sync.before_live");
    if (const auto written = co_await services_.store.write_live(batch.live, now); !written) {
      log::warn("observations were not written", {{"error", written.error().detail}});
      co_return false;
    }
    crash_point("sync.after_live");
  }
  auto& traffic = of(sync_depth::traffic);
  traffic.seen += static_cast<std::int64_t>(batch.traffic.seen.size());
  traffic.failed += static_cast<std::int64_t>(batch.traffic.failed.size());
  auto& live = of(sync_depth::live);
  live.seen += static_cast<std::int64_t>(batch.live.seen.size());
  live.failed += static_cast<std::int64_t>(batch.live.failed.size());
  publish(batch);
  co_return true;
}

void sync_run::publish(const observations& batch) const {
  if (options_.subscribers.empty())
    return;
  metrics_written message;
  message.samples.reserve(batch.traffic.seen.size() + batch.live.seen.size());
  for (const auto& one : batch.traffic.seen) {
    metrics_sample sample{one.server, one.at, {}, {}, {}, {}, {}, {}, one.received, one.sent};
    message.samples.push_back(sample);
  }
  for (const auto& one : batch.live.seen)
    message.samples.push_back({one.server,
                               one.at,
                               one.is_on,
                               one.cpu_percent,
                               one.memory_total,
                               one.memory_used,
                               one.disk_total,
                               one.disk_used,
                               {},
                               {}});
  if (message.samples.empty())
    return;
  for (const auto& subscriber : options_.subscribers)
    caf::anon_send(subscriber, message);
}

asio::awaitable<void> sync_run::tell_progress(pointer self) {
  auto& run = *self;
  std::string told;
  while (!run.is_ending_) {
    co_await run.to_tell_.wait_until(run.timers_.now() + progress_every);
    if (run.is_ending_)
      break;
    auto now_is = run.figures_json();
    if (now_is == told)
      continue;
    crash_point("sync.before_progress");
    const auto noted = co_await run.services_.progress.note(run.tick_.run, now_is);
    crash_point("sync.after_progress");
    if (noted)
      told = std::move(now_is);
  }
}

std::string sync_run::figures_json(const std::string& more) const {
  const auto number = [](std::string_view name, std::int64_t value) {
    return '"' + std::string{name} + "\":" + std::to_string(value);
  };
  const auto depth = [&](sync_depth which) {
    const auto& one = of(which);
    return '"' + std::string{to_string(which)} + "\":{" + number("due", one.due) + ',' +
           number("seen", one.seen) + ',' + number("failed", one.failed) + ',' + number("calls", one.calls) +
           '}';
  };
  const auto list_state = is_list_skipped_     ? "read_before"
                          : is_list_under_way_ ? "reading"
                          : is_list_complete_  ? "complete"
                                               : "incomplete";
  return R"({"list":{"state":")" + std::string{list_state} + "\"," + number("pages", pages_read_) + ',' +
         number("failed", pages_failed_) + ',' + number("calls", list_calls_) + ',' +
         number("servers", listed_) + "}," + depth(sync_depth::traffic) + ',' + depth(sync_depth::live) +
         more + '}';
}

asio::awaitable<result<cron_outcome>> sync_run::conclude() {
  std::int64_t left = 0;
  std::string not_seen;
  for (const auto depth : {sync_depth::traffic, sync_depth::live}) {
    const auto rest = co_await services_.store.rest(depth, limits_, most_named);
    if (!rest)
      co_return rest.error();
    left += rest->count;
    not_seen += (not_seen.empty() ? "\"" : ",\"") + std::string{to_string(depth)} +
                "\":{\"count\":" + std::to_string(rest->count) + ",\"first\":" + ids_json(rest->first) +
                ",\"hypervisors\":" + ids_json(lanes_.given_up(depth)) + '}';
  }
  const auto seen = listed_ + pages_read_ + of(sync_depth::traffic).seen + of(sync_depth::live).seen;
  const auto failed = of(sync_depth::traffic).failed + of(sync_depth::live).failed;
  const auto is_complete =
    (is_list_complete_ || is_list_skipped_) && left == 0 && failed == 0 && unwritten_ == 0;
  if (!is_complete && seen == 0 && !is_list_skipped_ && !is_cancelled_)
    co_return error{errc::virtfusion_unavailable, "VirtFusion told nothing of any server"};
  std::string refused;
  for (const auto depth : refused_depths_)
    if (refused.find(depth) == std::string::npos)
      refused += (refused.empty() ? "\"" : ",\"") + std::string{depth} + '"';
  co_return cron_outcome{figures_json(R"(,"complete":)" + std::string{is_complete ? "true" : "false"} +
                                      R"(,"notSeen":{)" + not_seen + R"(},"failedServers":)" +
                                      ids_json(failed_) + R"(,"refused":[)" + refused + "]")};
}

} // namespace skyengine::actors
