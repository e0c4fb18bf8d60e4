#include "domain/sync_lanes.hpp"

#include <algorithm>

namespace skyengine {

namespace {

constexpr sync_depth other(sync_depth depth) noexcept {
  return depth == sync_depth::traffic ? sync_depth::live : sync_depth::traffic;
}

} // namespace

std::string_view to_string(sync_depth depth) noexcept {
  return depth == sync_depth::traffic ? "traffic" : "live";
}

void sync_lanes::add(sync_depth depth, due_server server) {
  auto& one = lanes_[{depth, server.hypervisor}];
  if (one.is_given_up || stopped_.contains(depth))
    return;
  one.waiting.emplace_back(next_number_++, server);
  ++waiting_;
}

std::size_t sync_lanes::share_of(sync_depth depth) const {
  // The panel answers for traffic by itself: no hypervisor can hang it.
  if (depth == sync_depth::traffic)
    return slots_;
  const auto active = std::count_if(lanes_.begin(), lanes_.end(), [&](const auto& each) {
    return each.first.first == depth && (!each.second.waiting.empty() || each.second.under_way > 0);
  });
  const auto lanes = std::max<std::size_t>(static_cast<std::size_t>(active), 1);
  return std::max<std::size_t>(std::min((slots_ + lanes - 1) / lanes, slots_ / 2), 1);
}

sync_lanes::lane* sync_lanes::best(sync_depth depth) {
  const auto share = share_of(depth);
  lane* found = nullptr;
  for (auto& [key, one] : lanes_) {
    if (key.first != depth || one.waiting.empty() || one.under_way >= std::min(one.allowed, share))
      continue;
    const auto is_before = [](const lane& a, const lane& b) {
      return std::pair{a.under_way, a.waiting.front().first} <
             std::pair{b.under_way, b.waiting.front().first};
    };
    if (found == nullptr || is_before(one, *found))
      found = &one;
  }
  return found;
}

std::optional<sync_lanes::pick> sync_lanes::next() {
  if (waiting_ == 0 || under_way_ >= slots_)
    return std::nullopt;
  for (const auto depth : {other(last_), last_}) {
    auto* const found = best(depth);
    if (found == nullptr)
      continue;
    pick chosen{depth, found->waiting.front().second};
    found->waiting.pop_front();
    --waiting_;
    ++found->under_way;
    ++under_way_;
    last_ = depth;
    return chosen;
  }
  return std::nullopt;
}

sync_lanes::lane& sync_lanes::finish(const pick& done) {
  auto& one = lanes_.at({done.depth, done.server.hypervisor});
  --one.under_way;
  --under_way_;
  return one;
}

void sync_lanes::on_success(const pick& done, time_point now) {
  auto& one = finish(done);
  one.allowed = std::min(one.allowed * 2, slots_);
  one.timeouts = 0;
  one.answered_at = now;
}

void sync_lanes::on_timeout(const pick& done, time_point sent_at, time_point now) {
  auto& one = finish(done);
  one.allowed = 1;
  // Calls that hung side by side are one sign; and where nobody was answered it is the panel that hangs.
  if (sent_at < one.counted_at || !were_others_answered(&one, sent_at))
    return;
  one.counted_at = now;
  if (++one.timeouts < most_timeouts)
    return;
  one.is_given_up = true;
  drop_waiting(one);
}

void sync_lanes::on_failure(const pick& done) {
  finish(done);
}

void sync_lanes::stop(sync_depth depth) {
  stopped_.insert(depth);
  for (auto& [key, one] : lanes_)
    if (key.first == depth)
      drop_waiting(one);
}

void sync_lanes::drop_waiting(lane& one) noexcept {
  waiting_ -= one.waiting.size();
  one.waiting.clear();
}

bool sync_lanes::were_others_answered(const pick& but, time_point since) const {
  const auto found = lanes_.find({but.depth, but.server.hypervisor});
  return were_others_answered(found == lanes_.end() ? nullptr : &found->second, since);
}

bool sync_lanes::were_others_answered(const lane* but, time_point since) const {
  return panel_answered_at_ >= since || std::any_of(lanes_.begin(), lanes_.end(), [&](const auto& each) {
           return &each.second != but && each.second.answered_at >= since;
         });
}

std::size_t sync_lanes::ready(sync_depth depth) const {
  const auto share = share_of(depth);
  std::size_t count = 0;
  for (const auto& [key, one] : lanes_)
    if (const auto may = std::min(one.allowed, share); key.first == depth && one.under_way < may)
      count += std::min(one.waiting.size(), may - one.under_way);
  return count;
}

std::set<std::int64_t> sync_lanes::given_up(sync_depth depth) const {
  std::set<std::int64_t> all;
  for (const auto& [key, one] : lanes_)
    if (key.first == depth && one.is_given_up)
      all.insert(key.second);
  return all;
}

} // namespace skyengine
