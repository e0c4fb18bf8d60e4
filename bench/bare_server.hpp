#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <concepts>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <utility>

namespace skyengine::bench {

/// Runs `serve` and then the loop on a thread of its own, until the object goes. `serve` listens and spawns
/// what accepts; it may throw, and what it returns lives until the loop has ended.
class served {
public:
  template <class Serve>
  explicit served(Serve serve) {
    std::promise<boost::asio::ip::tcp::endpoint> bound;
    auto endpoint = bound.get_future();
    thread_ = std::thread{[this, serve, &bound] {
      try {
        const auto kept = serve(loop_, [&](auto at) { bound.set_value(at); });
        loop_.run();
      } catch (...) {
        bound.set_exception(std::current_exception());
      }
    }};
    try {
      endpoint_ = endpoint.get();
    } catch (...) {
      thread_.join();
      throw;
    }
  }
  ~served() {
    loop_.stop();
    thread_.join();
  }
  served(const served&) = delete;
  served& operator=(const served&) = delete;

  boost::asio::ip::tcp::endpoint endpoint() const { return endpoint_; }

private:
  boost::asio::io_context loop_{1};
  boost::asio::ip::tcp::endpoint endpoint_;
  std::thread thread_;
};

using bare_request = boost::beast::http::request<boost::beast::http::string_body>;

/// The least that answers with Beast: no limit, no time-out, no check. `answer(request)` is the body, or an
/// awaitable of it.
template <class Answer>
boost::asio::awaitable<void> serve_barely(boost::asio::ip::tcp::socket socket, Answer& answer) {
  namespace http = boost::beast::http;
  constexpr auto tuple = boost::asio::as_tuple(boost::asio::deferred);
  boost::beast::flat_buffer buffer;
  for (;;) {
    bare_request request;
    if (const auto [ec, size] = co_await http::async_read(socket, buffer, request, tuple); ec)
      co_return;
    http::response<http::string_body> response{http::status::ok, request.version()};
    response.set(http::field::server, "skyengine");
    response.set(http::field::content_type, "text/plain");
    response.keep_alive(request.keep_alive());
    if constexpr (std::convertible_to<decltype(answer(request)), std::string>)
      response.body() = answer(request);
    else
      response.body() = co_await answer(request);
    response.prepare_payload();
    if (const auto [ec, size] = co_await http::async_write(socket, response, tuple); ec)
      co_return;
  }
}

template <class Answer>
boost::asio::awaitable<void> accept_barely(boost::asio::ip::tcp::acceptor& acceptor, Answer& answer) {
  for (;;) {
    auto [ec, socket] = co_await acceptor.async_accept(boost::asio::as_tuple(boost::asio::deferred));
    if (ec)
      co_return;
    socket.set_option(boost::asio::ip::tcp::no_delay{true}, ec);
    const auto executor = socket.get_executor();
    boost::asio::co_spawn(executor, serve_barely(std::move(socket), answer), boost::asio::detached);
  }
}

/// Bare Beast as a `served`.
template <class Answer>
struct bare_server {
  bare_server(boost::asio::io_context& loop, Answer body)
      : answer(std::move(body)), acceptor(loop, {boost::asio::ip::address_v4::loopback(), 0}) {
    boost::asio::co_spawn(loop, accept_barely(acceptor, answer), boost::asio::detached);
  }

  Answer answer;
  boost::asio::ip::tcp::acceptor acceptor;
};

} // namespace skyengine::bench
