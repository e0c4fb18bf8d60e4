#include "db/connection.hpp"

#include "db/sqlstate.hpp"
#include "domain/log.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <libpq-fe.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <stdexcept>
#include <utility>

namespace skyengine::db::detail {

namespace {

using namespace std::chrono_literals;

/// How much longer than its own time-outs the server may stay silent before the connection counts as dead.
constexpr auto silence_allowance = 5s;

struct free_options {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using conninfo = std::unique_ptr<PQconninfoOption, free_options>;

std::string value_of(const conninfo& options, std::string_view keyword) {
  for (auto* option = options.get(); option != nullptr && option->keyword != nullptr; ++option)
    if (keyword == option->keyword && option->val != nullptr)
      return option->val;
  return {};
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  for (;;) {
    const auto comma = text.find(',');
    parts.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos)
      return parts;
    text.remove_prefix(comma + 1);
  }
}

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i)
    text += (i == 0 ? "" : ",") + parts[i];
  return text;
}

std::string one_line(std::string_view text) {
  std::string line{text};
  std::replace_if(
    line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  while (!line.empty() && line.back() == ' ')
    line.pop_back();
  return line;
}

std::string_view field_of(const pg_result* r, int code) {
  const char* text = PQresultErrorField(r, code);
  return text == nullptr ? std::string_view{} : std::string_view{text};
}

/// The addresses of one host name, empty when there is none or none in time.
asio::awaitable<std::vector<std::string>> addresses_of(std::string host,
                                                       std::chrono::steady_clock::time_point deadline) {
  // getaddrinfo cannot be interrupted, so the answer races with a timer and may come when nobody waits.
  struct lookup {
    asio::ip::tcp::resolver resolver;
    asio::steady_timer done;
    std::vector<std::string> addresses;
  };
  const auto loop = co_await asio::this_coro::executor;
  const auto state =
    std::make_shared<lookup>(lookup{asio::ip::tcp::resolver{loop}, asio::steady_timer{loop}, {}});
  state->done.expires_at(deadline);
  state->resolver.async_resolve(host, "", [state](boost::system::error_code failure, const auto& found) {
    if (!failure)
      for (const auto& entry : found) {
        auto address = entry.endpoint().address().to_string();
        if (std::find(state->addresses.begin(), state->addresses.end(), address) == state->addresses.end())
          state->addresses.push_back(std::move(address));
      }
    state->done.cancel();
  });
  boost::system::error_code ignored;
  co_await state->done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  co_return state->addresses;
}

void ignore_notice(void*, const pg_result* notice) {
  log::debug("PostgreSQL gives notice", {{"sqlstate", field_of(notice, PG_DIAG_SQLSTATE)}});
}

} // namespace

void abandon::operator()(pending* p) const noexcept {
  // The handler owns the coroutine in which *p lives: it must not die while it is being taken out.
  const auto handler = std::move(*p->handler);
}

void complete(pending_ptr p) {
  auto handler = std::move(*p->handler);
  auto reply = std::move(p->reply);
  static_cast<void>(p.release());
  std::move(handler)(std::move(reply));
}

connection::connection(asio::any_io_executor loop, connection_settings settings)
    : loop_(std::move(loop)), settings_(std::move(settings)), socket_(loop_), deadline_(loop_) {}

connection::~connection() {
  drop();
}

asio::awaitable<result<>> connection::open() {
  const auto self = shared_from_this();
  state_ = state::opening;
  deadline_.expires_after(settings_.connect_timeout);
  deadline_.async_wait([weak = weak_from_this()](boost::system::error_code failure) {
    const auto late = weak.lock();
    if (failure || !late)
      return;
    late->timed_out_ = true;
    late->socket_.cancel(failure);
  });
  auto outcome = co_await connect();
  deadline_.cancel();
  if (outcome && state_ == state::opening && !timed_out_) {
    state_ = state::open;
    co_return outcome;
  }
  if (outcome)
    outcome = unavailable("The database did not answer in time.");
  state_ = state::closed;
  drop();
  co_return outcome;
}

asio::awaitable<result<>> connection::connect() {
  std::vector<std::string> keywords;
  std::vector<std::string> values;
  if (const auto resolved = co_await resolve(keywords, values); !resolved)
    co_return resolved.error();

  std::vector<const char*> keyword_pointers;
  std::vector<const char*> value_pointers;
  for (std::size_t i = 0; i < keywords.size(); ++i) {
    keyword_pointers.push_back(keywords[i].c_str());
    value_pointers.push_back(values[i].c_str());
  }
  keyword_pointers.push_back(nullptr);
  value_pointers.push_back(nullptr);
  pg_ = PQconnectStartParams(keyword_pointers.data(), value_pointers.data(), 0);
  if (pg_ == nullptr)
    throw std::bad_alloc{};
  PQsetNoticeReceiver(pg_, ignore_notice, nullptr);

  for (auto wanted = PGRES_POLLING_WRITING; wanted != PGRES_POLLING_OK; wanted = PQconnectPoll(pg_)) {
    if (PQstatus(pg_) == CONNECTION_BAD || wanted == PGRES_POLLING_FAILED)
      co_return unavailable(reason());
    // libpq may change its socket from step to step, also to another one of the same number.
    boost::system::error_code failure;
    socket_.assign(PQsocket(pg_), failure);
    if (failure)
      co_return unavailable(failure.message());
    const auto ready =
      co_await wait_for(wanted == PGRES_POLLING_READING ? asio::posix::descriptor_base::wait_read
                                                        : asio::posix::descriptor_base::wait_write);
    if (socket_.is_open())
      socket_.release();
    if (!ready)
      co_return unavailable("The database did not answer in time.");
  }
  PQsetnonblocking(pg_, 1);
  boost::system::error_code failure;
  socket_.assign(PQsocket(pg_), failure);
  if (failure)
    co_return unavailable(failure.message());

  const auto milliseconds = [](std::chrono::milliseconds span) { return std::to_string(span.count()); };
  const auto session = co_await run_script(
    "SET synchronous_commit TO on; SET TimeZone TO 'UTC'; SET DateStyle TO 'ISO, YMD';"
    "SET statement_timeout TO " +
    milliseconds(settings_.statement_timeout) + "; SET lock_timeout TO " +
    milliseconds(settings_.lock_timeout) + "; SET idle_in_transaction_session_timeout TO " +
    milliseconds(settings_.idle_transaction_timeout) +
    "; SET idle_session_timeout TO 0;"
    // A peer that is gone without a word leaves its session, and the locks that it holds, for no longer.
    "SET tcp_keepalives_idle TO 10; SET tcp_keepalives_interval TO 5; SET tcp_keepalives_count TO 3;"
    "SET tcp_user_timeout TO 30000;"
    // A crash recovery without a new postmaster resets the statistics, so both together tell every restart.
    "SELECT pg_postmaster_start_time()::text || ' ' || coalesce((SELECT stats_reset::text FROM "
    "pg_stat_bgwriter), '')"
    " AS incarnation");
  if (session.kind != fault::none)
    co_return unavailable(session.message.empty() ? session.failure.detail : session.message);
  if (PQserverVersion(pg_) < 150000)
    co_return unavailable("PostgreSQL 15 or newer is needed.");
  incarnation_ = session.value.front().get<std::string>("incarnation");
  co_return result<>{};
}

asio::awaitable<result<>> connection::resolve(std::vector<std::string>& keywords,
                                              std::vector<std::string>& values) {
  char* problem = nullptr;
  const conninfo given{PQconninfoParse(settings_.url.c_str(), &problem)};
  // libpq's own words may quote the password.
  PQfreemem(problem);
  if (!given)
    co_return unavailable("The database's URL cannot be read.");
  const conninfo defaults{PQconndefaults()};
  const auto setting = [&](std::string_view keyword) {
    auto value = value_of(given, keyword);
    return value.empty() ? value_of(defaults, keyword) : value;
  };

  const auto hosts = split(value_of(given, "hostaddr").empty() ? setting("host") : value_of(given, "host"));
  const auto addresses = split(setting("hostaddr"));
  const auto ports = split(setting("port"));
  const auto count = std::max(hosts.size(), addresses.size());
  const auto deadline = std::chrono::steady_clock::now() + settings_.connect_timeout;
  std::vector<std::string> final_hosts;
  std::vector<std::string> final_addresses;
  std::vector<std::string> final_ports;
  std::string unknown;
  for (std::size_t i = 0; i < count; ++i) {
    const auto host = i < hosts.size() ? hosts[i] : std::string{};
    const auto address = i < addresses.size() ? addresses[i] : std::string{};
    std::vector<std::string> found{address};
    boost::system::error_code is_name;
    if (address.empty() && !host.empty() && host.front() != '/' && host.front() != '@') {
      static_cast<void>(asio::ip::make_address(host, is_name));
      found = is_name ? co_await addresses_of(host, deadline) : std::vector{host};
      if (found.empty())
        unknown = host;
    }
    for (const auto& one : found) {
      final_hosts.push_back(host);
      final_addresses.push_back(one);
      final_ports.push_back(ports.size() == 1 ? ports.front() : i < ports.size() ? ports[i] : std::string{});
    }
  }
  if (final_hosts.empty())
    co_return unavailable("The database's host name \"" + unknown + "\" is not known.");

  const auto add = [&](const char* keyword, std::string value) {
    keywords.emplace_back(keyword);
    values.push_back(std::move(value));
  };
  // Later ones win, so ours that the URL may override stand before it and the others behind.
  add("application_name", settings_.application_name);
  add("gssencmode", "disable");
  add("keepalives", "1");
  add("keepalives_idle", "30");
  add("keepalives_interval", "10");
  add("keepalives_count", "3");
  add("tcp_user_timeout", "30000");
  static const std::set<std::string_view> decided{"host", "hostaddr", "port", "client_encoding",
                                                  "connect_timeout"};
  for (auto* option = given.get(); option->keyword != nullptr; ++option)
    if (option->val != nullptr && !decided.contains(option->keyword))
      add(option->keyword, option->val);
  add("host", join(final_hosts));
  add("hostaddr", join(final_addresses));
  add("port", join(final_ports));
  add("client_encoding", "UTF8");
  co_return result<>{};
}

/// False: closed or too late.
asio::awaitable<bool> connection::wait_for(asio::posix::descriptor_base::wait_type what) {
  if (timed_out_ || state_ == state::closed)
    co_return false;
  boost::system::error_code failure;
  co_await socket_.async_wait(what, asio::redirect_error(asio::use_awaitable, failure));
  co_return !failure && !timed_out_ && state_ != state::closed;
}

asio::awaitable<answer> connection::run_script(std::string sql) {
  const auto self = shared_from_this();
  if (state_ == state::closed || PQsendQuery(pg_, sql.c_str()) == 0)
    co_return answer{{}, fault::unsent, unavailable("The connection to the database is lost."), {}, {}};
  co_return co_await receive_script();
}

asio::awaitable<answer> connection::receive_script() {
  pending script;
  static constexpr statement script_name{"script", ""};
  script.what = &script_name;
  for (int rest = PQflush(pg_); rest != 0; rest = PQflush(pg_))
    if (rest < 0 || !co_await wait_for(asio::posix::descriptor_base::wait_write))
      break;
  for (;;) {
    while (PQisBusy(pg_) != 0)
      if (!co_await wait_for(asio::posix::descriptor_base::wait_read) || PQconsumeInput(pg_) == 0) {
        auto reply = answer{{}, fault::lost, unavailable("The connection to the database is lost."), {}, {}};
        if (state_ == state::open)
          lose("no answer to a script");
        co_return reply;
      }
    auto* const r = PQgetResult(pg_);
    if (r == nullptr)
      co_return std::move(script.reply);
    record(script, r);
  }
}

result<> connection::enter_pipeline() {
  if (state_ != state::open || PQenterPipelineMode(pg_) == 0)
    return unavailable("The connection to the database is lost.");
  answered_at_ = std::chrono::steady_clock::now();
  watch();
  guard();
  return {};
}

connection::prepared& connection::preparation_of(const statement& s) {
  const auto [found, is_new] = prepared_.try_emplace(s.name, prepared{s.sql, s.name});
  if (!is_new && found->second.sql != s.sql && std::strcmp(found->second.sql, s.sql) != 0)
    throw std::logic_error("two statements have the name \"" + std::string{s.name} + "\"");
  return found->second;
}

bool connection::send(pending_ptr& p) {
  if (state_ != state::open)
    return false;
  auto& op = *p;
  op.results = 0;
  op.preparation = -1;
  int results = 0;
  bool sent = true;
  const auto prepare = [&](const statement& s) -> const char* {
    auto& preparation = preparation_of(s);
    if (!preparation.exists) {
      sent = sent && PQsendPrepare(pg_, preparation.name.c_str(), s.sql, 0, nullptr) != 0;
      preparation.exists = true;
      ++results;
    }
    return preparation.name.c_str();
  };
  if (op.prelude != nullptr) {
    const auto* const name = prepare(*op.prelude);
    sent = sent && PQsendQueryPrepared(pg_, name, 0, nullptr, nullptr, nullptr, 0) != 0;
    ++results;
  }
  const auto before = results;
  const auto* const name = prepare(*op.what);
  if (results != before)
    op.preparation = before;
  values_.clear();
  for (const auto& parameter : *op.parameters)
    values_.push_back(parameter.data());
  sent = sent && PQsendQueryPrepared(pg_, name, static_cast<int>(values_.size()), values_.data(), nullptr,
                                     nullptr, 0) != 0;
  if (!sent) {
    // Without the sync nothing of it is ever committed.
    lose(reason());
    return false;
  }
  in_flight_.push_back(std::move(p));
  if (PQpipelineSync(pg_) == 0)
    lose(reason());
  else
    flush();
  return true;
}

asio::awaitable<answer>
connection::run(const statement& what, const std::vector<parameter>& parameters, const statement* prelude) {
  const auto self = shared_from_this();
  pending op;
  op.what = &what;
  op.parameters = &parameters;
  op.prelude = prelude;
  op.queued_at = std::chrono::steady_clock::now();
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(answer)>(
    [](auto handler, connection* to, pending* operation) {
      operation->handler.emplace(std::move(handler));
      pending_ptr owned{operation};
      if (to->send(owned))
        return;
      owned->reply.kind = fault::unsent;
      owned->reply.failure = unavailable("The connection to the database is lost.");
      asio::post(to->loop_, [unsent = std::move(owned)]() mutable { complete(std::move(unsent)); });
    },
    asio::use_awaitable, this, &op);
}

bool connection::is_idle() const noexcept {
  return state_ == state::open && PQtransactionStatus(pg_) == PQTRANS_IDLE;
}

void connection::close() {
  if (state_ == state::opening) {
    // `open` is waiting with it and drops it when it comes back.
    state_ = state::closed;
    boost::system::error_code ignored;
    socket_.cancel(ignored);
    deadline_.cancel();
    return;
  }
  on_lost = nullptr;
  lose({});
}

void connection::watch() {
  socket_.async_wait(asio::posix::descriptor_base::wait_read,
                     [self = shared_from_this()](boost::system::error_code failure) {
                       if (!failure && self->state_ == state::open)
                         self->on_readable();
                     });
}

/// A server that is stopped, or gone without a word, is noticed here: its own time-outs cannot tell.
void connection::guard() {
  if (settings_.statement_timeout == 0ms)
    return;
  deadline_.expires_after(1s);
  deadline_.async_wait([weak = weak_from_this()](boost::system::error_code failure) {
    const auto self = weak.lock();
    if (failure || !self || self->state_ != state::open)
      return;
    const auto limit = self->settings_.statement_timeout + silence_allowance;
    const auto now = std::chrono::steady_clock::now();
    if (!self->in_flight_.empty() && now - self->answered_at_ > limit &&
        now - self->in_flight_.front()->queued_at > limit)
      self->lose("the server is silent");
    else
      self->guard();
  });
}

void connection::on_readable() {
  const auto broken = PQconsumeInput(pg_) == 0;
  answered_at_ = std::chrono::steady_clock::now();
  std::vector<pending_ptr> answered;
  const auto understood = receive(answered);
  deliver_notifications();
  for (auto& p : answered)
    complete(std::move(p));
  if (state_ != state::open)
    return;
  if (broken || !understood || PQstatus(pg_) == CONNECTION_BAD)
    return lose(reason());
  watch();
  if (on_answered)
    on_answered();
}

/// Takes all results that are there; false: an answer that no statement of ours can have.
bool connection::receive(std::vector<pending_ptr>& answered) {
  bool ended = false;
  while (!in_flight_.empty() && PQisBusy(pg_) == 0) {
    auto* const r = PQgetResult(pg_);
    if (r == nullptr) {
      // One NULL ends each statement's results; two in a row say that libpq has nothing in its queue.
      if (std::exchange(ended, true))
        return true;
      continue;
    }
    ended = false;
    switch (PQresultStatus(r)) {
    case PGRES_PIPELINE_SYNC:
      PQclear(r);
      answered.push_back(std::move(in_flight_.front()));
      in_flight_.pop_front();
      break;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
      PQclear(r);
      return false;
    default:
      record(*in_flight_.front(), r);
    }
  }
  // libpq looks for notifications only while it looks for results.
  if (in_flight_.empty())
    PQisBusy(pg_);
  return true;
}

/// Takes `r` over as (part of) what became of `p`.
void connection::record(pending& p, pg_result* r) {
  const rows taken{r};
  const auto position = p.results++;
  auto& reply = p.reply;
  switch (PQresultStatus(r)) {
  case PGRES_COMMAND_OK:
  case PGRES_TUPLES_OK:
  case PGRES_EMPTY_QUERY:
    if (reply.kind == fault::none)
      reply.value = taken;
    return;
  case PGRES_PIPELINE_ABORTED:
    if (position == p.preparation)
      preparation_of(*p.what).exists = false;
    return;
  default:
    break;
  }
  if (position == p.preparation)
    preparation_of(*p.what).exists = false;
  if (reply.kind != fault::none)
    return;

  reply.value = {};
  reply.sqlstate = field_of(r, PG_DIAG_SQLSTATE);
  const auto severity = field_of(r, PG_DIAG_SEVERITY_NONLOCALIZED);
  const auto constraint = field_of(r, PG_DIAG_CONSTRAINT_NAME);
  if (reply.sqlstate.empty()) {
    reply.kind = fault::lost;
    reply.failure = unavailable("The connection to the database is lost.");
    return;
  }
  reply.failure = to_error(reply.sqlstate, constraint);
  if (has_harmless_message(reply.sqlstate))
    reply.message = one_line(field_of(r, PG_DIAG_MESSAGE_PRIMARY));
  // 0A000 is what a prepared statement answers whose tables have changed.
  const auto is_stale = p.preparation < 0 && (reply.sqlstate == "26000" || reply.sqlstate == "0A000");
  if (severity == "FATAL" || severity == "PANIC") {
    reply.kind = fault::lost;
  } else if (is_retryable(reply.sqlstate)) {
    reply.kind = fault::retryable;
  } else if (is_stale && prepared_.contains(p.what->name)) {
    reply.kind = fault::stale;
    auto& preparation = preparation_of(*p.what);
    preparation.exists = false;
    preparation.name = std::string{p.what->name} + '/' + std::to_string(++preparation.generation);
  } else {
    reply.kind = fault::refused;
  }
  const auto is_expected = reply.kind != fault::refused || reply.failure.code == errc::conflict;
  log::write(is_expected ? log::level::debug : log::level::warn, "PostgreSQL refused a statement",
             {{"statement", p.what->name},
              {"sqlstate", reply.sqlstate},
              {"constraint", constraint},
              {"error", reply.message}});
}

void connection::deliver_notifications() {
  for (auto* notice = PQnotifies(pg_); notice != nullptr;
       notice = state_ == state::open ? PQnotifies(pg_) : nullptr) {
    const std::unique_ptr<PGnotify, decltype(&PQfreemem)> owned{notice, PQfreemem};
    if (on_notification)
      on_notification(owned->relname, owned->extra);
  }
}

void connection::flush() {
  if (writing_ || state_ != state::open)
    return;
  const auto rest = PQflush(pg_);
  if (rest < 0)
    return lose(reason());
  if (rest == 0)
    return;
  writing_ = true;
  socket_.async_wait(asio::posix::descriptor_base::wait_write,
                     [self = shared_from_this()](boost::system::error_code failure) {
                       self->writing_ = false;
                       if (!failure)
                         self->flush();
                     });
}

void connection::lose(std::string why) {
  if (state_ == state::closed)
    return;
  const auto self = shared_from_this();
  state_ = state::closed;
  deadline_.cancel();
  drop();
  auto victims = std::exchange(in_flight_, {});
  if (on_lost) {
    log::warn("a connection to PostgreSQL is lost",
              {{"error", why}, {"statements", static_cast<std::int64_t>(victims.size())}});
    std::exchange(on_lost, nullptr)(why);
  }
  if (victims.empty())
    return;
  // Posted, since the one that noticed may be just about to wait.
  asio::post(loop_, [lost = std::move(victims)]() mutable {
    for (auto& p : lost) {
      if (p->reply.kind == fault::none)
        p->reply = answer{{}, fault::lost, unavailable("The connection to the database is lost."), {}, {}};
      complete(std::move(p));
    }
  });
}

void connection::drop() {
  if (socket_.is_open())
    socket_.release();
  PQfinish(std::exchange(pg_, nullptr));
}

std::string connection::reason() const {
  return one_line(PQerrorMessage(pg_));
}

} // namespace skyengine::db::detail
