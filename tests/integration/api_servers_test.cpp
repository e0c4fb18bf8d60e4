#include "tests/support/engine.hpp"

#include <gtest/gtest.h>

namespace skyengine::net::api {
namespace {

using namespace std::chrono_literals;

constexpr auto small = R"({"planId":"small","region":"north","userId":1})";

class ApiServers : public testing::Test {
protected:
  test::test_database database;
  test::simulated_panel panel{{"--build-time", "0", "--seed", "7"}};
  test::engine engine{database, panel};
};

TEST_F(ApiServers, ACreateAnswersTheRecordWithItsPasswordAndLocation) {
  const auto created = engine.call("POST", "/v1/servers", small);
  ASSERT_EQ(created.status, 201u) << created.body;
  EXPECT_EQ(created.at("/state").as_string(), "building");
  EXPECT_FALSE(created.at("/initialPassword").is_null());
  EXPECT_EQ(created.header("Location"), "/v1/servers/" + std::to_string(created.at("/id").as_int64()));
  EXPECT_EQ(created.header("Cache-Control"), "no-store");
  EXPECT_EQ(created.header("RateLimit"), "");

  engine.rig.wait_for({created.at("/actionId").as_int64()});
  const auto found = engine.call("GET", created.header("Location"));
  EXPECT_EQ(found.status, 200u);
  EXPECT_EQ(found.at("/state").as_string(), "active");
  EXPECT_TRUE(found.at("/initialPassword").is_null());
}

TEST_F(ApiServers, ADeleteIsAcceptedAndDone) {
  const auto id = std::to_string(engine.make_server());
  const auto deleted = engine.call("DELETE", "/v1/servers/" + id);
  ASSERT_EQ(deleted.status, 202u) << deleted.body;
  EXPECT_EQ(deleted.at("/kind").as_string(), "delete");
  engine.rig.wait_for({deleted.at("/id").as_int64()});
  EXPECT_EQ(engine.call("GET", "/v1/servers/" + id).at("/state").as_string(), "deleted");
  EXPECT_EQ(engine.call("DELETE", "/v1/servers/" + id).status, 409u);
}

TEST_F(ApiServers, WithoutAKeyThereIsNothingToSee) {
  const auto refused = engine.call_as("", "GET", "/v1/servers");
  EXPECT_EQ(refused.status, 401u);
  EXPECT_EQ(refused.at("/code").as_string(), "unauthorized");
  EXPECT_EQ(refused.header("Content-Type"), "application/problem+json");
}

TEST_F(ApiServers, AnotherUsersServerIsNotThere) {
  const auto path = "/v1/servers/" + std::to_string(engine.make_server());
  EXPECT_EQ(engine.call_as(engine.user_1_key, "GET", path).status, 200u);
  auto hidden = engine.call_as(engine.user_2_key, "GET", path);
  EXPECT_EQ(hidden.status, 404u);
  EXPECT_EQ(engine.call_as(engine.user_2_key, "DELETE", path).status, 404u);
  EXPECT_NE(hidden.header("RateLimit"), "");
}

} // namespace
} // namespace skyengine::net::api
