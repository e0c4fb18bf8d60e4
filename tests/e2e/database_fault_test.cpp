#include "tests/support/seed.hpp"
#include "tests/torture/checks.hpp"
#include "tests/torture/clients.hpp"
#include "tests/torture/history.hpp"
#include "tests/torture/world.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

// What PostgreSQL says when it can no longer write, or takes nobody any more: while creates and deletes are
// under way.
namespace skyengine::torture {

namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto order = R"({"planId":"small","region":"north","userId":1})";
constexpr auto patience = 60s;

// A page begun beyond this is cut short. The log's segments fit.
constexpr std::size_t full_at = 16UL * 1024 * 1024 + 4'096;

class DatabaseFault : public testing::Test {
protected:
  DatabaseFault() {
    world_options how;
    how.seed = seed_;
    on_ = std::make_unique<world>(how);
    load_options clients;
    clients.seed = seed_;
    running_ = std::make_unique<load>(*on_, told_, clients);
    EXPECT_TRUE(told_.wait_for_answers(10, patience));
  }

  /// New orders are refused, in words that a client can act on, and nothing of them is kept.
  void expect_refusals(bool can_read) {
    const auto limit = std::chrono::steady_clock::now() + patience;
    auto refused = ask_anew();
    // What runs into the fault first may be answered for another reason.
    while (refused.body.find("database_unavailable") == std::string::npos &&
           std::chrono::steady_clock::now() < limit)
      refused = ask_anew();
    EXPECT_EQ(refused.status, 503u);
    EXPECT_EQ(refused.content_type, "application/problem+json");
    EXPECT_THAT(refused.body, HasSubstr("\"database_unavailable\""));
    EXPECT_NE(refused.retry_after, "");
    const auto read = on_->engine().call("GET", "/v1/servers?limit=1", on_->key());
    EXPECT_EQ(read.status, can_read ? 200u : 503u) << read.body;
    EXPECT_TRUE(on_->engine().child().is_running());
  }

  /// Goes on until more orders came to their end, and holds both sides against each other.
  void expect_recovery() {
    EXPECT_TRUE(told_.wait_for_answers(20, patience));
    running_->stop();
    running_->join();
    // A refusal may hide what was done: only the repeat tells.
    for (const auto& key : asked_) {
      auto answer = ask(key);
      const auto limit = std::chrono::steady_clock::now() + patience;
      while (answer.status == 503 && std::chrono::steady_clock::now() < limit) {
        on_->engine().child().wait(100ms);
        answer = ask(key);
      }
      told_.acknowledge_create(key, 1, answer);
    }
    EXPECT_THAT(differences(*on_, told_), IsEmpty());
  }

  test::call_answer ask_anew() {
    asked_.push_back("own-" + std::to_string(asked_.size()));
    return ask(asked_.back());
  }

  test::call_answer ask(const std::string& key) {
    return on_->engine().call("POST", "/v1/servers", on_->key(), order, {{"Idempotency-Key", key}});
  }

  /// A server that nobody deletes.
  std::string kept_server() {
    const auto made = ask_anew().json();
    auto id = std::to_string(made.at("id").to_number<std::int64_t>());
    const auto limit = std::chrono::steady_clock::now() + patience;
    while (test::run_sql(on_->database_url(), "SELECT state FROM servers WHERE id = " + id) != "active" &&
           std::chrono::steady_clock::now() < limit)
      on_->engine().child().wait(50ms);
    return id;
  }

  const std::uint64_t seed_ = test::seed();
  testing::ScopedTrace trace_{__FILE__, __LINE__, "SKYENGINE_TEST_SEED=" + std::to_string(seed_)};
  std::unique_ptr<world> on_;
  history told_;
  std::unique_ptr<load> running_;
  std::vector<std::string> asked_;
};

} // namespace

TEST_F(DatabaseFault, ThatItCanOnlyBeReadRefusesOrdersAndPasses) {
  {
    const test::read_only_postgres standby;
    expect_refusals(true);
  }
  expect_recovery();
}

TEST_F(DatabaseFault, ThatItsDiskIsFullRefusesOrdersAndPasses) {
  // The table that every step writes to comes to the limit.
  const auto add_events = [id = kept_server()](const std::string& detail, int count) {
    return "INSERT INTO server_events (server_id, at, type, from_state, to_state, detail) "
           "SELECT s.id, s.last_event_at, 'noted', s.state, s.state, " +
           detail + " FROM servers s, generate_series(1, " + std::to_string(count) + ") n WHERE s.id = " + id;
  };
  const auto four_a_page =
    "jsonb_build_object('note', (SELECT string_agg(md5(n::text || '-' || g::text), '') "
    "FROM generate_series(1, 56) g))";
  // A vacuum would find room again.
  test::run_sql(on_->database_url(), "ALTER TABLE server_events SET (autovacuum_enabled = false)");
  test::run_sql(on_->database_url(), add_events(four_a_page, 8'180));
  {
    const test::small_files full{full_at};
    // Until not even a small one fits.
    const auto fill = "DO $$ BEGIN LOOP " + add_events("'{}'", 1) + "; COMMIT; END LOOP; END $$";
    EXPECT_THROW(test::run_sql(on_->database_url(), fill), std::runtime_error);
    expect_refusals(true);
    EXPECT_THAT(on_->engine().log(), HasSubstr("could not extend file"));
  }
  expect_recovery();
}

TEST_F(DatabaseFault, ThatItTakesNobodyAnyMoreRefusesEverythingAndPasses) {
  {
    const test::connection_hog others{on_->database()};
    expect_refusals(false);
    EXPECT_THAT(on_->engine().log(), HasSubstr("too many clients"));
    const auto ready = on_->engine().call("GET", "/readyz", {});
    EXPECT_THAT(ready.body, HasSubstr("\"database\""));
  }
  expect_recovery();
}

} // namespace skyengine::torture
