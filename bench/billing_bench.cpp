// What does it cost to close an hour, beside the least that its rows could cost, and does it grow?
//
// One hour of 100,000 servers of 10,000 users is closed by the billing actor, as the engine does it, over a
// real PostgreSQL with fsync: read the facts, rate them, write charges, ledger, balances and accounts. A
// fifth of the servers began within the month. Beside it, in turns: a bare `INSERT … SELECT FROM unnest` of
// the same rows in batches of the same size, into a table without key and index, and into one with the
// primary key; their parameters are made before the time counts.
//
// Then 1,500 servers live through 700 hours of a month, a third of them on terms by the hour.

#include "actors/billing.hpp"
#include "actors/runtime/actor_runtime.hpp"
#include "bench/bench_support.hpp"
#include "db/migrations.hpp"
#include "db/node_store.hpp"
#include "db/private_postgres.hpp"
#include "domain/time_format.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/temporary_folder.hpp"

#include <caf/send.hpp>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace actors = skyengine::actors;
namespace bench = skyengine::bench;
namespace db = skyengine::db;
namespace test = skyengine::test;
using namespace std::chrono_literals;
using skyengine::instant;
using std::chrono::sys_seconds;

constexpr double aim_by_bare = 2;
constexpr double aim_of_growth = 1.2;
constexpr long aim_kib = 64 * 1'024;
constexpr sys_seconds month = std::chrono::sys_days{std::chrono::year{2026} / 10 / 1};

/// Stands where it is put.
class set_clock final : public skyengine::clock {
public:
  instant now() const noexcept override { return now_; }
  void set(sys_seconds at) { now_ = at; }

private:
  instant now_ = month;
};

template <class T>
T must(skyengine::result<T> done) {
  if (!done)
    throw std::runtime_error{done.error().detail};
  return std::move(*done);
}

std::string quoted(sys_seconds at) {
  return "'" + skyengine::format_time(instant{at}) + "'";
}

/// An engine's billing on a database of its own.
class billing_site {
public:
  billing_site(int users, int servers, sys_seconds first_hour) {
    options_.url = postgres_.url();
    must(test::run(runtime_.loop(), db::migrate(options_, db::embedded_migrations())));
    database_ = std::make_unique<db::database>(runtime_.loop().get_executor(), options_);
    if (const auto connected = test::run(runtime_.loop(), database_->connect()); !connected)
      throw std::runtime_error{connected.error().detail};
    db::node_store nodes{*database_};
    token_ = must(test::run(runtime_.loop(), nodes.acquire("bench", 1h, instant{month})));
    populate(users, servers, first_hour);
    store_ = std::make_unique<db::billing_store>(*database_);
    actors::billing_options how;
    how.is_system_time = false;
    // It closes what a tick asks for, and nothing meanwhile.
    how.look_every = 24h;
    actors::billing_services services{*store_, [this] { return token_; }, clock_, runtime_.timers()};
    billing_ = actors::spawn_billing(runtime_.system(), runtime_.loop().get_executor(), services, how);
  }
  billing_site(const billing_site&) = delete;
  billing_site& operator=(const billing_site&) = delete;
  ~billing_site() {
    caf::anon_send_exit(billing_, caf::exit_reason::user_shutdown);
    runtime_.loop().restart();
    runtime_.loop().poll();
    billing_ = nullptr;
  }

  std::string sql(const std::string& text) const { return test::run_sql(options_.url, text); }

  /// Closes this hour; milliseconds.
  double close(sys_seconds hour) {
    clock_.set(hour + 1h + 60s);
    const auto begun = std::chrono::steady_clock::now();
    const actors::cron_tick tick{{1}, {1}, hour + 1h};
    auto asked = runtime_.asker().ask<actors::cron_outcome>(billing_, 600s, tick);
    const auto outcome = must(test::run(runtime_.loop(), std::move(asked)));
    const auto took = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun);
    if (outcome.figures.find(R"("hours":1,)") == std::string::npos)
      throw std::runtime_error{"not one hour was closed: " + outcome.figures};
    return took.count();
  }

  /// The rows of this hour into `table`, by the same road and in batches of the same size; milliseconds.
  double write_bare(const std::string& table, sys_seconds hour, std::int64_t batch) {
    sql("CREATE TABLE " + table +
        " (server_id bigint NOT NULL, hour timestamptz NOT NULL, user_id bigint NOT NULL, currency text NOT "
        "NULL, plan_id text NOT NULL, basis text NOT NULL, "
        "estimated boolean NOT NULL, seconds integer NOT NULL, amount_micros bigint NOT NULL, month_seconds "
        "integer "
        "NOT NULL, month_micros bigint NOT NULL" +
        (table == "bare_keyed" ? ", PRIMARY KEY (hour, server_id))" : ")"));
    static constexpr db::statement plain{"bare_plain", R"sql(
      INSERT INTO bare_plain SELECT w.server_id, to_timestamp($1::bigint), w.user_id, w.currency, w.plan_id, w.basis, w.estimated, w.seconds,
                                    w.amount_micros, w.month_seconds, w.month_micros
        FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::bigint[],
                    $9::bigint[], $10::bigint[], $11::bigint[])
               AS w (server_id, user_id, currency, plan_id, basis, estimated, seconds, amount_micros, month_seconds, month_micros))sql"};
    static constexpr db::statement keyed{"bare_keyed", R"sql(
      INSERT INTO bare_keyed SELECT w.server_id, to_timestamp($1::bigint), w.user_id, w.currency, w.plan_id, w.basis, w.estimated, w.seconds,
                                    w.amount_micros, w.month_seconds, w.month_micros
        FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::bigint[],
                    $9::bigint[], $10::bigint[], $11::bigint[])
               AS w (server_id, user_id, currency, plan_id, basis, estimated, seconds, amount_micros, month_seconds, month_micros))sql"};
    static constexpr db::statement arrays{"bench_arrays", R"sql(
      SELECT array_agg(server_id)::text AS server_id, array_agg(user_id)::text AS user_id, array_agg(currency)::text AS currency, array_agg(plan_id)::text AS plan_id, array_agg(basis)::text AS basis,
             array_agg(estimated)::text AS estimated, array_agg(seconds)::text AS seconds,
             array_agg(amount_micros)::text AS amount_micros, array_agg(month_seconds)::text AS month_seconds,
             array_agg(month_micros)::text AS month_micros
        FROM (SELECT *, (row_number() OVER (ORDER BY server_id) - 1) / $2::bigint AS batch FROM charges
               WHERE hour = to_timestamp($1::bigint)) AS c
       GROUP BY batch ORDER BY batch)sql"};
    const auto at = hour.time_since_epoch().count();
    const auto rows = must(test::run(runtime_.loop(), database_->run(arrays, at, batch)));
    std::vector<std::vector<db::parameter>> batches;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto r = rows[i];
      auto& one = batches.emplace_back();
      one.emplace_back(at);
      for (const auto* column : {"server_id", "user_id", "currency", "plan_id", "basis", "estimated",
                                 "seconds", "amount_micros", "month_seconds", "month_micros"})
        one.emplace_back(r.get<std::string>(column));
    }
    const auto begun = std::chrono::steady_clock::now();
    for (auto& one : batches)
      must(test::run(runtime_.loop(),
                     database_->execute(table == "bare_keyed" ? keyed : plain, std::move(one))));
    const auto took = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun);
    sql("DROP TABLE " + table);
    return took.count();
  }

private:
  void populate(int users, int servers, sys_seconds first_hour) const {
    sql("UPDATE schedules SET paused = false, note = NULL WHERE name = 'hourly-sync-and-billing';"
        "INSERT INTO regions VALUES ('eu', 'Europe', 1, true, now(), now());"
        "INSERT INTO plans (id, name, currency, virtfusion_package_id, created_at, updated_at) "
        "SELECT 'plan-' || n, 'Plan', 'USD', n, now(), now() FROM generate_series(1, 3) AS n;"
        "INSERT INTO plan_prices SELECT 'plan-' || n, " +
        quoted(month - 240h) +
        ", n * 5000000, 730, 'allocated', CASE WHEN n = 3 THEN 'hour' ELSE 'second' END "
        "FROM generate_series(1, 3) AS n;"
        "INSERT INTO users (id, name, email, created_at, updated_at) SELECT n, 'User', 'user-' || n || "
        "'@example.test', now(), now() FROM generate_series(1, " +
        std::to_string(users) + ") AS n");
    // One in five began an hour before the first one that is closed, in the month; the others long ago.
    const auto begin = "CASE WHEN n % 5 = 0 THEN " + quoted(std::max(month, first_hour - 1h)) +
                       "::timestamptz ELSE " + quoted(month - 100h) + "::timestamptz END";
    sql("INSERT INTO servers (user_id, plan_id, region_id, wants_ipv6, state, virtfusion_id, created_at, "
        "active_at, "
        "last_event_at) SELECT 1 + n % " +
        std::to_string(users) + ", 'plan-' || 1 + n % 3, 'eu', false, 'active', n, " + begin + ", " + begin +
        ", " + begin + " FROM generate_series(1, " + std::to_string(servers) +
        ") AS n ORDER BY 1, n;"
        "INSERT INTO server_events (server_id, at, type, from_state, to_state) SELECT id, created_at, state, "
        "f, t "
        "FROM servers, (VALUES (NULL, 'requested'), ('requested', 'creating'), ('creating', 'building'), "
        "('building', 'active')) AS e (f, t);"
        "TRUNCATE billing_rechecks; UPDATE billing_accounts SET closed_until = " +
        quoted(first_hour));
    sql("VACUUM ANALYZE");
    // As in a server that has run for a while: WAL files are there to be used again.
    sql("CREATE TABLE warm (n bigint)");
    for (int i = 0; i < 8; ++i)
      sql("INSERT INTO warm VALUES (0); SELECT pg_switch_wal()");
    sql("CHECKPOINT");
  }

  test::temporary_folder folder_;
  db::private_postgres postgres_ = must(db::private_postgres::start({folder_.path()}));
  db::database_options options_;
  actors::runtime::actor_runtime runtime_;
  std::unique_ptr<db::database> database_;
  std::int64_t token_ = 0;
  set_clock clock_;
  std::unique_ptr<db::billing_store> store_;
  actors::billing_actor billing_;
};

/// VmHWM counts from here on.
void forget_peak() {
  std::ofstream{"/proc/self/clear_refs"} << 5;
}

struct hour_figures {
  double hour_ms = 0;
  double plain_ms = 0;
  double keyed_ms = 0;
  long grown_kib = 0;
};

hour_figures measure_hour(int users, int servers, int turns) {
  const auto first = month + 24h;
  billing_site site{users, servers, first};
  const auto idle = bench::memory_of(getpid(), "VmRSS");
  // What is caught up, and what the caches of PostgreSQL and the engine learn, is not an hour's work.
  site.close(first);
  std::vector<double> hours;
  std::vector<double> plain;
  std::vector<double> keyed;
  auto hour = first + 1h;
  long peak = idle;
  for (int i = 0; i < turns; ++i, hour += 1h) {
    forget_peak();
    hours.push_back(site.close(hour));
    peak = std::max(peak, bench::memory_of(getpid(), "VmHWM"));
    plain.push_back(site.write_bare("bare_plain", hour, 2'000));
    keyed.push_back(site.write_bare("bare_keyed", hour, 2'000));
  }
  if (site.sql("SELECT count(*) FROM charges WHERE hour = " + quoted(hour - 1h)) != std::to_string(servers))
    throw std::runtime_error{"not every server was charged"};
  return {bench::quantile(hours, 0.5), bench::quantile(plain, 0.5), bench::quantile(keyed, 0.5), peak - idle};
}

int run(const bench::options& how) {
  const int servers = how.is_smoke ? 2'000 : 100'000;
  const int users = servers / 10;
  const auto one = measure_hour(users, servers, how.is_smoke ? 1 : 5);
  std::printf("%d servers of %d users, one hour\n", servers, users);
  std::printf("closed in        %8.0f ms  %8.0f rows/s\n", one.hour_ms, servers / one.hour_ms * 1e3);
  std::printf("bare insert      %8.0f ms  %8.0f rows/s   ratio %.2f   (aim: <= %.0f)\n", one.plain_ms,
              servers / one.plain_ms * 1e3, one.hour_ms / one.plain_ms, aim_by_bare);
  std::printf("with primary key %8.0f ms  %8.0f rows/s   ratio %.2f\n", one.keyed_ms,
              servers / one.keyed_ms * 1e3, one.hour_ms / one.keyed_ms);
  std::printf("memory above idle %7ld KiB   (aim: < %ld)\n", one.grown_kib, aim_kib);

  const int hours = how.is_smoke ? 10 : 700;
  const int few = how.is_smoke ? 150 : 1'500;
  std::vector<double> took;
  {
    billing_site site{few / 10, few, month};
    for (int i = 0; i < hours; ++i)
      took.push_back(site.close(month + i * 1h));
  }
  // Of a few hours each, so that one hiccup of the machine is not taken for growth.
  const auto about = [&](int hour) {
    const auto width = std::min<std::ptrdiff_t>(10, hours);
    const auto begin = std::min<std::ptrdiff_t>(std::max(hour - 6, 0), hours - width);
    return bench::quantile({took.begin() + begin, took.begin() + begin + width}, 0.5);
  };
  const auto early = about(1);
  const auto middle = about(std::min(100, hours));
  const auto late = about(hours);
  std::printf("%d servers through %d hours, ms an hour: 1st %.1f   %dth %.1f   %dth %.1f   ratio %.2f   "
              "(aim: <= %.1f)\n",
              few, hours, early, std::min(100, hours), middle, hours, late, late / early, aim_of_growth);
  bench::summary line{"billing"};
  line.add("servers", servers)
    .add("load", bench::load_average(), 2)
    .add("hour_ms", one.hour_ms, 1)
    .add("bare_ms", one.plain_ms, 1)
    .add("bare_keyed_ms", one.keyed_ms, 1)
    .add("by_bare", one.hour_ms / one.plain_ms, 2)
    .add("grown_kib", static_cast<double>(one.grown_kib))
    .add("first_ms", early, 2)
    .add("hundredth_ms", middle, 2)
    .add("last_ms", late, 2)
    .add("growth", late / early, 2)
    .print();
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, 1, run);
}
