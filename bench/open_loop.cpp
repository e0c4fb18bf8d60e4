#include "bench/open_loop.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <chrono>
#include <exception>

namespace skyengine::bench {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using steady = std::chrono::steady_clock;

namespace {

constexpr auto tuple = asio::as_tuple(asio::deferred);

} // namespace

asio::awaitable<http_pool::answer>
http_pool::send(std::string method, std::string target, headers more, std::string body) {
  tcp::socket socket{loop_};
  if (!idle_.empty()) {
    socket = std::move(idle_.back());
    idle_.pop_back();
  } else {
    if (const auto [failed] = co_await socket.async_connect(to_, tuple); failed)
      co_return answer{};
    socket.set_option(tcp::no_delay{true});
  }
  http::request<http::string_body> request;
  request.method_string(method);
  request.target(target);
  request.set(http::field::host, "bench");
  for (const auto& [name, value] : more)
    request.set(name, value);
  if (!body.empty())
    request.set(http::field::content_type, "application/json");
  request.body() = std::move(body);
  request.prepare_payload();
  if (const auto [failed, size] = co_await http::async_write(socket, request, tuple); failed)
    co_return answer{};
  boost::beast::flat_buffer buffer;
  http::response<http::string_body> response;
  if (const auto [failed, size] = co_await http::async_read(socket, buffer, response, tuple); failed)
    co_return answer{};
  answer came{response.result_int(), std::move(response.body())};
  if (response.keep_alive())
    idle_.push_back(std::move(socket));
  co_return came;
}

std::vector<double> run_open_loop(asio::io_context& loop,
                                  double rate,
                                  std::size_t count,
                                  const std::function<asio::awaitable<bool>(std::size_t)>& task) {
  std::vector<double> times;
  times.reserve(count);
  std::exception_ptr bug;
  const auto begun = steady::now();
  const auto due_at = [&](std::size_t number) {
    return begun + std::chrono::duration_cast<steady::duration>(
                     std::chrono::duration<double>(static_cast<double>(number) / rate));
  };
  asio::steady_timer clock{loop};
  std::size_t next = 0;
  std::size_t ended = 0;
  std::function<void()> begin_due = [&] {
    for (; next < count && due_at(next) <= steady::now(); ++next)
      asio::co_spawn(loop, task(next), [&, due = due_at(next)](std::exception_ptr failed, bool counts) {
        ++ended;
        if (failed)
          bug = failed;
        else if (counts)
          times.push_back(std::chrono::duration<double, std::milli>(steady::now() - due).count());
      });
    if (next == count)
      return;
    clock.expires_at(due_at(next));
    clock.async_wait([&](boost::system::error_code failed) {
      if (!failed)
        begin_due();
    });
  };
  begin_due();
  loop.restart();
  while (ended < count)
    loop.run_one();
  if (bug)
    std::rethrow_exception(bug);
  return times;
}

} // namespace skyengine::bench
