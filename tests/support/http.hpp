#pragma once

#include "tests/support/loop.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Both ends of HTTP as tests need them: bytes in full control, on a loop that the test itself turns.
namespace skyengine::test {

using asio::ip::tcp;

/// An answer as a client reads it.
// NOLINTNEXTLINE(bugprone-exception-escape): what Beast's fields do when they are moved.
struct http_answer {
  unsigned status = 0;
  boost::beast::http::fields headers;
  std::string body;
  bool keeps_alive = false;

  std::string header(std::string_view name) const {
    const auto found = headers.find(boost::beast::string_view{name.data(), name.size()});
    return found == headers.end() ? std::string{} : std::string{found->value()};
  }
};

/// Takes one whole answer from the front of `bytes`; nullopt while it is not whole. `is_over` says that the
/// connection was closed behind them. Throws when they are no HTTP.
inline std::optional<http_answer>
take_answer(std::string& bytes, bool is_head = false, bool is_over = false) {
  boost::beast::http::response_parser<boost::beast::http::string_body> parser;
  parser.body_limit(boost::none);
  parser.eager(true);
  parser.skip(is_head);
  std::size_t used = 0;
  boost::system::error_code ec;
  while (used < bytes.size() && !parser.is_done()) {
    const auto taken = parser.put(asio::buffer(bytes) + used, ec);
    used += taken;
    if (ec == boost::beast::http::error::need_more)
      break;
    if (ec)
      throw std::runtime_error("no HTTP answer: " + ec.message());
  }
  if (!parser.is_done() && is_over && parser.is_header_done() && parser.need_eof())
    parser.put_eof(ec);
  if (!parser.is_done())
    return std::nullopt;
  bytes.erase(0, used);
  http_answer answer;
  answer.keeps_alive = parser.keep_alive();
  auto message = parser.release();
  answer.status = message.result_int();
  answer.body = std::move(message.body());
  answer.headers = std::move(message.base());
  return answer;
}

/// A client's connection that sends exactly the bytes it is told to and gathers what comes back.
class raw_connection {
public:
  /// `from` is an address of this machine; unspecified: whichever fits.
  raw_connection(asio::io_context& loop, const tcp::endpoint& to, const asio::ip::address& from = {})
      : loop_(loop), state_(std::make_shared<state>(loop)) {
    if (!from.is_unspecified()) {
      state_->socket.open(to.protocol());
      state_->socket.bind({from, 0});
    }
    state_->socket.connect(to);
    read();
  }
  ~raw_connection() { close(); }
  raw_connection(raw_connection&&) = default;
  raw_connection& operator=(raw_connection&&) = delete;

  /// Sent in the order of the calls, as the loop turns.
  void send(std::string bytes) {
    state_->outgoing.push_back(std::move(bytes));
    if (state_->outgoing.size() == 1)
      write(state_);
  }

  /// Stops reading, so that the peer's buffers fill up.
  void stop_reading() {
    state_->is_reading = false;
    boost::system::error_code ignored;
    state_->socket.cancel(ignored);
  }

  void shut_down_sending() {
    boost::system::error_code ignored;
    state_->socket.shutdown(tcp::socket::shutdown_send, ignored);
  }

  /// Closes with a reset instead of a goodbye.
  void reset() {
    boost::system::error_code ignored;
    state_->socket.set_option(asio::socket_base::linger{true, 0}, ignored);
    close();
  }

  void close() {
    if (!state_)
      return;
    boost::system::error_code ignored;
    state_->socket.close(ignored);
  }

  /// What came and was not taken by `answer`.
  std::string& received() { return state_->received; }
  /// The peer has closed, orderly or not.
  bool is_closed() const { return state_->is_closed; }
  std::uint16_t port() const { return state_->socket.local_endpoint().port(); }

  /// The next whole answer; nullopt when the connection closes before there is one, or nothing comes.
  std::optional<http_answer> answer(bool is_head = false) {
    std::optional<http_answer> found;
    run_until(loop_, [&] {
      found = take_answer(state_->received, is_head, state_->is_closed);
      return found || state_->is_closed;
    });
    return found;
  }

  bool wait_closed() {
    return run_until(loop_, [&] { return state_->is_closed; });
  }

  bool wait_for(std::string_view text) {
    return run_until(loop_,
                     [&] { return state_->received.find(text) != std::string::npos || state_->is_closed; }) &&
           state_->received.find(text) != std::string::npos;
  }

private:
  struct state {
    explicit state(asio::io_context& loop) : socket(loop) {}
    tcp::socket socket;
    std::array<char, 16 * 1024> piece;
    std::string received;
    std::vector<std::string> outgoing;
    bool is_closed = false;
    bool is_reading = true;
  };

  void read() { read(state_); }

  static void read(std::shared_ptr<state> s) {
    auto& self = *s;
    self.socket.async_read_some(asio::buffer(self.piece),
                                [s = std::move(s)](boost::system::error_code ec, std::size_t size) {
                                  s->received.append(s->piece.data(), size);
                                  if (!s->is_reading)
                                    return;
                                  if (ec)
                                    s->is_closed = true;
                                  else
                                    read(s);
                                });
  }

  static void write(std::shared_ptr<state> s) {
    auto& self = *s;
    asio::async_write(self.socket, asio::buffer(self.outgoing.front()),
                      [s = std::move(s)](boost::system::error_code ec, std::size_t) {
                        s->outgoing.erase(s->outgoing.begin());
                        if (!ec && !s->outgoing.empty())
                          write(s);
                      });
  }

  asio::io_context& loop_;
  std::shared_ptr<state> state_;
};

/// One request on a connection of its own: `GET /path`, or any method with body and further header lines
/// (each ended by CRLF).
inline std::optional<http_answer> ask(asio::io_context& loop,
                                      const tcp::endpoint& to,
                                      std::string_view method,
                                      std::string_view target,
                                      std::string_view body = {},
                                      std::string_view header_lines = {}) {
  raw_connection connection{loop, to};
  std::string text{method};
  text.append(" ")
    .append(target)
    .append(" HTTP/1.1\r\nHost: test\r\nConnection: close\r\n")
    .append(header_lines);
  if (!body.empty() || method == "POST" || method == "PUT" || method == "PATCH")
    text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  text.append("\r\n").append(body);
  connection.send(std::move(text));
  return connection.answer(method == "HEAD");
}

/// The server's end of one connection of a `scripted_peer`.
class peer_connection {
public:
  peer_connection(tcp::socket socket, std::size_t number) : number_(number), socket_(std::move(socket)) {}

  /// Counts from 0.
  std::size_t number() const { return number_; }
  bool is_closed() const { return is_closed_; }

  /// The next request, header and Content-Length body as they came; empty when the client closed.
  asio::awaitable<std::string> read_request() {
    for (;;) {
      if (const auto end = input_.find("\r\n\r\n"); end != std::string::npos) {
        std::size_t length = 0;
        if (const auto at = input_.find("Content-Length: "); at < end)
          length = std::stoul(input_.substr(at + 16));
        if (input_.size() >= end + 4 + length) {
          auto request = input_.substr(0, end + 4 + length);
          input_.erase(0, request.size());
          co_return request;
        }
      }
      std::array<char, 4096> piece;
      const auto [ec, size] =
        co_await socket_.async_read_some(asio::buffer(piece), asio::as_tuple(asio::deferred));
      if (ec) {
        is_closed_ = true;
        co_return std::string{};
      }
      input_.append(piece.data(), size);
    }
  }

  asio::awaitable<void> send(std::string bytes) {
    co_await asio::async_write(socket_, asio::buffer(bytes), asio::as_tuple(asio::deferred));
  }

  void close() {
    boost::system::error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    socket_.close(ignored);
  }

  void reset() {
    boost::system::error_code ignored;
    socket_.set_option(asio::socket_base::linger{true, 0}, ignored);
    socket_.close(ignored);
  }

private:
  std::size_t number_;
  tcp::socket socket_;
  std::string input_;
  bool is_closed_ = false;
};

/// A server that plays a script on every connection: answers bytes, cuts where it is told to, says nothing.
/// The connection closes at the script's end.
class scripted_peer {
public:
  using script = std::function<asio::awaitable<void>(peer_connection&)>;

  scripted_peer(asio::io_context& loop, script play)
      : acceptor_(loop, tcp::endpoint{asio::ip::address_v4::loopback(), 0}),
        play_(std::make_shared<script>(std::move(play))), accepted_(std::make_shared<std::size_t>(0)) {
    asio::co_spawn(loop, accept(acceptor_, play_, accepted_), asio::detached);
  }

  tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }
  std::string origin() const { return "http://127.0.0.1:" + std::to_string(endpoint().port()); }
  std::size_t accepted() const { return *accepted_; }

private:
  static asio::awaitable<void>
  accept(tcp::acceptor& acceptor, std::shared_ptr<script> play, std::shared_ptr<std::size_t> accepted) {
    for (;;) {
      auto [ec, socket] = co_await acceptor.async_accept(asio::as_tuple(asio::deferred));
      if (ec)
        co_return;
      const auto number = (*accepted)++;
      const auto executor = socket.get_executor();
      asio::co_spawn(executor, serve(std::make_unique<peer_connection>(std::move(socket), number), play),
                     asio::detached);
    }
  }

  static asio::awaitable<void> serve(std::unique_ptr<peer_connection> connection,
                                     std::shared_ptr<script> play) {
    co_await (*play)(*connection);
    connection->close();
  }

  tcp::acceptor acceptor_;
  std::shared_ptr<script> play_;
  std::shared_ptr<std::size_t> accepted_;
};

} // namespace skyengine::test
