#include "domain/circuit_breaker.hpp"

namespace skyengine {

circuit_breaker::second& circuit_breaker::bucket(time_point now) noexcept {
  const auto at = std::chrono::floor<std::chrono::seconds>(now.time_since_epoch());
  auto& found = seconds_[static_cast<std::size_t>(at.count()) % seconds_.size()];
  if (found.at != at)
    found = {at, 0, 0};
  return found;
}

void circuit_breaker::on_success(time_point now) noexcept {
  if (!is_closed())
    return;
  ++bucket(now).successes;
  run_ = 0;
}

bool circuit_breaker::on_failure(time_point now) noexcept {
  if (!is_closed())
    return false;
  auto& current = bucket(now);
  ++current.failures;
  ++run_;
  std::uint32_t calls = 0;
  std::uint32_t failures = 0;
  for (const auto& each : seconds_) {
    if (each.at <= current.at - window)
      continue;
    calls += each.successes + each.failures;
    failures += each.failures;
  }
  if (calls < least_calls || failures * 2 < calls)
    return false;
  open(now);
  return true;
}

bool circuit_breaker::on_refusal(time_point now) noexcept {
  if (!is_closed())
    return false;
  open(now);
  return true;
}

bool circuit_breaker::end_probe(bool has_succeeded, time_point now) noexcept {
  // A probe that was sent in doubt, before calls opened it.
  if (state_ == state::open)
    return false;
  const auto was_closed = is_closed();
  run_ = 0;
  if (!has_succeeded) {
    open(now);
    return was_closed;
  }
  // One answer to a probe does not outweigh what the calls of the window say.
  if (!was_closed)
    seconds_ = {};
  state_ = state::closed;
  return false;
}

void circuit_breaker::open(time_point now) noexcept {
  state_ = state::open;
  probe_at_ = now + open_for;
}

} // namespace skyengine
