#include "tests/torture/clients.hpp"

#include <boost/json.hpp>

#include <algorithm>

namespace skyengine::torture {

namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

// A killed engine is away for about a second.
constexpr auto until_it_is_back = 100ms;
constexpr auto longest_pause = 5s;

int draw(std::mt19937_64& random, int low, int high) {
  return std::uniform_int_distribution{low, high}(random);
}

/// A valid public key of its own for each number.
std::string ssh_key(std::size_t number) {
  static constexpr std::string_view digits = "0123456789ABCDEFGHIJKLMNOPQRSTUV";
  std::string text = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA";
  std::string tail(42, 'A');
  for (std::size_t i = 0; number > 0; ++i, number /= 32)
    tail[i] = digits[number % 32];
  return text + tail + " torture";
}

} // namespace

load::load(world& on, history& told, load_options options) : world_(on), told_(told), options_(options) {
  std::mt19937_64 seeds{options_.seed};
  running_ = options_.clients;
  for (int number = 0; number < options_.clients; ++number)
    threads_.emplace_back(&load::live, this, number, seeds());
}

load::~load() {
  stop();
  join();
}

void load::stop() {
  is_stopping_ = true;
  const std::lock_guard lock{mutex_};
  woken_.notify_all();
}

void load::join() {
  for (auto& thread : threads_)
    if (thread.joinable())
      thread.join();
}

void load::pause(std::chrono::milliseconds span) {
  std::unique_lock lock{mutex_};
  woken_.wait_for(lock, span, [] { return false; });
}

void load::live(int number, std::uint64_t seed) {
  client me{number, std::mt19937_64{seed}};
  try {
    while (!is_stopping_) {
      const auto next = next_order_++;
      if (options_.creates > 0 && next >= options_.creates)
        break;
      order(me, next);
      if (!me.servers.empty() && draw(me.random, 0, 99) < options_.controls)
        control(me, next);
      if (!me.servers.empty() && draw(me.random, 0, 99) < options_.deletes)
        remove(me, next);
    }
  } catch (const std::exception& e) {
    told_.complain(std::string{"a client failed: "} + e.what());
  }
  --running_;
}

test::call_answer load::insist(client& who,
                               std::string_view method,
                               const std::string& path,
                               const std::string& body,
                               const std::string& idempotency_key) {
  const auto limit = steady::now() + options_.persistence;
  for (;;) {
    // A repeat may come to any engine.
    auto& engine =
      world_.engine(static_cast<std::size_t>(draw(who.random, 0, static_cast<int>(world_.engines()) - 1)));
    const auto begun = steady::now();
    auto answer = engine.call(method, path, world_.key(), body, {{"Idempotency-Key", idempotency_key}});
    told_.count(answer, std::chrono::duration_cast<std::chrono::milliseconds>(steady::now() - begun));
    if (answer.status != 0 && answer.status != 503)
      return answer;
    if (answer.status == 503 && answer.retry_after.empty())
      told_.complain("a 503 without Retry-After: " + answer.body);
    if (steady::now() >= limit) {
      told_.complain("order " + idempotency_key + " was not answered in time; last " +
                     std::to_string(answer.status) + ' ' + answer.body + answer.failure);
      return {};
    }
    const std::chrono::milliseconds wanted = answer.status == 503
                                               ? std::chrono::seconds{std::atoi(answer.retry_after.c_str())}
                                               : std::chrono::milliseconds{until_it_is_back};
    // Not all at the same moment again.
    const auto spread = std::chrono::milliseconds{draw(who.random, 0, 200)};
    pause(std::min<std::chrono::milliseconds>(wanted, longest_pause) + spread);
  }
}

void load::order(client& who, std::size_t number) {
  const auto user = draw(who.random, 1, world_.options().users);
  json::object wanted{{"planId", draw(who.random, 0, 1) == 0 ? "small" : "large"},
                      {"region", draw(who.random, 0, 1) == 0 ? "north" : "south"},
                      {"userId", user},
                      {"externalReference", "order-" + std::to_string(number)}};
  if (draw(who.random, 0, 99) < options_.ssh_keys)
    wanted["sshKeys"] = json::array{json::string{ssh_key(number + 1)}};
  const auto key = "order-" + std::to_string(number);
  const auto answer = insist(who, "POST", "/v1/servers", json::serialize(wanted), key);
  if (answer.status == 201 || answer.status == 202 || answer.status == 409 || answer.status == 422) {
    told_.acknowledge_create(key, user, answer);
    if (const auto record = answer.json(); answer.status < 300 && record.is_object())
      if (const auto* id = record.as_object().if_contains("id"); id != nullptr && id->is_int64())
        who.servers.push_back(id->as_int64());
  } else if (answer.status != 0) {
    told_.complain("order " + key + " was answered " + std::to_string(answer.status) + ' ' + answer.body);
  }
  told_.order_ended();
}

void load::remove(client& who, std::size_t number) {
  const auto place = draw(who.random, 0, static_cast<int>(who.servers.size()) - 1);
  const auto id = who.servers[static_cast<std::size_t>(place)];
  who.servers.erase(who.servers.begin() + place);
  const auto key = "delete-" + std::to_string(number);
  const auto answer = insist(who, "DELETE", "/v1/servers/" + std::to_string(id), {}, key);
  if (answer.status == 202) {
    told_.acknowledge_delete(id);
    return;
  }
  // One that has failed meanwhile needs no delete.
  if (answer.status == 409 && answer.body.find("the server is failed") != std::string::npos)
    return;
  if (answer.status != 0)
    told_.complain("the delete of server " + std::to_string(id) + " was answered " +
                   std::to_string(answer.status) + ' ' + answer.body);
}

void load::control(client& who, std::size_t number) {
  const auto place = draw(who.random, 0, static_cast<int>(who.servers.size()) - 1);
  const auto path = "/v1/servers/" + std::to_string(who.servers[static_cast<std::size_t>(place)]);
  const auto key = "control-" + std::to_string(number);
  test::call_answer answer;
  switch (draw(who.random, 0, 3)) {
  case 0:
  case 1:
    answer = insist(who, "POST", path + "/suspend", R"({"reason":"torture"})", key);
    break;
  case 2:
    answer = insist(who, "POST", path + "/unsuspend", {}, key);
    break;
  default:
    answer = insist(who, "PUT", path + "/plan", R"({"planId":"large"})", key);
  }
  // Not in a state for it, or busy with something else: so it is with random orders.
  if (answer.status != 0 && answer.status != 200 && answer.status != 202 && answer.status != 409)
    told_.complain(key + " of " + path + " was answered " + std::to_string(answer.status) + ' ' +
                   answer.body);
}

} // namespace skyengine::torture
