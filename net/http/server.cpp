#include "net/http/server.hpp"

#include "domain/log.hpp"
#include "net/http/request_reader.hpp"
#include "net/http/response_head.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/intrusive/list.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <random>
#include <set>
#include <unordered_map>

namespace skyengine::net::http {

namespace {

using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;
using steady = std::chrono::steady_clock;
using tls_stream = asio::ssl::stream<tcp::socket>;

constexpr auto tuple = asio::as_tuple(asio::deferred);

/// How long, and how much, a connection that we close is still read: closing with bytes unread makes the
/// kernel send a reset, which may overtake our answer.
constexpr milliseconds linger_time{2'000};
constexpr milliseconds linger_time_of_a_stop{200};
constexpr std::size_t linger_bytes = 1024 * 1024;
/// A body up to this is copied behind its header, a larger one is a buffer of its own in the same write.
constexpr std::size_t joined_body_bytes = 16 * 1024;
/// A request that is not whole after this makes room before those who keep a connection for their next one.
constexpr milliseconds slow_after{1'000};
/// So long everybody may stay: a client on a busy machine must get to its first byte.
constexpr milliseconds least_stay{250};
constexpr milliseconds room_pause{5};
/// While no descriptor is free; long enough that trying costs nothing, short enough that nobody notices.
constexpr milliseconds accept_pause{50};

/// What a connection is doing, which decides what its deadline and a stop mean.
enum class phase : std::uint8_t {
  handshake,
  silent,
  idle,
  header,
  body,
  handling,
  writing,
  streaming,
  lingering
};

class connection : public boost::intrusive::list_base_hook<> {
public:
  virtual ~connection() = default;

  /// Ends it now. The coroutine finds out by a failing read or write.
  virtual void close() noexcept = 0;
  /// Its deadline has come.
  virtual void expire() noexcept = 0;
  /// The server is stopping: a stream without end is to end.
  virtual void wake_stream() noexcept = 0;

  phase doing = phase::handshake;
  steady::time_point deadline = steady::time_point::max();
  /// When it came, its last request ended, or its present one began; what waits longest is evicted first.
  steady::time_point waiting_since = steady::now();
  asio::ip::address address;
};

using connection_list = boost::intrusive::list<connection, boost::intrusive::constant_time_size<true>>;

asio::ip::address unmapped(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  return address;
}

/// RFC 9110's form of dates, made once a second.
class date_line {
public:
  std::string_view now() {
    const auto second = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    if (second != second_) {
      second_ = second;
      write(second);
    }
    return text_;
  }

private:
  void put(std::size_t at, unsigned number, std::size_t digits) {
    for (auto i = at + digits; i-- > at; number /= 10)
      text_[i] = static_cast<char>('0' + number % 10);
  }

  void write(std::chrono::sys_seconds time) {
    constexpr std::string_view days = "SunMonTueWedThuFriSat";
    constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss clock{time - day};
    text_.replace(0, 3, days, 3 * std::chrono::weekday{day}.c_encoding(), 3);
    put(5, static_cast<unsigned>(date.day()), 2);
    text_.replace(8, 3, months, 3 * (static_cast<unsigned>(date.month()) - 1), 3);
    put(12, static_cast<unsigned>(static_cast<int>(date.year())), 4);
    put(17, static_cast<unsigned>(clock.hours().count()), 2);
    put(20, static_cast<unsigned>(clock.minutes().count()), 2);
    put(23, static_cast<unsigned>(clock.seconds().count()), 2);
  }

  std::chrono::sys_seconds second_{};
  std::string text_ = "Thu, 01 Jan 1970 00:00:00 GMT";
};

/// Names for requests that brought none: unlike each other, across nodes and restarts.
class request_id_maker {
public:
  void make(std::string& id) {
    // SplitMix64: passes through all 2^64 values, so one server never repeats itself.
    auto x = state_ += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    x ^= x >> 31;
    id.resize(16);
    for (auto& digit : id) {
      digit = "0123456789abcdef"[x & 15];
      x >>= 4;
    }
  }

private:
  std::uint64_t state_ = [] {
    std::random_device random;
    return (static_cast<std::uint64_t>(random()) << 32) | random();
  }();
};

/// Counts something while it lives.
class in_flight {
public:
  explicit in_flight(std::size_t& count) noexcept : count_(count) { ++count_; }
  ~in_flight() { --count_; }
  in_flight(const in_flight&) = delete;
  in_flight& operator=(const in_flight&) = delete;

private:
  std::size_t& count_;
};

void log_bug(const std::exception_ptr& bug, std::string_view where, std::string_view request_id) noexcept {
  try {
    std::rethrow_exception(bug);
  } catch (const std::exception& e) {
    log::error(where, {{"request_id", request_id}, {"error", e.what()}});
  } catch (...) {
    log::error(where, {{"request_id", request_id}, {"error", "something that is no std::exception"}});
  }
}

} // namespace

struct server::implementation : std::enable_shared_from_this<server::implementation> {
  implementation(asio::any_io_executor executor, server_options o, handler h, rejecter r)
      : loop(std::move(executor)), options(std::move(o)), handle(std::move(h)), reject(std::move(r)),
        acceptor(loop), accept_timer(loop), sweep_timer(loop), drained_timer(loop) {
    for (const auto& proxy : options.trusted_proxies) {
      error_code ec;
      const auto address = asio::ip::make_address(proxy, ec);
      if (!ec)
        trusted.insert(unmapped(address));
    }
    // Deadlines are looked at this often; a quarter of the shortest keeps them true enough.
    tick = std::clamp(
      std::min({options.header_timeout, options.body_timeout, options.idle_timeout, options.write_timeout}) /
        4,
      milliseconds{5}, milliseconds{250});
  }

  bool is_exempt(const asio::ip::address& address) const {
    return (options.exempts_loopback && address.is_loopback()) || trusted.contains(address);
  }

  void enter(connection& c) {
    connections.push_back(c);
    if (!is_exempt(c.address))
      ++per_address[c.address.to_string()];
    if (!is_sweeping) {
      is_sweeping = true;
      asio::co_spawn(loop, sweep(shared_from_this()), asio::detached);
    }
  }

  void leave(connection& c) noexcept {
    if (!c.is_linked())
      return;
    connections.erase(connections.iterator_to(c));
    if (!is_exempt(c.address))
      if (const auto found = per_address.find(c.address.to_string());
          found != per_address.end() && --found->second == 0)
        per_address.erase(found);
    if (connections.empty())
      drained_timer.cancel();
  }

  /// Who makes room first: who never said anything, whose request does not come on, who is between two, whose
  /// request has just begun or is answered. Nothing for those at work.
  static std::optional<int> eviction_rank(const connection& c, steady::time_point now) noexcept {
    switch (c.doing) {
    case phase::handshake:
    case phase::silent:
      return 0;
    case phase::header:
    case phase::body:
      return now - c.waiting_since >= slow_after ? 1 : 3;
    case phase::idle:
      return 2;
    case phase::lingering:
      return 3;
    case phase::handling:
    case phase::writing:
    case phase::streaming:
      break;
    }
    return std::nullopt;
  }

  /// Nobody could be closed at present, but somebody will be in a moment.
  bool has_room_soon() const noexcept {
    const auto now = steady::now();
    bool is_soon = false;
    for (const auto& c : connections)
      if (eviction_rank(c, now)) {
        if (now - c.waiting_since >= least_stay)
          return false;
        is_soon = true;
      }
    return is_soon;
  }

  enum class room : std::uint8_t {
    made,
    /// There will be some in a moment: whoever could go has had no time yet to say what it wants.
    soon,
    /// All are at work.
    none,
  };

  /// Closes the connection that has waited longest without a whole request.
  room make_room() noexcept {
    connection* chosen = nullptr;
    int chosen_rank = 0;
    auto without = room::none;
    const auto now = steady::now();
    for (auto& c : connections) {
      const auto rank = eviction_rank(c, now);
      if (!rank)
        continue;
      without = room::soon;
      if (now - c.waiting_since < least_stay)
        continue;
      if (!chosen || *rank < chosen_rank ||
          (*rank == chosen_rank && c.waiting_since < chosen->waiting_since)) {
        chosen = &c;
        chosen_rank = *rank;
      }
    }
    if (!chosen)
      return without;
    chosen->close();
    ++evicted_connections;
    return room::made;
  }

  void close_all() noexcept {
    while (!connections.empty())
      connections.front().close();
  }

  void stop_accepting() noexcept {
    is_stopping = true;
    error_code ignored;
    acceptor.close(ignored);
    accept_timer.cancel();
  }

  response rejected(const error& why, const std::string& request_id) noexcept {
    try {
      return reject(why, request_id);
    } catch (...) {
      log_bug(std::current_exception(), "the maker of refusals failed", request_id);
    }
    response bare;
    bare.status = status::internal_server_error;
    return bare;
  }

  void admit(tcp::socket socket);
  void turn_away(tcp::socket socket);

  template <class Stream>
  class session;
  template <class Stream>
  void serve(Stream stream, const asio::ip::address& address);

  static asio::awaitable<void> accept(std::shared_ptr<implementation> self);
  static asio::awaitable<void> sweep(std::shared_ptr<implementation> self);

  asio::any_io_executor loop;
  server_options options;
  handler handle;
  rejecter reject;
  std::optional<asio::ssl::context> tls;
  tcp::acceptor acceptor;
  asio::steady_timer accept_timer;
  asio::steady_timer sweep_timer;
  asio::steady_timer drained_timer;
  milliseconds tick{};
  connection_list connections;
  std::unordered_map<std::string, std::size_t> per_address;
  std::set<asio::ip::address> trusted;
  date_line date;
  request_id_maker ids;
  std::size_t requests_in_flight = 0;
  std::uint64_t refused_connections = 0;
  std::uint64_t evicted_connections = 0;
  std::uint64_t accept_pauses = 0;
  bool is_sweeping = false;
  bool is_stopping = false;
};

/// One connection: reads requests in order, has each handled, writes its answer before it reads the next.
template <class Stream>
class server::implementation::session final : public connection,
                                              public std::enable_shared_from_this<session<Stream>> {
public:
  session(std::shared_ptr<implementation> owner, Stream stream, const asio::ip::address& peer)
      : owner_(std::move(owner)), stream_(std::move(stream)),
        reader_(request_, {owner_->options.max_header_bytes, owner_->options.max_body_bytes}),
        stream_timer_(owner_->loop) {
    address = peer;
    request_.remote_address = peer.to_string();
  }

  ~session() override { close(); }

  static asio::awaitable<void> run(std::shared_ptr<session> self) {
    if (co_await self->shake_hands())
      co_await self->serve_requests();
    self->close();
  }

  void close() noexcept override {
    error_code ignored;
    socket().close(ignored);
    peer_is_gone_ = true;
    stream_timer_.cancel();
    owner_->leave(*this);
  }

  void expire() noexcept override {
    deadline = steady::time_point::max();
    if (doing == phase::header || doing == phase::body) {
      // The reader wakes up, and says 408.
      is_too_slow_ = true;
      error_code ignored;
      socket().cancel(ignored);
    } else {
      close();
    }
  }

  void wake_stream() noexcept override { stream_timer_.cancel(); }

private:
  static constexpr bool is_tls = std::same_as<Stream, tls_stream>;

  enum class reading : std::uint8_t { complete, refused, gone };

  /// Writes a stream's pieces straight to the socket: nothing is kept but what is being written.
  class piece_writer final : public stream_writer {
  public:
    piece_writer(session& owner, bool is_chunked) : session_(owner), is_chunked_(is_chunked) {}

    asio::awaitable<bool> write(std::string_view piece) override {
      if (session_.peer_is_gone_)
        co_return false;
      // An empty chunk would be the end mark.
      if (piece.empty())
        co_return true;
      session_.expect_by(phase::streaming, session_.owner_->options.write_timeout);
      bool written = false;
      if (is_chunked_) {
        std::array<char, 18> size{};
        auto* const end = std::to_chars(size.data(), size.data() + 16, piece.size(), 16).ptr;
        std::ranges::copy(std::string_view{"\r\n"}, end);
        written =
          co_await session_.write({asio::buffer(size.data(), static_cast<std::size_t>(end - size.data()) + 2),
                                   asio::buffer(piece), asio::buffer("\r\n", 2)});
      } else {
        written = co_await session_.write({asio::buffer(piece)});
      }
      session_.deadline = steady::time_point::max();
      co_return written && !session_.peer_is_gone_;
    }

    bool is_closed() const noexcept override {
      return session_.peer_is_gone_ || session_.owner_->is_stopping;
    }

    asio::awaitable<bool> wait_closed(milliseconds at_most) override {
      if (!is_closed()) {
        session_.stream_timer_.expires_after(at_most);
        co_await session_.stream_timer_.async_wait(tuple);
      }
      co_return is_closed();
    }

  private:
    session& session_;
    bool is_chunked_;
  };

  using buffers = std::array<asio::const_buffer, 3>;

  tcp::socket& socket() noexcept {
    if constexpr (is_tls)
      return stream_.next_layer();
    else
      return stream_;
  }

  std::string_view input() const noexcept {
    const auto data = buffer_.data();
    return {static_cast<const char*>(data.data()), data.size()};
  }

  void expect_by(phase what, milliseconds within) noexcept {
    doing = what;
    deadline = steady::now() + within;
  }

  asio::awaitable<bool> shake_hands() {
    if constexpr (is_tls) {
      expect_by(phase::handshake, owner_->options.header_timeout);
      const auto [ec] = co_await stream_.async_handshake(asio::ssl::stream_base::server, tuple);
      co_return !ec;
    } else {
      error_code ec;
      // Lets an answer be written at once, without waiting for a turn of the loop.
      stream_.non_blocking(true, ec);
      co_return !ec;
    }
  }

  asio::awaitable<void> serve_requests() {
    for (bool is_first = true; !peer_is_gone_; is_first = false) {
      const auto outcome = co_await read_request(is_first ? phase::silent : phase::idle);
      if (outcome == reading::gone)
        co_return;
      if (request_.request_id.empty())
        owner_->ids.make(request_.request_id);
      if (outcome == reading::refused) {
        const auto answer = reject(refusal_);
        if (co_await write_answer(answer, true))
          co_await linger();
        co_return;
      }
      const auto answer = co_await handle_request();
      if (answer.stream && request_.method != verb::head) {
        co_await write_stream(answer);
        co_return;
      }
      const bool closes = !reader_.keeps_alive() || owner_->is_stopping;
      if (!co_await write_answer(answer, closes))
        co_return;
      if (closes) {
        co_await linger();
        co_return;
      }
    }
  }

  asio::awaitable<reading> read_request(phase waiting) {
    const auto& limits = owner_->options;
    reader_.restart();
    waiting_since = steady::now();
    if (buffer_.size() != 0) {
      expect_by(phase::header, limits.header_timeout);
    } else {
      if (owner_->is_stopping)
        co_return reading::gone;
      if (buffer_.capacity() > linger_bytes / 64)
        buffer_.shrink_to_fit();
      expect_by(waiting, waiting == phase::silent ? limits.header_timeout : limits.idle_timeout);
    }
    for (;;) {
      const auto step = reader_.feed(input());
      buffer_.consume(step.consumed);
      if (step.state == request_reader::progress::complete) {
        doing = phase::handling;
        deadline = steady::time_point::max();
        co_return reading::complete;
      }
      if (step.state == request_reader::progress::refused) {
        refusal_ = reader_.refusal();
        co_return reading::refused;
      }
      if (step.state == request_reader::progress::header_ready) {
        expect_by(phase::body, limits.body_timeout);
        if (reader_.expects_continue() && buffer_.size() == 0 &&
            !co_await write({asio::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25)}))
          co_return reading::gone;
        continue;
      }
      const std::size_t wanted = doing == phase::body ? 16 * 1024 : 4 * 1024;
      const auto [ec, size] = co_await stream_.async_read_some(buffer_.prepare(wanted), tuple);
      if (is_too_slow_) {
        refusal_ = error{errc::request_timeout,
                         doing == phase::body ? "the body took too long" : "the header took too long"};
        co_return reading::refused;
      }
      if (ec)
        co_return reading::gone;
      buffer_.commit(size);
      if (doing == phase::silent || doing == phase::idle) {
        expect_by(phase::header, limits.header_timeout);
        waiting_since = steady::now();
      }
    }
  }

  asio::awaitable<response> handle_request() {
    request_.deadline = steady::now() + owner_->options.request_timeout;
    const in_flight counted{owner_->requests_in_flight};
    std::exception_ptr bug;
    try {
      co_return co_await owner_->handle(request_);
    } catch (...) {
      bug = std::current_exception();
    }
    log_bug(bug, "a handler failed", request_.request_id);
    co_return reject(error{errc::internal, "an unexpected failure"});
  }

  response reject(const error& why) { return owner_->rejected(why, request_.request_id); }

  void begin_answer(const response& answer, body_framing framing, bool closes) {
    out_.clear();
    append_head(out_, answer,
                {.framing = framing,
                 .closes = closes,
                 .confirms_keep_alive = reader_.is_http_1_0(),
                 .request_id = request_.request_id,
                 .date = owner_->date.now()});
  }

  asio::awaitable<bool> write_answer(const response& answer, bool closes) {
    begin_answer(answer, body_framing::content_length, closes);
    expect_by(phase::writing, owner_->options.write_timeout);
    asio::const_buffer body;
    if (request_.method != verb::head && has_body(answer.status)) {
      if (answer.body.size() <= joined_body_bytes)
        out_ += answer.body;
      else
        body = asio::buffer(answer.body);
    }
    const buffers pieces{asio::buffer(out_), body};
    return write(pieces);
  }

  /// Its end, marked or not, closes the connection: a peer that sends on meanwhile is not listened to.
  asio::awaitable<void> write_stream(const response& answer) {
    const bool is_chunked = !reader_.is_http_1_0();
    begin_answer(answer, is_chunked ? body_framing::chunked : body_framing::until_close, true);
    expect_by(phase::writing, owner_->options.write_timeout);
    if (!co_await write({asio::buffer(out_)}))
      co_return;
    doing = phase::streaming;
    deadline = steady::time_point::max();
    is_watched_ = true;
    asio::co_spawn(owner_->loop, watch_peer(this->shared_from_this()), asio::detached);
    const in_flight counted{owner_->requests_in_flight};
    piece_writer writer{*this, is_chunked};
    std::exception_ptr bug;
    try {
      co_await answer.stream(writer);
    } catch (...) {
      bug = std::current_exception();
    }
    if (bug) {
      if (!peer_is_gone_)
        log_bug(bug, "a streamed answer was cut by a failure", request_.request_id);
      co_return;
    }
    expect_by(phase::writing, owner_->options.write_timeout);
    if (peer_is_gone_ || (is_chunked && !co_await write({asio::buffer("0\r\n\r\n", 5)})))
      co_return;
    say_goodbye();
    while (is_watched_ && !peer_is_gone_) {
      stream_timer_.expires_at(steady::time_point::max());
      co_await stream_timer_.async_wait(tuple);
    }
  }

  /// Reads beside a stream, so that the peer's leaving is noticed while nothing is written.
  static asio::awaitable<void> watch_peer(std::shared_ptr<session> self) {
    std::array<char, 512> ignored_input;
    for (std::size_t total = 0; total < linger_bytes;) {
      const auto [ec, size] = co_await self->stream_.async_read_some(asio::buffer(ignored_input), tuple);
      if (ec)
        break;
      total += size;
    }
    self->is_watched_ = false;
    self->close();
  }

  void say_goodbye() noexcept {
    expect_by(phase::lingering, owner_->is_stopping ? linger_time_of_a_stop : linger_time);
    error_code ignored;
    socket().shutdown(tcp::socket::shutdown_send, ignored);
  }

  /// Closes so that the peer can read the answer to the end, although it may still be sending.
  asio::awaitable<void> linger() {
    if constexpr (is_tls) {
      expect_by(phase::lingering, owner_->is_stopping ? linger_time_of_a_stop : linger_time);
      co_await stream_.async_shutdown(tuple);
    }
    say_goodbye();
    buffer_.clear();
    for (std::size_t total = 0; total < linger_bytes;) {
      const auto [ec, size] = co_await socket().async_read_some(buffer_.prepare(4 * 1024), tuple);
      if (ec)
        co_return;
      total += size;
    }
  }

  asio::awaitable<bool> write(buffers data) {
    if constexpr (!is_tls) {
      error_code ec;
      auto written = stream_.write_some(data, ec);
      if (ec && ec != asio::error::would_block && ec != asio::error::try_again)
        co_return false;
      std::size_t left = 0;
      for (auto& piece : data) {
        const auto taken = std::min(written, piece.size());
        piece += taken;
        written -= taken;
        left += piece.size();
      }
      if (left == 0)
        co_return true;
    }
    const auto [ec, size] = co_await asio::async_write(stream_, data, tuple);
    co_return !ec;
  }

  std::shared_ptr<implementation> owner_;
  Stream stream_;
  boost::beast::flat_buffer buffer_;
  request request_;
  request_reader reader_;
  std::string out_;
  error refusal_;
  asio::steady_timer stream_timer_;
  bool is_too_slow_ = false;
  bool peer_is_gone_ = false;
  bool is_watched_ = false;
};

template <class Stream>
void server::implementation::serve(Stream stream, const asio::ip::address& address) {
  const auto one = std::make_shared<session<Stream>>(shared_from_this(), std::move(stream), address);
  enter(*one);
  asio::co_spawn(loop, session<Stream>::run(one), [](const std::exception_ptr& bug) {
    if (bug)
      log_bug(bug, "a connection failed", {});
  });
}

void server::implementation::admit(tcp::socket socket) {
  error_code ec;
  const auto peer = socket.remote_endpoint(ec);
  if (ec)
    return;
  const auto address = unmapped(peer.address());
  if (!is_exempt(address)) {
    const auto held = per_address.find(address.to_string());
    if (held != per_address.end() && held->second >= options.max_connections_per_address)
      return turn_away(std::move(socket));
  }
  if (connections.size() >= options.max_connections && make_room() != room::made)
    return turn_away(std::move(socket));
  socket.set_option(tcp::no_delay{true}, ec);
  if (tls)
    serve(tls_stream{std::move(socket), *tls}, address);
  else
    serve(std::move(socket), address);
}

/// Answers without reading, as far as the socket takes it at once: who is refused costs us no memory.
void server::implementation::turn_away(tcp::socket socket) {
  ++refused_connections;
  if (tls)
    return;
  std::string id;
  ids.make(id);
  const auto answer =
    rejected(error{errc::overloaded, "too many connections", {}, std::chrono::seconds{1}}, id);
  std::string text;
  append_head(text, answer, {.closes = true, .request_id = id, .date = date.now()});
  text += answer.body;
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(text), ignored);
  socket.shutdown(tcp::socket::shutdown_send, ignored);
  std::array<char, 4096> input;
  socket.read_some(asio::buffer(input), ignored);
}

asio::awaitable<void> server::implementation::accept(std::shared_ptr<implementation> self) {
  bool is_paused = false;
  while (!self->is_stopping) {
    // The kernel keeps those who come now: better a moment's wait than a connection cut that has just begun.
    if (self->connections.size() >= self->options.max_connections && self->has_room_soon()) {
      self->accept_timer.expires_after(room_pause);
      co_await self->accept_timer.async_wait(tuple);
      continue;
    }
    auto [ec, socket] = co_await self->acceptor.async_accept(tuple);
    if (self->is_stopping)
      co_return;
    if (!ec) {
      is_paused = false;
      self->admit(std::move(socket));
      continue;
    }
    if (ec == asio::error::connection_aborted)
      continue;
    // Mostly no descriptor is free. The listener stays readable, so going on at once would spin.
    if (!is_paused)
      log::warn("accepting connections pauses", {{"error", ec.message()}});
    is_paused = true;
    ++self->accept_pauses;
    self->make_room();
    self->accept_timer.expires_after(accept_pause);
    co_await self->accept_timer.async_wait(tuple);
  }
}

asio::awaitable<void> server::implementation::sweep(std::shared_ptr<implementation> self) {
  while (!self->connections.empty()) {
    self->sweep_timer.expires_after(self->tick);
    co_await self->sweep_timer.async_wait(tuple);
    const auto now = steady::now();
    for (auto next = self->connections.begin(); next != self->connections.end();) {
      auto& one = *next++;
      if (one.deadline <= now)
        one.expire();
    }
  }
  self->is_sweeping = false;
}

namespace {

result<>
load_certificate(asio::ssl::context& context, const std::string& certificate, const std::string& key) {
  error_code ec;
  context.use_certificate_chain_file(certificate, ec);
  if (ec)
    return error{errc::invalid_request, "no certificate in " + certificate + ": " + ec.message()};
  context.use_private_key_file(key, asio::ssl::context::pem, ec);
  if (ec)
    return error{errc::invalid_request, "no key of that certificate in " + key + ": " + ec.message()};
  return {};
}

} // namespace

result<> check_certificate(const std::string& certificate, const std::string& key) {
  asio::ssl::context context{asio::ssl::context::tls_server};
  return load_certificate(context, certificate, key);
}

server::server(asio::any_io_executor loop, server_options options, handler handle, rejecter reject)
    : implementation_(std::make_shared<implementation>(
        std::move(loop), std::move(options), std::move(handle), std::move(reject))) {}

server::~server() {
  implementation_->stop_accepting();
  implementation_->close_all();
}

result<tcp::endpoint> server::listen(const std::string& host, std::uint16_t port) {
  auto& self = *implementation_;
  error_code ec;
  auto numeric = host == "localhost" ? "127.0.0.1" : host;
  if (numeric.size() > 2 && numeric.front() == '[' && numeric.back() == ']')
    numeric = numeric.substr(1, numeric.size() - 2);
  const auto address = asio::ip::make_address(numeric, ec);
  if (ec)
    return error{errc::invalid_request, "\"" + host + "\" is no IP address to listen on"};
  const auto name = host + ":" + std::to_string(port);

  if (self.options.tls_certificate.empty() != self.options.tls_key.empty())
    return error{errc::invalid_request, "TLS needs both a certificate and its key"};
  if (!self.options.tls_certificate.empty()) {
    auto& context = self.tls.emplace(asio::ssl::context::tls_server);
    context.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                        asio::ssl::context::no_tlsv1_1);
    if (const auto loaded = load_certificate(context, self.options.tls_certificate, self.options.tls_key);
        !loaded)
      return loaded.error();
  }

  tcp::endpoint endpoint{address, port};
  tcp::acceptor acceptor{self.loop};
  acceptor.open(endpoint.protocol(), ec);
  if (!ec)
    acceptor.set_option(tcp::acceptor::reuse_address{true}, ec);
  if (!ec)
    acceptor.bind(endpoint, ec);
  if (!ec)
    acceptor.listen(tcp::acceptor::max_listen_connections, ec);
  if (!ec)
    endpoint = acceptor.local_endpoint(ec);
  if (ec == asio::error::address_in_use)
    return error{errc::conflict, name + " is in use by another program"};
  if (ec == asio::error::access_denied)
    return error{errc::conflict, "listening on " + name + " is not permitted"};
  if (ec)
    return error{errc::conflict, "cannot listen on " + name + ": " + ec.message()};
  self.acceptor = std::move(acceptor);
  asio::co_spawn(self.loop, implementation::accept(implementation_), asio::detached);
  return endpoint;
}

server_counters server::counters() const noexcept {
  const auto& self = *implementation_;
  return {.connections = self.connections.size(),
          .requests_in_flight = self.requests_in_flight,
          .refused_connections = self.refused_connections,
          .evicted_connections = self.evicted_connections,
          .accept_pauses = self.accept_pauses};
}

asio::awaitable<void> server::stop(milliseconds grace) {
  const auto self = implementation_;
  self->stop_accepting();
  for (auto next = self->connections.begin(); next != self->connections.end();) {
    auto& one = *next++;
    switch (one.doing) {
    case phase::handshake:
    case phase::silent:
    case phase::idle:
      one.close();
      break;
    case phase::streaming:
      one.wake_stream();
      break;
    case phase::lingering:
      one.deadline = std::min(one.deadline, steady::now() + linger_time_of_a_stop);
      break;
    default:
      break;
    }
  }
  const auto until = steady::now() + grace;
  while (!self->connections.empty() && steady::now() < until) {
    self->drained_timer.expires_at(until);
    co_await self->drained_timer.async_wait(tuple);
  }
  self->close_all();
}

} // namespace skyengine::net::http
