#include "tests/support/contract.hpp"
#include "tests/support/simulator.hpp"
#include "tests/support/temporary_folder.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <thread>

namespace skyengine::test {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

/// Holds what the simulator says against the contract. Faults on the wire are no business of the contract's.
void expect_contract(std::string_view method,
                     std::string_view path,
                     const std::string& body,
                     const call_answer& answer) {
  const auto& rules = contract::virtfusion();
  if (answer.status >= 200 && answer.status < 300)
    EXPECT_EQ(rules.check_request(method, path, body), std::vector<std::string>{}) << method << ' ' << path;
  if (answer.status != 0 && answer.status < 500)
    EXPECT_EQ(rules.check_answer(method, path, answer.status, answer.body), std::vector<std::string>{})
      << method << ' ' << path << ' ' << answer.body.substr(0, 500);
}

/// A simulator with a user (id 1, extRelationId 7) and no server, whose builds are done at the next look.
class Simulator : public testing::Test {
protected:
  void SetUp() override {
    panel.observe(expect_contract);
    ASSERT_EQ(make_user(panel, 7).status, 201u);
  }

  static call_answer make_user(const simulated_panel& where, std::int64_t ext) {
    return where.api("POST", "/users",
                     {{"name", "Someone"},
                      {"email", "user" + std::to_string(ext) + "@example.org"},
                      {"extRelationId", ext},
                      {"selfService", 0},
                      {"sendMail", false}});
  }

  static call_answer create(const simulated_panel& where, std::int64_t group = 1) {
    return where.api("POST", "/servers",
                     {{"packageId", 1}, {"userId", 1}, {"hypervisorId", group}, {"ipv4", 1}});
  }
  call_answer create() const { return create(panel); }

  static call_answer build(const simulated_panel& where, std::int64_t id) {
    return where.api("POST", "/servers/" + std::to_string(id) + "/build",
                     {{"operatingSystemId", 1}, {"name", "one"}, {"hostname", "one.example.org"}});
  }

  /// A built, running server.
  std::int64_t make_built() const {
    const auto id = create().json().at("data").at("id").as_int64();
    EXPECT_EQ(build(panel, id).status, 200u);
    return id;
  }

  void hit_once(const char* operation, const char* kind, json::object more = {}) const {
    more["operation"] = operation;
    more["kind"] = kind;
    more["count"] = 1;
    panel.add_fault(more);
  }

  std::size_t servers() const { return panel.state().at("servers").as_array().size(); }

  simulated_panel panel{{"--build-time", "0"}};
};

TEST_F(Simulator, WantsTheToken) {
  const auto answer = http_call("GET", panel.url() + "/connect");
  EXPECT_EQ(answer.status, 401u);
  EXPECT_EQ(answer.body, "401 Unauthorized");
  EXPECT_EQ(panel.api("GET", "/connect").status, 200u);
}

TEST_F(Simulator, TellsAWrongPathFromAServerThatIsNotThere) {
  const auto no_server = panel.api("GET", "/servers/99");
  EXPECT_EQ(no_server.status, 404u);
  EXPECT_NE(no_server.body.find("server not found"), std::string::npos);
  panel.observe({});
  const auto no_path = panel.api("GET", "/serverz/99");
  EXPECT_EQ(no_path.status, 404u);
  EXPECT_EQ(no_path.body.find("server not found"), std::string::npos);
}

TEST_F(Simulator, DelayLetsTheNextFaultBeDrawn) {
  hit_once("POST /servers", "delay", {{"delayMs", 50}});
  hit_once("POST /servers", "status", {{"status", 503}});
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(create().status, 503u);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 50ms);
  EXPECT_EQ(servers(), 0u);
}

TEST_F(Simulator, StatusAnswersWithoutDoingTheWork) {
  hit_once("POST /servers", "status", {{"status", 502}});
  const auto proxy = create();
  EXPECT_EQ(proxy.status, 502u);
  EXPECT_EQ(proxy.content_type, "text/html");
  hit_once("POST /servers", "status", {{"status", 422}, {"retryAfter", 3}});
  const auto wrong = create();
  EXPECT_EQ(wrong.status, 422u);
  EXPECT_EQ(wrong.retry_after, "3");
  EXPECT_EQ(servers(), 0u);
}

TEST_F(Simulator, RateLimitSaysWhenToComeBackOnlyIfAsked) {
  hit_once("*", "rate_limit");
  const auto silent = create();
  EXPECT_EQ(silent.status, 429u);
  EXPECT_EQ(silent.retry_after, "");
  hit_once("*", "rate_limit", {{"retryAfter", "Wed, 21 Oct 2026 07:28:00 GMT"}});
  EXPECT_EQ(create().retry_after, "Wed, 21 Oct 2026 07:28:00 GMT");
  EXPECT_EQ(servers(), 0u);
}

TEST_F(Simulator, LostAnswerDoesTheWorkAndSaysNothing) {
  hit_once("POST /servers", "lost_answer");
  EXPECT_EQ(create().status, 0u);
  EXPECT_EQ(servers(), 1u);
  EXPECT_EQ(create().status, 201u);
}

TEST_F(Simulator, LateEffectDoesTheWorkAfterItsCallerIsGone) {
  hit_once("POST /servers", "late_effect", {{"delayMs", 300}});
  EXPECT_EQ(create().status, 0u);
  EXPECT_EQ(servers(), 0u);
  EXPECT_EQ(panel.requests().at("inFlight").as_int64(), 1);
  EXPECT_TRUE(
    panel.wait_for_state([](const json::object& now) { return now.at("servers").as_array().size() == 1; }));
  EXPECT_EQ(panel.requests().at("inFlight").as_int64(), 0);
}

TEST_F(Simulator, ResetCutsBeforeTheWork) {
  hit_once("POST /servers", "reset");
  const auto answer = create();
  EXPECT_EQ(answer.status, 0u);
  EXPECT_EQ(answer.failure, "Connection reset by peer");
  EXPECT_EQ(servers(), 0u);
}

TEST_F(Simulator, TruncateSendsHalfAnAnswer) {
  hit_once("POST /servers", "truncate");
  const auto answer = create();
  EXPECT_EQ(answer.status, 0u);
  EXPECT_EQ(answer.failure, "partial message");
  EXPECT_EQ(servers(), 1u);
}

TEST_F(Simulator, MalformedDoesTheWorkAndAnswersFiveKindsOfNonsense) {
  panel.add_fault({{"operation", "GET /servers/{serverId}"}, {"kind", "malformed"}, {"count", 5}});
  const auto path = "/servers/" + std::to_string(make_built());
  panel.observe({});
  std::set<std::string> bodies;
  for (int i = 0; i < 5; ++i) {
    const auto answer = panel.api("GET", path);
    EXPECT_EQ(answer.status, 200u);
    const auto parsed = answer.json();
    const auto* const object = parsed.if_object();
    EXPECT_FALSE(object && object->contains("data") && object->at("data").is_object());
    bodies.insert(answer.body);
  }
  EXPECT_EQ(bodies.size(), 5u);
  EXPECT_TRUE(panel.api("GET", path).json().at("data").is_object());
}

TEST_F(Simulator, TrickleSendsTheWholeAnswerByteByByte) {
  hit_once("GET /connect", "trickle", {{"delayMs", 1}});
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(panel.api("GET", "/connect").status, 200u);
  // Head and body are more than 100 bytes.
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 100ms);
}

TEST_F(Simulator, StallDoesTheWorkAndKeepsSilent) {
  hit_once("POST /servers", "stall");
  const auto answer =
    http_call("POST", panel.url() + "/servers", R"({"packageId": 1, "userId": 1, "hypervisorId": 1})",
              {{"Authorization", std::string{"Bearer "} + simulated_panel::token}}, 200ms);
  EXPECT_EQ(answer.status, 0u);
  EXPECT_EQ(servers(), 1u);
  EXPECT_EQ(panel.requests().at("inFlight").as_int64(), 0);
}

TEST_F(Simulator, BuildFailsOnceAndThenWorks) {
  hit_once("*", "build_fails");
  const auto id = make_built();
  EXPECT_EQ(panel.server(id).at("state"), "failed");
  EXPECT_TRUE(
    panel.api("GET", "/servers/" + std::to_string(id)).json().at("data").at("buildFailed").as_bool());
  EXPECT_EQ(build(panel, id).status, 200u);
  EXPECT_EQ(panel.server(id).at("state"), "complete");
}

TEST_F(Simulator, SuspendLeavesRunningOnlyWhenToldTo) {
  const auto id = make_built();
  const auto path = "/servers/" + std::to_string(id);
  hit_once("*", "suspend_leaves_running");
  EXPECT_EQ(panel.api("POST", path + "/suspend").status, 204u);
  EXPECT_EQ(panel.server(id).at("power"), "running");
  EXPECT_EQ(panel.api("POST", path + "/suspend").status, 409u);
  EXPECT_EQ(panel.api("POST", path + "/power/boot").status, 409u);
  EXPECT_EQ(panel.api("POST", path + "/unsuspend").status, 204u);
  EXPECT_EQ(panel.api("POST", path + "/suspend").status, 204u);
  EXPECT_EQ(panel.server(id).at("power"), "stopped");
  EXPECT_TRUE(panel.server(id).at("suspended").as_bool());
}

TEST_F(Simulator, StaleListHidesWhatIsYoung) {
  make_built();
  panel.add_fault({{"operation", "*"}, {"kind", "stale_list"}, {"delayMs", 60'000}, {"count", 2}});
  EXPECT_EQ(panel.api("GET", "/servers").json().at("total").as_int64(), 0);
  EXPECT_TRUE(panel.api("GET", "/servers/user/1").json().at("data").as_array().empty());
  EXPECT_EQ(panel.api("GET", "/servers").json().at("total").as_int64(), 1);
}

TEST_F(Simulator, ClearedFaultsHitNobody) {
  panel.add_fault({{"operation", "*"}, {"kind", "reset"}});
  panel.clear_faults();
  EXPECT_EQ(create().status, 201u);
}

TEST_F(Simulator, RefusesAFaultThatItDoesNotKnow) {
  EXPECT_THROW(panel.add_fault({{"operation", "POST /server"}, {"kind", "reset"}}), std::runtime_error);
  EXPECT_THROW(panel.add_fault({{"operation", "*"}, {"kind", "explode"}}), std::runtime_error);
  EXPECT_THROW(panel.add_fault({{"operation", "*"}, {"kind", "reset"}, {"counts", 1}}), std::runtime_error);
}

TEST_F(Simulator, CountsRequestsByOperationAndStatus) {
  panel.reset_requests();
  create();
  create();
  panel.api("GET", "/servers/99");
  hit_once("GET /connect", "reset");
  panel.api("GET", "/connect");
  const auto seen = panel.requests();
  EXPECT_EQ(seen.at("total").as_int64(), 4);
  EXPECT_EQ(seen.at("maxInFlight").as_int64(), 1);
  EXPECT_EQ(seen.at("maxPerSecond").as_int64(), 4);
  EXPECT_EQ(seen.at("byOperation").at("POST /servers").as_int64(), 2);
  EXPECT_EQ(seen.at("byStatus").at("201").as_int64(), 2);
  EXPECT_EQ(seen.at("byStatus").at("404").as_int64(), 1);
  EXPECT_EQ(seen.at("byStatus").at("none").as_int64(), 1);
}

TEST_F(Simulator, CountsWhatIsInFlightAtOnce) {
  panel.reset_requests();
  panel.add_fault({{"operation", "GET /connect"}, {"kind", "delay"}, {"delayMs", 500}});
  std::vector<std::thread> callers;
  callers.reserve(5);
  for (int i = 0; i < 5; ++i)
    callers.emplace_back([this] { panel.api("GET", "/connect"); });
  for (auto& caller : callers)
    caller.join();
  EXPECT_EQ(panel.requests().at("maxInFlight").as_int64(), 5);
}

TEST_F(Simulator, DeletedServerIsThereALittleLonger) {
  const auto id = make_built();
  const auto path = "/servers/" + std::to_string(id);
  EXPECT_EQ(panel.api("DELETE", path).status, 204u);
  EXPECT_EQ(panel.api("GET", path).status, 200u);
  EXPECT_TRUE(panel.wait_for_state(
    [](const json::object& now) { return !now.at("servers").at(0).at("deletedAt").is_null(); }));
  EXPECT_EQ(panel.api("GET", path).status, 404u);
  EXPECT_EQ(create().json().at("data").at("id").as_int64(), id + 1);
}

TEST_F(Simulator, ChangesServersBehindEverybodysBack) {
  ASSERT_EQ(make_user(panel, 8).status, 201u);
  const auto id = make_built();
  panel.patch_server(id, {{"extRelationId", 8}, {"suspended", true}, {"packageId", 2}, {"protected", true}});
  const auto changed = panel.server(id);
  EXPECT_EQ(changed.at("extRelationId").as_int64(), 8);
  EXPECT_EQ(changed.at("packageId").as_int64(), 2);
  EXPECT_EQ(panel.api("DELETE", "/servers/" + std::to_string(id)).status, 409u);
  panel.erase_server(id);
  EXPECT_FALSE(panel.server(id).at("deletedAt").is_null());
}

TEST_F(Simulator, ShowsAMachineThatWasPoweredOnBeforeItWasBuilt) {
  const auto id = create().json().at("data").at("id").as_int64();
  const auto memory = [&] {
    const auto looked_at = panel.api("GET", "/servers/" + std::to_string(id) + "?remoteState=true");
    EXPECT_EQ(looked_at.status, 200u);
    return std::stoll(
      std::string{looked_at.json().at_pointer("/data/remoteState/memory/memtotal").as_string()});
  };
  panel.patch_server(id, {{"state", "complete"}, {"power", "running"}});
  EXPECT_GT(memory(), 0);
  panel.patch_server(id, {{"power", "stopped"}});
  panel.patch_server(id, {{"power", "running"}, {"memory", 0}, {"storage", 0}});
  EXPECT_EQ(memory(), 0);
}

TEST(SimulatorProcess, LimitsTheRateWithRetryAfter) {
  const simulated_panel panel{{"--rate-limit", "2"}};
  std::set<unsigned> seen;
  call_answer last;
  for (int i = 0; i < 4 && !seen.contains(429); ++i) {
    last = panel.api("GET", "/connect");
    seen.insert(last.status);
  }
  EXPECT_EQ(seen, (std::set<unsigned>{200, 429}));
  EXPECT_EQ(last.retry_after, "1");
}

TEST(SimulatorProcess, BeginsWithServersEvenlyOverPackagesAndUsers) {
  const simulated_panel panel{{"--servers", "40", "--users", "4"}};
  std::map<std::int64_t, int> packages, users;
  const auto state = panel.state();
  for (const auto& s : state.at("servers").as_array()) {
    ++packages[s.at("packageId").as_int64()];
    ++users[s.at("extRelationId").as_int64()];
    EXPECT_EQ(s.at("state"), "complete");
    EXPECT_EQ(s.at("power"), "running");
  }
  EXPECT_EQ(packages, (std::map<std::int64_t, int>{{1, 10}, {2, 10}, {3, 10}, {4, 10}}));
  EXPECT_EQ(users, (std::map<std::int64_t, int>{{1, 10}, {2, 10}, {3, 10}, {4, 10}}));
}

TEST(SimulatorProcess, OffersSchedulesOnlyWhenAsked) {
  const simulated_panel plain{{"--servers", "1"}};
  const json::object wanted{{"task", "backup"}, {"schedule", "0 3 * * *"}};
  EXPECT_EQ(plain.api("POST", "/servers/1/schedules", wanted).status, 404u);
  const simulated_panel extended{{"--servers", "1", "--task-scheduler"}};
  const auto made = extended.api("POST", "/servers/1/schedules", wanted);
  EXPECT_EQ(made.status, 201u);
  const auto path = "/servers/1/schedules/" + std::to_string(made.json().at("data").at("id").as_int64());
  EXPECT_EQ(extended.api("PUT", path, {{"task", "backup"}, {"schedule", "0 4 * * *"}}).status, 200u);
  EXPECT_EQ(extended.state().at("schedules").at(0).at("schedule"), "0 4 * * *");
  EXPECT_EQ(extended.api("DELETE", path).status, 204u);
  EXPECT_TRUE(extended.state().at("schedules").as_array().empty());
}

TEST(SimulatorProcess, RunsItsOwnClock) {
  const simulated_panel panel{
    {"--servers", "1", "--clock-rate", "1000000", "--clock-origin", "2030-01-31T00:00:00Z"}};
  const auto first = panel.state().at("now");
  EXPECT_TRUE(first.as_string().starts_with("2030-"));
  EXPECT_TRUE(panel.wait_for_state([&](const json::object& now) { return now.at("now") != first; }));
}

/// Goes once through the whole API; whatever the contract knows must have been asked for and have worked.
TEST(SimulatorContract, EveryOperationAnswersAsTheContractSays) {
  simulated_panel panel{{"--build-time", "0", "--servers", "3", "--users", "2", "--task-scheduler"}};
  std::set<std::string> worked;
  panel.observe([&](auto method, auto path, const auto& body, const auto& answer) {
    expect_contract(method, path, body, answer);
    EXPECT_TRUE(answer.status >= 200 && answer.status < 300)
      << method << ' ' << path << ' ' << answer.status << ' ' << answer.body;
    worked.insert(contract::virtfusion().operation_of(method, path));
  });
  const auto get = [&](const char* path) { panel.api("GET", path); };
  for (const auto* const path :
       {"/connect", "/packages", "/packages/1", "/compute/hypervisors/groups",
        "/compute/hypervisors/groups?results=2&page=2", "/compute/hypervisors/groups/1",
        "/compute/hypervisors/groups/3/resources", "/media/templates/fromServerPackageSpec/1",
        "/users/1/byExtRelation", "/servers", "/servers?type=full&results=2", "/servers?hypervisorId=1",
        "/servers/1", "/servers/1?remoteState=true", "/servers/user/1", "/servers/1/traffic",
        "/servers/1/templates", "/servers/1/vnc"})
    get(path);
  panel.api("POST", "/users", {{"name", "New"}, {"email", "new@example.org"}, {"relStr", "new-one"}});
  get("/users/new-one/byExtRelation?relStr=true");
  panel.api("POST", "/ssh_keys", {{"userId", 3}, {"name", "laptop"}, {"publicKey", "ssh-ed25519 AAAAC3Nza"}});
  get("/ssh_keys/1");
  get("/ssh_keys/user/3");
  panel.api("POST", "/servers?dryRun=true", {{"packageId", 4}, {"userId", 3}, {"hypervisorId", 3}});
  panel.api("POST", "/servers", {{"packageId", 4}, {"userId", 3}, {"hypervisorId", 3}, {"ipv4", 1}});
  panel.api("POST", "/servers/4/build",
            {{"operatingSystemId", 2},
             {"name", "four"},
             {"hostname", "four.example.org"},
             {"sshKeys", json::array{1}},
             {"ipv6", true},
             {"email", false}});
  get("/servers/4");
  get("/queue/1");
  get("/backups/server/4");
  panel.api("POST", "/users/1/serverAuthenticationTokens/1");
  panel.api("DELETE", "/ssh_keys/1");
  for (const auto* const verb :
       {"power/poweroff", "power/boot", "power/restart", "power/shutdown", "suspend", "unsuspend"})
    panel.api("POST", std::string{"/servers/1/"} + verb);
  panel.api("PUT", "/servers/1/package/2", {{"cpu", true}, {"memory", true}, {"primaryDiskSize", true}});
  panel.api("PUT", "/servers/1/backups/plan/2");
  panel.api("PUT", "/servers/1/backupManager/access", {{"type", "full"}});
  panel.api("PUT", "/servers/1/owner/2");
  panel.api("PUT", "/servers/1/modify/name", {{"name", "other"}});
  panel.api("PUT", "/servers/1/modify/memory", {{"memory", 4096}});
  panel.api("PUT", "/servers/1/modify/cpuCores", {{"cores", 3}});
  panel.api("PUT", "/servers/1/modify/traffic", {{"traffic", "10"}});
  panel.api("PUT", "/servers/1/modify/cpuThrottle", {{"percent", 50}});
  panel.api("POST", "/servers/1/vnc", {{"action", "enable"}});
  panel.api("POST", "/servers/1/resetPassword", {{"user", "root"}, {"sendMail", false}});
  panel.api("POST", "/servers/1/schedules", {{"task", "backup"}, {"schedule", "0 3 * * *"}});
  panel.api("PUT", "/servers/1/schedules/1", {{"task", "restart"}, {"schedule", "0 4 * * *"}});
  panel.api("DELETE", "/servers/1/schedules/1");
  panel.api("DELETE", "/servers/2?delay=10");
  const auto all = contract::virtfusion().operations();
  EXPECT_EQ(worked, std::set<std::string>(all.begin(), all.end()));
}

class SimulatorState : public Simulator {
protected:
  static simulated_panel keeping(const temporary_folder& folder, const char* build_time) {
    return simulated_panel{
      {"--state", (folder.path() / "panel.state").string(), "--build-time", build_time, "--task-scheduler"}};
  }
  temporary_folder folder;
};

TEST_F(SimulatorState, EverythingAnsweredSurvivesAKill) {
  auto kept = keeping(folder, "0");
  ASSERT_EQ(make_user(kept, 7).status, 201u);
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(create(kept).status, 201u);
  ASSERT_EQ(build(kept, 1).status, 200u);
  ASSERT_EQ(kept.api("POST", "/servers/2/schedules", {{"task", "boot"}, {"schedule", "@daily"}}).status,
            201u);
  ASSERT_EQ(
    kept.api("POST", "/ssh_keys", {{"userId", 1}, {"name", "laptop"}, {"publicKey", "ssh-ed25519 AAAAC3Nza"}})
      .status,
    201u);
  kept.erase_server(3);
  auto before = kept.state();
  kept.restart();
  auto after = kept.state();
  before.erase("now");
  after.erase("now");
  EXPECT_EQ(json::serialize(after), json::serialize(before));
  EXPECT_EQ(kept.api("GET", "/ssh_keys/user/1").json().at("data").as_array().size(), 1u);
  // The highest id is gone, and stays used.
  EXPECT_EQ(create(kept).json().at("data").at("id").as_int64(), 4);
  kept.restart();
  EXPECT_EQ(kept.state().at("servers").as_array().size(), 4u);
}

TEST_F(SimulatorState, TheClockGoesOnFromWhereItWas) {
  simulated_panel kept{{"--state", (folder.path() / "panel.state").string(), "--clock-rate", "1000000",
                        "--clock-origin", "2030-01-01T00:00:00Z"}};
  const auto now = [&] { return std::string{kept.state().at("now").as_string()}; };
  EXPECT_TRUE(kept.wait_for_state(
    [](const json::object& state) { return state.at("now").as_string() > "2030-01-05"; }));
  const auto before = now();
  kept.restart();
  EXPECT_GE(now(), before);
}

TEST_F(Simulator, SigtermEndsItWhileRequestsWait) {
  panel.add_fault({{"operation", "GET /connect"}, {"kind", "delay"}, {"delayMs", 60'000}});
  std::thread caller{[this] { EXPECT_EQ(panel.api("GET", "/connect").status, 0u); }};
  EXPECT_TRUE(panel.wait_until([this] { return panel.requests().at("inFlight").as_int64() == 1; }));
  EXPECT_EQ(panel.child().terminate(), 0);
  caller.join();
}

TEST_F(SimulatorState, ABuildGoesOnWhileThePanelIsAway) {
  auto kept = keeping(folder, "0.4");
  ASSERT_EQ(make_user(kept, 7).status, 201u);
  ASSERT_EQ(create(kept).status, 201u);
  ASSERT_EQ(build(kept, 1).status, 200u);
  EXPECT_EQ(build(kept, 1).status, 423u);
  kept.restart();
  EXPECT_TRUE(kept.wait_for_state(
    [](const json::object& now) { return now.at("servers").at(0).at("state") == "complete"; }));
}

TEST_F(SimulatorState, AHalfWrittenLastLineIsDropped) {
  const auto path = folder.path() / "panel.state";
  auto kept = keeping(folder, "0");
  ASSERT_EQ(make_user(kept, 7).status, 201u);
  kept.kill();
  std::ofstream{path, std::ios::app} << R"({"user":{"id":2,"na)";
  kept.restart();
  EXPECT_EQ(kept.state().at("users").as_array().size(), 1u);
  EXPECT_EQ(make_user(kept, 8).json().at("data").at("id").as_int64(), 2);
}

TEST_F(SimulatorState, AFileOfSomethingElseStopsTheStart) {
  std::ofstream{folder.path() / "panel.state"} << "something else\n";
  EXPECT_THROW(keeping(folder, "0"), std::runtime_error);
}

struct command_line_case {
  const char* name;
  std::vector<std::string> arguments;
  int exit_code;
};

class SimulatorCommandLine : public testing::TestWithParam<command_line_case> {};

TEST_P(SimulatorCommandLine, IsRefusedWithItsExitCode) {
  temporary_folder folder;
  process refused{
    {built_program("virtfusion-simulator"), GetParam().arguments, {}, (folder.path() / "errors").string()}};
  EXPECT_EQ(refused.wait(), GetParam().exit_code);
  EXPECT_EQ(refused.read_all(), "");
}

INSTANTIATE_TEST_SUITE_P(
  Wrong,
  SimulatorCommandLine,
  testing::Values(command_line_case{"no_token", {}, 2},
                  command_line_case{"unknown_option", {"--token", "t", "--fast"}, 2},
                  command_line_case{"no_port", {"--token", "t", "--listen", "127.0.0.1"}, 2},
                  command_line_case{"no_time", {"--token", "t", "--clock-origin", "now"}, 2},
                  command_line_case{"negative", {"--token", "t", "--servers", "-1"}, 2}),
  [](const auto& test) { return std::string{test.param.name}; });

TEST(SimulatorProcess, ABusyPortIsOneLineAndExitsWithOne) {
  const simulated_panel first;
  const auto address = first.url().substr(7, first.url().rfind("/api") - 7);
  temporary_folder folder;
  const auto errors = folder.path() / "errors";
  process second{
    {built_program("virtfusion-simulator"), {"--token", "t", "--listen", address}, {}, errors.string()}};
  EXPECT_EQ(second.wait(), 1);
  std::ifstream in{errors};
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  EXPECT_EQ(text, "virtfusion-simulator: cannot listen on " + address + ": Address already in use\n");
}

TEST(SimulatorProcess, SigtermEndsItWithZero) {
  simulated_panel panel;
  EXPECT_EQ(panel.child().terminate(), 0);
}

} // namespace
} // namespace skyengine::test
