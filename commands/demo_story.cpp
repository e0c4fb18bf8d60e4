#include "commands/demo_story.hpp"

#include "domain/money.hpp"
#include "domain/time_format.hpp"
#include "net/http/client.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

namespace skyengine::commands {

namespace {

namespace asio = boost::asio;
namespace http = net::http;
namespace json = boost::json;
using namespace std::chrono_literals;
using actors::runtime::wait_until;

void expect(bool holds, const std::string& otherwise) {
  if (!holds)
    throw story_broken{otherwise};
}

struct answer {
  unsigned status = 0;
  json::value body;
  std::optional<std::chrono::seconds> retry_after;
};

http::client_options client_of(std::string origin) {
  http::client_options chosen;
  chosen.origin = std::move(origin);
  return chosen;
}

} // namespace

/// The story's voice.
class demo_story::teller {
public:
  teller(engine& node, child_process& panel, std::string panel_origin, std::string key, story_memory& memory)
      : node_(node), panel_(panel), key_(std::move(key)), memory_(memory),
        api_(node.loop().get_executor(),
             client_of("http://127.0.0.1:" + std::to_string(node.endpoint().port()))),
        control_(node.loop().get_executor(), client_of(std::move(panel_origin))) {}

  asio::awaitable<void> first_act() {
    co_await fill_catalogue();
    co_await one_server();
    co_await twenty_at_once();
    co_await lost_answer();
    co_await failing_build();
    co_await compare_both_sides();
    co_await hours_pass();
  }

  asio::awaitable<void> second_act() {
    say("\n6. The engine was stopped in between, and started again");
    const auto before = memory_.charged.size();
    co_await wait_for_charges(before + 2);
    say("  the same      each hour is there once, and the month is exact");
  }

  void interrupt() { is_interrupted_ = true; }

  void close() {
    api_.close();
    control_.close();
  }

private:
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
      throw story_broken{"no answer: " + received.error().detail};
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
    memory_.server = id;
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
      throw story_broken{failures.front()};
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

  asio::awaitable<void> hours_pass() {
    const auto rate = node_.session().business().rate();
    say("\n5. Hours pass: one takes " + std::to_string(3'600 / std::max<std::int64_t>(rate, 1)) + " s here");
    co_await wait_for_charges(2);
    const auto target = "/v1/servers/" + std::to_string(memory_.server) + "/metrics?step=hour";
    for (;;) {
      const auto series = co_await call(http::verb::get, target);
      expect(series.status == 200, "metrics cannot be read");
      const auto& points = series.body.as_object().at("points").as_array();
      if (!points.empty() && points.back().as_object().at("power").is_string()) {
        const auto& last = points.back().as_object();
        say("  measured      power " + std::string{last.at("power").as_string()} + ", CPU " +
            std::to_string(static_cast<int>(last.at("cpuPercent").to_number<double>())) + " %, " +
            json::serialize(last.at("memoryUsedBytes")) + " bytes of memory, " +
            json::serialize(last.at("trafficInBytes")) + " bytes in");
        co_return;
      }
      expect(panel_.is_running(), "the simulated VirtFusion has ended");
      co_await pause(200ms);
    }
  }

  /// What the first server was charged, and that it is what its plan says, to the micro.
  asio::awaitable<void> wait_for_charges(std::size_t wanted) {
    const auto target = "/v1/servers/" + std::to_string(memory_.server);
    const auto record = co_await call(http::verb::get, target);
    expect(record.status == 200, "a server cannot be read");
    // Events have whole seconds, and bills follow events.
    std::string active_at{record.body.as_object().at("activeAt").as_string()};
    active_at.resize(sizeof "2026-01-01T00:00:00" - 1);
    const auto since = parse_whole_seconds(active_at + 'Z');
    expect(since.has_value(), "the time when the server became active cannot be read");
    while (memory_.charged.size() < wanted) {
      expect(panel_.is_running(), "the simulated VirtFusion has ended");
      co_await pause(200ms);
      const auto page = co_await call(http::verb::get, target + "/charges?limit=200");
      expect(page.status == 200, "charges cannot be read");
      const auto& items = page.body.as_object().at("items").as_array();
      for (auto i = memory_.charged.size(); i < items.size(); ++i)
        note_charge(items[i].as_object());
      const auto until = memory_.charged.empty() ? *since : memory_.charged.back().hour + 1h;
      const std::vector<plan_terms> terms{{{5'000'000}, 730}};
      const std::vector<billable_span> span{{*since, until, 0}};
      expect(rate_hours(terms, span) == memory_.charged, "a charge is not what the plan says");
    }
  }

  void note_charge(const json::object& item) {
    const auto& amount = item.at("amount").as_object();
    const std::string hour{item.at("hour").as_string()};
    const std::string sum{amount.at("amount").as_string()};
    const auto seconds = item.at("seconds").to_number<std::int64_t>();
    memory_.charged.push_back({*parse_whole_seconds(hour), seconds, *parse_money(sum), 0});
    say("  charged       " + hour + "  " + std::to_string(seconds) + " s  " + sum + ' ' +
        std::string{amount.at("currency").as_string()});
  }

  engine& node_;
  child_process& panel_;
  std::string key_;
  story_memory& memory_;
  http::client api_;
  http::client control_;
  bool is_interrupted_ = false;
};

demo_story::demo_story(
  engine& node, child_process& panel, std::string panel_origin, std::string key, story_memory& memory)
    : teller_(std::make_unique<teller>(node, panel, std::move(panel_origin), std::move(key), memory)) {}

demo_story::~demo_story() = default;

asio::awaitable<void> demo_story::tell_first_act() {
  return teller_->first_act();
}

asio::awaitable<void> demo_story::tell_second_act() {
  return teller_->second_act();
}

void demo_story::interrupt() {
  teller_->interrupt();
}

void demo_story::close() {
  teller_->close();
}

} // namespace skyengine::commands
