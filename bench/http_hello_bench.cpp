// How much of bare Beast's speed does net/http/server keep, with its limits, time-outs and request ids?

#include "bench/bare_server.hpp"
#include "bench/bench_support.hpp"
#include "net/http/server.hpp"

#include <cstdio>
#include <memory>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace bench = skyengine::bench;
namespace http = skyengine::net::http;

std::string hello(const bench::bare_request&) {
  return "hello";
}

asio::awaitable<http::response> say_hello(const http::request&) {
  http::response answer;
  answer.headers.set(http::field::content_type, "text/plain");
  answer.body = "hello";
  co_return answer;
}

std::unique_ptr<bench::bare_server<decltype(&hello)>> serve_bare(asio::io_context& loop,
                                                                 const auto& listening) {
  auto server = std::make_unique<bench::bare_server<decltype(&hello)>>(loop, &hello);
  listening(server->acceptor.local_endpoint());
  return server;
}

std::unique_ptr<http::server> serve_ours(asio::io_context& loop, const auto& listening) {
  auto server = std::make_unique<http::server>(
    loop.get_executor(), http::server_options{},
    [](const http::request& request) { return say_hello(request); },
    [](const skyengine::error&, const std::string&) { return http::response{}; });
  listening(server->listen("127.0.0.1", 0).value());
  return server;
}

int run(const bench::options& how) {
  const bench::served bare{
    [](asio::io_context& loop, const auto& listening) { return serve_bare(loop, listening); }};
  const bench::served ours{
    [](asio::io_context& loop, const auto& listening) { return serve_ours(loop, listening); }};
  const bench::http_load to_bare{bare.endpoint(), "/healthz"};
  const bench::http_load to_ours{ours.endpoint(), "/healthz"};
  std::vector<double> bare_rates;
  std::vector<double> our_rates;
  for (int round = 0; round < how.rounds; ++round) {
    const auto peer = bench::drive(to_bare, how);
    const auto own = bench::drive(to_ours, how);
    if (!peer || !own) {
      std::fprintf(stderr, "an answer was missing or wrong\n");
      return 1;
    }
    bare_rates.push_back(*peer);
    our_rates.push_back(*own);
  }
  const auto peer = bench::summarise(bare_rates);
  const auto own = bench::summarise(our_rates);
  std::printf("%-12s %12s %12s\n", "requests/s", "median", "deviation");
  std::printf("%-12s %12.0f %12.0f\n", "bare Beast", peer.median, peer.deviation);
  std::printf("%-12s %12.0f %12.0f\n", "skyengine", own.median, own.deviation);
  std::printf("ratio %.2f\n", own.median / peer.median);
  bench::summary{"http_hello"}
    .add("driver", bench::has_wrk() && !how.is_smoke ? "wrk" : "built-in")
    .add("connections", static_cast<double>(to_ours.connections))
    .add("rounds", how.rounds)
    .add("bare_beast", peer)
    .add("skyengine", own)
    .add("ratio", own.median / peer.median, 3)
    .print();
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, 5, run);
}
