// How fast is a create refused when the engine has no room for another?
//
// A slow VirtFusion (1 s a call) lets `provisioning.max_open` creates pile up; then further ones come at a
// steady rate, in an open loop, and are answered 503. Their time is measured twice: in the engine, from the
// whole request to its answer, as its own histogram
// `skyengine_http_request_duration_seconds{route="/v1/servers", status="503"}` has it, where a quantile is
// known as the bucket that it lies in; and from outside, exactly, from when a request was due until its
// answer was read, which has the client and the sockets besides.

#include "bench/bench_support.hpp"
#include "bench/open_loop.hpp"
#include "tests/torture/world.hpp"

#include <boost/asio/co_spawn.hpp>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace bench = skyengine::bench;
namespace torture = skyengine::torture;

constexpr double rate = 500;
constexpr std::size_t users = 64;
/// More than `provisioning.max_open` takes.
constexpr std::size_t filling = 300;
constexpr double aim_ms = 10;

class orders {
public:
  orders(bench::http_pool& pool, const std::string& key) : pool_(pool), key_(key) {}

  /// True when it was refused.
  asio::awaitable<bool> order() {
    const auto number = ++last_;
    auto body =
      R"({"planId": "small", "region": "north", "userId": )" + std::to_string(1 + number % users) + "}";
    const bench::http_pool::headers headers{{"Authorization", "Bearer " + key_},
                                            {"Idempotency-Key", "order-" + std::to_string(number)}};
    const auto answer = co_await pool_.send("POST", "/v1/servers", headers, std::move(body));
    // 202: taken, when one before it has ended.
    if (answer.status != 503 && answer.status != 202 && answer.status != 201)
      throw std::runtime_error{"a create was answered " + std::to_string(answer.status) + ' ' + answer.body};
    co_return answer.status == 503;
  }

private:
  bench::http_pool& pool_;
  const std::string& key_;
  std::size_t last_ = 0;
};

/// The engine's histogram of refused creates: upper bounds in seconds, and how many were at most that.
struct histogram {
  std::vector<std::pair<double, double>> buckets;
  double count = 0;
};

histogram refusals(const std::string& metrics) {
  constexpr std::string_view bucket = "skyengine_http_request_duration_seconds_bucket{";
  constexpr std::string_view bound = "le=\"";
  histogram found;
  for (std::size_t begin = 0; begin < metrics.size();) {
    const auto end = std::min(metrics.find('\n', begin), metrics.size());
    const auto line = std::string_view{metrics}.substr(begin, end - begin);
    begin = end + 1;
    if (!line.starts_with(bucket) || line.find(R"(method="POST")") == line.npos ||
        line.find(R"(route="/v1/servers")") == line.npos || line.find(R"(status="503")") == line.npos)
      continue;
    const auto* const limit = line.data() + line.find(bound) + bound.size();
    const auto value = std::strtod(line.data() + line.rfind(' ') + 1, nullptr);
    if (*limit == '+')
      found.count = value;
    found.buckets.emplace_back(
      *limit == '+' ? std::numeric_limits<double>::infinity() : std::strtod(limit, nullptr), value);
  }
  return found;
}

/// The upper bound, in milliseconds, of the bucket in which the quantile of what came between the two lies.
double bound_of(const histogram& before, const histogram& after, double share) {
  const auto wanted = std::ceil(share * (after.count - before.count));
  for (std::size_t i = 0; i < after.buckets.size(); ++i) {
    const auto earlier = i < before.buckets.size() ? before.buckets[i].second : 0;
    if (after.buckets[i].second - earlier >= wanted)
      return after.buckets[i].first * 1'000;
  }
  return std::numeric_limits<double>::infinity();
}

int run(const bench::options& how) {
  const std::size_t count = how.is_smoke ? 200 : 2'500;
  torture::world_options options;
  options.panel = {"--build-time", "1", "--latency", "1000", "--users", std::to_string(users)};
  options.users = static_cast<int>(users);
  options.has_private_database = true;
  // A create that was taken is answered soon, so that none holds the bench up.
  options.settings = {{"SKYENGINE_HTTP_PATIENCE", "100ms"}};
  torture::world world{options};
  const auto& engine = world.engine();

  asio::io_context loop{1};
  bench::http_pool pool{loop, bench::endpoint_of(engine.origin())};
  orders all{pool, world.key()};
  const auto order = [&](std::size_t) { return all.order(); };
  const auto read_metrics = [&] {
    const auto told = engine.call("GET", "/metrics", {}, {}, {{"Accept", "text/plain"}});
    if (told.status != 200)
      throw std::runtime_error{"no metrics: " + std::to_string(told.status) + ' ' + told.body};
    return refusals(told.body);
  };
  if (bench::run_open_loop(loop, rate, filling, order).empty())
    throw std::runtime_error{"the engine took every create"};

  std::vector<double> inside_p99;
  std::vector<double> p50;
  std::vector<double> p99;
  double refused = 0;
  for (int round = 0; round < how.rounds; ++round) {
    const auto before = read_metrics();
    const auto times = bench::run_open_loop(loop, rate, count, order);
    const auto after = read_metrics();
    if (after.count - before.count != static_cast<double>(times.size()))
      throw std::runtime_error{"the engine has counted " + std::to_string(after.count - before.count) +
                               " refusals, the client " + std::to_string(times.size())};
    // A few are taken, as creates end meanwhile.
    if (times.size() < count * 9 / 10)
      throw std::runtime_error{"the engine had room"};
    refused += static_cast<double>(times.size());
    inside_p99.push_back(bound_of(before, after, 0.99));
    p50.push_back(bench::quantile(times, 0.5));
    p99.push_back(bench::quantile(times, 0.99));
  }

  const auto inside = bench::summarise(inside_p99);
  const auto outside_p50 = bench::summarise(p50);
  const auto outside_p99 = bench::summarise(p99);
  std::printf("503 at %.0f creates/s, ms: in the engine p99 <= %.1f; from outside p50 %.2f (deviation %.2f), "
              "p99 %.2f (deviation %.2f)\n",
              rate, inside.median, outside_p50.median, outside_p50.deviation, outside_p99.median,
              outside_p99.deviation);
  std::printf("p99 from outside / aim %.2f (aim %.0f ms)\n", outside_p99.median / aim_ms, aim_ms);
  bench::summary{"refusal"}
    .add("rounds", how.rounds)
    .add("rate", rate)
    .add("refused", refused)
    .add("load", bench::load_average(), 2)
    .add("engine_p99_at_most_ms", inside, 2)
    .add("p50_ms", outside_p50, 3)
    .add("p99_ms", outside_p99, 3)
    .add("p99_by_aim", outside_p99.median / aim_ms, 3)
    .print();
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, 5, run);
}
