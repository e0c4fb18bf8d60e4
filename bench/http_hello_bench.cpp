// How much of bare Beast's speed does net/http/server keep, with its limits, time-outs and request ids?

#include "net/http/server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = skyengine::net::http;
using asio::ip::tcp;
using steady = std::chrono::steady_clock;

constexpr auto tuple = asio::as_tuple(asio::deferred);
constexpr std::size_t connections = 64;

/// The least that answers with Beast: no limit, no time-out, no check.
asio::awaitable<void> serve_barely(tcp::socket socket) {
  beast::flat_buffer buffer;
  for (;;) {
    beast::http::request<beast::http::string_body> request;
    if (const auto [ec, size] = co_await beast::http::async_read(socket, buffer, request, tuple); ec)
      co_return;
    beast::http::response<beast::http::string_body> response{beast::http::status::ok, request.version()};
    response.set(beast::http::field::server, "skyengine");
    response.set(beast::http::field::content_type, "text/plain");
    response.keep_alive(request.keep_alive());
    response.body() = "hello";
    response.prepare_payload();
    if (const auto [ec, size] = co_await beast::http::async_write(socket, response, tuple); ec)
      co_return;
  }
}

asio::awaitable<void> accept_barely(tcp::acceptor& acceptor) {
  for (;;) {
    auto [ec, socket] = co_await acceptor.async_accept(tuple);
    if (ec)
      co_return;
    socket.set_option(tcp::no_delay{true}, ec);
    const auto executor = socket.get_executor();
    asio::co_spawn(executor, serve_barely(std::move(socket)), asio::detached);
  }
}

asio::awaitable<http::response> say_hello(const http::request&) {
  http::response answer;
  answer.headers.set(http::field::content_type, "text/plain");
  answer.body = "hello";
  co_return answer;
}

/// A server on a thread of its own; gone with the object.
class running_server {
public:
  explicit running_server(bool is_bare) {
    std::promise<tcp::endpoint> bound;
    auto endpoint = bound.get_future();
    thread_ = std::thread{[this, is_bare, &bound] { is_bare ? run_bare(bound) : run_ours(bound); }};
    endpoint_ = endpoint.get();
  }
  ~running_server() {
    loop_.stop();
    thread_.join();
  }
  running_server(const running_server&) = delete;
  running_server& operator=(const running_server&) = delete;

  tcp::endpoint endpoint() const { return endpoint_; }

private:
  void run_bare(std::promise<tcp::endpoint>& bound) {
    tcp::acceptor acceptor{loop_, {asio::ip::address_v4::loopback(), 0}};
    asio::co_spawn(loop_, accept_barely(acceptor), asio::detached);
    bound.set_value(acceptor.local_endpoint());
    loop_.run();
  }

  void run_ours(std::promise<tcp::endpoint>& bound) {
    http::server server{loop_.get_executor(),
                        {},
                        [](const http::request& request) { return say_hello(request); },
                        [](const skyengine::error&, const std::string&) { return http::response{}; }};
    bound.set_value(server.listen("127.0.0.1", 0).value());
    loop_.run();
  }

  asio::io_context loop_{1};
  tcp::endpoint endpoint_;
  std::thread thread_;
};

/// One connection of the built-in client: as many exchanges as `left` still allows.
asio::awaitable<void> drive_one(tcp::endpoint to, std::size_t& left, std::size_t& done) {
  tcp::socket socket{co_await asio::this_coro::executor};
  if (const auto [ec] = co_await socket.async_connect(to, tuple); ec)
    co_return;
  constexpr std::string_view request = "GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n";
  std::array<char, 4096> answer{};
  while (left > 0) {
    --left;
    if (const auto [ec, size] = co_await asio::async_write(socket, asio::buffer(request), tuple); ec)
      co_return;
    const auto [ec, size] = co_await socket.async_read_some(asio::buffer(answer), tuple);
    if (ec || !std::string_view{answer.data(), size}.ends_with("\r\n\r\nhello"))
      co_return;
    ++done;
  }
}

/// Requests per second by the built-in client; 0 when an answer was missing or wrong.
double drive(const tcp::endpoint& to, std::size_t requests) {
  asio::io_context loop{1};
  std::size_t left = requests;
  std::size_t done = 0;
  const auto begin = steady::now();
  for (std::size_t i = 0; i < connections; ++i)
    asio::co_spawn(loop, drive_one(to, left, done), asio::detached);
  loop.run();
  const std::chrono::duration<double> span = steady::now() - begin;
  return done == requests ? static_cast<double>(done) / span.count() : 0;
}

/// Requests per second by wrk; 0 when it is missing or saw a failure.
double drive_with_wrk(const tcp::endpoint& to, int seconds) {
  const auto command = "wrk -t1 -c" + std::to_string(connections) + " -d" + std::to_string(seconds) +
                       "s http://127.0.0.1:" + std::to_string(to.port()) + "/healthz 2>/dev/null";
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> output{popen(command.c_str(), "r"), pclose};
  if (!output)
    return 0;
  std::string text;
  std::array<char, 1024> piece{};
  while (const auto size = std::fread(piece.data(), 1, piece.size(), output.get()))
    text.append(piece.data(), size);
  const auto at = text.find("Requests/sec:");
  if (at == std::string::npos || text.find("Non-2xx") != std::string::npos ||
      text.find("Socket errors") != std::string::npos)
    return 0;
  return std::strtod(text.c_str() + at + 13, nullptr);
}

struct figures {
  double median = 0;
  double deviation = 0;
};

figures summarise(std::vector<double> all) {
  std::ranges::sort(all);
  const auto middle = all.size() / 2;
  const auto median = all.size() % 2 == 1 ? all[middle] : (all[middle - 1] + all[middle]) / 2;
  double squares = 0;
  for (const auto one : all)
    squares += (one - median) * (one - median);
  return {median, std::sqrt(squares / static_cast<double>(all.size()))};
}

} // namespace

int main(int argc, char** argv) {
  bool is_smoke = false;
  int rounds = 5;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--smoke") {
      is_smoke = true;
      rounds = 1;
    } else if (option == "--rounds" && i + 1 < argc) {
      const std::string_view count = argv[++i];
      const auto read = std::from_chars(count.data(), count.data() + count.size(), rounds);
      if (read.ec != std::errc{} || read.ptr != count.data() + count.size() || rounds < 1 || rounds > 1'000) {
        std::fprintf(stderr, "--rounds takes 1 to 1000\n");
        return 2;
      }
    } else {
      std::fprintf(stderr, "usage: http_hello_bench [--smoke] [--rounds N]\n");
      return 2;
    }
  }
  const bool has_wrk = !is_smoke && std::system("command -v wrk > /dev/null 2>&1") == 0;
  const auto measure = [&](const tcp::endpoint& to) {
    return has_wrk ? drive_with_wrk(to, 3) : drive(to, is_smoke ? 2'000 : 100'000);
  };
  const running_server bare{true};
  const running_server ours{false};
  std::vector<double> bare_rates;
  std::vector<double> our_rates;
  for (int round = 0; round < rounds; ++round) {
    bare_rates.push_back(measure(bare.endpoint()));
    our_rates.push_back(measure(ours.endpoint()));
    if (bare_rates.back() == 0 || our_rates.back() == 0) {
      std::fprintf(stderr, "an answer was missing or wrong\n");
      return 1;
    }
  }
  const auto peer = summarise(bare_rates);
  const auto own = summarise(our_rates);
  std::printf("%-12s %12s %12s\n", "requests/s", "median", "deviation");
  std::printf("%-12s %12.0f %12.0f\n", "bare Beast", peer.median, peer.deviation);
  std::printf("%-12s %12.0f %12.0f\n", "skyengine", own.median, own.deviation);
  std::printf("ratio %.2f\n", own.median / peer.median);
  std::printf("{\"bench\":\"http_hello\",\"driver\":\"%s\",\"connections\":%zu,\"rounds\":%d,"
              "\"bare_beast\":{\"median\":%.0f,\"deviation\":%.0f},"
              "\"skyengine\":{\"median\":%.0f,\"deviation\":%.0f},\"ratio\":%.3f}\n",
              has_wrk ? "wrk" : "built-in", connections, rounds, peer.median, peer.deviation, own.median,
              own.deviation, own.median / peer.median);
  return 0;
}
