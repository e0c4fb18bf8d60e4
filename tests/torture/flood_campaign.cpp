#include "tests/torture/campaigns.hpp"
#include "tests/torture/checks.hpp"
#include "tests/torture/clients.hpp"
#include "tests/torture/figures.hpp"
#include "tests/torture/history.hpp"
#include "tests/torture/world.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/json.hpp>

#include <algorithm>

namespace skyengine::torture {

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr std::int64_t max_in_flight = 16;
constexpr auto patience = 10s;
// What an answer may take besides the patience: rows are read and written, on a machine that is busy.
constexpr auto leeway = 2s;

std::vector<asio::ip::tcp::socket> open_idle(asio::io_context& loop, const std::string& origin, int count) {
  const auto port = static_cast<std::uint16_t>(std::atoi(origin.substr(origin.rfind(':') + 1).c_str()));
  std::vector<asio::ip::tcp::socket> open;
  for (int i = 0; i < count; ++i) {
    auto& one = open.emplace_back(loop);
    one.connect({asio::ip::address_v4::loopback(), port});
  }
  return open;
}

} // namespace

report flood(const flood_options& options) {
  world_options how;
  how.seed = options.seed;
  how.users = options.clients * 2;
  how.panel = {"--build-time", "1", "--latency", "50", "--rate-limit", std::to_string(options.rate_limit)};
  world on{how};
  on.panel().add_fault({{"operation", "*"}, {"kind", "lost_answer"}, {"share", 0.05}});
  on.panel().add_fault({{"operation", "*"}, {"kind", "status"}, {"status", 503}, {"share", 0.05}});
  on.panel().reset_requests();

  const auto pid = on.engine().child().pid();
  const auto before = test::memory_kib(pid, "VmRSS");
  asio::io_context idle_loop;
  auto idle = open_idle(idle_loop, on.engine().origin(), options.idle_connections);

  history told;
  load_options clients;
  clients.seed = options.seed;
  clients.clients = options.clients;
  clients.creates = options.creates;
  clients.deletes = 0;
  clients.controls = 0;
  clients.persistence = 1h;
  const auto begun = std::chrono::steady_clock::now();
  load running{on, told, clients};
  running.join();
  report done;
  outcome_figures ends;
  done.differences = differences(on, told, {300s, true}, &ends);
  const auto took =
    std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - begun);
  idle.clear();

  const auto after = test::memory_kib(pid, "VmRSS");
  const auto peak = test::memory_kib(pid, "VmHWM");
  const auto requests = on.panel().requests();
  const auto most = requests.at("maxInFlight").to_number<std::int64_t>();
  const auto counted = told.counted();
  const auto longest = counted.answer_times.empty()
                         ? 0ms
                         : *std::max_element(counted.answer_times.begin(), counted.answer_times.end());
  const auto differ = [&](const std::string& what) { done.differences.push_back(what); };
  if (most > max_in_flight)
    differ("VirtFusion saw " + std::to_string(most) + " calls at a time");
  if (longest > patience + leeway)
    differ("somebody waited " + std::to_string(longest.count()) + " ms");
  if (counted.by_status.contains(0))
    differ(std::to_string(counted.by_status.at(0)) + " requests were cut");
  if (told.servers().size() != options.creates)
    differ(std::to_string(told.servers().size()) + " servers for " + std::to_string(options.creates) +
           " orders");
  if (options.end_growth > 0 && after > before + options.end_growth)
    differ("memory grew from " + std::to_string(before) + " to " + std::to_string(after) + " KiB");
  if (options.peak_growth > 0 && peak > before + options.peak_growth)
    differ("memory grew from " + std::to_string(before) + " to " + std::to_string(peak) + " KiB in between");

  done.figures = {{"clients", std::to_string(options.clients)},
                  {"seconds", std::to_string(took.count())},
                  {"most calls at a time", std::to_string(most)},
                  {"calls", boost::json::serialize(requests.at("total"))},
                  {"most calls a second", boost::json::serialize(requests.at("maxPerSecond"))},
                  {"KiB before", std::to_string(before)},
                  {"KiB after", std::to_string(after)},
                  {"KiB at most", std::to_string(peak)}};
  append(done.figures, told);
  append(done.figures, ends);
  return done;
}

} // namespace skyengine::torture
