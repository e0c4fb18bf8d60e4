#pragma once

#include "db/api_key_store.hpp"
#include "domain/api_key.hpp"
#include "domain/error.hpp"
#include "domain/token_bucket.hpp"
#include "net/http/message.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

namespace skyengine::net::api {

namespace asio = boost::asio;

struct key_guard_options {
  /// Requests a second that a user's key may make in the long run, and at once; a rate of 0: no limit.
  std::uint32_t rate = 100;
  std::uint32_t burst = 200;
};

/// What a user's key has left, for its headers.
struct key_allowance {
  bool is_allowed = true;
  std::int64_t remaining = 0;
  /// Until the next request is allowed (when none is), else until all are again.
  std::chrono::seconds reset{};
};

/// Who is asking? Checked keys are remembered while somebody tells of revoked ones. `store` must outlive it.
class key_guard {
public:
  static constexpr std::size_t most_remembered = 10'000;

  key_guard(db::api_key_store& store, key_guard_options options) : store_(store), options_(options) {}

  /// The key of `Authorization: Bearer …`. errc::unauthorized, in the same words and with the same work,
  /// whatever is wrong with it.
  asio::awaitable<result<std::shared_ptr<const api_key>>> check(const http::request& request);

  /// Counts one request of a user's key; nullopt: this key has no limit.
  std::optional<key_allowance> count(const api_key& key, std::chrono::steady_clock::time_point now);
  const key_guard_options& options() const noexcept { return options_; }

  /// Whether changes of keys are heard of. When not, all is forgotten and nothing is remembered.
  void set_listening(bool is_listening);
  /// This key has changed.
  void forget(api_key_id id);

private:
  db::api_key_store& store_;
  key_guard_options options_;
  std::unordered_map<std::string, std::shared_ptr<const api_key>> remembered_;
  std::unordered_map<api_key_id, token_bucket> buckets_;
  // Raised by every change: what was read before it is not remembered after it.
  std::uint64_t changes_ = 0;
  bool is_listening_ = false;
};

} // namespace skyengine::net::api
