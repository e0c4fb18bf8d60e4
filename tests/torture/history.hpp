#pragma once

#include "tests/support/simulator.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace skyengine::torture {

/// What clients were told, from all threads: the truth that both sides are held against afterwards.
class history {
public:
  struct acknowledged_server {
    std::int64_t action = 0;
    std::int64_t user = 0;
    /// Keys of the orders that were answered with it: more than one is a mistake.
    std::set<std::string> orders = {};
    std::size_t passwords = 0;
    bool is_delete_acknowledged = false;
    /// Told to have failed by the answer itself.
    bool is_told_failed = false;
  };
  struct figures {
    std::map<unsigned, std::size_t> by_status = {};
    std::vector<std::chrono::milliseconds> answer_times = {};
    std::size_t orders_ended = 0;
  };

  /// Counts an answer, or a request that got none (status 0).
  void count(const test::call_answer& answer, std::chrono::milliseconds took);
  /// A create was answered with a server.
  void acknowledge_create(const std::string& order, std::int64_t user, const test::call_answer& answer);
  void acknowledge_delete(std::int64_t server);
  void order_ended();
  /// Something that must never be answered.
  void complain(std::string what);

  /// Until `answers` more requests have ended, or for `limit`: true when they did.
  bool wait_for_answers(std::size_t answers, std::chrono::milliseconds limit);

  std::map<std::int64_t, acknowledged_server> servers() const;
  std::vector<std::string> complaints() const;
  figures counted() const;
  /// The root passwords that were shown.
  std::vector<std::string> passwords() const;

private:
  mutable std::mutex mutex_;
  std::condition_variable more_;
  std::size_t ended_ = 0;
  std::map<std::int64_t, acknowledged_server> servers_;
  std::vector<std::string> complaints_;
  std::vector<std::string> passwords_;
  figures figures_;
};

} // namespace skyengine::torture
