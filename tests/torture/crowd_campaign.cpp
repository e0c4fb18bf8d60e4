#include "tests/torture/campaigns.hpp"
#include "tests/torture/world.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <map>
#include <mutex>
#include <random>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <tuple>

namespace skyengine::torture {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

constexpr auto without_throw = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t max_connections = 1'024;
// Descriptors that a process has besides: log, database, the panel.
constexpr std::size_t other_files = 128;

enum class manner : std::uint8_t { silent, slow_header, slow_body, half_closed, count };

std::string first_bytes(manner how) {
  switch (how) {
  case manner::slow_header:
  case manner::half_closed:
    return "GET /v1/servers HTTP/1.1\r\nHost: e";
  case manner::slow_body:
    return "POST /v1/servers HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\nContent-Length: "
           "9999\r\n\r\n";
  default:
    return {};
  }
}

/// Connections that come back whenever they are closed, on a loop and a thread of their own.
class crowd_of {
public:
  crowd_of(const std::string& origin, int count, std::uint64_t seed) : random_(seed) {
    const auto port = static_cast<std::uint16_t>(std::atoi(origin.substr(origin.rfind(':') + 1).c_str()));
    for (int i = 0; i < count; ++i)
      asio::co_spawn(loop_,
                     hold({asio::ip::address_v4::loopback(), port},
                          static_cast<manner>(i % static_cast<int>(manner::count))),
                     asio::detached);
    thread_ = std::thread{[this] { loop_.run(); }};
  }
  ~crowd_of() {
    loop_.stop();
    thread_.join();
  }
  crowd_of(const crowd_of&) = delete;
  crowd_of& operator=(const crowd_of&) = delete;

  std::size_t opened() const { return opened_; }
  std::size_t closed_by_the_engine() const { return closed_; }

private:
  asio::awaitable<void> wait(steady::duration span) {
    asio::steady_timer timer{loop_, span};
    co_await timer.async_wait(without_throw);
  }

  /// Sends a byte now and then until the other side has had enough.
  asio::awaitable<void> drip(tcp::socket& socket) {
    const std::string one = "x";
    for (boost::system::error_code failed; !failed;) {
      co_await wait(2s);
      std::tie(failed, std::ignore) = co_await asio::async_write(socket, asio::buffer(one), without_throw);
    }
  }

  asio::awaitable<void> read_to_the_end(tcp::socket& socket) {
    std::array<char, 512> ignored{};
    for (boost::system::error_code failed; !failed;)
      std::tie(failed, std::ignore) = co_await socket.async_read_some(asio::buffer(ignored), without_throw);
  }

  asio::awaitable<void> hold(tcp::endpoint to, manner how) {
    using asio::experimental::awaitable_operators::operator||;
    for (;;) {
      tcp::socket socket{loop_};
      const auto [refused] = co_await socket.async_connect(to, without_throw);
      if (!refused) {
        ++opened_;
        const auto text = first_bytes(how);
        static_cast<void>(co_await asio::async_write(socket, asio::buffer(text), without_throw));
        boost::system::error_code ignored;
        if (how == manner::half_closed)
          socket.shutdown(tcp::socket::shutdown_send, ignored);
        if (how == manner::slow_header || how == manner::slow_body)
          co_await (drip(socket) || read_to_the_end(socket));
        else
          co_await read_to_the_end(socket);
        ++closed_;
      }
      // A crowd, not a flood: each comes back, but not in the same moment.
      co_await wait(std::chrono::milliseconds{std::uniform_int_distribution{5'000, 15'000}(random_)});
    }
  }

  asio::io_context loop_{1};
  std::mt19937_64 random_;
  std::atomic<std::size_t> opened_ = 0;
  std::atomic<std::size_t> closed_ = 0;
  std::thread thread_;
};

/// What clients saw who asked a question now and then.
struct seen {
  /// What was not answered with 200, by status and words.
  std::map<std::string, std::size_t> failures = {};
  std::vector<steady::duration> times = {};

  long p99_us() {
    if (times.empty())
      return 0;
    std::sort(times.begin(), times.end());
    return std::chrono::duration_cast<std::chrono::microseconds>(times[times.size() * 99 / 100]).count();
  }
};

seen ask_for(world& on, int clients, std::chrono::milliseconds span) {
  seen all;
  std::mutex mutex;
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(clients));
  const auto until = steady::now() + span;
  for (int i = 0; i < clients; ++i)
    threads.emplace_back([&] {
      asio::io_context loop;
      asio::steady_timer pace{loop};
      while (steady::now() < until) {
        const auto begun = steady::now();
        const auto answer = on.engine().call("GET", "/v1/users/1", on.key());
        const auto took = steady::now() - begun;
        {
          const std::lock_guard lock{mutex};
          if (answer.status != 200)
            ++all.failures[std::to_string(answer.status) + ' ' + answer.failure + answer.body.substr(0, 200)];
          all.times.push_back(took);
        }
        pace.expires_at(begun + 20ms);
        pace.wait();
      }
    });
  for (auto& thread : threads)
    thread.join();
  return all;
}

void allow_files(std::size_t count) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
    throw std::system_error{errno, std::generic_category(), "getrlimit"};
  if (limit.rlim_cur >= count)
    return;
  limit.rlim_cur = count;
  limit.rlim_max = std::max<rlim_t>(limit.rlim_max, count);
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    throw std::runtime_error{"this needs " + std::to_string(count) + " descriptors: ulimit -Hn"};
}

} // namespace

report crowd(const crowd_options& options) {
  // Before the engine starts, which inherits it.
  allow_files(static_cast<std::size_t>(options.connections) + 1'024);
  world_options how;
  how.seed = options.seed;
  how.users = 1;
  world on{how};
  const auto pid = on.engine().child().pid();
  const auto before = test::memory_kib(pid, "VmRSS");
  auto quiet = ask_for(on, options.clients, options.span);

  report done;
  const auto differ = [&](const std::string& what) { done.differences.push_back(what); };
  seen arriving;
  seen crowded;
  std::size_t opened = 0;
  std::size_t closed = 0;
  std::size_t files = 0;
  {
    crowd_of all{on.engine().origin(), options.connections, options.seed};
    // While all of them come at once, and while they stay, return and are closed again.
    arriving = ask_for(on, options.clients, options.span);
    const auto limit = steady::now() + 60s;
    while (all.opened() < static_cast<std::size_t>(options.connections) && steady::now() < limit)
      on.engine().child().wait(50ms);
    files = test::open_files(pid);
    crowded = ask_for(on, options.clients, options.span);
    opened = all.opened();
    closed = all.closed_by_the_engine();
  }
  const auto peak = test::memory_kib(pid, "VmHWM");
  for (const auto* each : {&quiet, &arriving, &crowded})
    for (const auto& [what, count] : each->failures)
      differ(std::to_string(count) + " questions were answered " + what);
  if (opened < static_cast<std::size_t>(options.connections))
    differ("only " + std::to_string(opened) + " connections came");
  if (files > max_connections + other_files)
    differ("the engine has " + std::to_string(files) + " files open");
  if (options.peak_growth > 0 && peak > before + options.peak_growth)
    differ("memory grew from " + std::to_string(before) + " to " + std::to_string(peak) + " KiB");
  const auto quiet_us = quiet.p99_us();
  const auto crowded_us = crowded.p99_us();
  const auto ratio = static_cast<double>(crowded_us) / static_cast<double>(std::max(quiet_us, 1L));
  if (options.most_ratio > 0 && ratio >= options.most_ratio)
    differ("others noticed: their p99 is " + std::to_string(ratio) + " times the quiet one");
  if (!on.engine().child().is_running())
    differ("the engine has ended");
  done.figures = {{"connections opened", std::to_string(opened)},
                  {"closed by the engine", std::to_string(closed)},
                  {"files of the engine", std::to_string(files)},
                  {"quiet questions", std::to_string(quiet.times.size())},
                  {"arriving questions", std::to_string(arriving.times.size())},
                  {"crowded questions", std::to_string(crowded.times.size())},
                  {"quiet p99 us", std::to_string(quiet_us)},
                  {"arriving p99 us", std::to_string(arriving.p99_us())},
                  {"crowded p99 us", std::to_string(crowded_us)},
                  {"ratio", std::to_string(ratio)},
                  {"KiB before", std::to_string(before)},
                  {"KiB at most", std::to_string(peak)}};
  return done;
}

} // namespace skyengine::torture
