#include "actors/drift_watcher.hpp"

#include "actors/runtime/crash_point.hpp"
#include "domain/log.hpp"
#include "domain/time_format.hpp"
#include "net/virtfusion/calls.hpp"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

namespace skyengine::actors {

namespace {

namespace asio = boost::asio;
namespace vf = net::virtfusion;
using namespace std::chrono_literals;
using failure_kind = vf::call_failure::kind;

constexpr auto call_patience = 20s;
// How long what VirtFusion said of its packages is believed.
constexpr auto packages_life = 10min;
// Strangers that one list's end looks for, of those that it did not show.
constexpr int most_strangers = 50;

std::string owner_detail(std::optional<virtfusion_user_id> owner,
                         std::optional<user_id> relation = std::nullopt) {
  return R"({"virtfusionUserId":)" + (owner ? std::to_string(owner->value) : "null") +
         (relation ? R"(,"extRelationId":)" + std::to_string(relation->value) : "") + "}";
}

std::string stranger_detail(virtfusion_user_id owner, std::optional<server_id> former) {
  return R"({"virtfusionUserId":)" + std::to_string(owner.value) +
         (former ? R"(,"formerServerId":)" + std::to_string(former->value) : "") + "}";
}

std::string resources_detail(const server_resources& has) {
  return R"({"memoryMb":)" + std::to_string(has.memory_mb) + R"(,"storageGb":)" +
         std::to_string(has.storage_gb) + R"(,"trafficGb":)" + std::to_string(has.traffic_gb) +
         R"(,"cpuCores":)" + std::to_string(has.cpu_cores) + "}";
}

/// Nobody here has it, or not any more.
bool is_stranger(const db::drift_match& match) {
  return !match.server || match.state == server_state::failed || match.state == server_state::deleted;
}

drift_subject subject_of(const db::drift_match& match) {
  return {match.user.value_or(user_id{}), match.owner, match.state == server_state::suspended, {}};
}

bool stands(const db::drift_match& match, const drift_verdict& verdict) {
  const auto found = match.standing.find(verdict.kind);
  return found != match.standing.end() && (verdict.seen.empty() || found->second == verdict.seen);
}

void clear(const db::drift_match& match,
           const drift_verdict& verdict,
           instant asked_at,
           std::vector<db::drift_clearance>& cleared) {
  if (verdict.is_right && stands(match, verdict))
    cleared.push_back({verdict.kind, match.id, asked_at, verdict.seen});
}

void tell(const db::drift_news& one) {
  const auto alert = "drift_" + std::string{to_string(one.kind)};
  log::error("VirtFusion and the record of a server differ",
             {{"alert", alert},
              {"drift", one.id},
              {"server_id", one.server.value_or(server_id{}).value},
              {"virtfusion_id", one.virtfusion_id.value},
              {"seen", one.seen}});
}

void tell_vanished(const db::drift_news& one) {
  const auto alert = "drift_" + std::string{to_string(one.kind)};
  log::info("VirtFusion and the record of a server agree again",
            {{"alert_cleared", alert},
             {"drift", one.id},
             {"server_id", one.server.value_or(server_id{}).value},
             {"virtfusion_id", one.virtfusion_id.value}});
}

} // namespace

void drift_watcher::outcome::add(outcome more) {
  found.insert(found.end(), std::make_move_iterator(more.found.begin()),
               std::make_move_iterator(more.found.end()));
  cleared.insert(cleared.end(), std::make_move_iterator(more.cleared.begin()),
                 std::make_move_iterator(more.cleared.end()));
}

asio::awaitable<result<>> drift_watcher::on_page(std::vector<listed_server> servers,
                                                 instant asked_at,
                                                 std::optional<std::int64_t> total,
                                                 std::function<bool()> goes_on) {
  listed_ += static_cast<std::int64_t>(servers.size());
  is_unproven_ = is_unproven_ || (total && total_ && *total != *total_);
  if (total)
    total_ = total;
  if (servers.empty())
    co_return result<>{};
  auto compared = co_await compare(std::move(servers), asked_at, goes_on);
  is_unproven_ = is_unproven_ || !compared;
  co_return compared;
}

asio::awaitable<result<>> drift_watcher::compare(std::vector<listed_server> servers,
                                                 instant asked_at,
                                                 const std::function<bool()>& goes_on) {
  std::vector<db::drift_store::sighting> seen;
  seen.reserve(servers.size());
  for (const auto& one : servers)
    seen.push_back({one.id, one.owner.value_or(virtfusion_user_id{})});
  const auto matches = co_await store_.see(std::move(seen), asked_at);
  if (!matches)
    co_return matches.error();
  runtime::crash_point("sync.page_seen");
  outcome all;
  std::vector<doubt> doubts;
  for (std::size_t i = 0; i < matches->size(); ++i) {
    const auto& match = (*matches)[i];
    const auto& item = servers[i];
    if (!match.is_settled)
      continue;
    if (is_stranger(match)) {
      // Whose it is decides whether a create may be about to take it.
      if (item.owner)
        all.found.push_back({drift_kind::unknown, std::nullopt, item.id, seen_owner(*item.owner),
                             stranger_detail(*item.owner, match.server), asked_at, asked_at});
      continue;
    }
    outcome said;
    auto is_owner_in_doubt = false;
    const drift_sight sight{.owner = item.owner, .is_suspended = item.is_suspended};
    for (const auto& verdict : judge(subject_of(match), sight)) {
      clear(match, verdict, asked_at, said.cleared);
      if (verdict.is_right)
        continue;
      // VirtFusion's id of a user may be another than we have learned: its record tells whose it is to us.
      if (verdict.kind == drift_kind::owner && !stands(match, verdict))
        is_owner_in_doubt = true;
      else
        said.found.push_back({verdict.kind, match.server, match.id, verdict.seen,
                              verdict.kind == drift_kind::owner ? owner_detail(item.owner) : "{}", asked_at,
                              asked_at});
    }
    if (is_owner_in_doubt)
      doubts.push_back({match, std::move(said)});
    else
      all.add(std::move(said));
  }
  for (auto& one : doubts) {
    const auto judged = co_await dispel(std::move(one.match), std::move(one.said), goes_on, all);
    if (!judged)
      co_return judged.error();
  }
  co_return co_await report(std::move(all));
}

/// Its record tells what the list does, and is newer: without it, what the list said of the rest stands.
asio::awaitable<result<>> drift_watcher::dispel(db::drift_match match,
                                                outcome said,
                                                const std::function<bool()>& goes_on,
                                                outcome& all) {
  if (looks_left_ > 0 && goes_on()) {
    --looks_left_;
    const auto asked_at = business_.now();
    auto record = co_await look_at(match.id);
    if (record)
      co_return co_await judge_record(std::move(match), std::move(*record), asked_at, all);
  }
  all.add(std::move(said));
  co_return result<>{};
}

asio::awaitable<result<>> drift_watcher::on_record(vf::server_record record, instant asked_at) {
  const std::vector<db::drift_store::sighting> seen{
    {record.id, record.owner && record.owner->id ? *record.owner->id : virtfusion_user_id{}}};
  auto matches = co_await store_.see(seen, asked_at);
  if (!matches)
    co_return matches.error();
  auto& match = matches->front();
  // One that nobody knows is a list's to find.
  if (!match.is_settled || is_stranger(match))
    co_return result<>{};
  outcome all;
  const auto judged = co_await judge_record(std::move(match), std::move(record), asked_at, all);
  if (!judged)
    co_return judged.error();
  co_return co_await report(std::move(all));
}

asio::awaitable<result<>>
drift_watcher::judge_record(db::drift_match match, vf::server_record record, instant asked_at, outcome& all) {
  auto ours = subject_of(match);
  drift_sight sight;
  if (record.owner) {
    sight.owner = record.owner->id;
    sight.owner_relation = drift_sight::relation{record.owner->ext_relation_id};
  }
  sight.is_suspended = record.is_suspended;
  if (record.remote)
    sight.is_running = record.remote->is_running;
  auto is_new = false;
  if (!record.has_task())
    sight.resources = record.told_resources();
  if (sight.resources) {
    if (match.accepted) {
      ours.resources.push_back(*match.accepted);
      ours.kept_storage_gb = match.accepted->storage_gb;
    }
    if (match.accepted != record.resources) {
      const auto package = co_await resources_of(match.package);
      if (package)
        ours.resources.push_back(*package);
      else
        ours.resources.clear();
      is_new = package.has_value();
    }
  }
  auto is_accepted = false;
  for (const auto& verdict : judge(ours, sight)) {
    clear(match, verdict, asked_at, all.cleared);
    if (verdict.is_right) {
      is_accepted = is_accepted || (verdict.kind == drift_kind::package && is_new);
      continue;
    }
    auto detail = std::string{"{}"};
    if (verdict.kind == drift_kind::owner)
      detail = owner_detail(record.owner->id, record.owner->ext_relation_id);
    else if (verdict.kind == drift_kind::package)
      detail = resources_detail(record.resources);
    all.found.push_back(
      {verdict.kind, match.server, match.id, verdict.seen, std::move(detail), asked_at, asked_at});
  }
  if (is_accepted) {
    const auto accepted = co_await store_.accept_resources(*match.server, record.resources);
    if (!accepted)
      co_return accepted.error();
  }
  if (record.owner && record.owner->id && record.owner->ext_relation_id == match.user &&
      match.owner != record.owner->id)
    co_return co_await store_.learn_owner(*match.user, *record.owner->id, business_.now());
  co_return result<>{};
}

asio::awaitable<std::optional<server_resources>> drift_watcher::resources_of(package_id package) {
  const auto now = virtfusion_.timers().now();
  if (now >= packages_until_) {
    const auto listed = co_await virtfusion_.call(how(), vf::list_packages());
    if (!listed)
      co_return std::nullopt;
    packages_.clear();
    for (const auto& one : *listed)
      packages_.emplace(one.id, one.resources);
    packages_until_ = now + packages_life;
  }
  const auto found = packages_.find(package);
  co_return found == packages_.end() ? std::nullopt : std::optional{found->second};
}

asio::awaitable<result<>>
drift_watcher::on_list_end(instant begun_at, bool is_complete, std::function<bool()> goes_on) {
  const auto is_proof = is_complete && !is_unproven_ && (!total_ || *total_ == listed_);
  if (is_complete && !is_proof)
    log::warn("the list of servers changed while it was read: nothing is taken for gone by it", {});
  listed_ = 0;
  total_.reset();
  is_unproven_ = false;
  auto done = result<>{};
  if (is_proof) {
    done = co_await find_missing(begun_at, goes_on);
    if (done)
      done = co_await look_for_strangers(begun_at, goes_on);
  }
  looks_left_ = options_.most_looks;
  if (!done)
    co_return done;
  const auto ended = co_await store_.end_with_servers(business_.now());
  if (!ended)
    co_return ended.error();
  for (const auto& one : *ended)
    tell_vanished(one);
  co_return result<>{};
}

asio::awaitable<result<>> drift_watcher::find_missing(instant begun_at,
                                                      const std::function<bool()>& goes_on) {
  std::vector<db::drift_store::absentee> suspects;
  std::int64_t left_out = 0;
  for (server_id after;;) {
    const auto missing = co_await store_.count_absences(begun_at, after, options_.rows_at_once);
    if (!missing)
      co_return missing.error();
    for (const auto& one : *missing) {
      if (one.is_known_gone || one.absences < 2)
        continue;
      if (static_cast<int>(suspects.size()) < looks_left_)
        suspects.push_back(one);
      else
        ++left_out;
    }
    if (missing->size() < static_cast<std::size_t>(options_.rows_at_once))
      break;
    after = missing->back().server;
  }
  runtime::crash_point("sync.absences_counted");
  if (left_out > 0)
    log::warn("more servers are missing in VirtFusion's lists than are looked for at once",
              {{"servers", left_out}});
  for (const auto& one : suspects) {
    if (!goes_on())
      break;
    --looks_left_;
    const auto done = co_await confirm_gone(one);
    if (!done)
      co_return done;
  }
  co_return result<>{};
}

asio::awaitable<result<>> drift_watcher::confirm_gone(db::drift_store::absentee one) {
  const auto asked_at = business_.now();
  auto record = co_await look_at(one.virtfusion_id);
  if (record)
    co_return co_await on_record(std::move(*record), asked_at);
  // Anything but VirtFusion's own word proves nothing.
  if (record.error().what != failure_kind::not_found_server)
    co_return result<>{};
  outcome all;
  all.found.push_back({drift_kind::gone, one.server, one.virtfusion_id, std::string{seen_nowhere},
                       R"({"lastSeenAt":")" + format_time(one.last_right) + "\"}", asked_at, one.last_right});
  co_return co_await report(std::move(all));
}

asio::awaitable<result<>> drift_watcher::look_for_strangers(instant begun_at,
                                                            const std::function<bool()>& goes_on) {
  const auto unseen = co_await store_.unseen_strangers(begun_at, most_strangers);
  if (!unseen)
    co_return unseen.error();
  outcome all;
  for (const auto id : *unseen) {
    if (!goes_on())
      break;
    const auto asked_at = business_.now();
    const auto record = co_await look_at(id);
    if (!record && record.error().what == failure_kind::not_found_server) {
      all.cleared.push_back({drift_kind::unknown, id, asked_at});
      continue;
    }
    if (!record)
      continue;
    const auto noted = co_await store_.see_one(id, asked_at);
    if (!noted)
      co_return noted.error();
  }
  co_return co_await report(std::move(all));
}

asio::awaitable<drift_watcher::look> drift_watcher::look_at(virtfusion_server_id id) {
  co_return co_await virtfusion_.call(how(), vf::get_server(id));
}

asio::awaitable<result<>> drift_watcher::report(outcome all) {
  if (all.found.empty() && all.cleared.empty())
    co_return result<>{};
  const auto news = co_await store_.report(std::move(all.found), std::move(all.cleared), business_.now());
  if (!news)
    co_return news.error();
  for (const auto& one : news->found)
    tell(one);
  for (const auto& one : news->vanished)
    tell_vanished(one);
  co_return result<>{};
}

call_options drift_watcher::how() const {
  return {call_class::background, virtfusion_.timers().now() + call_patience, {}, "drift"};
}

} // namespace skyengine::actors
