#include "tests/torture/history.hpp"

#include <boost/json.hpp>

#include <utility>

namespace skyengine::torture {

namespace {

namespace json = boost::json;

// A campaign that goes wrong does so often; the first complaints tell why.
constexpr std::size_t most_complaints = 50;

std::optional<std::int64_t> number_of(const json::object& record, const char* name) {
  const auto* found = record.if_contains(name);
  return found != nullptr && found->is_int64() ? std::optional{found->as_int64()} : std::nullopt;
}

} // namespace

void history::count(const test::call_answer& answer, std::chrono::milliseconds took) {
  const std::lock_guard lock{mutex_};
  ++figures_.by_status[answer.status];
  if (answer.status != 0)
    figures_.answer_times.push_back(took);
  ++ended_;
  more_.notify_all();
}

void history::acknowledge_create(const std::string& order,
                                 std::int64_t user,
                                 const test::call_answer& answer) {
  const auto parsed = answer.json();
  const auto* record = parsed.if_object();
  const auto is_refusal = answer.status >= 400;
  const auto id = record != nullptr ? number_of(*record, is_refusal ? "serverId" : "id") : std::nullopt;
  const auto action = record != nullptr ? number_of(*record, "actionId") : std::nullopt;
  if (!id || !action) {
    complain("an answer to order " + order + " names no server: " + std::to_string(answer.status) + ' ' +
             answer.body);
    return;
  }
  const std::lock_guard lock{mutex_};
  auto& known = servers_[*id];
  if (known.action != 0 && known.action != *action)
    complaints_.push_back("server " + std::to_string(*id) + " was answered with actions " +
                          std::to_string(known.action) + " and " + std::to_string(*action));
  known.action = *action;
  known.user = user;
  known.orders.insert(order);
  known.is_told_failed = known.is_told_failed || is_refusal;
  if (const auto* password = record->if_contains("initialPassword")) {
    ++known.passwords;
    if (const auto* text = password->if_string())
      passwords_.emplace_back(*text);
  }
}

void history::acknowledge_delete(std::int64_t server) {
  const std::lock_guard lock{mutex_};
  servers_[server].is_delete_acknowledged = true;
}

void history::order_ended() {
  const std::lock_guard lock{mutex_};
  ++figures_.orders_ended;
}

void history::complain(std::string what) {
  const std::lock_guard lock{mutex_};
  if (complaints_.size() < most_complaints)
    complaints_.push_back(std::move(what));
}

bool history::wait_for_answers(std::size_t answers, std::chrono::milliseconds limit) {
  std::unique_lock lock{mutex_};
  const auto wanted = ended_ + answers;
  return more_.wait_for(lock, limit, [&] { return ended_ >= wanted; });
}

std::map<std::int64_t, history::acknowledged_server> history::servers() const {
  const std::lock_guard lock{mutex_};
  return servers_;
}

std::vector<std::string> history::complaints() const {
  const std::lock_guard lock{mutex_};
  return complaints_;
}

history::figures history::counted() const {
  const std::lock_guard lock{mutex_};
  return figures_;
}

std::vector<std::string> history::passwords() const {
  const std::lock_guard lock{mutex_};
  return passwords_;
}

} // namespace skyengine::torture
