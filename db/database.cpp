#include "db/database.hpp"

#include "db/back_off.hpp"
#include "db/connection.hpp"
#include "db/sqlstate.hpp"
#include "domain/log.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <charconv>
#include <deque>
#include <list>

namespace skyengine::db {

namespace {

using namespace std::chrono_literals;
using detail::answer;
using detail::connection;
using detail::fault;
using detail::jittered;
using detail::pause;
using detail::pending;
using detail::pending_ptr;
using steady = std::chrono::steady_clock;

/// Statements on one shared connection at once. PostgreSQL runs them one after the other, so a slow one holds
/// up at most so many, and any more would not raise the rate (bench/db_bench).
constexpr std::size_t pipeline_depth = 64;
constexpr int max_repeats = 5;
constexpr auto repeat_pause = 10ms;
constexpr auto first_reconnect_pause = 50ms;
constexpr auto first_decision_pause = 20ms;
constexpr auto longest_decision_pause = 500ms;

constexpr statement begin_read_committed{"begin", "BEGIN ISOLATION LEVEL READ COMMITTED"};
constexpr statement begin_repeatable_read{"begin_repeatable_read", "BEGIN ISOLATION LEVEL REPEATABLE READ"};
constexpr statement begin_serializable{"begin_serializable", "BEGIN ISOLATION LEVEL SERIALIZABLE"};
constexpr statement commit_transaction{"commit", "COMMIT"};
constexpr statement rollback_transaction{"rollback", "ROLLBACK"};
constexpr statement identify_transaction{"transaction_id", R"sql(
  SELECT pg_current_xact_id()::text AS id, floor(extract(epoch FROM clock_timestamp()))::bigint AS begun_at)sql"};
constexpr statement find_transaction_status{"transaction_status", R"sql(
  SELECT pg_xact_status($1::xid8) AS status,
         pg_postmaster_start_time()::text || ' '
           || coalesce((SELECT stats_reset::text FROM pg_stat_bgwriter), '') AS incarnation)sql"};
constexpr statement find_last_checkpoint{"last_checkpoint", R"sql(
  SELECT next_xid, redo_lsn = checkpoint_lsn AS is_of_start,
         floor(extract(epoch FROM checkpoint_time))::bigint AS made_at
    FROM pg_control_checkpoint())sql"};

const std::vector<parameter> no_parameters;

/// Before the n-th repeat of what conflicting work prevented.
asio::awaitable<void> pause_before_repeat(int n) {
  co_await pause(jittered(repeat_pause * (1 << n)));
}

error overloaded(std::string_view detail) {
  return {errc::overloaded, std::string{detail}, {}, 1s};
}

/// `epoch:xid`, as pg_control_checkpoint shows it, as one number.
std::uint64_t to_full_transaction_id(std::string_view text) {
  const auto colon = text.find(':');
  std::uint64_t epoch = 0;
  std::uint64_t id = 0;
  std::from_chars(text.data(), text.data() + colon, epoch);
  std::from_chars(text.data() + colon + 1, text.data() + text.size(), id);
  return epoch << 32U | id;
}

} // namespace

struct database::implementation : std::enable_shared_from_this<implementation> {
  /// One shared connection, and the timer that its keeper waits on until it is lost.
  struct slot {
    explicit slot(const asio::any_io_executor& loop) : wake(loop) {}
    std::shared_ptr<connection> link;
    asio::steady_timer wake;
  };
  struct waiter {
    asio::steady_timer wake;
    bool is_granted = false;
  };

  implementation(asio::any_io_executor executor, database_options given)
      : loop(std::move(executor)), options(std::move(given)), patience(loop), drained(loop) {
    options.pipelined_connections = std::max<std::size_t>(options.pipelined_connections, 1);
    options.transaction_connections = std::max<std::size_t>(options.transaction_connections, 1);
    free_permits = options.transaction_connections;
  }

  std::shared_ptr<connection> new_connection() const {
    detail::connection_settings settings;
    settings.url = options.url;
    settings.application_name = options.application_name;
    settings.connect_timeout = options.connect_timeout;
    settings.statement_timeout = options.statement_timeout;
    settings.lock_timeout = options.lock_timeout;
    settings.idle_transaction_timeout = options.idle_transaction_timeout;
    return std::make_shared<connection>(loop, std::move(settings));
  }

  // --- single statements

  asio::awaitable<answer> submit(const statement& what, const std::vector<parameter>& parameters) {
    pending op;
    op.what = &what;
    op.parameters = &parameters;
    op.queued_at = steady::now();
    ++outstanding;
    auto reply = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(answer)>(
      [](auto handler, implementation* self, pending* operation) {
        operation->handler.emplace(std::move(handler));
        self->queue.emplace_back(operation);
        self->schedule_pump();
      },
      asio::use_awaitable, this, &op);
    --outstanding;
    if (outstanding == 0)
      drained.cancel();
    co_return reply;
  }

  void schedule_pump() {
    if (std::exchange(is_pump_scheduled, true))
      return;
    asio::post(loop, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->is_pump_scheduled = false;
        self->pump();
      }
    });
  }

  /// Hands what waits to the least busy connections, as far as they have room.
  void pump() {
    while (!queue.empty()) {
      connection* best = nullptr;
      for (const auto& s : slots)
        if (s->link && s->link->is_open() && (best == nullptr || s->link->in_flight() < best->in_flight()))
          best = s->link.get();
      if (best == nullptr || best->in_flight() >= pipeline_depth)
        break;
      // A connection that cannot take it is lost by that, and leaves the loop's choice.
      if (best->send(queue.front()))
        queue.pop_front();
    }
    if (!queue.empty())
      watch_queue();
  }

  steady::time_point give_up_at(steady::time_point queued_at) const {
    return (is_closing   ? steady::time_point{}
            : down_since ? std::min(*down_since, queued_at)
                         : queued_at) +
           options.max_wait;
  }

  void watch_queue() {
    if (std::exchange(is_queue_watched, true))
      return;
    patience.expires_at(give_up_at(queue.front()->queued_at));
    patience.async_wait([weak = weak_from_this()](boost::system::error_code) {
      const auto self = weak.lock();
      if (!self)
        return;
      self->is_queue_watched = false;
      self->expire_queue();
    });
  }

  void expire_queue() {
    const auto now = steady::now();
    std::deque<pending_ptr> late;
    while (!queue.empty() && give_up_at(queue.front()->queued_at) <= now) {
      late.push_back(std::move(queue.front()));
      queue.pop_front();
    }
    if (!queue.empty())
      watch_queue();
    refuse(std::move(late), is_up() ? overloaded("The database is busy.")
                                    : detail::unavailable("The database cannot be reached."));
  }

  static void refuse(std::deque<pending_ptr> unsent, const error& why) {
    for (auto& p : unsent) {
      p->reply.kind = fault::unsent;
      p->reply.failure = why;
      detail::complete(std::move(p));
    }
  }

  bool is_up() const noexcept {
    return std::any_of(slots.begin(), slots.end(),
                       [](const auto& s) { return s->link && s->link->is_open(); });
  }

  // --- the shared connections

  void install(slot& at, const std::shared_ptr<connection>& link) {
    at.link = link;
    link->on_answered = [this] { pump(); };
    link->on_lost = [this, &at](const std::string&) {
      at.link.reset();
      at.wake.cancel();
      ++reconnects;
      if (!is_up() && !is_closing) {
        down_since = steady::now();
        log::error("the database is lost", {{"alert", "database_lost"}});
      }
    };
    if (std::exchange(down_since, std::nullopt))
      log::info("the database is back", {{"alert_cleared", "database_lost"}});
    schedule_pump();
  }

  /// Opens `at`'s connection; on failure the reason.
  asio::awaitable<result<>> open(slot& at) {
    const auto link = new_connection();
    opening.insert(opening.end(), link);
    auto opened = co_await link->open();
    opening.remove(link);
    if (opened)
      opened = link->enter_pipeline();
    if (opened && is_closing)
      link->close();
    else if (opened)
      install(at, link);
    co_return opened;
  }

  static asio::awaitable<void> keep(std::shared_ptr<implementation> self, slot& at) {
    detail::reconnect_pauses pauses;
    std::string last_reason;
    boost::system::error_code ignored;
    while (!self->is_closing) {
      if (at.link) {
        const auto since = steady::now();
        at.wake.expires_at(steady::time_point::max());
        co_await at.wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        pauses.ended_after(steady::now() - since);
        last_reason.clear();
        continue;
      }
      if (const auto longest = pauses.next(); longest.count() > 0) {
        at.wake.expires_after(jittered(longest));
        co_await at.wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        if (self->is_closing)
          break;
      }
      const auto opened = co_await self->open(at);
      if (!opened && !self->is_closing && opened.error().detail != last_reason) {
        last_reason = opened.error().detail;
        log::warn("PostgreSQL cannot be reached", {{"error", last_reason}});
      }
    }
  }

  // --- the connections of transactions

  /// A permit is the right to one of the transaction connections.
  asio::awaitable<result<>> take_permit() {
    if (is_closing)
      co_return detail::unavailable("The database's connections are being closed.");
    if (free_permits > 0) {
      --free_permits;
      co_return result<>{};
    }
    if (waiters.size() >= options.max_waiting_transactions)
      co_return overloaded("Too many transactions wait for a connection to the database.");
    waiter me{asio::steady_timer{loop, options.transaction_wait}};
    waiters.push_back(&me);
    struct leave {
      implementation& owner;
      waiter& who;
      ~leave() {
        if (!who.is_granted)
          owner.waiters.remove(&who);
      }
    } const leaving{*this, me};
    boost::system::error_code ignored;
    co_await me.wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (me.is_granted)
      co_return result<>{};
    if (is_closing)
      co_return detail::unavailable("The database's connections are being closed.");
    co_return overloaded("No connection to the database was free in time.");
  }

  void return_permit() {
    if (waiters.empty()) {
      ++free_permits;
      drained.cancel();
      return;
    }
    auto& next = *waiters.front();
    waiters.pop_front();
    next.is_granted = true;
    next.wake.cancel();
  }

  /// The caller has a permit.
  asio::awaitable<result<std::shared_ptr<connection>>> take_connection() {
    while (!idle.empty()) {
      auto link = std::move(idle.back());
      idle.pop_back();
      if (link->is_open())
        co_return link;
    }
    auto pause_span = steady::duration{first_reconnect_pause};
    const auto until = give_up_at(steady::now());
    for (;;) {
      const auto link = new_connection();
      opening.insert(opening.end(), link);
      auto opened = co_await link->open();
      opening.remove(link);
      if (opened)
        opened = link->enter_pipeline();
      if (opened)
        co_return link;
      if (is_closing || steady::now() + pause_span > until) {
        log::warn("no connection for a transaction", {{"error", opened.error().detail}});
        co_return detail::unavailable("The database cannot be reached.");
      }
      co_await pause(jittered(pause_span));
      pause_span *= 2;
    }
  }

  void return_connection(std::shared_ptr<connection> link) {
    if (is_closing || !link->is_idle())
      link->close();
    else
      idle.push_back(std::move(link));
  }

  // --- a commit whose answer was lost

  enum class verdict : std::uint8_t { committed, aborted, open, unknowable };

  /// What became of transaction `id`, as far as PostgreSQL knows now.
  asio::awaitable<verdict>
  look_up(const std::string& id, std::int64_t begun_at, const std::string& incarnation) {
    const auto id_only = detail::bind(id);
    const auto found = co_await submit(find_transaction_status, id_only);
    if (found.kind == fault::refused && found.sqlstate == "22023")
      co_return verdict::aborted; // "in the future": a crash took it, and its number was not given out again.
    if (found.kind != fault::none)
      co_return verdict::open;
    const auto status = found.value.front().find<std::string>("status");
    if (!status)
      co_return verdict::unknowable;
    if (status == "in progress")
      co_return verdict::open;
    if (status == "aborted")
      co_return verdict::aborted;
    if (found.value.front().get<std::string_view>("incarnation") == incarnation)
      co_return verdict::committed;

    // The server came up anew since. A transaction whose records a crash took before they were on disk leaves
    // its number to another one, and "committed" may be that one's. The recovery's own checkpoint knows the
    // first number that was given out again.
    const auto checkpoint = co_await submit(find_last_checkpoint, no_parameters);
    if (checkpoint.kind == fault::refused)
      co_return verdict::unknowable;
    if (checkpoint.kind != fault::none)
      co_return verdict::open;
    const auto last = checkpoint.value.front();
    if (last.get<std::int64_t>("made_at") < begun_at)
      co_return verdict::committed; // No start since: only the statistics were reset.
    std::uint64_t number = 0;
    std::from_chars(id.data(), id.data() + id.size(), number);
    if (!last.get<bool>("is_of_start"))
      co_return verdict::unknowable;
    co_return number < to_full_transaction_id(last.get<std::string_view>("next_xid")) ? verdict::committed
                                                                                      : verdict::aborted;
  }

  asio::awaitable<result<>> decide(std::string id, std::int64_t begun_at, std::string incarnation) {
    const auto until = steady::now() + options.decision_timeout;
    auto pause_span = steady::duration{first_decision_pause};
    for (;;) {
      const auto found = co_await look_up(id, begun_at, incarnation);
      if (found == verdict::committed || found == verdict::aborted)
        log::warn("a commit whose answer was lost is decided", {{"committed", found == verdict::committed}});
      if (found == verdict::committed)
        co_return result<>{};
      if (found == verdict::aborted)
        co_return detail::unavailable("The connection to the database was lost; nothing was changed.");
      if (found == verdict::unknowable || is_closing || steady::now() + pause_span > until) {
        log::error("the outcome of a commit is not known");
        co_return detail::unavailable("The outcome of a commit is not known.");
      }
      co_await pause(jittered(pause_span));
      pause_span = std::min<steady::duration>(pause_span * 2, longest_decision_pause);
    }
  }

  // --- the end

  void shut_down() {
    is_closing = true;
    for (const auto& link : opening)
      link->close();
    for (const auto& s : slots) {
      if (s->link)
        s->link->close();
      s->link.reset();
      s->wake.cancel();
    }
    for (const auto& link : idle)
      link->close();
    idle.clear();
    for (auto* w : waiters)
      w->wake.cancel();
    patience.cancel();
    // What waits owns coroutines that own this: taken out, it is freed also by a loop that runs no more.
    asio::post(loop, [unsent = std::exchange(queue, {})]() mutable {
      refuse(std::move(unsent), detail::unavailable("The database's connections are being closed."));
    });
  }

  asio::any_io_executor loop;
  database_options options;
  std::vector<std::unique_ptr<slot>> slots;
  std::list<std::shared_ptr<connection>> opening;
  std::deque<pending_ptr> queue;
  asio::steady_timer patience;
  bool is_queue_watched = false;
  bool is_pump_scheduled = false;
  bool is_closing = false;
  std::optional<steady::time_point> down_since;

  std::vector<std::shared_ptr<connection>> idle;
  std::list<waiter*> waiters;
  std::size_t free_permits = 0;

  void count_answer(steady::time_point asked_at) {
    seconds.observe(std::chrono::duration<double>(steady::now() - asked_at).count());
  }

  std::size_t outstanding = 0;
  asio::steady_timer drained;
  std::uint64_t queries = 0;
  std::uint64_t failed = 0;
  std::uint64_t reconnects = 0;
  histogram<query_buckets> seconds;
};

database::database(asio::any_io_executor loop, database_options options)
    : implementation_(std::make_shared<implementation>(std::move(loop), std::move(options))) {}

database::~database() {
  try {
    implementation_->shut_down();
  } catch (const std::exception& failure) {
    log::error("the database's connections were not closed in order", {{"error", failure.what()}});
  }
}

asio::awaitable<result<>> database::connect() {
  const auto self = implementation_;
  if (self->slots.empty())
    for (std::size_t i = 0; i < self->options.pipelined_connections; ++i)
      self->slots.push_back(std::make_unique<implementation::slot>(self->loop));
  else if (self->is_up())
    co_return result<>{};
  if (const auto opened = co_await self->open(*self->slots.front()); !opened)
    co_return opened.error();
  for (const auto& s : self->slots)
    asio::co_spawn(self->loop, implementation::keep(self, *s), asio::detached);
  co_return result<>{};
}

bool database::is_up() const noexcept {
  return implementation_->is_up();
}

database_counters database::counters() const noexcept {
  const auto& self = *implementation_;
  const auto running = self.options.transaction_connections - self.free_permits;
  return {self.queries, self.failed, self.reconnects, self.outstanding, running + self.waiters.size(),
          self.seconds};
}

const database_options& database::options() const noexcept {
  return implementation_->options;
}

asio::awaitable<result<rows>> database::execute(const statement& s, std::vector<parameter> parameters) {
  const auto self = implementation_;
  if (std::any_of(parameters.begin(), parameters.end(), [](const parameter& p) { return p.has_nul(); }))
    co_return error{errc::invalid_request, "A text has a character that cannot be stored."};
  for (int repeats = 0;; ++repeats) {
    ++self->queries;
    if (self->outstanding >= self->options.max_outstanding) {
      ++self->failed;
      co_return overloaded("Too many statements wait for the database.");
    }
    const auto asked_at = steady::now();
    auto reply = co_await self->submit(s, parameters);
    self->count_answer(asked_at);
    if (reply.kind == fault::none)
      co_return std::move(reply.value);
    ++self->failed;
    const auto is_repeatable = reply.kind == fault::retryable || reply.kind == fault::stale;
    if (!is_repeatable || repeats == max_repeats)
      co_return std::move(reply.failure);
    if (reply.kind == fault::retryable)
      co_await pause_before_repeat(repeats + 1);
  }
}

asio::awaitable<void> database::close(std::chrono::milliseconds grace) {
  const auto self = implementation_;
  const auto until = steady::now() + grace;
  const auto is_drained = [&] {
    return self->outstanding == 0 && self->waiters.empty() &&
           self->free_permits == self->options.transaction_connections;
  };
  while (!is_drained() && steady::now() < until) {
    boost::system::error_code ignored;
    self->drained.expires_at(until);
    co_await self->drained.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  self->shut_down();
}

namespace detail {

/// One run of a transaction's body, with its connection and permit.
struct transaction_runs::run_state final : transaction {
  run_state(std::shared_ptr<database::implementation> from, std::shared_ptr<connection> taken)
      : owner(std::move(from)), link(std::move(taken)) {}
  ~run_state() override { release(); }

  asio::awaitable<result<rows>> execute(const statement& s, std::vector<parameter> parameters) override {
    if (std::any_of(parameters.begin(), parameters.end(), [](const parameter& p) { return p.has_nul(); })) {
      first_failure = answer{
        {}, fault::refused, {errc::invalid_request, "A text has a character that cannot be stored."}, {}, {}};
      co_return first_failure->failure;
    }
    ++owner->queries;
    const auto asked_at = steady::now();
    auto reply = co_await link->run(s, parameters);
    owner->count_answer(asked_at);
    if (reply.kind == fault::none)
      co_return std::move(reply.value);
    ++owner->failed;
    if (!first_failure)
      first_failure = reply;
    co_return std::move(reply.failure);
  }

  void release() {
    if (!link)
      return;
    owner->return_connection(std::exchange(link, nullptr));
    owner->return_permit();
  }

  std::shared_ptr<database::implementation> owner;
  std::shared_ptr<connection> link;
  std::string id;
  std::int64_t begun_at = 0;
  std::optional<answer> first_failure;
};

transaction_runs::transaction_runs(database& owner, isolation level)
    : owner_(owner.implementation_), level_(level) {}

transaction_runs::~transaction_runs() = default;

transaction& transaction_runs::current() noexcept {
  return *run_;
}

asio::awaitable<result<>> transaction_runs::begin() {
  if (const auto permitted = co_await owner_->take_permit(); !permitted)
    co_return permitted.error();
  struct hand_back {
    database::implementation* owner;
    ~hand_back() {
      if (owner != nullptr)
        owner->return_permit();
    }
  } unused_permit{owner_.get()};

  const auto& start = level_ == isolation::serializable      ? begin_serializable
                      : level_ == isolation::repeatable_read ? begin_repeatable_read
                                                             : begin_read_committed;
  for (;;) {
    auto taken = co_await owner_->take_connection();
    if (!taken)
      co_return taken.error();
    auto link = std::move(*taken);
    const auto begun = co_await link->run(identify_transaction, no_parameters, &start);
    if (begun.kind == fault::none) {
      unused_permit.owner = nullptr;
      run_ = std::make_unique<run_state>(owner_, std::move(link));
      run_->id = begun.value.front().get<std::string>("id");
      run_->begun_at = begun.value.front().get<std::int64_t>("begun_at");
      co_return result<>{};
    }
    link->close();
    // An idle connection may have died unnoticed; nothing was begun on it that could matter.
    const auto was_dead = begun.kind == fault::lost || begun.kind == fault::unsent;
    if (!was_dead || ++repeats_ > max_repeats)
      co_return begun.failure;
  }
}

asio::awaitable<result<bool>> transaction_runs::end(bool keep, bool may_repeat) {
  const auto run = std::move(run_);
  const auto is_repeatable = [&](const answer& failed) {
    return may_repeat && repeats_ < max_repeats &&
           (failed.kind == fault::retryable || failed.kind == fault::stale);
  };
  if (keep && !run->first_failure) {
    auto committed = co_await run->link->run(commit_transaction, no_parameters);
    if (committed.kind == fault::lost) {
      const auto incarnation = run->link->incarnation();
      run->release();
      const auto decided = co_await owner_->decide(run->id, run->begun_at, incarnation);
      if (!decided)
        co_return decided.error();
      co_return false;
    }
    if (committed.kind == fault::none && committed.value.command() == "COMMIT")
      co_return false;
    if (committed.kind == fault::none)
      co_return error{errc::internal,
                      "A transaction ended with " + std::string{committed.value.command()} + "."};
    run->release();
    if (!is_repeatable(committed))
      co_return std::move(committed.failure);
    ++repeats_;
    co_await pause_before_repeat(repeats_);
    co_return true;
  }

  if (run->link->is_open())
    static_cast<void>(co_await run->link->run(rollback_transaction, no_parameters));
  run->release();
  if (run->first_failure && is_repeatable(*run->first_failure)) {
    ++repeats_;
    co_await pause_before_repeat(repeats_);
    co_return true;
  }
  // A body that failed answers its own error; one that hid a failure answers that.
  if (keep)
    co_return std::move(run->first_failure->failure);
  co_return false;
}

} // namespace detail

} // namespace skyengine::db
