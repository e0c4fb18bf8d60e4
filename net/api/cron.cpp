#include "domain/cron_expression.hpp"
#include "domain/schedule_plan.hpp"
#include "domain/time_format.hpp"
#include "net/api/cron_requests.hpp"
#include "net/api/edge_state.hpp"
#include "net/api/records.hpp"
#include "net/api/replays.hpp"
#include "net/api/routes.hpp"

#include <boost/json/serialize.hpp>

#include <algorithm>

namespace skyengine::net::api {

namespace {

namespace json = boost::json;
using std::chrono::sys_seconds;
using times = std::vector<sys_seconds>;
using zone_pointer = std::shared_ptr<const time_zone>;

constexpr std::size_t shown_times = 5;
// Times of one schedule that a change leaves behind as rows.
constexpr std::size_t most_left_behind = 1'000;
constexpr int most_backfilled = 5'000;
constexpr int most_tries = 5;

error no_such_run() {
  return {errc::not_found, "no such run"};
}

asio::awaitable<result<zone_pointer>> find_zone(edge_state& edge, std::string name) {
  const auto known = edge.loaded_zones.find(name);
  if (known != edge.loaded_zones.end())
    co_return known->second;
  auto loaded = co_await edge.services.load_zone(name);
  if (loaded)
    edge.loaded_zones.emplace(std::move(name), *loaded);
  co_return loaded;
}

times next_times(const cron_expression& expression,
                 const time_zone& zone,
                 sys_seconds after,
                 std::size_t most) {
  times found;
  for (auto next = expression.next(after, zone); next && found.size() < most;
       next = expression.next(*next, zone))
    found.push_back(*next);
  return found;
}

sys_seconds this_second(const edge_state& edge) {
  return std::chrono::floor<std::chrono::seconds>(edge.services.business.now());
}

struct shown_schedule {
  db::schedule_standing standing;
  times next;
};

/// Of a paused schedule: when it would fire. One whose zone this system does not know any more has no times.
asio::awaitable<shown_schedule> show(edge_state& edge, db::schedule_standing standing) {
  times next;
  const auto parsed = parse_cron(standing.what.expression);
  if (parsed)
    if (const auto zone = co_await find_zone(edge, standing.what.timezone))
      next = next_times(*parsed, **zone, this_second(edge), shown_times);
  co_return shown_schedule{std::move(standing), std::move(next)};
}

void write(json_writer& out, const shown_schedule& one) {
  write(out, one.standing.what, one.next, one.standing.last_run);
}

/// What an operator may set, as the API has it.
json::object settings_of(const schedule& one) {
  const auto maybe = [](const auto& value) { return value ? json::value(*value) : json::value(); };
  return {{"expression", one.expression},
          {"timezone", one.timezone},
          {"paused", one.is_paused},
          {"note", maybe(one.note)},
          {"catchUp", to_string(one.catch_up)},
          {"catchUpWindow", one.catch_up_window.count()},
          {"overlap", to_string(one.overlap)},
          {"timeout", one.timeout.count()},
          {"jitter", one.jitter.count()},
          {"retries", one.retries},
          {"alertAfter", one.alert_after},
          {"pauseAfter", maybe(one.pause_after)}};
}

/// `{"retries": {"from": 3, "to": 5}}`
json::object differences(const schedule& before, const schedule& after) {
  const auto old = settings_of(before);
  json::object changed;
  for (const auto& [name, value] : settings_of(after))
    if (const auto& was = old.at(name); was != value)
      changed.emplace(name, json::object{{"from", was}, {"to", value}});
  return changed;
}

error never_fires(const std::string& zone) {
  const auto reason = "never fires in the time zone " + zone;
  return {errc::invalid_request, "expression: " + reason, {{"expression", reason}}};
}

/// errc::conflict where a schedule's ticks are for nobody.
result<> check_handler(const edge_state& edge, const schedule& what) {
  if (edge.options.cron_handlers.contains(what.handler))
    return {};
  return error{errc::conflict, what.name + " cannot be run: " + std::string{nothing_carries_out}};
}

/// When a schedule fires next as it is to be, and what it leaves behind as it was. errc::invalid_request when
/// it would never fire.
asio::awaitable<result<>>
retime(edge_state& edge, const schedule& before, db::schedule_store::change& change) {
  auto& wanted = change.wanted;
  const auto now = edge.services.business.now();
  const auto zone = co_await find_zone(edge, wanted.timezone);
  if (!zone)
    co_return zone.error();
  const auto next =
    parse_cron(wanted.expression)->next(std::chrono::floor<std::chrono::seconds>(now), **zone);
  if (!next)
    co_return never_fires(wanted.timezone);
  wanted.next_at = wanted.is_paused ? std::nullopt : next;
  const auto parsed = parse_cron(before.expression);
  const auto old_zone = co_await find_zone(edge, before.timezone);
  if (parsed && old_zone && before.next_at)
    for (const auto& due :
         plan_due(before, *parsed, **old_zone, *before.next_at, now, {}, most_left_behind).times)
      change.left_behind.push_back(due.at);
  co_return result<>{};
}

/// The state that a list of runs is asked for, which is taken out of the query; nullopt: any.
result<std::optional<run_state>> take_state(query_parameters& query) {
  const auto is_state = [](const auto& one) { return one.name == "state"; };
  const auto first = std::find_if(query.begin(), query.end(), is_state);
  if (first == query.end())
    return std::optional<run_state>{};
  const auto state = parse_run_state(first->value);
  if (!state || std::count_if(query.begin(), query.end(), is_state) > 1) {
    const std::string reason =
      "is not one of queued, running, succeeded, failed, timed_out, cancelled, skipped";
    return error{errc::malformed_request, "query parameter state: " + reason, {{"state", reason}}};
  }
  query.erase(first);
  return state;
}

/// A body that may be left out.
http::response run_answer(const schedule_run& one, const std::string& owner) {
  json_writer out;
  write(out, one, owner);
  auto answer = json_answer(http::status::accepted, std::move(out).take());
  answer.headers.set(http::field::location, "/v1/cron/" + owner + "/runs/" + std::to_string(one.id.value));
  return answer;
}

using claim = std::optional<idempotency_claim>;

/// What a request about a schedule's runs begins with.
struct asked_of_runs {
  claim key;
  schedule what;
};

asio::awaitable<result<asked_of_runs>> read_asked(edge_state& edge, const call& c) {
  auto key = read_claim(c);
  if (!key)
    co_return key.error();
  auto owner = co_await edge.schedules.find(c.parameters[0]);
  if (!owner)
    co_return owner.error();
  co_return asked_of_runs{std::move(*key), std::move(owner->what)};
}

/// The answer to a request whose key is bound already. Where nobody was ever answered it counts as the first.
asio::awaitable<result<http::response>>
repeat(edge_state& edge, db::idempotency_binding bound, idempotency_claim key, http::response answer) {
  const auto is_replay = bound.first_status || has_first_answer(edge, key, 1);
  if (const auto kept = co_await keep_status(edge, key, http::status::accepted); !kept)
    co_return kept.error();
  if (is_replay)
    mark_replayed(answer);
  co_return answer;
}

/// What an operator asks of a schedule's runs, once for each key. `Record` stores it, with its key.
template <class Record>
asio::awaitable<result<http::response>>
pull(edge_state& edge, claim key, schedule_id owner, std::string name, Record record) {
  const first_answer pending{edge, key};
  auto earlier = co_await find_earlier(edge, key);
  if (!earlier)
    co_return earlier.error();
  if (!*earlier) {
    const result<schedule_run> stored = co_await record(key);
    if (stored) {
      edge.tell_timer();
      if (const auto kept = co_await keep_status(edge, key, http::status::accepted); !kept)
        co_return kept.error();
      co_return run_answer(*stored, name);
    }
    // Somebody else may have been first with this key, which may be why this cannot be.
    earlier = co_await find_earlier(edge, key);
    if (!earlier)
      co_return earlier.error();
    if (!*earlier || !(*earlier)->run)
      co_return stored.error();
  }
  const auto run = co_await edge.schedules.find_run(owner, *(*earlier)->run);
  if (!run)
    co_return run.error();
  co_return co_await repeat(edge, **earlier, *key, run_answer(*run, name));
}

http::response backfill_answer(const std::string& owner,
                               const backfill_request& wanted,
                               std::int64_t runs,
                               const times* shown) {
  json_writer out;
  out.begin_object();
  out.member("schedule", owner);
  out.member("from", instant{wanted.from});
  out.member("to", instant{wanted.to});
  out.member("which", to_string(wanted.which));
  out.member("dryRun", wanted.is_dry_run);
  out.member("runs", runs);
  if (shown != nullptr) {
    out.key("times");
    out.begin_array();
    for (const auto at : *shown)
      out.value(instant{at});
    out.end_array();
  }
  out.end_object();
  return json_answer(wanted.is_dry_run ? http::status::ok : http::status::accepted, std::move(out).take());
}

error too_many_times() {
  const auto reason = "has more than " + std::to_string(most_backfilled) + " times: take a smaller range";
  return {errc::invalid_request, "the range " + reason, {{"to", "the range " + reason}}};
}

/// What a backfill is to run, in order.
asio::awaitable<result<times>> times_of(edge_state& edge, const schedule& what, backfill_request wanted) {
  times due;
  if (wanted.which != backfill_rule::failed) {
    const auto parsed = parse_cron(what.expression);
    const auto zone = co_await find_zone(edge, what.timezone);
    if (!zone)
      co_return zone.error();
    if (parsed)
      due = next_times(*parsed, **zone, wanted.from - std::chrono::seconds{1}, most_backfilled + 1);
    std::erase_if(due, [&](sys_seconds at) { return at > wanted.to; });
  }
  if (due.size() > static_cast<std::size_t>(most_backfilled))
    co_return too_many_times();
  auto found = co_await edge.schedules.backfill_times(what.id, {wanted.from, wanted.to, wanted.which},
                                                      std::move(due), most_backfilled + 1);
  if (found && found->size() > static_cast<std::size_t>(most_backfilled))
    co_return too_many_times();
  co_return found;
}

} // namespace

answer list_schedules(edge_state& edge, const call& c) {
  static constexpr std::string_view list = "cron";
  const auto page = parse_page(list, c.query);
  if (!page)
    co_return page.error();
  const auto found = co_await edge.schedules.list(page->after.value_or(""), page->limit + 1);
  if (!found)
    co_return found.error();
  std::vector<shown_schedule> shown;
  shown.reserve(found->size());
  for (const auto& one : *found)
    shown.push_back(co_await show(edge, one));
  co_return list_answer(
    list, std::move(shown), page->limit, [](json_writer& out, const shown_schedule& one) { write(out, one); },
    [](const shown_schedule& one) { return one.standing.what.name; });
}

answer get_schedule(edge_state& edge, const call& c) {
  auto found = co_await edge.schedules.find(c.parameters[0]);
  if (!found)
    co_return found.error();
  co_return json_answer(http::status::ok, to_json(co_await show(edge, std::move(*found))));
}

answer patch_schedule(edge_state& edge, const call& c) {
  const auto body = read_body(c.request);
  if (!body)
    co_return body.error();
  for (int tries = 0; tries < most_tries; ++tries) {
    auto found = co_await edge.schedules.find(c.parameters[0]);
    if (!found)
      co_return found.error();
    const auto& before = found->what;
    db::schedule_store::change change;
    change.wanted = before;
    auto& wanted = change.wanted;
    field_faults faults;
    apply_patch(wanted, *body, faults);
    if (!edge.zones.contains(wanted.timezone))
      faults.add("timezone", "is no time zone that this system knows");
    if (!faults.empty())
      co_return faults.as_error();
    const auto changed = differences(before, wanted);
    if (changed.empty())
      co_return json_answer(http::status::ok, to_json(co_await show(edge, std::move(*found))));
    if (before.is_paused && !wanted.is_paused)
      if (const auto can_run = check_handler(edge, wanted); !can_run)
        co_return can_run.error();
    change.detail = json::serialize(changed);
    change.is_retimed =
      changed.contains("expression") || changed.contains("timezone") || changed.contains("paused");
    if (change.is_retimed)
      if (const auto retimed = co_await retime(edge, before, change); !retimed)
        co_return retimed.error();
    const auto applied = co_await edge.schedules.apply(change, c.key->caller(), edge.services.business.now());
    if (!applied)
      co_return applied.error();
    if (!*applied)
      continue;
    edge.tell_timer();
    auto stored = co_await edge.schedules.find(c.parameters[0]);
    if (!stored)
      co_return stored.error();
    co_return json_answer(http::status::ok, to_json(co_await show(edge, std::move(*stored))));
  }
  co_return error{errc::conflict, "the schedule is being changed by others: try again"};
}

answer list_runs(edge_state& edge, const call& c) {
  const auto owner = co_await edge.schedules.find(c.parameters[0]);
  if (!owner)
    co_return owner.error();
  const auto& name = owner->what.name;
  const auto list = "runs " + name;
  auto query = c.query;
  const auto state = take_state(query);
  if (!state)
    co_return state.error();
  const auto page = parse_id_page(list, query);
  if (!page)
    co_return page.error();
  std::optional<sys_seconds> before;
  if (page->second)
    before = sys_seconds{std::chrono::seconds{*page->second}};
  const auto limit = page->first.limit;
  auto found = co_await edge.schedules.runs(owner->what.id, *state, before, limit + 1);
  if (!found)
    co_return found.error();
  co_return list_answer(
    list, std::move(*found), limit, [&](json_writer& out, const schedule_run& one) { write(out, one, name); },
    [](const schedule_run& one) { return std::to_string(one.scheduled_at.time_since_epoch().count()); });
}

answer get_run(edge_state& edge, const call& c) {
  const auto owner = co_await edge.schedules.find(c.parameters[0]);
  if (!owner)
    co_return owner.error();
  const auto id = parse_id(c.parameters[1]);
  if (!id)
    co_return no_such_run();
  const auto run = co_await edge.schedules.find_run(owner->what.id, {*id});
  if (!run)
    co_return run.error();
  json_writer out;
  write(out, *run, owner->what.name);
  co_return json_answer(http::status::ok, std::move(out).take());
}

answer post_run(edge_state& edge, const call& c) {
  const auto asked = co_await read_asked(edge, c);
  if (!asked)
    co_return asked.error();
  const auto& [key, what] = *asked;
  if (const auto can_run = check_handler(edge, what); !can_run)
    co_return can_run.error();
  const auto body = read_optional_body(c.request);
  if (!body)
    co_return body.error();
  field_faults faults;
  const auto at = parse_run_request(*body, edge.services.business.now(), faults);
  if (!faults.empty())
    co_return faults.as_error();
  const auto record = [&](claim bound) -> asio::awaitable<result<schedule_run>> {
    co_return co_await edge.schedules.request_run(what.id, at.value_or(this_second(edge)), c.key->caller(),
                                                  std::move(bound), edge.services.business.now());
  };
  co_return co_await pull(edge, key, what.id, what.name, record);
}

answer cancel_run(edge_state& edge, const call& c) {
  const auto asked = co_await read_asked(edge, c);
  if (!asked)
    co_return asked.error();
  const auto& [key, what] = *asked;
  const auto id = parse_id(c.parameters[1]);
  if (!id)
    co_return no_such_run();
  const auto record = [&](claim bound) -> asio::awaitable<result<schedule_run>> {
    co_return co_await edge.schedules.cancel(what.id, {*id}, c.key->caller(), std::move(bound),
                                             edge.services.business.now());
  };
  co_return co_await pull(edge, key, what.id, what.name, record);
}

answer post_backfill(edge_state& edge, const call& c) {
  const auto asked = co_await read_asked(edge, c);
  if (!asked)
    co_return asked.error();
  const auto& [key, what] = *asked;
  if (const auto can_run = check_handler(edge, what); !can_run)
    co_return can_run.error();
  const auto body = read_body(c.request);
  if (!body)
    co_return body.error();
  field_faults faults;
  const auto wanted = parse_backfill(*body, edge.services.business.now(), faults);
  if (!faults.empty())
    co_return faults.as_error();
  if (wanted.is_dry_run) {
    const auto found = co_await times_of(edge, what, wanted);
    if (!found)
      co_return found.error();
    co_return backfill_answer(what.name, wanted, static_cast<std::int64_t>(found->size()), &*found);
  }
  const first_answer pending{edge, key};
  auto earlier = co_await find_earlier(edge, key);
  if (!earlier)
    co_return earlier.error();
  if (!*earlier) {
    const auto found = co_await times_of(edge, what, wanted);
    if (!found)
      co_return found.error();
    const auto stored =
      co_await edge.schedules.backfill(what.id, {wanted.from, wanted.to, wanted.which}, *found,
                                       c.key->caller(), key, edge.services.business.now());
    if (stored) {
      edge.tell_timer();
      if (const auto kept = co_await keep_status(edge, key, http::status::accepted); !kept)
        co_return kept.error();
      co_return backfill_answer(what.name, wanted, *stored, nullptr);
    }
    earlier = co_await find_earlier(edge, key);
    if (!earlier)
      co_return earlier.error();
    if (!*earlier || !(*earlier)->audit_line)
      co_return stored.error();
  }
  const auto runs = co_await edge.schedules.backfilled(*(*earlier)->audit_line);
  if (!runs)
    co_return runs.error();
  co_return co_await repeat(edge, **earlier, *key, backfill_answer(what.name, wanted, *runs, nullptr));
}

} // namespace skyengine::net::api
