#include "net/http/client.hpp"

#include "net/http/chunks.hpp"
#include "net/http/text.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/intrusive/list.hpp>

#include <algorithm>
#include <deque>
#include <optional>
#include <stdexcept>

namespace skyengine::net::http {

namespace {

namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;
using std::chrono::milliseconds;
using steady = std::chrono::steady_clock;
using kind = exchange_failure::kind;
template <class T>
using outcome = boost::system::result<T, exchange_failure>;

constexpr auto tuple = asio::as_tuple(asio::deferred);
constexpr std::size_t max_header_bytes = 64 * 1024;
/// Interim answers (1xx) before the answer; a peer that sends more has no answer in mind.
constexpr int max_interim_answers = 16;

struct origin {
  bool is_tls = false;
  std::string host;
  std::string port;
  /// As the Host header has it.
  std::string authority;
};

origin parse_origin(std::string_view text) {
  origin parsed;
  const auto bad = [&] { return std::invalid_argument("no origin: " + std::string{text}); };
  std::string_view rest = text;
  if (rest.starts_with("https://"))
    parsed.is_tls = true;
  else if (!rest.starts_with("http://"))
    throw bad();
  rest.remove_prefix(parsed.is_tls ? 8 : 7);
  rest = rest.substr(0, rest.find_first_of("/?#"));
  parsed.authority = rest;
  if (rest.starts_with('[')) {
    const auto end = rest.find(']');
    if (end == std::string_view::npos)
      throw bad();
    parsed.host = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
  } else {
    parsed.host = rest.substr(0, rest.find(':'));
    rest.remove_prefix(parsed.host.size());
  }
  parsed.port = parsed.is_tls ? "443" : "80";
  if (rest.starts_with(':')) {
    parsed.port = rest.substr(1);
    unsigned number = 0;
    const auto* const end = parsed.port.data() + parsed.port.size();
    if (const auto read = std::from_chars(parsed.port.data(), end, number);
        read.ec != std::errc{} || read.ptr != end || number == 0 || number > 65'535)
      throw bad();
  } else if (!rest.empty()) {
    throw bad();
  }
  if (parsed.host.empty() || std::ranges::any_of(parsed.authority, [](char c) {
        return !is_alphanumeric(c) && std::string_view{".-_:[]"}.find(c) == std::string_view::npos;
      }))
    throw bad();
  return parsed;
}

/// The whole request as it goes over the wire; why it cannot, when something in it would break its framing.
outcome<std::string> serialise(const client_request& request, const std::string& authority) {
  const std::string_view method = beast::http::to_string(request.method);
  if (request.method == verb::unknown || request.target.empty() ||
      std::ranges::any_of(request.target, [](char c) { return is_control(c) || c == ' ' || c == '\t'; }))
    return exchange_failure{kind::not_sent, "the method or the target of the request is not valid"};
  std::string text;
  text.reserve(512 + request.body.size());
  text += method;
  text += ' ';
  text += request.target;
  text += " HTTP/1.1\r\nHost: ";
  text += authority;
  for (const auto& header : request.headers) {
    switch (header.name()) {
    case field::host:
    case field::connection:
    case field::content_length:
    case field::transfer_encoding:
      continue;
    default:
      break;
    }
    const auto name = header.name_string();
    const auto value = header.value();
    if (std::any_of(value.begin(), value.end(), is_control) ||
        std::any_of(name.begin(), name.end(), is_control))
      return exchange_failure{kind::not_sent, "a control character in the header " + std::string{name}};
    text += "\r\n";
    text += name;
    text += ": ";
    text += value;
  }
  if (!request.body.empty() || request.method == verb::post || request.method == verb::put ||
      request.method == verb::patch) {
    text += "\r\nContent-Length: ";
    append_number(text, request.body.size());
  }
  text += "\r\n\r\n";
  text += request.body;
  return text;
}

/// One connection to the origin, plain or TLS, with one timer that cuts it.
class link : public std::enable_shared_from_this<link>, public boost::intrusive::list_base_hook<> {
public:
  link(const asio::any_io_executor& loop, asio::ssl::context* tls)
      : socket_(loop), timer_(loop), signal_(loop) {
    if (tls)
      tls_.emplace(socket_, *tls);
  }

  /// Closes the socket at `limit`, whatever it is doing then.
  void cut_at(steady::time_point limit) {
    limit_ = limit;
    timer_.expires_at(limit);
    timer_.async_wait([weak = weak_from_this()](error_code ec) {
      const auto self = weak.lock();
      if (ec || !self || steady::now() < self->limit_)
        return;
      self->is_overdue_ = true;
      self->close();
    });
  }

  void keep_open() {
    limit_ = steady::time_point::max();
    timer_.cancel();
  }

  void close() noexcept {
    error_code ignored;
    socket_.close(ignored);
    is_closed_ = true;
    signal_.cancel();
  }

  bool is_closed() const noexcept { return is_closed_; }
  bool is_overdue() const noexcept { return is_overdue_; }
  bool is_tls() const noexcept { return tls_.has_value(); }

  /// False when the peer has closed it, or says something that nobody asked for. Does not wait.
  bool is_quiet() {
    char byte = 0;
    error_code ec;
    if (tls_)
      tls_->read_some(asio::buffer(&byte, 1), ec);
    else
      socket_.read_some(asio::buffer(&byte, 1), ec);
    return ec == asio::error::would_block || ec == asio::error::try_again;
  }

  /// Empty when connected, else what failed.
  asio::awaitable<std::string> connect(const origin& to, bool verifies) {
    std::vector<tcp::endpoint> endpoints;
    error_code ec;
    if (const auto address = asio::ip::make_address(to.host, ec); !ec) {
      unsigned short port = 0;
      std::from_chars(to.port.data(), to.port.data() + to.port.size(), port);
      endpoints.emplace_back(address, port);
    } else {
      auto found = std::make_shared<resolution>();
      tcp::resolver resolver{socket_.get_executor()};
      resolver.async_resolve(to.host, to.port,
                             [found, self = shared_from_this()](error_code failed, const auto& results) {
                               found->failed = failed;
                               for (const auto& result : results)
                                 found->endpoints.push_back(result.endpoint());
                               found->is_done = true;
                               self->signal_.cancel();
                             });
      // getaddrinfo cannot be interrupted, so that a cut leaves it behind.
      while (!found->is_done && !is_closed_) {
        signal_.expires_at(steady::time_point::max());
        co_await signal_.async_wait(tuple);
      }
      if (!found->is_done)
        co_return "resolving " + to.host + " took too long";
      if (found->failed)
        co_return to.host + " cannot be resolved: " + found->failed.message();
      endpoints = std::move(found->endpoints);
    }
    const auto [refused, endpoint] = co_await asio::async_connect(socket_, endpoints, tuple);
    if (is_closed_)
      co_return "connecting to " + to.authority + " took too long";
    if (refused)
      co_return "cannot connect to " + to.authority + ": " + refused.message();
    socket_.set_option(tcp::no_delay{true}, ec);
    socket_.set_option(asio::socket_base::keep_alive{true}, ec);
    socket_.non_blocking(true, ec);
    if (!tls_)
      co_return std::string{};
    if (asio::ip::make_address(to.host, ec); ec)
      SSL_set_tlsext_host_name(tls_->native_handle(), to.host.c_str());
    if (verifies)
      tls_->set_verify_callback(asio::ssl::host_name_verification(to.host));
    const auto [distrusted] = co_await tls_->async_handshake(asio::ssl::stream_base::client, tuple);
    if (is_closed_)
      co_return "TLS with " + to.authority + " took too long";
    if (distrusted)
      co_return "no TLS with " + to.authority + ": " + distrusted.message();
    co_return std::string{};
  }

  asio::awaitable<std::tuple<error_code, std::size_t>> read_some(asio::mutable_buffer into) {
    if (tls_)
      co_return co_await tls_->async_read_some(into, tuple);
    co_return co_await socket_.async_read_some(into, tuple);
  }

  asio::awaitable<std::tuple<error_code, std::size_t>> write_some(asio::const_buffer from) {
    if (tls_)
      co_return co_await tls_->async_write_some(from, tuple);
    co_return co_await socket_.async_write_some(from, tuple);
  }

  beast::flat_buffer input;
  steady::time_point answered_at{};
  bool is_used = false;

private:
  struct resolution {
    bool is_done = false;
    error_code failed;
    std::vector<tcp::endpoint> endpoints;
  };

  tcp::socket socket_;
  std::optional<asio::ssl::stream<tcp::socket&>> tls_;
  asio::steady_timer timer_;
  asio::steady_timer signal_;
  steady::time_point limit_ = steady::time_point::max();
  bool is_closed_ = false;
  bool is_overdue_ = false;
};

using shared_link = std::shared_ptr<link>;

} // namespace

struct client::implementation : std::enable_shared_from_this<client::implementation> {
  implementation(asio::any_io_executor executor, client_options o)
      : loop(std::move(executor)), options(std::move(o)), to(parse_origin(options.origin)), idle_timer(loop) {
    if (!to.is_tls)
      return;
    auto& context = tls.emplace(asio::ssl::context::tls_client);
    context.set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                        asio::ssl::context::no_tlsv1_1);
    context.set_verify_mode(options.verify_tls ? asio::ssl::verify_peer : asio::ssl::verify_none);
    if (options.verify_tls)
      context.set_default_verify_paths();
    if (!options.ca_file.empty())
      context.load_verify_file(options.ca_file);
  }

  /// A place in the line for a connection; it leaves the line with its coroutine.
  struct waiter : boost::intrusive::list_base_hook<> {
    explicit waiter(implementation& o) : owner(o), timer(o.loop) { owner.line.push_back(*this); }
    ~waiter() {
      owner.line.erase(owner.line.iterator_to(*this));
      owner.wake_line();
    }
    waiter(const waiter&) = delete;
    waiter& operator=(const waiter&) = delete;

    implementation& owner;
    asio::steady_timer timer;
  };

  /// The use of one link by one exchange. Whatever is not handed back is closed and makes room.
  class lease {
  public:
    lease(std::shared_ptr<implementation> owner, shared_link taken)
        : owner_(std::move(owner)), link_(std::move(taken)) {}
    ~lease() {
      if (link_)
        owner_->drop(*link_);
    }
    lease(lease&&) noexcept = default;
    lease& operator=(lease&&) = delete;

    link* operator->() const noexcept { return link_.get(); }

    void hand_back() {
      link_->keep_open();
      link_->is_used = true;
      link_->answered_at = steady::now();
      owner_->keep(std::move(link_));
    }

  private:
    std::shared_ptr<implementation> owner_;
    shared_link link_;
  };

  void drop(link& one) noexcept {
    one.close();
    if (one.is_linked())
      links.erase(links.iterator_to(one));
    wake_line();
  }

  void keep(shared_link one) {
    if (is_closed || one->is_closed() || idle.size() >= options.max_idle_connections) {
      drop(*one);
      return;
    }
    idle.push_back(std::move(one));
    if (!is_evicting) {
      is_evicting = true;
      evict_later();
    }
    wake_line();
  }

  void wake_line() noexcept {
    if (!line.empty() && (is_closed || !idle.empty() || links.size() < options.max_connections))
      line.front().timer.cancel();
  }

  /// Closes idle connections that are too old or that the peer has closed, as long as there are any.
  void evict_later() {
    idle_timer.expires_after(std::clamp(options.max_idle / 4, milliseconds{10}, milliseconds{1'000}));
    idle_timer.async_wait([weak = weak_from_this()](error_code ec) {
      const auto self = weak.lock();
      if (!self || ec)
        return;
      const auto oldest = steady::now() - self->options.max_idle;
      std::erase_if(self->idle, [&](const shared_link& one) {
        const bool goes = one->answered_at <= oldest || !one->is_quiet();
        if (goes)
          self->drop(*one);
        return goes;
      });
      self->is_evicting = !self->idle.empty();
      if (self->is_evicting)
        self->evict_later();
    });
  }

  /// The idle connection used last, when it is fresh enough and still open.
  shared_link take_idle(std::optional<milliseconds> freshness) {
    const auto now = steady::now();
    const auto oldest = now - std::min(options.max_idle, freshness.value_or(options.max_idle));
    while (!idle.empty() && idle.back()->answered_at > oldest) {
      auto one = std::move(idle.back());
      idle.pop_back();
      if (one->is_quiet())
        return one;
      drop(*one);
    }
    return nullptr;
  }

  static asio::awaitable<outcome<lease>> acquire(std::shared_ptr<implementation> self,
                                                 std::optional<milliseconds> freshness,
                                                 steady::time_point deadline) {
    if (!self->line.empty() || !self->has_room()) {
      waiter place{*self};
      const auto is_next = [&] { return &self->line.front() == &place && self->has_room(); };
      while (!self->is_closed && !is_next()) {
        if (steady::now() >= deadline)
          co_return exchange_failure{kind::not_sent,
                                     "no connection to " + self->to.authority + " became free in time"};
        place.timer.expires_at(deadline);
        co_await place.timer.async_wait(tuple);
      }
      // From here to the taking of the connection nothing is awaited, so nobody comes between.
    }
    if (self->is_closed)
      co_return exchange_failure{kind::not_sent, "the client is closed"};
    if (auto kept = self->take_idle(freshness))
      co_return lease{self, std::move(kept)};
    // Idle ones that are not fresh enough must not keep a fresh one out.
    if (self->links.size() >= self->options.max_connections) {
      self->drop(*self->idle.front());
      self->idle.pop_front();
    }
    auto made = std::make_shared<link>(self->loop, self->tls ? &*self->tls : nullptr);
    self->links.push_back(*made);
    lease taken{self, made};
    made->cut_at(std::min(deadline, steady::now() + self->options.connect_timeout));
    auto failed = co_await made->connect(self->to, self->options.verify_tls);
    if (self->is_closed)
      failed = "the client is closed";
    if (!failed.empty())
      co_return exchange_failure{kind::not_sent, std::move(failed)};
    co_return std::move(taken);
  }

  bool has_room() const noexcept { return !idle.empty() || links.size() < options.max_connections; }

  struct whole_answer {
    client_response content;
    bool is_reusable = false;
  };

  /// nullopt: the connection was closed before a byte went out.
  static asio::awaitable<std::optional<outcome<whole_answer>>>
  attempt(const lease& over, const std::string& text, bool is_head, std::size_t max_response_bytes) {
    std::size_t written = 0;
    error_code write_failure;
    while (written < text.size() && !write_failure) {
      const auto [ec, size] = co_await over->write_some(asio::buffer(text) + written);
      written += size;
      write_failure = ec;
    }
    // Under TLS a failed write may have sent a whole record: there only a complete one is known.
    if (write_failure && written == 0 && !over->is_tls()) {
      if (over->is_used && !over->is_overdue())
        co_return std::nullopt;
      co_return outcome<whole_answer>{exchange_failure{
        kind::not_sent, "the connection failed before the request: " + write_failure.message()}};
    }
    // A peer may answer (413) and close before it has read everything, so the answer is looked for anyway.
    auto answer = co_await read_answer(over, is_head, max_response_bytes);
    if (answer && write_failure)
      answer->is_reusable = false;
    co_return answer;
  }

  static asio::awaitable<outcome<whole_answer>>
  read_answer(const lease& over, bool is_head, std::size_t max_response_bytes) {
    using parser_type = beast::http::response_parser<beast::http::string_body>;
    std::optional<parser_type> parser;
    for (int interim = 0;; ++interim) {
      parser.emplace();
      parser->eager(true);
      parser->skip(is_head);
      parser->header_limit(static_cast<std::uint32_t>(max_header_bytes));
      parser->body_limit(max_response_bytes);
      while (!parser->is_done()) {
        error_code ec;
        const auto least = parser->is_header_done() && parser->chunked() ? smallest_end_of_chunks : 1;
        if (over->input.size() >= least) {
          over->input.consume(parser->put(over->input.data(), ec));
          if (ec && ec != beast::http::error::need_more)
            co_return exchange_failure{kind::unreadable, "the answer is not readable: " + ec.message()};
          if (over->input.size() > max_header_bytes)
            co_return exchange_failure{kind::unreadable, "the answer's header is too large"};
          if (parser->is_done())
            break;
        }
        const auto [failed, size] = co_await over->read_some(over->input.prepare(16 * 1024));
        if (over->is_overdue())
          co_return exchange_failure{kind::timed_out, "no whole answer in time"};
        if (failed == asio::error::eof && parser->is_header_done() && !parser->is_done() &&
            parser->need_eof()) {
          parser->put_eof(ec);
          break;
        }
        if (failed)
          co_return exchange_failure{kind::lost, "the connection was lost before the answer was whole: " +
                                                   failed.message()};
        over->input.commit(size);
      }
      const auto status = parser->get().result_int();
      if (status >= 200)
        break;
      if (status == 101 || interim == max_interim_answers)
        co_return exchange_failure{kind::unreadable, "an interim answer that was not asked for"};
    }
    whole_answer answer;
    answer.is_reusable = parser->keep_alive() && over->input.size() == 0;
    const bool has_known_end = parser->chunked() || is_head;
    auto message = parser->release();
    if (message.count(field::transfer_encoding) != 0 && !has_known_end)
      co_return exchange_failure{kind::unreadable, "the answer's transfer encoding is unknown"};
    answer.content.status = message.result_int();
    answer.content.body = std::move(message.body());
    answer.content.headers = std::move(message.base());
    co_return answer;
  }

  static asio::awaitable<outcome<client_response>> exchange(std::shared_ptr<implementation> self,
                                                            client_request request) {
    const auto deadline = steady::now() + request.timeout;
    const auto text = serialise(request, self->to.authority);
    if (!text)
      co_return text.error();
    for (;;) {
      auto taken = co_await acquire(self, request.freshness, deadline);
      if (!taken)
        co_return taken.error();
      (*taken)->cut_at(deadline);
      auto answer =
        co_await attempt(*taken, *text, request.method == verb::head, self->options.max_response_bytes);
      if (!answer)
        continue;
      if (!*answer)
        co_return answer->error();
      if ((*answer)->is_reusable)
        taken->hand_back();
      co_return std::move((*answer)->content);
    }
  }

  void close() noexcept {
    is_closed = true;
    while (!idle.empty()) {
      drop(*idle.back());
      idle.pop_back();
    }
    for (auto& one : links)
      one.close();
    for (auto& one : line)
      one.timer.cancel();
    idle_timer.cancel();
  }

  asio::any_io_executor loop;
  client_options options;
  origin to;
  std::optional<asio::ssl::context> tls;
  asio::steady_timer idle_timer;
  /// All links, connecting, in use and idle.
  boost::intrusive::list<link> links;
  std::deque<shared_link> idle;
  boost::intrusive::list<waiter> line;
  bool is_evicting = false;
  bool is_closed = false;
};

result<> check_ca_file(const std::string& file) {
  asio::ssl::context context{asio::ssl::context::tls_client};
  boost::system::error_code failed;
  context.load_verify_file(file, failed);
  if (failed)
    return error{errc::invalid_request, "no certificate in " + file + ": " + failed.message()};
  return {};
}

client::client(asio::any_io_executor loop, client_options options)
    : implementation_(std::make_shared<implementation>(std::move(loop), std::move(options))) {}

client::~client() {
  close();
}

asio::awaitable<boost::system::result<client_response, exchange_failure>>
client::exchange(client_request request) {
  return implementation::exchange(implementation_, std::move(request));
}

std::size_t client::connections() const noexcept {
  return implementation_->links.size();
}

void client::close() noexcept {
  implementation_->close();
}

void throw_exception_from_error(const exchange_failure& failure, const boost::source_location& where) {
  throw std::logic_error("the answer of a failed exchange was read in " + std::string{where.function_name()} +
                         ": " + failure.detail);
}

} // namespace skyengine::net::http
