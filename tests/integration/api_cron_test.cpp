#include "tests/support/engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace skyengine::net::api {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// Schedules by the API. Nobody fires them here: a run stays as it was asked for.
class ApiCron : public testing::Test {
protected:
  std::string sql(const std::string& text) const { return test::run_sql(database.url(), text); }

  test::api_answer patch(const std::string& body, const std::string& name = "daily-clean-up") {
    return engine.call("PATCH", "/v1/cron/" + name, body);
  }
  test::api_answer run(const std::string& body = {}, test::engine::headers more = {}) {
    return engine.call("POST", "/v1/cron/daily-clean-up/run", body, std::move(more));
  }
  test::api_answer backfill(const std::string& body, test::engine::headers more = {}) {
    return engine.call("POST", "/v1/cron/daily-clean-up/backfill", body, std::move(more));
  }
  /// A run of daily-clean-up at 03:45 of this day of March 2026; its id.
  std::string insert_run(int day, const std::string& state) {
    const auto is_open = state == "queued" || state == "running";
    return sql("INSERT INTO runs (schedule_id, scheduled_at, state, attempts, token, started_at, ended_at) "
               "SELECT id, '2026-03-" +
               std::to_string(day) + "T03:45:00Z', '" + state + "', 1, 1, now(), " +
               (is_open ? "NULL" : "now()") + " FROM schedules WHERE name = 'daily-clean-up' RETURNING id");
  }
  static std::vector<std::string> texts(const boost::json::value& array) {
    std::vector<std::string> all;
    for (const auto& one : array.as_array())
      all.emplace_back(one.as_string());
    return all;
  }
  std::string states() const {
    return sql(
      "SELECT coalesce(string_agg(extract(day FROM scheduled_at AT TIME ZONE 'UTC') || ' ' || state, ', ' "
      "ORDER BY scheduled_at), '') FROM runs");
  }
  std::string audited() const {
    return sql(
      "SELECT coalesce(string_agg(action || ' ' || target || ' ' || detail, '; ' ORDER BY id), '') FROM "
      "audit_log WHERE target LIKE 'schedule %'");
  }

  test::test_database database;
  test::simulated_panel panel{{}};
  test::engine engine{database, panel};
};

// -- looking ---------------------------------------------------------------------------

TEST_F(ApiCron, ListsTheBuiltInSchedulesWithTheirNextTimes) {
  const auto listed = engine.call("GET", "/v1/cron");
  ASSERT_EQ(listed.status, 200);
  std::vector<std::string> names;
  const auto items = listed.at("/items");
  for (const auto& one : items.as_array())
    names.emplace_back(one.at("name").as_string());
  EXPECT_THAT(names,
              ElementsAre("daily-clean-up", "daily-dunning", "hourly-sync-and-billing", "monthly-invoices"));
  EXPECT_EQ(listed.at("/items/0/description"), "At 03:45, every day");
  EXPECT_EQ(listed.at("/items/0/next").as_array().size(), 5U);
  EXPECT_THAT(texts(listed.at("/items/0/next")), testing::Each(HasSubstr("T03:45:00Z")));
  EXPECT_EQ(listed.at("/items/1/next").as_array().size(), 5U);
  EXPECT_EQ(listed.at("/items/1/nextAt"), nullptr);
  EXPECT_EQ(listed.at("/items/1/note"), "not built yet");

  const auto first = engine.call("GET", "/v1/cron?limit=1");
  const auto cursor = std::string{first.at("/nextCursor").as_string()};
  EXPECT_EQ(engine.call("GET", "/v1/cron?limit=1&cursor=" + cursor).at("/items/0/name"), "daily-dunning");
}

TEST_F(ApiCron, ShowsRunsNewestTimeFirst) {
  insert_run(1, "succeeded");
  insert_run(3, "failed");
  insert_run(2, "skipped");
  const auto first = engine.call("GET", "/v1/cron/daily-clean-up/runs?limit=2");
  ASSERT_EQ(first.status, 200);
  EXPECT_EQ(first.at("/items/0/scheduledAt"), "2026-03-03T03:45:00Z");
  EXPECT_EQ(first.at("/items/0/state"), "failed");
  EXPECT_EQ(first.at("/items/1/scheduledAt"), "2026-03-02T03:45:00Z");
  const auto cursor = std::string{first.at("/nextCursor").as_string()};
  const auto second = engine.call("GET", "/v1/cron/daily-clean-up/runs?limit=2&cursor=" + cursor);
  EXPECT_EQ(second.at("/items").as_array().size(), 1U);
  EXPECT_EQ(second.at("/items/0/state"), "succeeded");
  const auto id = std::to_string(second.at("/items/0/id").as_int64());
  EXPECT_EQ(engine.call("GET", "/v1/cron/daily-clean-up/runs/" + id).at("/schedule"), "daily-clean-up");
  EXPECT_EQ(engine.call("GET", "/v1/cron/daily-dunning/runs/" + id).status, 404);
  EXPECT_EQ(engine.call("GET", "/v1/cron/daily-clean-up").at("/lastRun/state"), "failed");
}

TEST_F(ApiCron, ShowsRunsOfOneState) {
  insert_run(1, "succeeded");
  insert_run(2, "failed");
  const auto failed = engine.call("GET", "/v1/cron/daily-clean-up/runs?state=failed&limit=5");
  EXPECT_EQ(failed.at("/items").as_array().size(), 1U);
  EXPECT_EQ(engine.call("GET", "/v1/cron/daily-clean-up/runs?state=lost").status, 400);
  EXPECT_EQ(engine.call("GET", "/v1/cron/daily-clean-up/runs?state=failed&state=queued").status, 400);
}

TEST_F(ApiCron, WhatNothingCarriesOutIsNotRun) {
  for (const auto& [path, body] :
       {std::pair{"/run", ""},
        {"/backfill", R"({"from":"2026-03-01T00:00:00Z","to":"2026-03-02T00:00:00Z"})"}}) {
    const auto refused = engine.call("POST", std::string{"/v1/cron/monthly-invoices"} + path, body);
    EXPECT_EQ(refused.status, 409);
    EXPECT_THAT(refused.body,
                HasSubstr("monthly-invoices cannot be run: this version has nothing that carries it out"));
  }
  EXPECT_EQ(patch(R"({"paused":false})", "monthly-invoices").status, 409);
  EXPECT_EQ(patch(R"({"retries":1})", "monthly-invoices").status, 200);
}

TEST_F(ApiCron, IsForOperatorsWithTheScope) {
  EXPECT_EQ(engine.call_as(engine.user_1_key, "GET", "/v1/cron").status, 403);
  EXPECT_EQ(engine.call_as(engine.user_1_key, "POST", "/v1/cron/daily-clean-up/run").status, 403);
  const auto reader = engine.make_key(std::nullopt, {"cron:read"});
  EXPECT_EQ(engine.call_as(reader, "GET", "/v1/cron").status, 200);
  EXPECT_EQ(engine.call_as(reader, "PATCH", "/v1/cron/daily-clean-up", R"({"paused":true})").status, 403);
  EXPECT_EQ(engine.call("GET", "/v1/cron/nightly").status, 404);
}

// -- changing --------------------------------------------------------------------------

TEST_F(ApiCron, AChangeHoldsAtOnceAndIsAudited) {
  const auto changed =
    patch(R"({"expression":"30 2 * * *","timezone":"Europe/Berlin","retries":5,"timeout":60,
    "catchUp":"all","catchUpWindow":3600,"overlap":"allow","jitter":10,"alertAfter":2,"pauseAfter":4})");
  ASSERT_EQ(changed.status, 200) << changed.body;
  EXPECT_EQ(changed.at("/description"), "At 02:30, every day");
  EXPECT_EQ(changed.at("/nextAt"), changed.at("/next/0"));
  EXPECT_EQ(changed.at("/pauseAfter"), 4);
  EXPECT_EQ(changed.at("/catchUpWindow"), 3'600);
  EXPECT_EQ(sql("SELECT version FROM schedules WHERE name = 'daily-clean-up'"), "2");
  EXPECT_THAT(audited(), AllOf(HasSubstr("changed schedule daily-clean-up"),
                               HasSubstr(R"("retries": {"to": 5, "from": 3})"),
                               HasSubstr(R"("pauseAfter": {"to": 4, "from": null})")));
  EXPECT_EQ(patch(R"({"pauseAfter":null})").at("/pauseAfter"), nullptr);
}

TEST_F(ApiCron, WhatChangesNothingLeavesNoTrace) {
  EXPECT_EQ(patch(R"({"expression":"45 3 * * *","paused":false})").status, 200);
  EXPECT_EQ(patch("{}").status, 200);
  EXPECT_EQ(sql("SELECT version FROM schedules WHERE name = 'daily-clean-up'"), "1");
  EXPECT_EQ(audited(), "");
}

TEST_F(ApiCron, APauseHasItsNoteUntilItEnds) {
  const auto paused = patch(R"({"paused":true,"note":"the database is being moved"})");
  EXPECT_EQ(paused.at("/nextAt"), nullptr);
  EXPECT_EQ(paused.at("/note"), "the database is being moved");
  const auto unpaused = patch(R"({"paused":false})");
  EXPECT_EQ(unpaused.at("/note"), nullptr);
  EXPECT_EQ(unpaused.at("/nextAt"), unpaused.at("/next/0"));
}

TEST_F(ApiCron, APauseEndsWhatWaits) {
  insert_run(1, "queued");
  insert_run(2, "queued");
  insert_run(3, "running");
  run(R"({"at":"2026-03-04T03:45:00Z"})");
  sql("UPDATE runs SET error_code = 'internal' WHERE extract(day FROM scheduled_at) = 2");
  patch(R"({"paused":true})");
  EXPECT_EQ(engine.call("GET", "/v1/cron/daily-clean-up/runs?state=skipped").at("/items/1/error/detail"),
            "the schedule was paused before it began");
  // What is asked for from now on is run.
  EXPECT_EQ(run(R"({"at":"2026-03-05T03:45:00Z"})").at("/state"), "queued");
  sql("DELETE FROM runs WHERE extract(day FROM scheduled_at) = 5");
  EXPECT_EQ(states(), "1 skipped, 2 failed, 3 running, 4 skipped");
}

TEST_F(ApiCron, UnpausingForgetsTheFailuresThatPausedIt) {
  sql("UPDATE schedules SET paused = true, next_at = NULL, failures = 7 WHERE name = 'daily-clean-up'");
  EXPECT_EQ(patch(R"({"paused":false})").at("/failures"), 0);
}

TEST_F(ApiCron, WhatDoesNotTouchTheTimesLeavesTheNextOneAlone) {
  sql("UPDATE schedules SET next_at = '2026-03-01T03:45:00Z' WHERE name = 'daily-clean-up'");
  EXPECT_EQ(patch(R"({"retries":1})").at("/nextAt"), "2026-03-01T03:45:00Z");
  EXPECT_EQ(states(), "");
}

TEST_F(ApiCron, TimesThatWereDueAndNotBegunAreSkippedWhenTheTimesChange) {
  sql(
    "UPDATE schedules SET expression = '0 * * * *', next_at = date_trunc('hour', now()) - interval '3 hours' "
    "WHERE name = 'daily-clean-up'");
  EXPECT_EQ(patch(R"({"paused":true})").status, 200);
  // Five where the hour has just turned.
  EXPECT_THAT(sql("SELECT count(*) FROM runs WHERE state = 'skipped'"), testing::AnyOf("4", "5"));
}

struct bad_body {
  const char* body;
  const char* field;
  const char* reason;
};

class ApiCronPatchFault : public ApiCron, public testing::WithParamInterface<bad_body> {};

TEST_P(ApiCronPatchFault, NamesFieldAndReason) {
  const auto refused = patch(GetParam().body);
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(refused.at("/errors/0/field"), GetParam().field);
  EXPECT_THAT(std::string{refused.at("/errors/0/reason").as_string()}, HasSubstr(GetParam().reason));
  EXPECT_EQ(audited(), "");
}

INSTANTIATE_TEST_SUITE_P(
  All,
  ApiCronPatchFault,
  testing::Values(bad_body{R"({"expression":"75 * * * *"})", "expression", "minute: 75 is above 59"},
                  bad_body{R"({"expression":"0 0 31 2 *"})", "expression", "never fires"},
                  bad_body{R"({"expression":""})", "expression", "it is empty"},
                  // Berlin never has this hour.
                  bad_body{R"({"expression":"*/5 2 */15 3 SUN#5","timezone":"Europe/Berlin"})", "expression",
                           "never fires in the time zone Europe/Berlin"},
                  bad_body{R"({"expression":"@reboot"})", "expression", "@reboot"},
                  bad_body{R"({"timezone":"Europe/Atlantis"})", "timezone", "no time zone"},
                  bad_body{R"({"paused":"yes"})", "paused", "neither true nor false"},
                  bad_body{R"({"paused":null})", "paused", "is null"},
                  bad_body{R"({"note":""})", "note", "is not 1 to 500"},
                  bad_body{R"({"catchUp":"some"})", "catchUp", "all, latest, none"},
                  bad_body{R"({"overlap":1})", "overlap", "is not a string"},
                  bad_body{R"({"timeout":0})", "timeout", "is not from 1 to"},
                  bad_body{R"({"retries":-1})", "retries", "is not from 0 to"},
                  bad_body{R"({"pauseAfter":0})", "pauseAfter", "is not from 1 to"},
                  bad_body{R"({"name":"other"})", "name", "is unknown"},
                  bad_body{R"({"nextAt":"2026-03-01T00:00:00Z"})", "nextAt", "is unknown"}));

// -- runs by hand ----------------------------------------------------------------------

TEST_F(ApiCron, ARunByHandWaitsForItsTurn) {
  const auto asked = run(R"({"at":"2026-03-01T12:00:00+01:00"})");
  ASSERT_EQ(asked.status, 202) << asked.body;
  EXPECT_EQ(asked.at("/state"), "queued");
  EXPECT_EQ(asked.at("/manual"), true);
  EXPECT_EQ(asked.at("/scheduledAt"), "2026-03-01T11:00:00Z");
  EXPECT_EQ(asked.header("Location"),
            "/v1/cron/daily-clean-up/runs/" + std::to_string(asked.at("/id").as_int64()));
  EXPECT_EQ(run(R"({"at":"2026-03-01T11:00:00Z"})").at("/id"), asked.at("/id"));
  EXPECT_THAT(audited(), HasSubstr("run schedule daily-clean-up"));
}

TEST_F(ApiCron, WithoutATimeItIsDueNow) {
  EXPECT_EQ(run().status, 202);
  EXPECT_EQ(sql("SELECT count(*) FROM runs WHERE scheduled_at BETWEEN now() - interval '1 minute' AND now()"),
            "1");
}

TEST_F(ApiCron, ATimeThatHasARunIsItsNextAttempt) {
  const auto id = insert_run(1, "failed");
  sql("UPDATE runs SET error_code = 'internal', error_detail = 'broken', interruptions = 5, figures = "
      "'{\"n\":1}'");
  const auto again = run(R"({"at":"2026-03-01T03:45:00Z"})");
  EXPECT_EQ(std::to_string(again.at("/id").as_int64()), id);
  EXPECT_EQ(again.at("/state"), "queued");
  EXPECT_EQ(again.at("/attempts"), 1);
  EXPECT_EQ(again.at("/error"), nullptr);
  EXPECT_EQ(again.at("/endedAt"), nullptr);
  EXPECT_EQ(sql("SELECT interruptions FROM runs"), "0");
}

TEST_F(ApiCron, ARunThatIsUnderWayIsAnsweredAsItIs) {
  insert_run(1, "running");
  EXPECT_EQ(run(R"({"at":"2026-03-01T03:45:00Z"})").at("/state"), "running");
  EXPECT_EQ(states(), "1 running");
  EXPECT_EQ(audited(), "");
}

TEST_F(ApiCron, ATimeToComeIsRefused) {
  EXPECT_EQ(run(R"({"at":"2126-03-01T00:00:00Z"})").status, 422);
  EXPECT_EQ(run(R"({"at":"2026-03-01T00:00:00.5Z"})").status, 422);
  EXPECT_EQ(run(R"({"at":"1999-12-31T23:59:59Z"})").status, 422);
  EXPECT_EQ(run(R"({"at":"noon"})").at("/errors/0/field"), "at");
  EXPECT_EQ(run(R"({"when":"2026-03-01T00:00:00Z"})").at("/errors/0/reason"), "is unknown");
}

TEST_F(ApiCron, OneKeyAsksForOneRun) {
  const test::engine::headers key{{"Idempotency-Key", "k1"}};
  const auto first = run(R"({"at":"2026-03-01T03:45:00Z"})", key);
  EXPECT_EQ(first.header("Idempotent-Replayed"), "");
  sql("UPDATE runs SET state = 'succeeded', attempts = 1, started_at = now(), ended_at = now()");
  const auto again = run(R"({"at":"2026-03-01T03:45:00Z"})", key);
  EXPECT_EQ(again.status, 202);
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  EXPECT_EQ(again.at("/state"), "succeeded");
  EXPECT_EQ(states(), "1 succeeded");
  EXPECT_EQ(run(R"({"at":"2026-03-02T03:45:00Z"})", key).status, 409);
}

// -- backfill --------------------------------------------------------------------------

TEST_F(ApiCron, ABackfillRunsWhatIsMissing) {
  insert_run(1, "succeeded");
  insert_run(2, "skipped");
  insert_run(4, "failed");
  insert_run(5, "running");
  const auto dry = backfill(R"({"from":"2026-03-01T00:00:00Z","to":"2026-03-06T03:45:00Z","dryRun":true})");
  EXPECT_EQ(dry.status, 200);
  EXPECT_THAT(texts(dry.at("/times")),
              ElementsAre("2026-03-02T03:45:00Z", "2026-03-03T03:45:00Z", "2026-03-06T03:45:00Z"));
  EXPECT_EQ(states(), "1 succeeded, 2 skipped, 4 failed, 5 running");
  const auto done = backfill(R"({"from":"2026-03-01T00:00:00Z","to":"2026-03-06T03:45:00Z"})");
  EXPECT_EQ(done.status, 202);
  EXPECT_EQ(done.at("/runs"), 3);
  EXPECT_EQ(states(), "1 succeeded, 2 queued, 3 queued, 4 failed, 5 running, 6 queued");
  EXPECT_THAT(audited(), HasSubstr(R"("runs": 3)"));
}

TEST_F(ApiCron, ABackfillRunsWhatFailedOrEverything) {
  insert_run(1, "succeeded");
  insert_run(2, "timed_out");
  insert_run(3, "cancelled");
  insert_run(4, "running");
  EXPECT_EQ(
    backfill(R"({"from":"2026-03-01T00:00:00Z","to":"2026-03-05T00:00:00Z","which":"failed"})").at("/runs"),
    1);
  EXPECT_EQ(states(), "1 succeeded, 2 queued, 3 cancelled, 4 running");
  EXPECT_EQ(
    backfill(R"({"from":"2026-03-01T00:00:00Z","to":"2026-03-05T04:00:00Z","which":"all"})").at("/runs"), 3);
  EXPECT_EQ(states(), "1 queued, 2 queued, 3 queued, 4 running, 5 queued");
}

TEST_F(ApiCron, OneKeyBackfillsOnce) {
  const test::engine::headers key{{"Idempotency-Key", "k1"}};
  const auto* const range = R"({"from":"2026-03-01T00:00:00Z","to":"2026-03-02T12:00:00Z"})";
  EXPECT_EQ(backfill(range, key).at("/runs"), 2);
  sql("UPDATE runs SET state = 'skipped', ended_at = now()");
  const auto again = backfill(range, key);
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  EXPECT_EQ(again.at("/runs"), 2);
  EXPECT_EQ(states(), "1 skipped, 2 skipped");
}

TEST_F(ApiCron, ABackfillHasItsBounds) {
  EXPECT_EQ(backfill(R"({"from":"2026-03-02T00:00:00Z","to":"2026-03-01T00:00:00Z"})").at("/errors/0/field"),
            "to");
  EXPECT_EQ(backfill(R"({"from":"2026-03-02T00:00:00Z","to":"2126-03-01T00:00:00Z"})").status, 422);
  EXPECT_EQ(backfill(R"({"from":"2026-03-02T00:00:00Z"})").status, 422);
  EXPECT_EQ(backfill("{}", {}).at("/errors").as_array().size(), 2U);
  EXPECT_EQ(backfill(R"({"from":"2026-03-01T00:00:00Z","to":"2026-03-02T00:00:00Z","which":"some"})").status,
            422);
  patch(R"({"expression":"* * * * *"})");
  const auto refused = backfill(R"({"from":"2026-03-01T00:00:00Z","to":"2026-03-05T00:00:00Z"})");
  EXPECT_EQ(refused.status, 422);
  EXPECT_THAT(refused.body, HasSubstr("more than 5000 times"));
  EXPECT_EQ(states(), "");
}

// -- cancel ----------------------------------------------------------------------------

TEST_F(ApiCron, ACancelledRunThatWaitsIsOver) {
  const auto id = std::to_string(run(R"({"at":"2026-03-01T03:45:00Z"})").at("/id").as_int64());
  const test::engine::headers key{{"Idempotency-Key", "k1"}};
  const auto path = "/v1/cron/daily-clean-up/runs/" + id + "/cancel";
  const auto cancelled = engine.call("POST", path, {}, key);
  EXPECT_EQ(cancelled.status, 202);
  EXPECT_EQ(cancelled.at("/state"), "cancelled");
  EXPECT_EQ(engine.call("POST", path, {}, key).header("Idempotent-Replayed"), "true");
  EXPECT_EQ(engine.call("POST", path).status, 409);
  EXPECT_EQ(engine.call("POST", "/v1/cron/daily-dunning/runs/" + id + "/cancel").status, 404);
  EXPECT_EQ(engine.call("POST", "/v1/cron/daily-clean-up/runs/zero/cancel").status, 404);
}

TEST_F(ApiCron, ACancelledRunThatRunsIsAskedToEnd) {
  const auto id = insert_run(1, "running");
  EXPECT_EQ(engine.call("POST", "/v1/cron/daily-clean-up/runs/" + id + "/cancel").at("/state"), "running");
  EXPECT_EQ(sql("SELECT cancel_requested FROM runs"), "t");
}

TEST_F(ApiCron, ManyAtOnceWithOneKeyCancelARunOnceAndAreAnsweredAlike) {
  const auto id = std::to_string(run(R"({"at":"2026-03-01T03:45:00Z"})").at("/id").as_int64());
  const auto path = "/v1/cron/daily-clean-up/runs/" + id + "/cancel";
  std::vector<test::raw_connection> connections;
  connections.reserve(8);
  for (int i = 0; i < 8; ++i)
    connections.push_back(engine.begin(engine.operator_key, "POST", path, {}, {{"Idempotency-Key", "once"}}));
  for (auto& connection : connections) {
    const auto answered = connection.answer();
    ASSERT_TRUE(answered);
    EXPECT_EQ(answered->status, 202u) << answered->body;
  }
}

} // namespace
} // namespace skyengine::net::api
