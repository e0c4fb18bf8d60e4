// What do 26 hours off cost VirtFusion, and is what was missed billed to the micro?
//
// 10,000 servers on a real PostgreSQL with fsync, the simulator over real HTTP, `skyengine serve` as a
// process. Business time is the database's, which the bench sets while the engine is off (it runs at twice
// the real time, so that no hour passes meanwhile). Twice the engine is started a minute past a full hour
// whose tick is due, and stopped when that run has ended and all hours are closed:
//
//     normal   one hour is due. Live looks, each six hours by default, are due with it, as they are after any
//              outage: it makes all the calls that one hour ever makes.
//     after    26 hours later, over the end of a month and a change of price.
//
// Held against each other are all calls that VirtFusion saw between start and end of the engine; of the
// normal hour without those for packages, which only the first look at a server makes. What was charged is
// held against a computation of its own: row by row, in integers, from plan prices and `server_events`,
// with nothing of the engine's rating. Servers begin at various seconds of the normal hour; some were
// suspended for a while or changed their plan in it, and one of four plans counts by the hour. Ends with 1
// when the start after the outage made more calls, a row is missing, doubled or wrong, a server was not
// looked at, or `skyengine audit` finds something.

#include "bench/bench_support.hpp"
#include "db/migrations.hpp"
#include "db/private_postgres.hpp"
#include "tests/support/engine_process.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/torture/rows.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace bench = skyengine::bench;
namespace db = skyengine::db;
namespace json = boost::json;
namespace test = skyengine::test;
namespace torture = skyengine::torture;
using namespace std::chrono_literals;
using std::chrono::sys_seconds;
using steady = std::chrono::steady_clock;
__extension__ using int128 = __int128;

constexpr int latency_ms = 20;
constexpr auto off = 26h;
/// The end of the normal hour; the engine goes off soon after.
constexpr sys_seconds last_hour = std::chrono::sys_days{std::chrono::year{2026} / 10 / 31} + 8h;
constexpr auto patience = 20min;

/// Seconds since 1970 (UTC).
using moment = std::int64_t;
constexpr moment hour = 3'600;

moment in_seconds(sys_seconds at) {
  return at.time_since_epoch().count();
}

std::string sql_time(sys_seconds at) {
  return "to_timestamp(" + std::to_string(in_seconds(at)) + ")";
}

template <class T>
T must(skyengine::result<T> outcome) {
  if (!outcome)
    throw std::runtime_error{outcome.error().detail};
  return std::move(*outcome);
}

/// What one life of the engine took.
struct life_figures {
  /// Without those for packages.
  std::int64_t calls = 0;
  std::int64_t packages = 0;
  json::object by_operation = {};
  double closed_s = 0;
  double all_s = 0;
  long peak_kib = 0;
};

/// PostgreSQL, the panel, the servers of both, and the engine between them.
class site {
public:
  explicit site(std::int64_t servers)
      : servers_(servers), postgres_(must(db::private_postgres::start({folder_.path() / "database"}))),
        panel_(panel_arguments()), engine_(panel_, engine_options()) {
    asio::io_context loop{1};
    db::database_options options;
    options.url = postgres_.url();
    if (const auto migrated = test::run(loop, db::migrate(options, db::embedded_migrations())); !migrated)
      throw std::runtime_error{migrated.error().detail};
    populate();
  }

  /// Starts the engine a minute past `tick`, and stops it when nothing of that is left to do.
  life_figures live(sys_seconds tick) {
    sql("INSERT INTO engine_clock (rate, real_origin, business_origin) VALUES (2, clock_timestamp(), " +
        sql_time(tick + 1min) +
        ") ON CONFLICT (one) DO UPDATE SET real_origin = excluded.real_origin, business_origin = "
        "excluded.business_origin");
    panel_.reset_requests();
    life_figures out;
    const auto begun = steady::now();
    engine_.start();
    const auto since = [&] { return std::chrono::duration<double>(steady::now() - begun).count(); };
    wait_for("SELECT min(closed_until) >= " + sql_time(tick) + " FROM billing_accounts");
    out.closed_s = since();
    wait_for("SELECT count(*) FILTER (WHERE s.handler = 'hourly-sync-and-billing' AND r.scheduled_at = " +
             sql_time(tick) +
             " AND r.ended_at IS NOT NULL) = 1 AND count(*) FILTER (WHERE r.ended_at IS NULL) = 0 "
             "FROM runs r JOIN schedules s ON s.id = r.schedule_id");
    out.all_s = since();
    out.peak_kib = bench::memory_of(engine_.child().pid(), "VmHWM");
    if (engine_.terminate() != 0)
      throw std::runtime_error{"the engine did not stop in order: " + engine_.log()};
    const auto asked = panel_.requests();
    out.by_operation = asked.at("byOperation").as_object();
    if (const auto* packages = out.by_operation.if_contains("GET /packages"))
      out.packages = packages->to_number<std::int64_t>();
    out.calls = asked.at("total").to_number<std::int64_t>() - out.packages;
    check_looks(tick);
    return out;
  }

  void audit() const {
    if (const auto audited = engine_.run({"audit"}); audited.code != 0)
      throw std::runtime_error{"skyengine audit: " + audited.output};
  }

  std::string sql(const std::string& text) const { return test::run_sql(postgres_.url(), text); }
  json::array rows(const std::string& query) const { return torture::rows_of(postgres_.url(), query); }
  std::int64_t servers() const noexcept { return servers_; }

private:
  std::int64_t users() const { return std::max<std::int64_t>(servers_ / 10, 1); }

  std::vector<std::string> panel_arguments() const {
    return {"--servers", std::to_string(servers_),  "--users", std::to_string(users()), "--hypervisors", "10",
            "--latency", std::to_string(latency_ms)};
  }

  test::engine_options engine_options() const {
    test::engine_options how{folder_.path()};
    how.database_url = postgres_.url();
    how.environment["SKYENGINE_CLOCK_RATE"] = "2";
    return how;
  }

  /// The simulator's packages 1 to 4 and its users take turns; so do our plans and users.
  void populate() const {
    const auto end = sql_time(last_hour);
    sql("INSERT INTO regions VALUES ('eu', 'Europe', 1, true, now(), now());"
        "INSERT INTO plans (id, name, currency, virtfusion_package_id, created_at, updated_at) "
        "SELECT 'plan-' || n, 'Plan', 'USD', n, now(), now() FROM generate_series(1, 4) AS n;"
        "INSERT INTO plan_prices VALUES "
        "('plan-1', '2026-01-01Z', 5000000, 730, 'allocated', 'second'), "
        "('plan-2', '2026-01-01Z', 10000000, 730, 'allocated', 'second'), "
        "('plan-3', '2026-01-01Z', 19990000, 720, 'allocated', 'second'), "
        "('plan-4', '2026-01-01Z', 7330000, 730, 'allocated', 'hour'), "
        "('plan-2', " +
        end +
        " + interval '13 hours', 12340000, 730, 'allocated', 'second');"
        "INSERT INTO users (id, name, email, created_at, updated_at) SELECT n, 'User', 'user-' || n || "
        "'@example.test', now(), now() FROM generate_series(1, " +
        std::to_string(users()) + ") AS n");
    sql(
      "INSERT INTO servers (user_id, plan_id, region_id, wants_ipv6, state, power, virtfusion_id, "
      "created_at, "
      "active_at, last_event_at) SELECT 1 + (n - 1) % " +
      std::to_string(users()) + ", 'plan-' || 1 + (n - 1) % 4, 'eu', false, 'active', 'on', n, at, at, " +
      end + " - interval '10 minutes' FROM (SELECT n, " + end +
      " - interval '1 hour' + n * 37 % 1500 * interval '1 second' AS at FROM generate_series(1, " +
      std::to_string(servers_) +
      ") AS n) AS s ORDER BY n;"
      "INSERT INTO server_events (server_id, at, type, from_state, to_state) SELECT id, active_at, t, f, t "
      "FROM servers, (VALUES (1, NULL, 'requested'), (2, 'requested', 'creating'), (3, 'creating', "
      "'building'), (4, 'building', 'active')) AS e (place, f, t) ORDER BY id, place;"
      "INSERT INTO server_events (server_id, at, type, from_state, to_state) SELECT id, " +
      end +
      " - interval '2000 seconds' + id % 200 * interval '1 second', 'suspended', 'active', 'suspended' FROM "
      "servers WHERE id % 11 = 0;"
      "INSERT INTO server_events (server_id, at, type, from_state, to_state) SELECT id, " +
      end +
      " - interval '1500 seconds' + id % 100 * interval '1 second', 'unsuspended', 'suspended', 'active' "
      "FROM "
      "servers WHERE id % 11 = 0;"
      "INSERT INTO server_events (server_id, at, type, from_state, to_state, from_plan, to_plan) SELECT "
      "id, " +
      end +
      " - interval '1200 seconds' + id % 600 * interval '1 second', 'plan_changed', 'active', 'active', "
      "'plan-' || 1 + right(plan_id, 1)::integer % 3, plan_id FROM servers WHERE id % 7 = 0 AND plan_id <> "
      "'plan-4';"
      "TRUNCATE billing_rechecks; UPDATE billing_accounts SET closed_until = " +
      end + " - interval '1 hour'; UPDATE schedules SET next_at = " + end +
      " WHERE name = 'hourly-sync-and-billing'");
    sql("VACUUM ANALYZE");
  }

  void wait_for(const std::string& condition) {
    const auto limit = steady::now() + patience;
    while (sql(condition) != "t") {
      if (engine_.child().wait(50ms))
        throw std::runtime_error{"the engine ended by itself: " + engine_.log()};
      if (steady::now() > limit)
        throw std::runtime_error{"it does not come to its end: " + condition};
    }
  }

  /// The run of `tick` saw everything, and nothing there that differs.
  void check_looks(sys_seconds tick) const {
    const auto seen = sql("SELECT count(*) FROM server_observations WHERE traffic_at >= " + sql_time(tick) +
                          " AND live_at >= " + sql_time(tick) + " AND listed_at >= " + sql_time(tick));
    if (seen != std::to_string(servers_))
      throw std::runtime_error{"only " + seen + " servers were looked at"};
    if (const auto drift = sql("SELECT count(*) FROM drift"); drift != "0")
      throw std::runtime_error{drift + " servers differ from VirtFusion's"};
  }

  std::int64_t servers_;
  test::temporary_folder folder_;
  db::private_postgres postgres_;
  test::simulated_panel panel_;
  test::engine_process engine_;
};

struct terms {
  moment from = 0;
  std::int64_t micros = 0;
  std::int64_t hours = 0;
  bool is_by_hour = false;
};

struct change {
  moment at = 0;
  bool is_active = false;
  std::string plan = {};
};

using server_hour = std::pair<std::int64_t, moment>;

/// What each hour of each server must have been charged, by the contract's formula alone: each hour costs
/// what it adds to the month, `min(dearest P, sum of P x seconds / (H x 3600))`, rounded half up.
class reckoning {
public:
  explicit reckoning(const site& on) {
    for (const auto& row : on.rows(
           "SELECT plan_id, extract(epoch FROM valid_from)::bigint AS at, price_micros, hours_per_month, "
           "granularity FROM plan_prices ORDER BY valid_from")) {
      const terms one{torture::number(row, "at"), torture::number(row, "price_micros"),
                      torture::number(row, "hours_per_month"), torture::text(row, "granularity") == "hour"};
      prices_[torture::text(row, "plan_id")].push_back(one);
      denominator_ = std::lcm(denominator_, one.hours * hour);
    }
    std::map<std::int64_t, std::string> plans;
    for (const auto& row :
         on.rows("SELECT id, coalesce((SELECT from_plan FROM server_events e WHERE e.server_id = s.id AND "
                 "from_plan IS NOT NULL ORDER BY e.id LIMIT 1), plan_id) AS plan FROM servers s"))
      plans[torture::number(row, "id")] = torture::text(row, "plan");
    for (const auto& row : on.rows("SELECT server_id, extract(epoch FROM at)::bigint AS at, to_state, "
                                   "coalesce(to_plan, '') AS plan FROM server_events ORDER BY id")) {
      const auto server = torture::number(row, "server_id");
      if (auto plan = torture::text(row, "plan"); !plan.empty())
        plans[server] = std::move(plan);
      lives_[server].push_back(
        {torture::number(row, "at"), torture::text(row, "to_state") == "active", plans[server]});
    }
  }

  std::map<server_hour, std::int64_t> charges(moment from, moment until) const {
    std::map<server_hour, std::int64_t> all;
    const auto november = in_seconds(std::chrono::sys_days{std::chrono::year{2026} / 11 / 1});
    for (const auto& [server, changes] : lives_) {
      month_so_far month;
      for (auto at = from; at < until; at += hour) {
        if (at == november)
          month = {};
        const auto before = cost(month);
        if (add_hour(changes, at, month))
          all[{server, at}] = cost(month) - before;
      }
    }
    return all;
  }

private:
  /// Seconds by terms.
  using month_so_far = std::map<const terms*, std::int64_t>;

  const terms& terms_at(const std::string& plan, moment at) const {
    const auto& list = prices_.at(plan);
    return *std::prev(std::upper_bound(list.begin(), list.end(), at,
                                       [](moment when, const terms& one) { return when < one.from; }));
  }

  /// Prices change at full hours only. False when the server was not billable in it.
  bool add_hour(const std::vector<change>& changes, moment begin, month_so_far& month) const {
    month_so_far in_hour;
    for (std::size_t i = 0; i < changes.size(); ++i) {
      const auto from = std::max(changes[i].at, begin);
      const auto until = std::min(i + 1 < changes.size() ? changes[i + 1].at : begin + hour, begin + hour);
      if (changes[i].is_active && from < until)
        in_hour[&terms_at(changes[i].plan, begin)] += until - from;
    }
    for (const auto& [of, seconds] : in_hour)
      month[of] += of->is_by_hour ? hour : seconds;
    return !in_hour.empty();
  }

  std::int64_t cost(const month_so_far& month) const {
    int128 numerator = 0;
    std::int64_t dearest = 0;
    for (const auto& [of, seconds] : month) {
      numerator += int128{of->micros} * seconds * (denominator_ / (of->hours * hour));
      dearest = std::max(dearest, of->micros);
    }
    const auto rounded = (2 * numerator + denominator_) / (int128{2} * denominator_);
    return static_cast<std::int64_t>(std::min<int128>(rounded, dearest));
  }

  std::map<std::string, std::vector<terms>> prices_;
  std::map<std::int64_t, std::vector<change>> lives_;
  std::int64_t denominator_ = 1;
};

struct bill {
  std::int64_t hours = 0;
  std::int64_t rows = 0;
  std::int64_t micros = 0;
};

/// Of the hours from `from` to `until`; throws where one row is missing, too many or other than reckoned.
bill check_charges(const site& on, const reckoning& reckoned, sys_seconds from, sys_seconds until) {
  // What the month had come to before these hours counts.
  auto expected = reckoned.charges(in_seconds(last_hour) - hour, in_seconds(until));
  std::erase_if(expected, [&](const auto& one) { return one.first.second < in_seconds(from); });
  bill told;
  told.hours = (until - from) / 1h;
  for (const auto& row :
       on.rows("SELECT server_id, extract(epoch FROM hour)::bigint AS at, amount_micros FROM "
               "charges WHERE hour >= " +
               sql_time(from) + " AND hour < " + sql_time(until))) {
    const server_hour which{torture::number(row, "server_id"), torture::number(row, "at")};
    const auto due = expected.extract(which);
    const auto micros = torture::number(row, "amount_micros");
    const auto name = "server " + std::to_string(which.first) + ", hour " + std::to_string(which.second);
    if (!due)
      throw std::runtime_error{name + " was charged twice, or for nothing"};
    if (due.mapped() != micros)
      throw std::runtime_error{name + " was charged " + std::to_string(micros) + ", which comes to " +
                               std::to_string(due.mapped())};
    ++told.rows;
    told.micros += micros;
  }
  if (!expected.empty())
    throw std::runtime_error{std::to_string(expected.size()) + " hours of servers were not charged"};
  if (told.rows != told.hours * on.servers())
    throw std::runtime_error{std::to_string(told.rows) + " hours of servers were charged, not " +
                             std::to_string(told.hours * on.servers())};
  const auto corrections = on.sql("SELECT count(*) FROM charge_corrections");
  if (corrections != "0")
    throw std::runtime_error{corrections + " corrections were posted"};
  return told;
}

void print(const char* name, const life_figures& one, const bill& charged) {
  std::printf(
    "%-7s %7lld calls but of packages   %3lld hours closed after %6.2f s   %8lld charges, %15lld micros   "
    "all done after %6.2f s   peak RSS %6ld KiB\n",
    name, static_cast<long long>(one.calls), static_cast<long long>(charged.hours), one.closed_s,
    static_cast<long long>(charged.rows), static_cast<long long>(charged.micros), one.all_s, one.peak_kib);
  for (const auto& [operation, calls] : one.by_operation)
    std::printf("            %-36s %7lld\n", std::string{operation}.c_str(),
                static_cast<long long>(calls.to_number<std::int64_t>()));
  std::fflush(stdout);
}

int run(const bench::options& how) {
  site on{how.is_smoke ? 300 : 10'000};
  std::printf("%lld servers, VirtFusion %d ms, off for %lld hours\n", static_cast<long long>(on.servers()),
              latency_ms, static_cast<long long>(off.count()));
  const auto normal = on.live(last_hour);
  const reckoning reckoned{on};
  print("normal", normal, check_charges(on, reckoned, last_hour - 1h, last_hour));
  const auto after = on.live(last_hour + off);
  const auto charged = check_charges(on, reckoned, last_hour, last_hour + off);
  print("after", after, charged);
  const auto runs =
    on.sql("SELECT count(*) FROM runs r JOIN schedules s ON s.id = r.schedule_id WHERE s.handler = "
           "'hourly-sync-and-billing' AND r.state <> 'skipped' AND r.scheduled_at > " +
           sql_time(last_hour));
  on.audit();
  std::printf("syncs of the outage: %s   calls after / normal %.3f (aim: <= 1)   audit: clean\n",
              runs.c_str(),
              static_cast<double>(after.calls + after.packages) / static_cast<double>(normal.calls));
  bench::summary{"outage"}
    .add("servers", static_cast<double>(on.servers()))
    .add("load", bench::load_average(), 2)
    .add("latency_ms", latency_ms)
    .add("normal_calls", static_cast<double>(normal.calls))
    .add("after_calls", static_cast<double>(after.calls + after.packages))
    .add("after_syncs", runs)
    .add("hours", static_cast<double>(charged.hours))
    .add("charges", static_cast<double>(charged.rows))
    .add("micros", std::to_string(charged.micros))
    .add("normal_closed_s", normal.closed_s, 3)
    .add("after_closed_s", after.closed_s, 3)
    .add("normal_s", normal.all_s, 3)
    .add("after_s", after.all_s, 3)
    .add("normal_peak_kib", static_cast<double>(normal.peak_kib))
    .add("after_peak_kib", static_cast<double>(after.peak_kib))
    .print();
  if (after.calls + after.packages > normal.calls)
    throw std::runtime_error{"the start after the outage made more calls than a normal hour"};
  if (runs != "1")
    throw std::runtime_error{"the outage was made good by " + runs + " syncs"};
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, 1, run);
}
