#include "domain/time_format.hpp"
#include "tests/simulator/http_server.hpp"
#include "tests/simulator/model.hpp"
#include "tests/simulator/state_file.hpp"

#include <CLI/CLI.hpp>
#include <boost/asio.hpp>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <string>

namespace skyengine::simulator {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr int exit_usage = 2;

struct arguments {
  std::string listen = "127.0.0.1:9100";
  std::string token;
  std::uint64_t seed = 1;
  std::int64_t servers = 0;
  std::optional<std::int64_t> users;
  std::int64_t hypervisors = 4;
  std::int64_t latency_ms = 0;
  std::int64_t jitter_ms = 0;
  std::int64_t rate_limit = 0;
  double build_time_s = 5;
  std::int64_t clock_rate = 1;
  std::string clock_origin;
  std::string state;
  bool has_task_scheduler = false;
};

void describe(CLI::App& app, arguments& a) {
  app.add_option("--listen", a.listen, "Address and port; port 0 takes a free one")->capture_default_str();
  app.add_option("--token", a.token, "The bearer token that callers must send")->required();
  app.add_option("--seed", a.seed, "Seed of everything that is random")->capture_default_str();
  app.add_option("--servers", a.servers, "Built, running servers to begin with")
    ->check(CLI::Range(0, 1'000'000));
  app.add_option("--users", a.users, "Users with extRelationId 1 to M (default: a tenth of the servers)")
    ->check(CLI::Range(1, 1'000'000));
  app
    .add_option("--hypervisors", a.hypervisors,
                "Hypervisors of groups 1 and 2, over which servers are spread")
    ->check(CLI::Range(2, 1'000))
    ->capture_default_str();
  app.add_option("--latency", a.latency_ms, "Milliseconds before each answer")
    ->check(CLI::Range(0, 3'600'000));
  app.add_option("--jitter", a.jitter_ms, "Milliseconds by which the latency varies")
    ->check(CLI::Range(0, 3'600'000));
  app.add_option("--rate-limit", a.rate_limit, "Requests a second before 429; 0: no limit")
    ->check(CLI::Range(0, 1'000'000));
  app.add_option("--build-time", a.build_time_s, "Real seconds that a build takes, give or take a quarter")
    ->check(CLI::Range(0.0, 86'400.0))
    ->capture_default_str();
  app.add_option("--clock-rate", a.clock_rate, "Seconds of business time in a real one")
    ->check(CLI::Range(1, 10'000'000))
    ->capture_default_str();
  app.add_option("--clock-origin", a.clock_origin, "Business time at the start, RFC 3339 (default: now)");
  app.add_option("--state", a.state, "File that keeps the state over restarts");
  app.add_flag("--task-scheduler", a.has_task_scheduler, "Offer /servers/{serverId}/schedules");
}

int fail(const std::string& text, int code = EXIT_FAILURE) {
  std::cerr << "virtfusion-simulator: " << text << '\n';
  return code;
}

instant real_now() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

/// Host and port of `127.0.0.1:9100` or `[::1]:9100`.
std::optional<std::pair<std::string, std::string>> split_address(std::string text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size())
    return {};
  auto host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  return std::pair{host, text.substr(colon + 1)};
}

/// Each connection is a file descriptor: take as many as the system lets us.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

std::string origin_of(const tcp::endpoint& where) {
  const auto host = where.address().to_string();
  return "http://" + (where.address().is_v6() ? '[' + host + ']' : host) + ':' + std::to_string(where.port());
}

instant business_time(const clock_setting& timing, instant real) {
  return timing.business_origin + (real - timing.real_origin) * timing.rate;
}

/// A listening socket, or the reason why there is none.
result<tcp::acceptor> listen(asio::io_context& loop, const std::string& host, const std::string& port) {
  boost::system::error_code failed;
  const auto found =
    tcp::resolver{loop}.resolve(host, port, tcp::resolver::passive | tcp::resolver::numeric_service, failed);
  tcp::acceptor acceptor{loop};
  if (!failed)
    acceptor.open(found.begin()->endpoint().protocol(), failed);
  if (!failed)
    acceptor.set_option(tcp::acceptor::reuse_address(true), failed);
  if (!failed)
    acceptor.bind(*found.begin(), failed);
  if (!failed)
    acceptor.listen(4096, failed);
  if (failed)
    return error{errc::internal, failed.message()};
  return acceptor;
}

/// Fills the world from the state file, where there is one, and with what the command line asks for.
result<> prepare(const arguments& a, model& world, state_file& state, clock_setting& timing) {
  if (!a.state.empty()) {
    clock_setting stored;
    if (auto loaded = state.load(a.state, world, stored); loaded.has_error())
      return loaded;
    // The clock goes on from where it was, unless another origin is asked for now.
    if (stored.rate > 0 && stored.origin == timing.origin)
      timing.business_origin = business_time(stored, timing.real_origin);
  }
  if (world.users().empty() && (a.servers > 0 || a.users))
    world.seed_servers(a.servers, a.users.value_or(std::max<std::int64_t>(1, a.servers / 10)),
                       {timing.real_origin, timing.business_origin});
  if (a.state.empty())
    return {};
  world.record_changes();
  return state.begin(a.state, world, timing);
}

int run(const arguments& a) {
  const auto address = split_address(a.listen);
  if (!address)
    return fail("--listen: " + a.listen + " is no address and port, as in 127.0.0.1:9100", exit_usage);
  const auto begun = real_now();
  const auto origin = a.clock_origin.empty() ? result<instant>{begun} : parse_time(a.clock_origin);
  if (origin.has_error())
    return fail("--clock-origin: " + origin.error().detail, exit_usage);
  raise_descriptor_limit();
  std::signal(SIGPIPE, SIG_IGN);

  clock_setting timing{a.clock_rate, a.clock_origin, begun, *origin};
  model world{{a.seed, std::chrono::microseconds{static_cast<std::int64_t>(a.build_time_s * 1e6)},
               a.clock_rate, a.hypervisors}};
  state_file state;
  panel served{{a.token, a.seed, std::chrono::milliseconds{a.latency_ms},
                std::chrono::milliseconds{a.jitter_ms}, a.rate_limit, a.has_task_scheduler},
               world,
               a.state.empty() ? nullptr : &state,
               [&timing] {
                 const auto real = real_now();
                 return moment{real, business_time(timing, real)};
               },
               [](const error& why) { std::_Exit(fail(why.detail)); }};

  asio::io_context loop{1};
  auto acceptor = listen(loop, address->first, address->second);
  if (acceptor.has_error())
    return fail("cannot listen on " + a.listen + ": " + acceptor.error().detail);
  if (const auto prepared = prepare(a, world, state, timing); prepared.has_error())
    return fail(prepared.error().detail);
  asio::signal_set signals{loop, SIGTERM, SIGINT};
  signals.async_wait([&](boost::system::error_code, int) { loop.stop(); });
  std::cout << "virtfusion-simulator listening on " << origin_of(acceptor->local_endpoint()) << "/api/v1"
            << std::endl;
  asio::co_spawn(loop, served.accept(std::move(*acceptor)), asio::detached);
  loop.run();
  return EXIT_SUCCESS;
}

} // namespace
} // namespace skyengine::simulator

int main(int argc, char** argv) {
  namespace simulator = skyengine::simulator;
  try {
    CLI::App app{"A simulated VirtFusion panel with faults on demand", "virtfusion-simulator"};
    simulator::arguments given;
    simulator::describe(app, given);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
      return app.exit(e) == 0 ? EXIT_SUCCESS : simulator::exit_usage;
    }
    return simulator::run(given);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "virtfusion-simulator: %s\n", e.what());
    return EXIT_FAILURE;
  }
}
