#include "tests/torture/sync_check.hpp"

#include "tests/support/postgres.hpp"
#include "tests/torture/rows.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <utility>

namespace skyengine::torture {

namespace {

namespace json = boost::json;

/// Microseconds since 1970 (UTC).
using moment = std::int64_t;
constexpr moment never = std::numeric_limits<moment>::max();
constexpr moment tick_period = 3'600'000'000;

constexpr const char* syncs =
  "(SELECT r.* FROM runs r JOIN schedules s ON s.id = r.schedule_id WHERE s.handler = "
  "'hourly-sync-and-billing' AND r.state <> 'skipped')";

std::string micros_of(const std::string& column) {
  return "(extract(epoch FROM " + column + ") * 1000000)::bigint";
}

struct sync {
  std::int64_t id = 0;
  moment tick = 0;
  moment begun = 0;
  moment ended = never;
  bool is_complete = false;
};

struct plan_change {
  moment at = 0;
  bool is_uptime = false;
};

struct look {
  moment at = 0;
  /// An engine began when this was asked for and not yet stored.
  bool is_unanswered = false;
};

struct life {
  moment active_from = never;
  moment leaves_at = never;
  /// The plan that it began with stands first.
  std::vector<plan_change> plans = {};
  std::vector<look> traffic = {};
  std::vector<look> live = {};

  /// Of the time from `from` to `until`, both included.
  bool is_ever_uptime(moment from, moment until) const { return any(from, until, true); }
  bool is_always_uptime(moment from, moment until) const { return !any(from, until, false); }

private:
  bool any(moment from, moment until, bool is_uptime) const {
    for (std::size_t i = 0; i < plans.size(); ++i) {
      const auto end = i + 1 < plans.size() ? plans[i + 1].at : never;
      if (plans[i].is_uptime == is_uptime && plans[i].at <= until && end >= from)
        return true;
    }
    return false;
  }
};

/// A member that is a number and not below 0.
std::optional<std::int64_t> count_in(const json::object& of, const char* name) {
  const auto* found = of.if_contains(name);
  if (found == nullptr || !found->is_int64() || found->as_int64() < 0)
    return std::nullopt;
  return found->as_int64();
}

bool has_counts(const json::object& of, const char* part, std::initializer_list<const char*> names) {
  const auto* found = of.if_contains(part);
  return found != nullptr && found->is_object() &&
         std::all_of(names.begin(), names.end(),
                     [&](const char* name) { return count_in(found->as_object(), name).has_value(); });
}

/// What a run tells while it runs, and what it ends with.
bool is_progress(const json::object& told, bool has_ended) {
  if (!has_counts(told, "list", {"pages", "failed", "calls", "servers"}))
    return false;
  const auto* state = told.at("list").as_object().if_contains("state");
  if (state == nullptr || !state->is_string())
    return false;
  for (const auto* depth : {"traffic", "live"}) {
    if (!has_counts(told, depth, {"due", "seen", "failed", "calls"}))
      return false;
    // Each look that brought something took a call.
    const auto& counts = told.at(depth).as_object();
    if (*count_in(counts, "seen") > *count_in(counts, "calls"))
      return false;
  }
  if (!has_ended)
    return true;
  const auto* complete = told.if_contains("complete");
  const auto* not_seen = told.if_contains("notSeen");
  return complete != nullptr && complete->is_bool() && not_seen != nullptr && not_seen->is_object() &&
         has_counts(not_seen->as_object(), "traffic", {"count"}) &&
         has_counts(not_seen->as_object(), "live", {"count"});
}

class comparison {
public:
  comparison(const std::string& url, sync_figures& figures, sync_rules rules)
      : url_(url), figures_(figures), rules_(rules) {
    read_lives();
    read_looks();
  }

  std::vector<std::string> run() {
    read_runs();
    for (const auto& [id, one] : lives_) {
      find_repeated(id, one.traffic, "traffic", [&](moment, moment) { return age(rules_.traffic_every); });
      find_repeated(id, one.live, "live", [&, &of = one](moment from, moment until) {
        return of.is_ever_uptime(from, until) ? 0 : age(rules_.live_every);
      });
    }
    for (const auto& run : runs_)
      if (run.is_complete)
        find_missed(run);
    compare_tables();
    return differences_;
  }

private:
  static moment in_micros(std::chrono::seconds span) { return std::chrono::microseconds{span}.count(); }
  /// How long before its tick a sync takes a look for new enough.
  static moment age(std::chrono::seconds every) {
    return std::max<moment>(in_micros(every) - tick_period, 0);
  }

  void read_lives() {
    for (const auto& row :
         rows_of(url_, "SELECT s.id, EXISTS (SELECT FROM plan_prices p WHERE p.plan_id = coalesce("
                       "(SELECT e.from_plan FROM server_events e WHERE e.server_id = s.id AND "
                       "e.from_plan IS NOT NULL ORDER BY e.id LIMIT 1), s.plan_id) AND p.basis = "
                       "'uptime') AS uptime FROM servers s"))
      lives_[number(row, "id")].plans.push_back({0, row.as_object().at("uptime").as_bool()});
    for (const auto& row : rows_of(
           url_, "SELECT server_id, " + micros_of("at") +
                   " AS at, to_state, to_plan IS NOT NULL AS moved, EXISTS (SELECT FROM plan_prices p WHERE "
                   "p.plan_id = to_plan AND p.basis = 'uptime') AS uptime FROM server_events ORDER BY id")) {
      auto& one = lives_[number(row, "server_id")];
      const auto at = number(row, "at");
      const auto state = text(row, "to_state");
      if (state == "active")
        one.active_from = std::min(one.active_from, at);
      if (state == "deleting" || state == "deleted" || state == "failed")
        one.leaves_at = std::min(one.leaves_at, at);
      if (row.as_object().at("moved").as_bool())
        one.plans.push_back({at, row.as_object().at("uptime").as_bool()});
    }
  }

  void read_looks() {
    std::string starts;
    for (const auto& one : rules_.starts)
      starts.append(starts.empty() ? "(" : ", (")
        .append(std::to_string(one.at))
        .append("::bigint, '")
        .append(one.snapshot)
        .append("'::pg_snapshot)");
    const auto unanswered = starts.empty()
                              ? std::string{"false"}
                              : "EXISTS (SELECT FROM (VALUES " + starts +
                                  ") AS s (at, seen) WHERE s.at >= " + micros_of("m.observed_at") +
                                  " AND NOT pg_visible_in_snapshot(m.xmin::text::xid8, s.seen))";
    for (const auto& row :
         rows_of(url_, "SELECT server_id, " + micros_of("observed_at") +
                         " AS at, traffic_in IS NOT NULL AS traffic, is_on IS NOT NULL AS live, " +
                         unanswered + " AS unanswered FROM server_metrics m ORDER BY observed_at")) {
      auto& one = lives_[number(row, "server_id")];
      const look seen{number(row, "at"), row.as_object().at("unanswered").as_bool()};
      figures_.unanswered += seen.is_unanswered ? 1 : 0;
      if (row.as_object().at("traffic").as_bool()) {
        one.traffic.push_back(seen);
        ++figures_.traffic_looks;
      }
      if (row.as_object().at("live").as_bool()) {
        one.live.push_back(seen);
        ++figures_.live_looks;
      }
    }
  }

  void read_runs() {
    for (const auto& row :
         rows_of(url_, "SELECT id, state, interruptions, coalesce(" + micros_of("scheduled_at") +
                         ", 0) AS tick, coalesce(" + micros_of("started_at") + ", 0) AS begun, coalesce(" +
                         micros_of("ended_at") + ", 0) AS ended, figures FROM " + syncs +
                         " AS r ORDER BY scheduled_at")) {
      sync one;
      one.id = number(row, "id");
      one.tick = number(row, "tick");
      one.begun = number(row, "begun");
      const auto state = text(row, "state");
      const auto ended = number(row, "ended");
      if (ended != 0)
        one.ended = ended;
      const auto interruptions = number(row, "interruptions");
      ++figures_.runs;
      figures_.interrupted += interruptions > 0 ? 1 : 0;
      const auto name = "the run " + std::to_string(one.id);
      if (interruptions > 0 && ended == 0) {
        auto difference = name;
        difference.append(" was interrupted and is ").append(state);
        differences_.push_back(std::move(difference));
      }
      if (ended != 0 && ended < std::max(one.begun, one.tick))
        differences_.push_back(name + " ended before it began");
      const auto& figures = row.as_object().at("figures").as_object();
      const auto* told = figures.if_contains("sync");
      if (told != nullptr || state == "succeeded") {
        if (told == nullptr || !told->is_object() || !is_progress(told->as_object(), state == "succeeded")) {
          differences_.push_back(name + " tells what is no progress: " + json::serialize(figures));
          continue;
        }
        one.is_complete = state == "succeeded" && told->at("complete").as_bool();
        figures_.complete += one.is_complete ? 1 : 0;
      }
      runs_.push_back(one);
    }
  }

  /// Each look must be one that a sync had to make, which knew of the one before.
  template <class Age>
  void find_repeated(std::int64_t server, const std::vector<look>& looks, const char* depth, Age age_of) {
    for (std::size_t i = 1; i < looks.size(); ++i) {
      const auto at = looks[i].at;
      const auto before = looks[i - 1];
      const auto is_due = std::any_of(runs_.begin(), runs_.end(), [&](const sync& run) {
        return run.tick <= at && at <= run.ended && before.at < run.tick - age_of(run.tick, at);
      });
      if (!is_due && !before.is_unanswered)
        differences_.push_back("server " + std::to_string(server) + " was looked at (" + depth + ") at " +
                               std::to_string(before.at) + " and again at " + std::to_string(at) +
                               ", when no sync had to");
    }
  }

  void find_missed(const sync& run) {
    const auto surely_from = run.begun - in_micros(rules_.slack);
    for (const auto& [id, one] : lives_) {
      if (one.active_from > surely_from || one.leaves_at <= run.ended)
        continue;
      const auto is_uptime = one.is_always_uptime(run.tick - in_micros(rules_.slack), run.ended);
      expect_look(id, run, one.traffic, age(rules_.traffic_every), "traffic");
      expect_look(id, run, one.live, is_uptime ? 0 : age(rules_.live_every), "live");
    }
  }

  void expect_look(std::int64_t server,
                   const sync& run,
                   const std::vector<look>& looks,
                   moment most_age,
                   const char* depth) {
    const auto found = std::find_if(looks.begin(), looks.end(),
                                    [&](const look& one) { return one.at >= run.tick - most_age; });
    if (found == looks.end() || found->at > run.ended)
      differences_.push_back("server " + std::to_string(server) + " was not looked at (" + depth +
                             ") as the run " + std::to_string(run.id) + " says, which is complete");
  }

  void expect_none(const std::string& query, const std::string& what) {
    if (const auto found = test::run_sql(url_, "SELECT count(*) FROM (" + query + ") AS q"); found != "0")
      differences_.push_back(found + ' ' + what);
  }

  void compare_tables() {
    expect_none("SELECT FROM server_metrics GROUP BY server_id, observed_at HAVING count(*) > 1",
                "looks have two rows");
    expect_none("SELECT FROM server_metrics WHERE is_on IS NULL AND traffic_in IS NULL", "looks saw nothing");
    expect_none(R"sql(
      SELECT FROM (SELECT server_id, max(observed_at) FILTER (WHERE traffic_in IS NOT NULL) AS traffic,
                          max(observed_at) FILTER (WHERE is_on IS NOT NULL) AS live
                     FROM server_metrics GROUP BY server_id) AS m
        FULL JOIN server_observations o USING (server_id)
       WHERE m.traffic IS DISTINCT FROM o.traffic_at OR m.live IS DISTINCT FROM o.live_at)sql",
                "servers were last looked at at another time than is noted of them");
    expect_none("SELECT FROM server_lists WHERE ended_at < begun_at OR begun_at < tick",
                "lists ended too early");
    expect_none(R"sql(
      SELECT FROM server_lists l JOIN servers s ON s.state IN ('active', 'suspended')
        LEFT JOIN server_observations o ON o.server_id = s.id
       WHERE s.active_at < l.begun_at - make_interval(secs => )sql" +
                  std::to_string(rules_.slack.count()) + R"sql()
         AND coalesce(o.listed_at, '-infinity') < l.begun_at)sql",
                "servers stand in no page of the last whole list");
    // Nobody takes a server away, and none is made but by the engine.
    expect_none("SELECT FROM drift WHERE kind = 'gone'", "servers were taken for gone");
    expect_none("SELECT FROM drift d JOIN servers s USING (virtfusion_id) WHERE d.kind = 'unknown'",
                "servers of ours were taken for unknown");
    compare_rolled("hour", "server_metrics_hours");
    compare_rolled("day", "server_metrics_days");
    figures_.rolled_days =
      std::stoll(test::run_sql(url_, "SELECT count(DISTINCT at) FROM server_metrics_days"));
  }

  void compare_rolled(const std::string& step, const std::string& table) {
    expect_none(R"sql(
      SELECT FROM (SELECT m.server_id, date_trunc(')sql" +
                  step + R"sql(', m.observed_at, 'UTC') AS at, count(m.is_on) AS looks,
                          count(*) FILTER (WHERE m.is_on) AS looks_on, max(m.disk_used) AS disk_used_max
                     FROM server_metrics m, metrics_rollup r WHERE m.observed_at < r.day GROUP BY 1, 2) AS m
        FULL JOIN )sql" +
                  table + R"sql( t USING (server_id, at)
       WHERE (m.looks, m.looks_on, m.disk_used_max) IS DISTINCT FROM (t.looks, t.looks_on, t.disk_used_max))sql",
                "sums by the " + step + " are not those of the looks");
  }

  std::string url_;
  sync_figures& figures_;
  sync_rules rules_;
  std::map<std::int64_t, life> lives_;
  std::vector<sync> runs_;
  std::vector<std::string> differences_;
};

} // namespace

sync_start start_of_sync(const std::string& database_url) {
  const auto row =
    rows_of(database_url, "SELECT " +
                            micros_of("business_origin + (clock_timestamp() - real_origin) * rate") +
                            " AS at, pg_current_snapshot()::text AS snapshot FROM engine_clock")
      .at(0);
  return {number(row, "at"), text(row, "snapshot")};
}

std::vector<std::string>
sync_differences(const std::string& database_url, sync_figures& figures, sync_rules rules) {
  return comparison{database_url, figures, rules}.run();
}

} // namespace skyengine::torture
