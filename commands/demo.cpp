#include "commands/child_process.hpp"
#include "commands/commands.hpp"
#include "commands/demo_story.hpp"
#include "commands/engine.hpp"
#include "db/api_key_store.hpp"
#include "net/api/api_key_secret.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace skyengine::commands {

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr const char* panel_token = "demo-token";
/// For all but the hours that pass in it.
constexpr auto story_patience = 90s;
/// An hour takes three seconds.
constexpr std::int64_t story_clock_rate = 1'200;

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

enum class act : std::uint8_t { first, second };

/// Signals that come while an engine starts, which blocks.
class early_signals {
public:
  early_signals() {
    signals_.async_wait([this](boost::system::error_code cancelled, int signal) {
      if (!cancelled)
        caught_ = signal;
    });
  }

  const std::optional<int>& caught() {
    loop_.poll();
    return caught_;
  }
  /// Others look after them from here on.
  void release() {
    caught();
    signals_.cancel();
  }

private:
  asio::io_context loop_;
  asio::signal_set signals_{loop_, SIGTERM, SIGINT};
  std::optional<int> caught_;
};

/// How an act has ended, and its engine with it.
struct performance {
  bool is_good = false;
  /// The engine's.
  int code = 0;
  /// Before the act was over.
  std::optional<int> interrupted_by;
};

/// Runs the engine for one act of the story; calls `on_good` when that has ended well.
performance perform(
  engine& node, demo_story& told, act which, early_signals& early, const std::function<void()>& on_good) {
  performance end;
  auto is_told = false;
  const auto interrupt = [&](int signal) {
    if (!is_told)
      end.interrupted_by = signal;
    told.interrupt();
    node.stop();
  };
  asio::signal_set signals{node.loop(), SIGTERM, SIGINT};
  signals.async_wait([&](boost::system::error_code cancelled, int signal) {
    if (!cancelled)
      interrupt(signal);
  });
  early.release();
  if (early.caught())
    interrupt(*early.caught());
  const auto hours =
    std::chrono::seconds{5 * 3'600} / std::max<std::int64_t>(node.session().business().rate(), 1);
  const auto late = node.timers().schedule(node.timers().now() + story_patience + hours, [&] {
    std::fputs("\nskyengine: the story took too long\n", stderr);
    node.stop();
  });
  asio::co_spawn(node.loop(), which == act::first ? told.tell_first_act() : told.tell_second_act(),
                 [&](std::exception_ptr bug) {
                   node.timers().cancel(late);
                   is_told = true;
                   try {
                     if (bug)
                       std::rethrow_exception(bug);
                     end.is_good = true;
                     on_good();
                   } catch (const std::exception& e) {
                     if (!end.interrupted_by)
                       std::fprintf(stderr, "\nskyengine: the story broke off: %s\n", e.what());
                     node.stop();
                   }
                 });
  end.code = node.run();
  told.close();
  // What the story still waits for refers to what the caller destroys.
  while (!is_told && node.loop().run_one_for(10s) > 0) {
  }
  return end;
}

void show_parts(engine& node, const config::settings& settings, const std::filesystem::path& data_dir) {
  if (const auto rate = node.session().business().rate(); rate != 1)
    std::printf("  clock         %lld seconds pass in one, so the times it tells run ahead\n",
                static_cast<long long>(rate));
  std::printf("  database      private PostgreSQL in %s\n  VirtFusion    simulated, %s\n  engine        "
              "http://127.0.0.1:%u\n",
              (data_dir / "postgres").c_str(), settings.virtfusion.api_url.c_str(), node.endpoint().port());
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
    settings.clock.rate = story_clock_rate;
  if (!options.is_listen_set && !is_port_free(settings.http.listen.host, settings.http.listen.port))
    settings.http.listen.port = 0;

  // From its first word on, and without a gap between the acts.
  auto early = std::make_unique<early_signals>();
  std::puts("skyengine demo");
  std::fflush(stdout);
  const auto origin = settings.virtfusion.api_url.substr(0, settings.virtfusion.api_url.find("/api"));
  story_memory memory;
  for (const auto which : {act::first, act::second}) {
    if (which == act::second)
      early = std::make_unique<early_signals>();
    auto started = engine::start(settings, given.data_dir, db::panel_kind::demo);
    if (!started)
      return early->caught() ? refuse_interrupted(*early->caught()) : refuse(started.error().detail);
    auto& node = **started;
    if (which == act::first)
      show_parts(node, settings, given.data_dir);
    // It is to be found where it was before.
    settings.http.listen.port = node.endpoint().port();
    const auto key = run_to_end(node.loop(), ensure_key(node, given.data_dir / "demo.key"));
    if (!key)
      return refuse(key.error().detail);
    demo_story told{node, *panel, origin, *key, memory};
    const auto stays = which == act::second && !options.is_once;
    const auto end = perform(node, told, which, *early, [&] {
      if (stays)
        show_how_to_go_on(node, *key);
      else
        node.stop();
    });
    if (end.interrupted_by && end.code == 0)
      return refuse_interrupted(*end.interrupted_by);
    if (!end.is_good || end.code != 0)
      return end.is_good ? end.code : 1;
  }
  return 0;
}

} // namespace skyengine::commands
