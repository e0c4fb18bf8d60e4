#include "tests/support/process.hpp"
#include "tests/support/seed.hpp"
#include "tests/torture/campaigns.hpp"
#include "tests/torture/checks.hpp"
#include "tests/torture/history.hpp"
#include "tests/torture/world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace skyengine::torture {

namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

std::string how_to_repeat(std::uint64_t seed) {
  return "SKYENGINE_TEST_SEED=" + std::to_string(seed);
}

} // namespace

#ifdef SKYENGINE_CRASH_POINTS
TEST(CrashPoints, EachLosesNothingAndDoesNothingTwice) {
  const auto seed = test::seed();
  SCOPED_TRACE(how_to_repeat(seed));
  crash_options how;
  how.seed = seed;
  how.parallel = 12;
  EXPECT_THAT(crash_points(how).differences, IsEmpty());
}
#endif

TEST(Kills, TenUnderLoadWithFaultsLoseNothingAndDoNothingTwice) {
  const auto seed = test::seed();
  SCOPED_TRACE(how_to_repeat(seed));
  EXPECT_THAT(kills({seed, 10, 8, 1}).differences, IsEmpty());
}

TEST(TwoEngines, KillsAndAPauseBeyondTheLeaseLoseNothingAndDoNothingTwice) {
  const auto seed = test::seed();
  SCOPED_TRACE(how_to_repeat(seed));
  EXPECT_THAT(kills({seed, 3, 8, 2, 1}).differences, IsEmpty());
}

TEST(Bills, AreWhatTheEventsSayThroughTenKills) {
  const auto seed = test::seed();
  SCOPED_TRACE(how_to_repeat(seed));
  EXPECT_THAT(bills({seed, 10, 1}).differences, IsEmpty());
}

TEST(Bills, OfTwoEnginesAreEachHourOnce) {
  const auto seed = test::seed();
  SCOPED_TRACE(how_to_repeat(seed));
  EXPECT_THAT(bills({seed, 4, 2}).differences, IsEmpty());
}

TEST(IdempotencyKey, FiftyTimesAtOnceWithAKillInBetweenMakesOneServer) {
  const auto seed = test::seed();
  SCOPED_TRACE(how_to_repeat(seed));
  EXPECT_THAT(idempotency({seed, 50, 1}).differences, IsEmpty());
}

TEST(Flood, OfTwoHundredCreatesEndsWithinItsBounds) {
  const auto seed = test::seed();
  SCOPED_TRACE(how_to_repeat(seed));
  flood_options how;
  how.seed = seed;
  how.creates = 200;
  how.idle_connections = 500;
  // VirtFusion's pace is what such a run lasts.
  how.rate_limit = 120;
  if (!test::memory_counts)
    how.end_growth = how.peak_growth = 0;
  EXPECT_THAT(flood(how).differences, IsEmpty());
}

// What finds nothing must be able to find something.
TEST(Checks, NameWhatDiffers) {
  world_options how;
  how.users = 1;
  how.panel = {"--build-time", "0"};
  world on{how};
  history told;
  for (const auto* key : {"kept", "lost"}) {
    const auto made =
      on.engine().call("POST", "/v1/servers", on.key(), R"({"planId":"small","region":"north","userId":1})",
                       {{"Idempotency-Key", key}});
    ASSERT_EQ(made.status, 201U) << made.body;
    told.acknowledge_create(key, 1, made);
  }
  ASSERT_THAT(differences(on, told), IsEmpty());
  const auto servers = on.panel().state().at("servers").as_array();
  on.panel().erase_server(servers.at(0).at("id").as_int64());
  on.panel().make_servers(1, 1);
  told.acknowledge_delete(2);
  const auto found = differences(on, told);
  EXPECT_THAT(found, Contains(AllOf(HasSubstr("active server 1"), HasSubstr("which is not there"))));
  EXPECT_THAT(found, Contains(HasSubstr("has no living row")));
  EXPECT_THAT(found, Contains(HasSubstr("server 2 was to be deleted and is active")));
  EXPECT_THAT(differences(on, history{}), Contains(HasSubstr("was never acknowledged")));
  EXPECT_EQ(on.engine().run({"audit"}).code, 0);
  test::run_sql(on.database_url(), "UPDATE server_events SET from_state = 'deleted' WHERE type = 'active'");
  const auto audited = on.engine().run({"audit"});
  EXPECT_EQ(audited.code, 1);
  EXPECT_THAT(audited.output, HasSubstr("each change of a server's state is one of its life cycle"));
}

} // namespace skyengine::torture
