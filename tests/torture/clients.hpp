#pragma once

#include "tests/torture/history.hpp"
#include "tests/torture/world.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace skyengine::torture {

struct load_options {
  std::uint64_t seed = 1;
  int clients = 8;
  /// Orders of all clients together; 0: until stopped.
  std::size_t creates = 0;
  /// How many of 100 orders are followed by a delete of one of the client's servers, in whatever state.
  int deletes = 25;
  /// How many of 100 orders are followed by a suspend, an unsuspend or a change of plan of one of them.
  int controls = 25;
  /// How many of 100 orders bring an SSH key.
  int ssh_keys = 20;
  /// An order that is refused for so long is given up.
  std::chrono::milliseconds persistence{300'000};
};

/// Well-behaved clients, each a thread: orders with an Idempotency-Key, repeated with the same key until they
/// are answered; `Retry-After` is heeded. What they are told goes to a history.
class load {
public:
  /// Begins at once. Everything must outlive it.
  load(world& on, history& told, load_options options);
  ~load();
  load(const load&) = delete;
  load& operator=(const load&) = delete;

  /// True while a client has not ended.
  bool is_running() const noexcept { return running_ > 0; }
  /// Each client ends when its order is answered.
  void stop();
  /// Waits until all clients have ended.
  void join();

private:
  struct client {
    int number;
    std::mt19937_64 random;
    std::vector<std::int64_t> servers = {};
  };

  void live(int number, std::uint64_t seed);
  void order(client& who, std::size_t number);
  void remove(client& who, std::size_t number);
  void control(client& who, std::size_t number);
  /// Repeats the request until it is answered with anything but 503, or for `persistence`: then status 0.
  test::call_answer insist(client& who,
                           std::string_view method,
                           const std::string& path,
                           const std::string& body,
                           const std::string& idempotency_key);
  void pause(std::chrono::milliseconds span);

  world& world_;
  history& told_;
  load_options options_;
  std::atomic<std::size_t> next_order_{0};
  std::atomic<int> running_{0};
  std::atomic<bool> is_stopping_{false};
  std::mutex mutex_;
  std::condition_variable woken_;
  std::vector<std::thread> threads_;
};

} // namespace skyengine::torture
