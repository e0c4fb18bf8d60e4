#include "tests/torture/world.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <string>

namespace skyengine::torture {
namespace {

using namespace std::chrono_literals;

#ifdef SKYENGINE_CRASH_POINTS
/// An engine that ends between a limit that was passed and its suspensions, and another that goes on.
class SpendingLimit : public testing::TestWithParam<const char*> {};

TEST_P(SpendingLimit, SuspendsEachServerOnceThroughAKill) {
  world_options how;
  how.users = 1;
  how.panel = {"--build-time", "0"};
  how.crash_at = GetParam();
  how.business_begin = "2026-11-05 06:00:00+00";
  how.settings["SKYENGINE_PROVISIONING_SETTLE"] = "1s";
  // Two hours in a second.
  how.settings["SKYENGINE_CLOCK_RATE"] = "7200";
  world on{how};
  const auto sql = [&](const std::string& question) { return test::run_sql(on.database_url(), question); };
  for (int i = 0; i < 3; ++i) {
    const auto made =
      on.engine().call("POST", "/v1/servers", on.key(), R"({"planId":"small","region":"north","userId":1})");
    ASSERT_EQ(made.status / 100, 2U) << made.body;
  }
  const auto are_all = [&](const std::string& state) {
    return sql("SELECT count(*) FROM servers WHERE state = '" + state + "'") == "3";
  };
  ASSERT_TRUE(on.engine().eventually([&] { return are_all("active"); }));
  const auto put = on.engine().call("PUT", "/v1/users/1", on.key(),
                                    R"({"name":"Ada","email":"ada@example.com","spendingLimits":)"
                                    R"({"suspendAt":{"amount":"0.01","currency":"USD"}}})");
  ASSERT_EQ(put.status, 200U) << put.body;
  ASSERT_EQ(on.engine().child().wait(60s), -SIGKILL);
  EXPECT_EQ(sql("SELECT count(*) FROM passed_limits"), "1");

  on.engine().start();
  ASSERT_TRUE(on.engine().eventually([&] {
    return are_all("suspended") &&
           sql("SELECT count(*) FROM actions WHERE state IN ('pending', 'running')") == "0";
  }));
  EXPECT_EQ(sql("SELECT count(*) || ' ' || count(DISTINCT server_id) || ' ' || min(requested_by) || ' ' || "
                "min(state) FROM actions WHERE kind = 'suspend'"),
            "3 3 spending_limit succeeded");
  const auto panel = on.panel().state();
  for (const auto& machine : panel.at("servers").as_array())
    EXPECT_TRUE(machine.at("suspended").as_bool());
  // Further hours of the month find nothing more to do; the audit says that they cost nothing.
  ASSERT_TRUE(on.engine().eventually([&] {
    return sql("SELECT bool_and(a.closed_until > e.at + interval '4 hours') AND NOT EXISTS (SELECT FROM "
               "billing_rechecks) FROM billing_accounts a, server_events e WHERE e.type = 'suspended'") ==
           "t";
  }));
  EXPECT_EQ(sql("SELECT count(*) FROM actions WHERE kind = 'suspend'"), "3");
  EXPECT_EQ(sql("SELECT string_agg(subject, ', ') FROM outbox WHERE subject LIKE 'spending_%'"),
            "spending_suspend 1");
  const auto audited = on.engine().run({"audit"});
  EXPECT_EQ(audited.code, 0) << audited.output;
}

INSTANTIATE_TEST_SUITE_P(,
                         SpendingLimit,
                         testing::Values("billing.limit_before", "billing.limit_after"),
                         [](const auto& point) {
                           return std::string{point.param}.substr(std::string{"billing."}.size());
                         });
#endif

} // namespace
} // namespace skyengine::torture
