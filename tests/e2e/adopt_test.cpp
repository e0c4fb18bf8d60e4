#include "tests/support/engine_process.hpp"
#include "tests/support/postgres.hpp"
#include "tests/support/temporary_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace skyengine {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

/// `skyengine adopt` on an installation with 12 servers: three of each package 1 to 4.
class Adopt : public testing::Test {
protected:
  Adopt() {
    panel.make_servers(12, 3);
    engine.apply_catalogue();
  }

  test::command_result adopt(std::vector<std::string> arguments = {}) const {
    arguments.insert(arguments.begin(), "adopt");
    return engine.run(std::move(arguments));
  }
  std::string sql(const std::string& text) const { return test::run_sql(database.url(), text); }
  std::int64_t fitting() const {
    const auto state = panel.state();
    std::int64_t count = 0;
    for (const auto& server : state.at("servers").as_array())
      count +=
        server.at("packageId").to_number<int>() <= 2 && server.at("groupId").to_number<int>() <= 2 ? 1 : 0;
    return count;
  }
  std::int64_t first_of_package(int package) const {
    const auto state = panel.state();
    for (const auto& server : state.at("servers").as_array())
      if (server.at("packageId").to_number<int>() == package && server.at("groupId").to_number<int>() <= 2)
        return server.at("id").to_number<std::int64_t>();
    return 0;
  }
  std::string summary(std::int64_t adopted, const char* verb = "adopted") const {
    return std::to_string(adopted) + " " + verb + ", " + std::to_string(12 - adopted) + " left\n";
  }

  test::temporary_folder folder;
  test::test_database database;
  test::simulated_panel panel{{"--build-time", "0", "--seed", "7"}};
  test::engine_process engine{panel, {.data_dir = folder.path(), .database_url = database.url()}};
};

TEST_F(Adopt, ADryRunSaysWhatItWouldDoAndChangesNothing) {
  ASSERT_GT(fitting(), 0);
  panel.reset_requests();
  const auto told = adopt({"--dry-run"});
  EXPECT_EQ(told.code, 3) << told.output;
  EXPECT_THAT(told.output, HasSubstr(": would be adopted: user "));
  EXPECT_THAT(told.output, EndsWith(summary(fitting(), "would be adopted")));
  EXPECT_THAT(told.output, HasSubstr(": left: no plan maps to a package of "));
  EXPECT_EQ(sql("SELECT (SELECT count(*) FROM servers) + (SELECT count(*) FROM users)"), "0");
  const auto asked = panel.requests().at("byOperation").as_object();
  for (const auto& one : asked)
    EXPECT_EQ(std::string{one.key()}.substr(0, 4), "GET ");
}

TEST_F(Adopt, TakesOverWhatFitsOnceAndSaysWhyTheRestIsLeft) {
  const auto told = adopt();
  EXPECT_EQ(told.code, 3) << told.output;
  EXPECT_THAT(told.output, EndsWith(summary(fitting())));
  EXPECT_EQ(sql("SELECT count(*) FROM servers WHERE state = 'active' AND active_at = created_at"),
            std::to_string(fitting()));
  EXPECT_EQ(sql("SELECT count(*) FROM users u WHERE u.name = '' OR u.email NOT LIKE '%@%' OR "
                "u.virtfusion_user_id IS NULL"),
            "0");
  EXPECT_EQ(sql("SELECT count(*) FROM nodes WHERE lease_until > now()"), "0");
  const auto before = sql("SELECT count(*) || ' ' || max(id) FROM audit_log");
  const auto again = adopt();
  EXPECT_EQ(again.code, 3);
  EXPECT_THAT(again.output, Not(HasSubstr(": adopted")));
  EXPECT_THAT(again.output, EndsWith("\n0 adopted, " + std::to_string(12 - fitting()) + " left\n"));
  EXPECT_EQ(sql("SELECT count(*) || ' ' || max(id) FROM audit_log"), before);
  EXPECT_EQ(engine.run({"audit"}).code, 0);
}

TEST_F(Adopt, APlanCanBeChosenForAServer) {
  const auto server = std::to_string(first_of_package(3));
  const auto told = adopt({"--map", server + "=large"});
  EXPECT_THAT(told.output, HasSubstr(server + ": adopted as server "));
  EXPECT_EQ(sql("SELECT plan_id FROM servers WHERE virtfusion_id = " + server), "large");
  const auto unknown = adopt({"--map", std::to_string(first_of_package(4)) + "=none"});
  EXPECT_THAT(unknown.output, HasSubstr(": left: there is no plan none"));
}

TEST_F(Adopt, APlanForAServerThatIsNotThereStopsItBeforeAnythingIsAdopted) {
  const auto server = std::to_string(first_of_package(3));
  for (const std::vector<std::string>& how : {std::vector<std::string>{"--dry-run"}, {}}) {
    auto arguments = how;
    arguments.insert(arguments.end(),
                     {"--map", "999=small", "--map", server + "=large", "--map", "998=large"});
    const auto told = adopt(arguments);
    EXPECT_EQ(told.code, 1);
    EXPECT_EQ(told.output, "");
    EXPECT_THAT(engine.log(),
                HasSubstr("skyengine: --map: VirtFusion has no server 998, 999; nothing was adopted\n"));
    EXPECT_EQ(sql("SELECT count(*) FROM servers"), "0");
  }
  // What broke off is given again as it was.
  EXPECT_EQ(adopt({"--map", server + "=large"}).code, 3);
  EXPECT_EQ(adopt({"--map", server + "=small"}).code, 3);
  EXPECT_THAT(engine.log(), HasSubstr("--map: server " + server + " is ours already and keeps its plan\n"));
  EXPECT_EQ(sql("SELECT plan_id FROM servers WHERE virtfusion_id = " + server), "large");
}

TEST_F(Adopt, WithNothingLeftItEndsWithZero) {
  const auto state = panel.state();
  for (const auto& server : state.at("servers").as_array())
    if (server.at("packageId").to_number<int>() > 2 || server.at("groupId").to_number<int>() > 2)
      panel.erase_server(server.at("id").to_number<std::int64_t>());
  const auto fitted = fitting();
  const auto told = adopt();
  EXPECT_EQ(told.code, 0) << told.output;
  EXPECT_THAT(told.output, EndsWith("\n" + std::to_string(fitted) + " adopted, 0 left\n"));
  EXPECT_EQ(adopt().output, "0 adopted, 0 left\n");
}

TEST_F(Adopt, WorksBesideARunningEngineWhoseServersTheyAreFromThenOn) {
  engine.start();
  const auto key = engine.make_operator_key();
  EXPECT_EQ(adopt().code, 3);
  const auto listed = engine.call("GET", "/v1/servers?state=active&limit=200", key).json();
  ASSERT_EQ(listed.at("items").as_array().size(), static_cast<std::size_t>(fitting()));
  const auto id = std::to_string(listed.at("items").at(0).at("id").as_int64());
  const auto virtfusion_id = listed.at("items").at(0).at("virtfusionId").to_number<std::int64_t>();
  EXPECT_EQ(engine.call("DELETE", "/v1/servers/" + id, key).status, 202u);
  EXPECT_TRUE(engine.eventually(
    [&] { return engine.call("GET", "/v1/servers/" + id, key).json().at("state") == "deleted"; }));
  EXPECT_FALSE(panel.server(virtfusion_id).at("deletedAt").is_null());
  EXPECT_EQ(engine.terminate(), 0);
}

TEST_F(Adopt, BadArgumentsEndWithTwo) {
  for (const auto* text : {"7", "7=", "=small", "x=small", "0=small", "7=Small", "-7=small"})
    EXPECT_EQ(adopt({std::string{"--map="} + text}).code, 2) << text;
  EXPECT_EQ(adopt({"--map", "7=small", "--map", "7=large"}).code, 2);
  EXPECT_EQ(adopt({"now"}).code, 2);
}

TEST_F(Adopt, AVirtFusionThatDoesNotAnswerIsAnErrorAndNoReasonToLeaveAServer) {
  panel.add_fault({{"operation", "GET /servers"}, {"kind", "status"}, {"status", 403}});
  const auto told = adopt();
  EXPECT_EQ(told.code, 1);
  EXPECT_EQ(told.output, "");
}

TEST_F(Adopt, ServersThatVirtFusionCannotTellOfKeepNoOthersFromBeingAdopted) {
  panel.add_fault(
    {{"operation", "GET /servers/{serverId}"}, {"kind", "status"}, {"status", 500}, {"hypervisor", 1}});
  const auto told = adopt();
  EXPECT_EQ(told.code, 3) << told.output;
  EXPECT_THAT(told.output, HasSubstr(": left: VirtFusion gave no usable answer"));
  EXPECT_THAT(told.output, EndsWith(" left\n")) << "it went to the end of the list";
  EXPECT_NE(sql("SELECT count(*) FROM servers"), "0");
}

TEST_F(Adopt, AVirtFusionThatTakesOurTokenNoMoreOnTheWayIsAnError) {
  panel.add_fault({{"operation", "GET /servers/{serverId}"}, {"kind", "status"}, {"status", 500}});
  panel.add_fault({{"operation", "GET /connect"}, {"kind", "status"}, {"status", 403}});
  const auto told = adopt();
  EXPECT_EQ(told.code, 1) << told.output;
  EXPECT_THAT(told.output, Not(HasSubstr(" left")));
  EXPECT_EQ(sql("SELECT count(*) FROM servers"), "0");
}

TEST_F(Adopt, WhatAnOperatorHasDecidedToDeleteIsNotAdopted) {
  const auto server = std::to_string(first_of_package(1));
  sql("INSERT INTO drift (kind, virtfusion_id, first_seen, last_seen, seen, state, resolution, ended_at, "
      "ended_by) "
      "VALUES ('unknown', " +
      server + ", now(), now(), 'user 1', 'resolved', 'delete', now(), 'operator')");
  for (const std::vector<std::string>& how : {std::vector<std::string>{"--dry-run"}, {}}) {
    const auto told = adopt(how);
    EXPECT_EQ(told.code, 3) << told.output;
    EXPECT_THAT(told.output, HasSubstr(server + ": left: an operator has decided to delete it (drift 1)\n"));
  }
  EXPECT_EQ(sql("SELECT count(*) FROM servers WHERE virtfusion_id = " + server), "0");
  EXPECT_EQ(sql("SELECT state || ' ' || resolution || ' ' || standing FROM drift"), "resolved delete true");
}

} // namespace
} // namespace skyengine
