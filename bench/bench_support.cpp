#include "bench/bench_support.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>

namespace skyengine::bench {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using steady = std::chrono::steady_clock;

constexpr auto tuple = asio::as_tuple(asio::deferred);
constexpr int most_rounds = 1'000;
constexpr int wrk_seconds = 3;
constexpr std::size_t built_in_requests = 100'000;
constexpr std::size_t smoke_requests = 2'000;

[[noreturn]] void explain(const char* program) {
  std::fprintf(stderr, "usage: %s [--smoke] [--rounds N], with N from 1 to %d\n", program, most_rounds);
  std::_Exit(2);
}

std::string number(double value, int digits) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

/// What a shell's command says; empty when it cannot be run.
std::string output_of(const std::string& command) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> output{popen(command.c_str(), "r"), pclose};
  if (!output)
    return {};
  std::string text;
  std::array<char, 1024> piece{};
  while (const auto size = std::fread(piece.data(), 1, piece.size(), output.get()))
    text.append(piece.data(), size);
  return text;
}

std::string request_text(const http_load& load) {
  auto text = "GET " + load.target + " HTTP/1.1\r\nHost: bench\r\n";
  for (const auto& [name, value] : load.headers) {
    text += name;
    text += ": ";
    text += value;
    text += "\r\n";
  }
  return text + "\r\n";
}

/// How long the answer that `input` begins with is, as far as its head tells; 0 while it does not, nullopt
/// for one that is no success.
std::optional<std::size_t> answer_size(std::string_view input) {
  constexpr std::string_view success = "HTTP/1.1 200 ";
  constexpr std::string_view length = "\r\ncontent-length: ";
  const auto head = input.find("\r\n\r\n");
  if (head == std::string_view::npos)
    return 0;
  if (!input.starts_with(success))
    return std::nullopt;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  const auto found = std::search(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(head),
                                 length.begin(), length.end(), [&](char a, char b) { return lower(a) == b; });
  if (found == input.begin() + static_cast<std::ptrdiff_t>(head))
    return std::nullopt;
  std::size_t body = 0;
  std::from_chars(&*found + length.size(), input.data() + input.size(), body);
  return head + 4 + body;
}

struct drive_state {
  std::string request;
  std::size_t left = 0;
  std::size_t done = 0;
};

/// One connection of the built-in client: as many exchanges as are left.
asio::awaitable<void> drive_one(tcp::endpoint to, drive_state& state) {
  tcp::socket socket{co_await asio::this_coro::executor};
  if (const auto [ec] = co_await socket.async_connect(to, tuple); ec)
    co_return;
  std::string input;
  std::array<char, 8192> piece{};
  while (state.left > 0) {
    --state.left;
    if (const auto [ec, size] = co_await asio::async_write(socket, asio::buffer(state.request), tuple); ec)
      co_return;
    for (;;) {
      const auto wanted = answer_size(input);
      if (!wanted)
        co_return;
      if (*wanted > 0 && input.size() >= *wanted) {
        input.erase(0, *wanted);
        break;
      }
      const auto [ec, size] = co_await socket.async_read_some(asio::buffer(piece), tuple);
      if (ec)
        co_return;
      input.append(piece.data(), size);
    }
    ++state.done;
  }
}

/// With an argument that it does not know it says so and ends the program with 2.
options read_options(int argc, char** argv, int rounds) {
  options chosen{false, rounds};
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--smoke") {
      chosen.is_smoke = true;
      chosen.rounds = 1;
    } else if (option == "--rounds" && i + 1 < argc) {
      const std::string_view count = argv[++i];
      const auto* const end = count.data() + count.size();
      const auto read = std::from_chars(count.data(), end, chosen.rounds);
      if (read.ec != std::errc{} || read.ptr != end || chosen.rounds < 1 || chosen.rounds > most_rounds)
        explain(argv[0]);
    } else {
      explain(argv[0]);
    }
  }
  return chosen;
}

} // namespace

int run(int argc, char** argv, int rounds, int (*bench)(const options&)) {
  try {
    return bench(read_options(argc, argv, rounds));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}

figures summarise(std::vector<double> all) {
  if (all.empty())
    return {};
  std::ranges::sort(all);
  const auto middle = all.size() / 2;
  const auto median = all.size() % 2 == 1 ? all[middle] : (all[middle - 1] + all[middle]) / 2;
  double squares = 0;
  for (const auto one : all)
    squares += (one - median) * (one - median);
  return {median, std::sqrt(squares / static_cast<double>(all.size()))};
}

double quantile(std::vector<double> all, double share) {
  if (all.empty())
    return 0;
  std::ranges::sort(all);
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(all.size())));
  return all[std::clamp<std::size_t>(rank, 1, all.size()) - 1];
}

summary::summary(std::string_view bench) {
  add("bench", bench);
}

void summary::begin(std::string_view name) {
  text_ += text_.empty() ? "{\"" : ",\"";
  text_ += name;
  text_ += "\":";
}

summary& summary::add(std::string_view name, std::string_view text) {
  begin(name);
  text_ += '"';
  text_ += text;
  text_ += '"';
  return *this;
}

summary& summary::add(std::string_view name, double value, int digits) {
  begin(name);
  text_ += number(value, digits);
  return *this;
}

summary& summary::add(std::string_view name, const figures& value, int digits) {
  begin(name);
  text_ +=
    "{\"median\":" + number(value.median, digits) + ",\"deviation\":" + number(value.deviation, digits) + '}';
  return *this;
}

void summary::print() {
  std::printf("%s}\n", text_.c_str());
}

bool has_wrk() {
  static const bool is_there = !output_of("command -v wrk 2>/dev/null").empty();
  return is_there;
}

std::optional<double> drive_with_wrk(const http_load& load, int seconds) {
  auto command = "wrk -t1 -c" + std::to_string(load.connections) + " -d" + std::to_string(seconds) + "s";
  for (const auto& [name, value] : load.headers)
    command.append(" -H '").append(name).append(": ").append(value).append("'");
  command.append(" http://127.0.0.1:").append(std::to_string(load.to.port())).append(load.target);
  const auto text = output_of(command + " 2>/dev/null");
  constexpr std::string_view label = "Requests/sec:";
  const auto at = text.find(label);
  if (at == std::string::npos || text.find("Non-2xx") != std::string::npos ||
      text.find("Socket errors") != std::string::npos)
    return std::nullopt;
  return std::strtod(text.c_str() + at + label.size(), nullptr);
}

std::optional<double> drive(const http_load& load, std::size_t requests) {
  asio::io_context loop{1};
  drive_state state{request_text(load), requests};
  const auto begun = steady::now();
  for (std::size_t i = 0; i < load.connections; ++i)
    asio::co_spawn(loop, drive_one(load.to, state), asio::detached);
  loop.run();
  const std::chrono::duration<double> span = steady::now() - begun;
  if (state.done != requests)
    return std::nullopt;
  return static_cast<double>(requests) / span.count();
}

std::optional<double> drive(const http_load& load, const options& how) {
  if (how.is_smoke)
    return drive(load, smoke_requests);
  return has_wrk() ? drive_with_wrk(load, wrk_seconds) : drive(load, built_in_requests);
}

long memory_of(pid_t pid, std::string_view field) {
  std::ifstream in{"/proc/" + std::to_string(pid) + "/status"};
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(field) && line.size() > field.size() && line[field.size()] == ':')
      return std::atol(line.c_str() + field.size() + 1);
  return 0;
}

double load_average() {
  double load = 0;
  std::ifstream{"/proc/loadavg"} >> load;
  return load;
}

tcp::endpoint endpoint_of(std::string_view origin) {
  const std::string port{origin.substr(origin.rfind(':') + 1)};
  return {asio::ip::address_v4::loopback(),
          static_cast<std::uint16_t>(std::strtoul(port.c_str(), nullptr, 10))};
}

} // namespace skyengine::bench
