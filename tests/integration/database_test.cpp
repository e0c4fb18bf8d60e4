#include "db/database.hpp"
#include "tests/support/log_capture.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/postgres_proxy.hpp"
#include "tests/support/process.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <csignal>
#include <future>
#include <set>
#include <stdexcept>
#include <vector>

namespace skyengine::db {
namespace {

using namespace std::chrono_literals;

constexpr statement add{"test_add", "SELECT $1::bigint + $2::bigint AS sum"};
constexpr statement insert_note{"test_insert_note", "INSERT INTO notes (id, text) VALUES ($1, $2)"};
constexpr statement sum_notes{"test_sum_notes", "SELECT coalesce(sum(id), 0)::bigint AS total FROM notes"};
constexpr statement echo{"test_echo", "SELECT $1::text AS text"};
constexpr statement raise{"test_raise", "SELECT raise_state($1)"};
constexpr statement count_far{"test_count_far", "SELECT count(*) FROM generate_series(1, 100000000000)"};
constexpr statement touch_note{"test_touch_note", "UPDATE notes SET text = text || '.' WHERE id = $1"};
constexpr statement backend{"test_backend", "SELECT pg_backend_pid()::bigint AS pid"};
constexpr statement forget{"test_forget", "DEALLOCATE ALL"};
constexpr statement current_id{"test_current_id", "SELECT pg_current_xact_id()::text AS id"};
constexpr statement three_columns{"test_three_columns",
                                  "SELECT 1::bigint AS a, 2::bigint AS b, 3::bigint AS c"};
constexpr statement read_note{"test_read_note", "SELECT text FROM notes WHERE id = 1"};

constexpr auto schema = R"sql(
  CREATE TABLE notes (id bigint PRIMARY KEY, text text CHECK (text <> 'forbidden'));
  CREATE TABLE marks (note bigint REFERENCES notes, number bigint UNIQUE DEFERRABLE INITIALLY DEFERRED);
  CREATE FUNCTION raise_state(state text) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'secret value' USING ERRCODE = state; END $$)sql";

struct Database : testing::Test {
  Database() { test::run_sql(store.url(), schema); }

  /// One with `options`, connected.
  database& open(database_options options) {
    made.emplace(loop.get_executor(), std::move(options));
    const auto connected = test::run(loop, made->connect());
    EXPECT_TRUE(connected) << connected.error().detail;
    return *made;
  }
  database& open() { return open(store.options()); }

  std::int64_t count() { return std::stoll(test::run_sql(store.url(), "SELECT count(*) FROM notes")); }

  test::test_database store{{}};
  asio::io_context loop{1};
  std::optional<database> made;
};

asio::awaitable<result<std::int64_t>> sum(database& d, std::int64_t a, std::int64_t b) {
  const auto found = co_await d.run(add, a, b);
  if (!found)
    co_return found.error();
  co_return found->front().get<std::int64_t>("sum");
}

asio::awaitable<result<std::string>> echoed(database& d, std::string text) {
  const auto found = co_await d.run(echo, std::move(text));
  if (!found)
    co_return found.error();
  co_return found->front().get<std::string>("text");
}

asio::awaitable<result<>> insert_two(transaction& tx, std::int64_t first, std::int64_t second) {
  if (const auto inserted = co_await tx.run(insert_note, first, "first"); !inserted)
    co_return inserted.error();
  if (const auto inserted = co_await tx.run(insert_note, second, "second"); !inserted)
    co_return inserted.error();
  co_return result<>{};
}

asio::awaitable<result<>> insert_pair(database& d, std::int64_t first, std::int64_t second) {
  const auto body = [first, second](transaction& tx) { return insert_two(tx, first, second); };
  co_return co_await d.transact(body);
}

// --- statements

TEST_F(Database, RunsAStatement) {
  EXPECT_EQ(*test::run(loop, sum(open(), 40, 2)), 42);
}

asio::awaitable<result<rows>> run_three_columns(database& d) {
  co_return co_await d.run(three_columns);
}

TEST_F(Database, ColumnsAreReadByNameInAnyOrder) {
  const auto found = test::run(loop, run_three_columns(open()));
  ASSERT_TRUE(found) << found.error().detail;
  const auto one = found->front();
  std::vector<std::int64_t> values;
  for (const auto* name : {"c", "a", "b", "b", "a", "c"})
    values.push_back(one.get<std::int64_t>(name));
  EXPECT_EQ(values, (std::vector<std::int64_t>{3, 1, 2, 2, 1, 3}));
  EXPECT_THROW(static_cast<void>(one.text("d")), std::logic_error);
}

TEST_F(Database, AnswersEachOfManyStatementsAtOnceWithItsOwnRows) {
  auto& d = open();
  constexpr int many = 3000;
  int right = 0;
  int ended = 0;
  for (int i = 0; i < many; ++i)
    asio::co_spawn(loop, sum(d, i, 1), [&, i](std::exception_ptr, result<std::int64_t> answer) {
      right += answer && *answer == i + 1 ? 1 : 0;
      ++ended;
    });
  ASSERT_TRUE(test::run_until(loop, [&] { return ended == many; }));
  EXPECT_EQ(right, many);
  EXPECT_EQ(d.counters().queries, static_cast<std::uint64_t>(many));
  EXPECT_EQ(d.counters().outstanding, 0U);
}

TEST_F(Database, AFailedStatementTouchesNoneOfItsNeighbours) {
  auto options = store.options();
  options.pipelined_connections = 1;
  auto& d = open(options);
  int kept = 0;
  int refused = 0;
  for (int i = 0; i < 200; ++i) {
    const auto insert = [](database& to, int id) -> asio::awaitable<result<rows>> {
      co_return co_await to.run(insert_note, id, id % 2 == 0 ? "kept" : "forbidden");
    };
    asio::co_spawn(loop, insert(d, i),
                   [&](std::exception_ptr, result<rows> answer) { ++(answer ? kept : refused); });
  }
  ASSERT_TRUE(test::run_until(loop, [&] { return kept + refused == 200; }));
  EXPECT_EQ(kept, 100);
  EXPECT_EQ(count(), 100);
}

TEST_F(Database, CarriesLargeTextsBothWays) {
  auto& d = open();
  const std::string large(5'000'000, 'x');
  int right = 0;
  for (int i = 0; i < 4; ++i)
    asio::co_spawn(loop, echoed(d, large), [&](std::exception_ptr, result<std::string> answer) {
      right += answer && *answer == large ? 1 : 0;
    });
  EXPECT_TRUE(test::run_until(loop, [&] { return right == 4; }));
}

TEST_F(Database, RefusesATextThatCannotBeStored) {
  auto& d = open();
  EXPECT_EQ(test::run(loop, echoed(d, std::string{"a\0b", 3})).error().code, errc::invalid_request);
  EXPECT_EQ(test::run(loop, echoed(d, "\xff")).error().code, errc::invalid_request);
}

TEST_F(Database, AViolatedConstraintIsAConflictWithItsName) {
  auto& d = open();
  ASSERT_TRUE(test::run(loop, d.run(insert_note, 1, "one")));
  const auto twice = test::run(loop, d.run(insert_note, 1, "one"));
  EXPECT_EQ(twice.error(), (error{errc::conflict, "notes_pkey"}));
  const auto forbidden = test::run(loop, d.run(insert_note, 2, "forbidden"));
  EXPECT_EQ(forbidden.error(), (error{errc::conflict, "notes_text_check"}));
  static constexpr statement mark{"test_mark", "INSERT INTO marks (note, number) VALUES ($1, $2)"};
  EXPECT_EQ(test::run(loop, d.run(mark, 7, 1)).error(), (error{errc::conflict, "marks_note_fkey"}));
  // A deferred constraint speaks only at the commit, after the statement's own answer.
  ASSERT_TRUE(test::run(loop, d.run(mark, 1, 1)));
  EXPECT_EQ(test::run(loop, d.run(mark, 1, 1)).error(), (error{errc::conflict, "marks_number_key"}));
}

TEST_F(Database, AStatementPostgresqlDoesNotUnderstandIsABug) {
  test::log_capture log;
  static constexpr statement nonsense{"test_nonsense", "SELECT nothing FROM nowhere"};
  EXPECT_EQ(test::run(loop, open().run(nonsense)).error().code, errc::internal);
  EXPECT_NE(log.text().find("test_nonsense"), std::string::npos);
  EXPECT_NE(log.text().find("42P01"), std::string::npos);
}

TEST_F(Database, AForeignCodeBecomesOursAndItsValuesStayOutOfTheLog) {
  test::log_capture log;
  auto& d = open();
  EXPECT_EQ(test::run(loop, d.run(raise, "53100")).error().code, errc::database_unavailable);
  EXPECT_EQ(test::run(loop, d.run(raise, "25006")).error().code, errc::database_unavailable);
  EXPECT_EQ(test::run(loop, d.run(raise, "P0001")).error().code, errc::internal);
  EXPECT_NE(log.text().find("P0001"), std::string::npos);
  static constexpr statement cast{"test_cast", "SELECT $1::text::bigint AS number"};
  EXPECT_EQ(test::run(loop, d.run(cast, "a secret")).error().code, errc::internal);
  EXPECT_EQ(log.text().find("a secret"), std::string::npos) << log.text();
}

TEST_F(Database, AStatementThatTakesTooLongFails) {
  auto options = store.options();
  options.statement_timeout = 50ms;
  auto& d = open(options);
  EXPECT_EQ(test::run(loop, d.run(count_far)).error().code, errc::database_unavailable);
  EXPECT_EQ(*test::run(loop, sum(d, 1, 1)), 2);
}

TEST_F(Database, BeyondTheBoundStatementsAreRefusedAtOnce) {
  auto options = store.options();
  options.max_outstanding = 10;
  auto& d = open(options);
  int answered = 0;
  int shed = 0;
  for (int i = 0; i < 25; ++i)
    asio::co_spawn(loop, sum(d, i, 1), [&](std::exception_ptr, result<std::int64_t> answer) {
      if (answer)
        ++answered;
      else if (answer.error().code == errc::overloaded && answer.error().retry_after)
        ++shed;
    });
  ASSERT_TRUE(test::run_until(loop, [&] { return answered + shed == 25; }));
  EXPECT_EQ(answered, 10);
}

TEST_F(Database, AForgottenPreparedStatementIsPreparedAnew) {
  auto options = store.options();
  options.pipelined_connections = 1;
  auto& d = open(options);
  EXPECT_EQ(*test::run(loop, sum(d, 1, 1)), 2);
  ASSERT_TRUE(test::run(loop, d.run(forget)));
  EXPECT_EQ(*test::run(loop, sum(d, 2, 2)), 4);
}

TEST_F(Database, APreparedStatementOutlivesAChangeOfItsTable) {
  auto options = store.options();
  options.pipelined_connections = 1;
  auto& d = open(options);
  ASSERT_TRUE(test::run(loop, d.run(insert_note, 1, "7")));
  ASSERT_TRUE(test::run(loop, d.run(read_note)));
  test::run_sql(store.url(), "ALTER TABLE notes DROP CONSTRAINT notes_text_check, "
                             "ALTER COLUMN text TYPE bigint USING text::bigint");
  const auto found = test::run(loop, d.run(read_note));
  ASSERT_TRUE(found) << found.error().detail;
  EXPECT_EQ(found->front().get<std::int64_t>("text"), 7);
}

TEST_F(Database, TwoTextsUnderOneNameAreABug) {
  auto options = store.options();
  options.pipelined_connections = 1;
  auto& d = open(options);
  static constexpr statement other{"test_add", "SELECT 1 AS sum"};
  ASSERT_TRUE(test::run(loop, sum(d, 1, 1)));
  EXPECT_THROW(static_cast<void>(test::run(loop, d.run(other))), std::logic_error);
}

TEST_F(Database, EndsWithStatementsUnderWay) {
  auto& d = open();
  std::optional<result<rows>> outcome;
  asio::co_spawn(loop, d.run(count_far), [&](std::exception_ptr, result<rows> answer) { outcome = answer; });
  ASSERT_TRUE(test::run_until(loop, [&] { return d.counters().outstanding == 1; }));
  made.reset();
  ASSERT_TRUE(test::run_until(loop, [&] { return outcome.has_value(); }));
  EXPECT_EQ(outcome->error().code, errc::database_unavailable);
}

TEST_F(Database, ClosingLetsWhatIsUnderWayEnd) {
  auto& d = open();
  std::optional<result<>> outcome;
  asio::co_spawn(loop, insert_pair(d, 1, 2), [&](std::exception_ptr, result<> answer) { outcome = answer; });
  loop.restart();
  loop.poll();
  test::run(loop, d.close(10s));
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(*outcome);
  EXPECT_FALSE(d.is_up());
  EXPECT_EQ(test::run(loop, sum(d, 1, 1)).error().code, errc::database_unavailable);
}

// --- connections

TEST_F(Database, SaysWhyItCannotConnectAndNeverThePassword) {
  test::log_capture log;
  test::temporary_folder empty;
  for (const auto& url :
       {"postgresql://user:hunter2@localhost:1/x", "postgresql://user:hunter2@127.0.0.1:1/x",
        "postgresql://user:hunter2@%2Fnowhere/x", "postgresql://user:hunter2@host:port:x/y?z",
        "postgresql://user:hunter2@does-not-exist.invalid/x"}) {
    database_options options;
    options.url = url;
    database d{loop.get_executor(), options};
    const auto connected = test::run(loop, d.connect());
    ASSERT_FALSE(connected) << url;
    EXPECT_EQ(connected.error().code, errc::database_unavailable);
    EXPECT_EQ((connected.error().detail + log.text()).find("hunter2"), std::string::npos);
  }
}

TEST_F(Database, ASessionHasItsSettings) {
  auto options = store.options();
  options.lock_timeout = 1234ms;
  auto& d = open(options);
  static constexpr statement settings{"test_settings", R"sql(
    SELECT concat_ws(' ', current_setting('synchronous_commit'), current_setting('TimeZone'),
      current_setting('statement_timeout'), current_setting('lock_timeout'),
      current_setting('idle_in_transaction_session_timeout'), current_setting('application_name')) AS text)sql"};
  const auto found = test::run(loop, d.run(settings));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->front().get<std::string>("text"), "on UTC 10s 1234ms 30s skyengine");
}

TEST_F(Database, ConnectsByHostName) {
  // Nothing of ours listens on TCP, so all that can be seen is that the name was resolved and tried.
  database_options options;
  options.url = "postgresql://user@localhost:1/x";
  database d{loop.get_executor(), options};
  const auto connected = test::run(loop, d.connect());
  ASSERT_FALSE(connected);
  EXPECT_NE(connected.error().detail.find("refused"), std::string::npos) << connected.error().detail;
}

TEST_F(Database, ComesBackAfterItsConnectionsWereCut) {
  auto& d = open();
  test::run_sql(store.url(), "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                             "WHERE datname = current_database() AND pid <> pg_backend_pid()");
  ASSERT_TRUE(test::run_until(loop, [&] { return d.counters().reconnects > 0; }));
  const auto answer = test::run(loop, sum(d, 1, 1));
  EXPECT_TRUE(answer && *answer == 2);
}

TEST_F(Database, FailsSoonWhilePostgresqlIsGoneAndCallsItRarely) {
  test::temporary_folder folder;
  std::optional<test::postgres_proxy> proxy{std::in_place, loop, folder.path(), store.url()};
  auto options = store.options();
  options.url = proxy->url();
  options.max_wait = 100ms;
  auto& d = open(options);
  test::log_capture log;
  proxy.reset();
  std::filesystem::remove(folder.path() / ".s.PGSQL.5432");
  ASSERT_TRUE(test::run_until(loop, [&] { return !d.is_up(); }));
  EXPECT_EQ(test::run(loop, sum(d, 1, 1)).error().code, errc::database_unavailable);
  EXPECT_EQ(test::run(loop, insert_pair(d, 1, 2)).error().code, errc::database_unavailable);
  // Its waiting is over, so the next one is told at once.
  std::optional<result<std::int64_t>> told;
  asio::co_spawn(loop, sum(d, 1, 1),
                 [&](std::exception_ptr, result<std::int64_t> answer) { told = std::move(answer); });
  for (loop.restart(); loop.poll() > 0;)
    loop.restart();
  ASSERT_TRUE(told);
  EXPECT_EQ(told->error().code, errc::database_unavailable);
  proxy.emplace(loop, folder.path(), store.url());
  ASSERT_TRUE(test::run_until(loop, [&] { return d.is_up(); }));
  EXPECT_EQ(*test::run(loop, sum(d, 1, 1)), 2);
  EXPECT_EQ(log.count("alert=database_lost"), 1U);
  EXPECT_EQ(log.count("alert_cleared=database_lost"), 1U);
}

TEST_F(Database, AStatementThatWasNotSentIsSentOverTheNextConnection) {
  test::temporary_folder folder;
  test::postgres_proxy proxy{loop, folder.path(), store.url()};
  auto options = store.options();
  options.url = proxy.url();
  auto& d = open(options);
  proxy.accept(false);
  proxy.cut_all();
  ASSERT_TRUE(test::run_until(loop, [&] { return !d.is_up(); }));
  std::optional<result<std::int64_t>> outcome;
  asio::co_spawn(loop, sum(d, 1, 1),
                 [&](std::exception_ptr, result<std::int64_t> answer) { outcome = answer; });
  proxy.accept(true);
  ASSERT_TRUE(test::run_until(loop, [&] { return outcome.has_value(); }));
  EXPECT_TRUE(*outcome && **outcome == 2);
}

// --- transactions

TEST_F(Database, ATransactionIsKeptWhenItsBodySucceeds) {
  ASSERT_TRUE(test::run(loop, insert_pair(open(), 1, 2)));
  EXPECT_EQ(count(), 2);
}

TEST_F(Database, ATransactionLeavesNothingWhenItsBodyFails) {
  const auto inserted = test::run(loop, insert_pair(open(), 1, 1));
  ASSERT_FALSE(inserted);
  EXPECT_EQ(inserted.error(), (error{errc::conflict, "notes_pkey"}));
  EXPECT_EQ(count(), 0);
}

asio::awaitable<result<std::int64_t>> insert_and_sum(transaction& tx) {
  if (const auto inserted = co_await insert_two(tx, 3, 4); !inserted)
    co_return inserted.error();
  const auto found = co_await tx.run(sum_notes);
  if (!found)
    co_return found.error();
  co_return found->front().get<std::int64_t>("total");
}

TEST_F(Database, ATransactionHandsOnTheValueOfItsBody) {
  EXPECT_EQ(*test::run(loop, open().transact(insert_and_sum)), 7);
}

asio::awaitable<result<>> insert_and_throw(transaction& tx) {
  static_cast<void>(co_await insert_two(tx, 1, 2));
  throw std::logic_error("a bug");
}

TEST_F(Database, ATransactionLeavesNothingWhenItsBodyThrows) {
  auto& d = open();
  EXPECT_THROW(static_cast<void>(test::run(loop, d.transact(insert_and_throw))), std::logic_error);
  EXPECT_EQ(count(), 0);
  EXPECT_TRUE(test::run(loop, insert_pair(d, 1, 2)));
}

asio::awaitable<result<>> hide_a_failure(transaction& tx) {
  static_cast<void>(co_await insert_two(tx, 1, 1));
  co_return result<>{};
}

TEST_F(Database, ABodyThatHidesAFailureFailsWithIt) {
  EXPECT_EQ(test::run(loop, open().transact(hide_a_failure)).error(), (error{errc::conflict, "notes_pkey"}));
  EXPECT_EQ(count(), 0);
}

asio::awaitable<result<>> break_a_deferred_constraint(transaction& tx) {
  static constexpr statement mark{"test_mark_number", "INSERT INTO marks (number) VALUES ($1)"};
  static_cast<void>(co_await tx.run(mark, 1));
  const auto again = co_await tx.run(mark, 1);
  EXPECT_TRUE(again);
  co_return result<>{};
}

TEST_F(Database, AConstraintThatSpeaksAtTheCommitFailsTheTransaction) {
  EXPECT_EQ(test::run(loop, open().transact(break_a_deferred_constraint)).error(),
            (error{errc::conflict, "marks_number_key"}));
}

/// Two bodies that meet in the middle on their first run, so that neither can go first.
struct meeting {
  explicit meeting(asio::io_context& loop) : all_there(loop, asio::steady_timer::time_point::max()) {}
  asio::awaitable<void> come() {
    if (++arrived == 2)
      all_there.cancel();
    boost::system::error_code ignored;
    if (arrived < 2)
      co_await all_there.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  asio::steady_timer all_there;
  int arrived = 0;
  int runs = 0;
};

asio::awaitable<result<>> insert_the_sum(transaction& tx, meeting& both, std::int64_t id) {
  ++both.runs;
  const auto found = co_await tx.run(sum_notes);
  if (!found)
    co_return found.error();
  co_await both.come();
  const auto inserted =
    co_await tx.run(insert_note, id, std::to_string(found->front().get<std::int64_t>("total")));
  if (!inserted)
    co_return inserted.error();
  co_return result<>{};
}

asio::awaitable<result<>> insert_the_sum_serializably(database& d, meeting& both, std::int64_t id) {
  const auto body = [&both, id](transaction& tx) { return insert_the_sum(tx, both, id); };
  co_return co_await d.transact(body, isolation::serializable);
}

asio::awaitable<result<>> lock_both(transaction& tx, meeting& both, std::int64_t first, std::int64_t second) {
  ++both.runs;
  if (const auto locked = co_await tx.run(touch_note, first); !locked)
    co_return locked.error();
  co_await both.come();
  if (const auto locked = co_await tx.run(touch_note, second); !locked)
    co_return locked.error();
  co_return result<>{};
}

asio::awaitable<result<>> lock_in_turn(database& d, meeting& both, std::int64_t first, std::int64_t second) {
  const auto body = [&both, first, second](transaction& tx) { return lock_both(tx, both, first, second); };
  co_return co_await d.transact(body);
}

TEST_F(Database, ASerializationFailureRunsTheBodyAgain) {
  auto& d = open();
  meeting both{loop};
  int kept = 0;
  for (const auto id : {10, 20})
    asio::co_spawn(loop, insert_the_sum_serializably(d, both, id),
                   [&](std::exception_ptr, result<> answer) { kept += answer ? 1 : 0; });
  ASSERT_TRUE(test::run_until(loop, [&] { return kept == 2; }));
  EXPECT_GE(both.runs, 3);
  // One after the other, in whichever order: the second saw the first.
  const auto texts = test::run_sql(store.url(), "SELECT string_agg(text, ',' ORDER BY id) FROM notes");
  EXPECT_TRUE(texts == "0,10" || texts == "20,0") << texts;
}

TEST_F(Database, ADeadlockRunsTheBodyAgain) {
  test::run_sql(store.url(), "INSERT INTO notes VALUES (1, 'a'), (2, 'b'); ALTER DATABASE " + store.name() +
                               " SET deadlock_timeout = '20ms'");
  auto& d = open();
  meeting both{loop};
  int kept = 0;
  const auto end = [&](std::exception_ptr, result<> answer) { kept += answer ? 1 : 0; };
  asio::co_spawn(loop, lock_in_turn(d, both, 1, 2), end);
  asio::co_spawn(loop, lock_in_turn(d, both, 2, 1), end);
  ASSERT_TRUE(test::run_until(loop, [&] { return kept == 2; }));
  EXPECT_GE(both.runs, 3);
  EXPECT_EQ(test::run_sql(store.url(), "SELECT string_agg(text, ',' ORDER BY id) FROM notes"), "a..,b..");
}

asio::awaitable<result<>> always_conflicting(transaction& tx, int& runs) {
  ++runs;
  const auto raised = co_await tx.run(raise, "40001");
  co_return raised.error();
}

asio::awaitable<result<>> conflict_always(database& d, int& runs) {
  const auto body = [&runs](transaction& tx) { return always_conflicting(tx, runs); };
  co_return co_await d.transact(body);
}

TEST_F(Database, ABodyThatAlwaysConflictsRunsSixTimes) {
  int runs = 0;
  EXPECT_EQ(test::run(loop, conflict_always(open(), runs)).error().code, errc::database_unavailable);
  EXPECT_EQ(runs, 6);
}

asio::awaitable<result<>> wait_for(transaction& tx, asio::steady_timer& gate, int& inside) {
  const auto found = co_await tx.run(backend);
  ++inside;
  boost::system::error_code ignored;
  co_await gate.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  if (!found)
    co_return found.error();
  co_return result<>{};
}

asio::awaitable<result<>> hold_a_transaction(database& d, asio::steady_timer& gate, int& inside) {
  const auto body = [&](transaction& tx) { return wait_for(tx, gate, inside); };
  co_return co_await d.transact(body);
}

TEST_F(Database, TransactionsWaitForAConnectionWithinTheirBounds) {
  auto options = store.options();
  options.transaction_connections = 2;
  options.max_waiting_transactions = 2;
  options.transaction_wait = 10s;
  auto& d = open(options);
  asio::steady_timer gate{loop, asio::steady_timer::time_point::max()};
  int inside = 0;
  int kept = 0;
  int shed = 0;
  for (int i = 0; i < 5; ++i)
    asio::co_spawn(loop, hold_a_transaction(d, gate, inside), [&](std::exception_ptr, result<> answer) {
      kept += answer ? 1 : 0;
      shed += !answer && answer.error().code == errc::overloaded ? 1 : 0;
    });
  ASSERT_TRUE(test::run_until(loop, [&] { return inside == 2 && shed == 1; }));
  EXPECT_EQ(kept, 0);
  // Cancelling lets those through that wait by now; the two behind them come to a gate that is open.
  gate.expires_after(0s);
  EXPECT_TRUE(test::run_until(loop, [&] { return kept == 4; }));
}

TEST_F(Database, ATransactionThatGetsNoConnectionInTimeIsShed) {
  auto options = store.options();
  options.transaction_connections = 1;
  options.transaction_wait = 20ms;
  auto& d = open(options);
  asio::steady_timer gate{loop, asio::steady_timer::time_point::max()};
  int inside = 0;
  int kept = 0;
  asio::co_spawn(loop, hold_a_transaction(d, gate, inside),
                 [&](std::exception_ptr, result<> answer) { kept += answer ? 1 : 0; });
  ASSERT_TRUE(test::run_until(loop, [&] { return inside == 1; }));
  EXPECT_EQ(test::run(loop, insert_pair(d, 1, 2)).error().code, errc::overloaded);
  gate.cancel();
  EXPECT_TRUE(test::run_until(loop, [&] { return kept == 1; }));
}

TEST_F(Database, ALockThatIsNotFreeInTimeFails) {
  test::run_sql(store.url(), "INSERT INTO notes VALUES (1, 'a')");
  auto options = store.options();
  options.lock_timeout = 30ms;
  auto& d = open(options);
  asio::steady_timer gate{loop, asio::steady_timer::time_point::max()};
  const auto hold = [](transaction& tx, asio::steady_timer& until, bool& held) -> asio::awaitable<result<>> {
    const auto touched = co_await tx.run(touch_note, 1);
    held = touched.has_value();
    boost::system::error_code ignored;
    co_await until.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_return result<>{};
  };
  bool held = false;
  bool ended = false;
  asio::co_spawn(loop, d.transact([&](transaction& tx) { return hold(tx, gate, held); }),
                 [&](std::exception_ptr, result<> answer) { ended = answer.has_value(); });
  ASSERT_TRUE(test::run_until(loop, [&] { return held; }));
  EXPECT_EQ(test::run(loop, d.run(touch_note, 1)).error().code, errc::database_unavailable);
  gate.cancel();
  EXPECT_TRUE(test::run_until(loop, [&] { return ended; }));
}

// --- a commit whose answer is lost

struct LostCommit : Database {
  database& open_by_proxy() {
    auto options = store.options();
    options.url = proxy.url();
    return open(options);
  }

  test::temporary_folder folder;
  test::postgres_proxy proxy{loop, folder.path(), store.url()};
};

TEST_F(LostCommit, ThatWasDoneIsASuccess) {
  auto& d = open_by_proxy();
  proxy.next_commit(test::postgres_proxy::at_commit::lose_answer);
  const auto inserted = test::run(loop, insert_pair(d, 1, 2));
  EXPECT_TRUE(proxy.has_cut());
  EXPECT_TRUE(inserted) << inserted.error().detail;
  EXPECT_EQ(count(), 2);
}

TEST_F(LostCommit, ThatWasNotDoneIsAFailure) {
  auto& d = open_by_proxy();
  proxy.next_commit(test::postgres_proxy::at_commit::lose_request);
  const auto inserted = test::run(loop, insert_pair(d, 1, 2));
  EXPECT_TRUE(proxy.has_cut());
  ASSERT_FALSE(inserted);
  EXPECT_EQ(inserted.error().code, errc::database_unavailable);
  EXPECT_EQ(count(), 0);
}

TEST_F(LostCommit, IsWaitedForWhileItIsUnderWay) {
  auto& d = open_by_proxy();
  proxy.next_commit(test::postgres_proxy::at_commit::hold_request);
  std::optional<result<>> outcome;
  asio::co_spawn(loop, insert_pair(d, 1, 2), [&](std::exception_ptr, result<> answer) { outcome = answer; });
  ASSERT_TRUE(test::run_until(loop, [&] { return proxy.has_cut(); }));
  const auto asked = d.counters().outstanding;
  ASSERT_TRUE(test::run_until(loop, [&] { return d.counters().outstanding > asked; }));
  ASSERT_TRUE(test::run_until(loop, [&] { return d.counters().outstanding == asked; }));
  EXPECT_FALSE(outcome);
  proxy.release();
  ASSERT_TRUE(test::run_until(loop, [&] { return outcome.has_value(); }));
  EXPECT_TRUE(*outcome);
  EXPECT_EQ(count(), 2);
}

TEST_F(LostCommit, ThatCannotBeDecidedInTimeIsUnavailable) {
  auto options = store.options();
  options.url = proxy.url();
  options.decision_timeout = 50ms;
  auto& d = open(options);
  proxy.next_commit(test::postgres_proxy::at_commit::hold_request);
  const auto inserted = test::run(loop, insert_pair(d, 1, 2));
  ASSERT_FALSE(inserted);
  EXPECT_EQ(inserted.error().code, errc::database_unavailable);
  EXPECT_NE(inserted.error().detail.find("not known"), std::string::npos);
}

// --- PostgreSQL killed

/// A PostgreSQL of this test's own, since it is killed here.
struct KilledPostgres : testing::Test {
  void restart() {
    loop_thread_free = std::async(std::launch::async, [this] { return server.ensure_running().has_value(); });
  }

  test::temporary_folder folder;
  private_postgres server = *private_postgres::start({folder.path(), {}, true});
  asio::io_context loop{1};
  std::future<bool> loop_thread_free;
};

struct written {
  std::int64_t next = 1;
  std::set<std::int64_t> acknowledged;
  int failed = 0;
  int refused_otherwise = 0;
  bool stop = false;
  int writers = 0;
};

asio::awaitable<void> write_on(database& d, written& all, bool by_transaction) {
  ++all.writers;
  while (!all.stop) {
    const auto id = all.next;
    all.next += 2;
    result<> done;
    if (by_transaction)
      done = co_await insert_pair(d, id, id + 1);
    else if (const auto inserted = co_await d.run(insert_note, id, "single"); !inserted)
      done = inserted.error();
    if (done)
      all.acknowledged.insert(id);
    else if (done.error().code == errc::database_unavailable || done.error().code == errc::overloaded)
      ++all.failed;
    else
      ++all.refused_otherwise;
    // A refusal that comes at once must leave the loop to others.
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  }
  --all.writers;
}

TEST_F(KilledPostgres, LosesNoAcknowledgedWriteAndIsFoundAgain) {
  test::run_sql(server.url(), schema);
  database_options options;
  options.url = server.url();
  database d{loop.get_executor(), options};
  ASSERT_TRUE(test::run(loop, d.connect()));
  written all;
  for (int i = 0; i < 16; ++i)
    asio::co_spawn(loop, write_on(d, all, i % 2 == 0), asio::detached);
  for (int round = 0; round < 2; ++round) {
    const auto before = all.acknowledged.size();
    ASSERT_TRUE(test::run_until(loop, [&] { return all.acknowledged.size() > before + 200; }));
    test::kill_all_in(server.folder() / "data");
    ASSERT_TRUE(test::run_until(loop, [&] { return !d.is_up(); }));
    restart();
    ASSERT_TRUE(test::run_until(loop, [&] { return d.is_up(); }));
    ASSERT_TRUE(loop_thread_free.get());
  }
  const auto before = all.acknowledged.size();
  ASSERT_TRUE(test::run_until(loop, [&] { return all.acknowledged.size() > before + 200; }));
  all.stop = true;
  ASSERT_TRUE(test::run_until(loop, [&] { return all.writers == 0; }));
  EXPECT_EQ(all.refused_otherwise, 0);
  EXPECT_GT(all.failed, 0);
  std::string ids = "{";
  for (const auto id : all.acknowledged)
    ids += (ids.size() > 1 ? "," : "") + std::to_string(id);
  EXPECT_EQ(test::run_sql(server.url(), "SELECT count(*) FROM unnest('" + ids +
                                          "}'::bigint[]) AS id WHERE id NOT IN (SELECT id FROM notes)"),
            "0");
}

asio::awaitable<result<>> insert_and_tell_id(transaction& tx, std::string& id) {
  const auto found = co_await tx.run(current_id);
  if (!found)
    co_return found.error();
  id = found->front().get<std::string>("id");
  co_return co_await insert_two(tx, 1, 2);
}

asio::awaitable<result<>> insert_and_tell(database& d, std::string& id) {
  const auto body = [&id](transaction& tx) { return insert_and_tell_id(tx, id); };
  co_return co_await d.transact(body);
}

TEST_F(KilledPostgres, ACommitThatTheCrashTookIsNotTakenForTheOneThatGotItsNumber) {
  // Without its log writer's help the transaction's records are nowhere but in memory at the kill.
  test::run_sql(server.url(), "ALTER SYSTEM SET wal_writer_delay = '10s'");
  test::run_sql(server.url(), schema);
  test::run_sql(server.url(), "SELECT pg_reload_conf()");
  test::temporary_folder proxy_folder;
  test::postgres_proxy proxy{loop, proxy_folder.path(), server.url()};
  database_options options;
  options.url = proxy.url();
  database d{loop.get_executor(), options};
  ASSERT_TRUE(test::run(loop, d.connect()));

  proxy.next_commit(test::postgres_proxy::at_commit::hold_request);
  std::string id;
  std::optional<result<>> outcome;
  asio::co_spawn(loop, insert_and_tell(d, id),
                 [&](std::exception_ptr, result<> answer) { outcome = answer; });
  proxy.accept(true);
  ASSERT_TRUE(test::run_until(loop, [&] {
    if (proxy.has_cut())
      proxy.accept(false);
    return proxy.has_cut();
  }));
  proxy.cut_all();
  ASSERT_EQ(kill(server.pid(), SIGKILL), 0);
  const auto restarted = server.ensure_running();
  ASSERT_TRUE(restarted) << restarted.error().detail;
  std::string last;
  while (last.empty() || std::stoull(last) < std::stoull(id))
    last = test::run_sql(server.url(), "SELECT pg_current_xact_id()");
  ASSERT_EQ(test::run_sql(server.url(), "SELECT pg_xact_status('" + id + "')"), "committed")
    << "the number was not given out again: nothing is tested here";

  proxy.accept(true);
  ASSERT_TRUE(test::run_until(loop, [&] { return outcome.has_value(); }));
  ASSERT_FALSE(*outcome) << "acknowledged, but lost";
  EXPECT_NE(outcome->error().detail.find("nothing was changed"), std::string::npos)
    << outcome->error().detail;
}

} // namespace
} // namespace skyengine::db
