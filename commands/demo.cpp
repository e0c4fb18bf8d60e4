#include "commands/child_process.hpp"
#include "commands/commands.hpp"
#include "commands/engine.hpp"
#include "db/api_key_store.hpp"
#include "net/api/api_key_secret.hpp"
#include "net/http/client.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/json.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace skyengine::commands {

namespace {

namespace asio = boost::asio;
namespace http = net::http;
namespace json = boost::json;
using namespace std::chrono_literals;
using actors::runtime::wait_until;

constexpr const char* panel_token = "demo-token";
constexpr auto story_patience = 90s;

/// What a step of the story found wrong.
struct broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void expect(bool holds, const std::string& otherwise) {
  if (!holds)
    throw broken{otherwise};
}

/// The simulator stands beside this program.
std::filesystem::path simulator_path() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "virtfusion-simulator";
}

bool is_port_free(const std::string& host, std::uint16_t port) {
  asio::io_context loop;
  boost::system::error_code failed;
  const auto address = asio::ip::make_address(host, failed);
  if (failed)
    return true;
  asio::ip::tcp::acceptor acceptor{loop};
  acceptor.open(asio::ip::tcp::endpoint{address, port}.protocol(), failed);
  acceptor.set_option(asio::ip::tcp::acceptor::reuse_address{true}, failed);
  acceptor.bind({address, port}, failed);
  return !failed;
}

struct answer {
  unsigned status = 0;
  json::value body;
  std::optional<std::chrono::seconds> retry_after;
};

/// The story's voice and its HTTP clients.
class story {
public:
  story(engine& node, child_process& panel, std::string panel_origin, std::string key)
      : node_(node), panel_(panel), key_(std::move(key)),
        api_(node.loop().get_executor(),
             options("http://127.0.0.1:" + std::to_string(node.endpoint().port()))),
        control_(node.loop().get_executor(), options(panel_origin)) {}

  asio::awaitable<void> play() {
    co_await fill_catalogue();
    co_await one_server();
    co_await twenty_at_once();
    co_await lost_answer();
    co_await failing_build();
    co_await compare_both_sides();
  }

  /// What waits for something goes on to its end without telling, and `play` with it.
  void interrupt() { is_interrupted_ = true; }

  void close() {
    api_.close();
    control_.close();
  }

private:
  static http::client_options options(std::string origin) {
    http::client_options chosen;
    chosen.origin = std::move(origin);
    return chosen;
  }

  asio::awaitable<answer>
  exchange(http::client& client, http::verb method, std::string target, json::value body) {
    expect(!is_interrupted_, "interrupted");
    http::client_request request;
    request.method = method;
    request.target = std::move(target);
    request.timeout = 30s;
    if (&client == &api_)
      request.headers.set(http::field::authorization, "Bearer " + key_);
    if (!body.is_null()) {
      request.headers.set(http::field::content_type, "application/json");
      request.body = json::serialize(body);
    }
    const auto received = co_await client.exchange(std::move(request));
    if (received.has_error()) {
      expect(panel_.is_running(), "the simulated VirtFusion has ended");
      throw broken{"no answer: " + received.error().detail};
    }
    answer given{received->status, {}, {}};
    boost::system::error_code failed;
    given.body = json::parse(received->body, failed);
    if (const auto after = received->headers.find(http::field::retry_after); after != received->headers.end())
      given.retry_after = std::chrono::seconds{std::atoi(std::string{after->value()}.c_str())};
    co_return given;
  }

  asio::awaitable<answer> call(http::verb method, std::string target, json::value body = nullptr) {
    return exchange(api_, method, std::move(target), std::move(body));
  }

  /// Shorter when the story is interrupted.
  asio::awaitable<void> pause(std::chrono::milliseconds length) {
    const auto end = node_.timers().now() + length;
    do
      co_await wait_until(node_.timers(), std::min(end, node_.timers().now() + 50ms));
    while (!is_interrupted_ && node_.timers().now() < end);
  }

  asio::awaitable<void> put(std::string target, json::value body) {
    const auto done = co_await call(http::verb::put, target, std::move(body));
    expect(done.status / 100 == 2, "PUT " + target + " was answered " + std::to_string(done.status));
  }

  asio::awaitable<void> fault(json::value what) {
    const auto done = co_await exchange(control_, http::verb::post, "/_control/faults", std::move(what));
    expect(done.status / 100 == 2, "the simulator refused a fault");
  }

  asio::awaitable<std::int64_t> posts_seen() {
    const auto requests = co_await exchange(control_, http::verb::get, "/_control/requests", nullptr);
    const auto& counts = requests.body.as_object().at("byOperation").as_object();
    const auto* found = counts.if_contains("POST /servers");
    co_return found != nullptr ? found->to_number<std::int64_t>() : 0;
  }

  void say(const std::string& line) const {
    expect(!is_interrupted_, "interrupted");
    std::puts(line.c_str());
    std::fflush(stdout);
  }

  asio::awaitable<void> fill_catalogue() {
    json::object price{{"amount", "5.00"}, {"currency", "USD"}};
    co_await put("/v1/plans/small",
                 json::object{{"name", "Small"}, {"price", price}, {"virtfusionPackageId", 1}});
    price["amount"] = "10.00";
    co_await put("/v1/plans/large",
                 json::object{{"name", "Large"}, {"price", price}, {"virtfusionPackageId", 2}});
    co_await put("/v1/regions/north", json::object{{"name", "North"}, {"virtfusionHypervisorGroupId", 1}});
    co_await put("/v1/regions/south", json::object{{"name", "South"}, {"virtfusionHypervisorGroupId", 2}});
    for (int user = 1; user <= 5; ++user) {
      const auto number = std::to_string(user);
      co_await put("/v1/users/" + number, json::object{{"name", "Customer " + number},
                                                       {"email", "customer" + number + "@example.com"}});
    }
    say("  catalogue     plans small, large · regions north, south · users 1 to 5");
  }

  static json::object order(int user, const std::string& region = "north") {
    return {{"planId", "small"}, {"region", region}, {"userId", user}};
  }

  /// Orders until the engine has room for it, as a well-behaved panel does.
  asio::awaitable<json::object> create(json::object wanted, int* refusals = nullptr) {
    for (;;) {
      const auto given = co_await call(http::verb::post, "/v1/servers", wanted);
      if (given.status == 201 || given.status == 202)
        co_return given.body.as_object();
      expect(given.status == 503 && given.retry_after.has_value(),
             "a create was answered " + std::to_string(given.status) + ": " + json::serialize(given.body));
      if (refusals != nullptr)
        ++*refusals;
      expect(panel_.is_running(), "the simulated VirtFusion has ended");
      co_await pause(*given.retry_after);
    }
  }

  asio::awaitable<json::object> follow(std::int64_t id, bool is_told) {
    std::string last;
    for (;;) {
      const auto now = co_await call(http::verb::get, "/v1/servers/" + std::to_string(id));
      expect(now.status == 200, "a server cannot be read");
      const auto& record = now.body.as_object();
      const std::string state{record.at("state").as_string()};
      if (state != std::exchange(last, state) && is_told)
        say("                server " + std::to_string(id) + " is " + state);
      if (state == "active" || state == "failed" || state == "deleted")
        co_return record;
      expect(panel_.is_running(), "the simulated VirtFusion has ended");
      co_await pause(100ms);
    }
  }

  asio::awaitable<void> one_server() {
    say("\n1. One server, over HTTP");
    const auto made = co_await create(order(1));
    const auto id = made.at("id").to_number<std::int64_t>();
    say("  201           server " + std::to_string(id) + ", VirtFusion's " +
        json::serialize(made.at("virtfusionId")) + ", root password shown once");
    expect(made.contains("initialPassword"), "the create showed no password");
    const auto record = co_await follow(id, true);
    expect(record.at("state").as_string() == "active", "the server did not become active");
    say("  address       " + json::serialize(record.at("ipv4")));
  }

  asio::awaitable<void> order_one(int number, int* refusals, int* done, std::vector<std::string>* failures) {
    try {
      const auto made = co_await create(order(1 + number % 5, number % 2 == 0 ? "north" : "south"), refusals);
      const auto record = co_await follow(made.at("id").to_number<std::int64_t>(), false);
      expect(record.at("state").as_string() == "active", "a server did not become active");
    } catch (const std::exception& e) {
      failures->push_back(e.what());
    }
    ++*done;
  }

  asio::awaitable<void> twenty_at_once() {
    say("\n2. Twenty at once, while VirtFusion is asked at most four things at a time");
    constexpr int wanted = 20;
    int refusals = 0;
    int done = 0;
    std::vector<std::string> failures;
    for (int i = 0; i < wanted; ++i)
      asio::co_spawn(node_.loop(), order_one(i, &refusals, &done, &failures), asio::detached);
    // Before this coroutine ends all of them have: they refer to its frame.
    // A terminal sees it counted on one line, a file a line for each change.
    const char* form =
      ::isatty(STDOUT_FILENO) == 1 ? "\r  active        %2d of %d" : "  active        %2d of %d\n";
    for (int told = -1; told < wanted;) {
      if (const auto last = std::exchange(told, done); last != told && !is_interrupted_) {
        std::printf(form, told, wanted);
        std::fflush(stdout);
      }
      co_await pause(50ms);
    }
    if (::isatty(STDOUT_FILENO) == 1)
      std::putchar('\n');
    if (!failures.empty())
      throw broken{failures.front()};
    const auto requests = co_await exchange(control_, http::verb::get, "/_control/requests", nullptr);
    const auto most = requests.body.as_object().at("maxInFlight").to_number<std::int64_t>();
    say("  back-pressure " + std::to_string(refusals) +
        " answers were 503 with Retry-After; VirtFusion saw at most " + std::to_string(most) +
        " calls at once");
    expect(most <= 4, "VirtFusion was asked too many things at once");
  }

  asio::awaitable<void> lost_answer() {
    say("\n3. VirtFusion makes a server, and its answer is lost");
    const auto before = co_await posts_seen();
    co_await fault(json::object{{"operation", "POST /servers"}, {"kind", "lost_answer"}, {"count", 1}});
    const auto made = co_await create(order(2));
    const auto record = co_await follow(made.at("id").to_number<std::int64_t>(), true);
    expect(record.at("state").as_string() == "active", "the server did not become active");
    const auto after = co_await posts_seen();
    expect(after == before + 1, "VirtFusion was asked twice for one server");
    say("  adopted       found among the user's servers; VirtFusion was asked once");
  }

  asio::awaitable<void> failing_build() {
    say("\n4. A build fails twice");
    co_await fault(
      json::object{{"operation", "POST /servers/{serverId}/build"}, {"kind", "build_fails"}, {"count", 2}});
    const auto made = co_await create(order(3));
    const auto record = co_await follow(made.at("id").to_number<std::int64_t>(), true);
    expect(record.at("state").as_string() == "failed", "the server did not fail");
    say("  cleaned up    nothing is left in VirtFusion, and nobody pays for it");
  }

  asio::awaitable<void> compare_both_sides() {
    std::map<std::int64_t, std::string> ours;
    std::string cursor;
    do {
      const auto page = co_await call(http::verb::get, "/v1/servers?limit=200&state=active" +
                                                         (cursor.empty() ? "" : "&cursor=" + cursor));
      const auto& list = page.body.as_object();
      for (const auto& item : list.at("items").as_array())
        ours[item.at("virtfusionId").to_number<std::int64_t>()] = item.at("state").as_string();
      cursor = list.contains("nextCursor") ? std::string{list.at("nextCursor").as_string()} : std::string{};
    } while (!cursor.empty());
    const auto state = co_await exchange(control_, http::verb::get, "/_control/state", nullptr);
    std::size_t theirs = 0;
    for (const auto& server : state.body.as_object().at("servers").as_array()) {
      if (!server.at("deletedAt").is_null())
        continue;
      ++theirs;
      expect(ours.contains(server.at("id").to_number<std::int64_t>()),
             "VirtFusion has a server that is not ours");
    }
    expect(theirs == ours.size(), "we have a server that VirtFusion has not");
    say("\nBoth sides agree: " + std::to_string(ours.size()) + " servers, none lost, none twice.");
  }

  engine& node_;
  child_process& panel_;
  std::string key_;
  http::client api_;
  http::client control_;
  bool is_interrupted_ = false;
};

/// The operator's key of this data folder: kept in `demo.key` while it is good.
asio::awaitable<result<std::string>> ensure_key(engine& node, std::filesystem::path file) {
  db::api_key_store keys{node.session().database()};
  std::string known;
  if (std::ifstream stored{file}; stored) {
    // Whoever made it, or copied the folder: nobody else reads it from here on.
    if (::chmod(file.c_str(), 0600) != 0)
      co_return error{errc::internal, "cannot make " + file.string() + " private"};
    std::getline(stored, known);
  }
  if (!known.empty()) {
    const auto found = co_await keys.find_by_hash(net::api::sha256_hex(known));
    if (!found)
      co_return found.error();
    if (*found)
      co_return known;
  }
  const auto made = net::api::make_api_key_secret();
  const auto stored = co_await keys.insert(net::api::sha256_hex(made.reveal()), "demo", std::nullopt, {},
                                           "demo", std::nullopt, node.session().business().now());
  if (!stored)
    co_return stored.error();
  const auto line = made.reveal() + "\n";
  const int descriptor = ::open(file.c_str(), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
  const auto is_written =
    descriptor >= 0 && ::write(descriptor, line.data(), line.size()) == std::ssize(line);
  if (descriptor >= 0)
    ::close(descriptor);
  if (!is_written)
    co_return error{errc::internal, "cannot write " + file.string()};
  co_return made.reveal();
}

int refuse(const std::string& why) {
  std::fprintf(stderr, "skyengine: %s\n", why.c_str());
  return 1;
}

/// What a shell has for a program that `signal` ended.
int refuse_interrupted(int signal) {
  std::fputs("\nskyengine: interrupted before the story was told\n", stderr);
  return 128 + signal;
}

/// Nothing of the demo may reach what an operator has set for `serve`: its database, its VirtFusion, its
/// name.
config::settings without_what_is_real(config::settings given) {
  given.database.url.clear();
  given.virtfusion.api_url.clear();
  given.virtfusion.api_token.clear();
  given.virtfusion.ca_file.clear();
  // The story speaks plain HTTP.
  given.http.tls_cert.clear();
  given.http.tls_key.clear();
  given.node.name.clear();
  return given;
}

void show_how_to_go_on(const engine& node, const std::string& key) {
  const auto url = "http://127.0.0.1:" + std::to_string(node.endpoint().port());
  std::printf("\nThe engine stays up; Ctrl-C ends it.\n\n"
              "  url   %s   (the API is described at %s/docs)\n"
              "  key   %s\n\n"
              "  curl -s -H 'Authorization: Bearer %s' %s/v1/servers\n"
              "  curl -s -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' "
              "-d '{\"planId\":\"small\",\"region\":\"north\",\"userId\":1}' %s/v1/servers\n"
              "  curl -s %s/readyz\n\n",
              url.c_str(), url.c_str(), key.c_str(), key.c_str(), url.c_str(), key.c_str(), url.c_str(),
              url.c_str());
  std::fflush(stdout);
}

} // namespace

int demo(const context& given, const demo_options& options) {
  auto settings = without_what_is_real(given.settings);
  const auto simulator = simulator_path();
  if (::access(simulator.c_str(), X_OK) != 0)
    return refuse(
      "the demo needs the simulated VirtFusion beside this program, and cannot start " + simulator.string() +
      " (" + std::generic_category().message(errno) +
      "): build it with `scripts/build release virtfusion-simulator`, or start the demo with `./run`");
  std::error_code failed;
  std::filesystem::create_directories(given.data_dir, failed);
  if (failed)
    return refuse("cannot write to " + given.data_dir.string() + ": " + failed.message());
  auto panel =
    child_process::start(simulator,
                         {"--listen", "127.0.0.1:0", "--token", panel_token, "--build-time", "1", "--latency",
                          "20", "--jitter", "20", "--state", (given.data_dir / "virtfusion.state").string()},
                         given.data_dir / "virtfusion.log");
  if (!panel)
    return refuse(panel.error().detail);
  const auto at = panel->first_line().find("http://");
  if (at == std::string::npos)
    return refuse("the simulated VirtFusion said: " + panel->first_line());
  settings.virtfusion.api_url = panel->first_line().substr(at);
  settings.virtfusion.api_token = panel_token;
  settings.virtfusion.max_in_flight = 4;
  settings.provisioning.settle = 3s;
  settings.provisioning.max_open = 12;
  if (settings.clock.rate == 1)
    settings.clock.rate = 60;
  if (!options.is_listen_set && !is_port_free(settings.http.listen.host, settings.http.listen.port))
    settings.http.listen.port = 0;

  // Starting blocks: a signal that comes meanwhile is heeded as soon as there is something to stop.
  asio::io_context before;
  std::optional<int> ended_by;
  asio::signal_set early{before, SIGTERM, SIGINT};
  early.async_wait([&](boost::system::error_code cancelled, int signal) {
    if (!cancelled)
      ended_by = signal;
  });
  std::puts("skyengine demo");
  std::fflush(stdout);
  auto started = engine::start(settings, given.data_dir, db::panel_kind::demo);
  before.poll();
  if (!started)
    return ended_by ? refuse_interrupted(*ended_by) : refuse(started.error().detail);
  auto& node = **started;
  if (settings.clock.rate != 1)
    std::printf("  clock         %lld seconds pass in one, so the times it tells run ahead\n",
                static_cast<long long>(settings.clock.rate));
  std::printf("  database      private PostgreSQL in %s\n  VirtFusion    simulated, %s\n  engine        "
              "http://127.0.0.1:%u\n",
              (given.data_dir / "postgres").c_str(), settings.virtfusion.api_url.c_str(),
              node.endpoint().port());
  const auto key = run_to_end(node.loop(), ensure_key(node, given.data_dir / "demo.key"));
  if (!key)
    return refuse(key.error().detail);

  const auto origin = settings.virtfusion.api_url.substr(0, settings.virtfusion.api_url.find("/api"));
  story told{node, *panel, origin, *key};
  auto is_good = false;
  auto is_told = false;
  const auto interrupt = [&](int signal) {
    if (!is_told)
      ended_by = signal;
    told.interrupt();
    node.stop();
  };
  asio::signal_set signals{node.loop(), SIGTERM, SIGINT};
  signals.async_wait([&](boost::system::error_code cancelled, int signal) {
    if (!cancelled)
      interrupt(signal);
  });
  before.poll();
  early.cancel();
  if (ended_by)
    interrupt(*ended_by);
  const auto late = node.timers().schedule(node.timers().now() + story_patience, [&] {
    std::fputs("\nskyengine: the story took too long\n", stderr);
    node.stop();
  });
  asio::co_spawn(node.loop(), told.play(), [&](std::exception_ptr bug) {
    node.timers().cancel(late);
    is_told = true;
    try {
      if (bug)
        std::rethrow_exception(bug);
      is_good = true;
      if (!options.is_once)
        show_how_to_go_on(node, *key);
    } catch (const std::exception& e) {
      if (!ended_by)
        std::fprintf(stderr, "\nskyengine: the story broke off: %s\n", e.what());
    }
    if (options.is_once || !is_good)
      node.stop();
  });
  const auto code = node.run();
  told.close();
  // What the story still waits for refers to what is destroyed below.
  while (!is_told && node.loop().run_one_for(10s) > 0) {
  }
  if (ended_by && code == 0)
    return refuse_interrupted(*ended_by);
  return is_good ? code : 1;
}

} // namespace skyengine::commands
