#include "net/api/key_guard.hpp"

#include "net/api/api_key_secret.hpp"

#include <algorithm>
#include <string_view>

namespace skyengine::net::api {

namespace {

/// What stands behind `Bearer `; empty when there is no such header, or several.
std::string_view bearer_text(const http::request& request) {
  const auto [first, last] = request.headers.equal_range(http::field::authorization);
  if (first == last || std::next(first) != last)
    return {};
  const std::string_view value{first->value().data(), first->value().size()};
  constexpr std::string_view scheme = "bearer ";
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  if (value.size() <= scheme.size() ||
      !std::equal(scheme.begin(), scheme.end(), value.begin(), [&](char a, char b) { return a == lower(b); }))
    return {};
  return value.substr(scheme.size());
}

error unauthorized() {
  return {errc::unauthorized, "send a valid API key as Authorization: Bearer <key>"};
}

} // namespace

asio::awaitable<result<std::shared_ptr<const api_key>>> key_guard::check(const http::request& request) {
  // No key at all is looked up too, so that its answer takes as long as that to a wrong one.
  const auto hash = sha256_hex(bearer_text(request));
  if (const auto found = remembered_.find(hash); found != remembered_.end())
    co_return found->second;
  const auto changes_before = changes_;
  const auto found = co_await store_.find_by_hash(hash);
  if (!found)
    co_return found.error();
  if (!*found)
    co_return unauthorized();
  auto key = std::make_shared<const api_key>(**found);
  if (is_listening_ && changes_ == changes_before) {
    if (remembered_.size() >= most_remembered)
      remembered_.clear();
    remembered_.emplace(hash, key);
  }
  co_return key;
}

std::optional<key_allowance> key_guard::count(const api_key& key, std::chrono::steady_clock::time_point now) {
  if (key.is_operator() || options_.rate == 0)
    return std::nullopt;
  // A full bucket is as good as none.
  if (buckets_.size() >= most_remembered)
    std::erase_if(buckets_, [&](const auto& each) {
      return each.second.wait(options_.burst, now) == std::chrono::steady_clock::duration::zero();
    });
  auto& bucket = buckets_.try_emplace(key.id, options_.rate, options_.burst).first->second;
  key_allowance allowance;
  allowance.is_allowed = bucket.try_take(now);
  allowance.remaining = bucket.available(now);
  const auto wait = bucket.wait(allowance.is_allowed ? options_.burst : 1, now);
  allowance.reset = std::chrono::ceil<std::chrono::seconds>(wait);
  return allowance;
}

void key_guard::set_listening(bool is_listening) {
  is_listening_ = is_listening;
  ++changes_;
  remembered_.clear();
}

void key_guard::forget(api_key_id id) {
  ++changes_;
  std::erase_if(remembered_, [id](const auto& each) { return each.second->id == id; });
}

} // namespace skyengine::net::api
