#include "actors/supervisor.hpp"
#include "tests/support/engine.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skyengine::net::api {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr auto small = R"({"planId":"small","region":"north","userId":1})";

class ApiEdge : public testing::Test {
protected:
  test::test_database database;
  test::simulated_panel panel{{"--build-time", "0", "--seed", "7"}};
  test::engine engine{database, panel};
};

TEST_F(ApiEdge, WhateverIsWrongWithAKeyTheAnswerIsTheSame) {
  const auto revoked = engine.make_key(user_id{1}, {"servers:read"});
  ASSERT_EQ(engine.call_as(revoked, "GET", "/v1/servers").status, 200u);
  // Keys 1 to 3 are the fixture's.
  ASSERT_EQ(engine.call("DELETE", "/v1/api-keys/4").status, 204u);
  const auto without_id = [](const test::api_answer& answer) {
    auto body = answer.json().as_object();
    body.erase("requestId");
    return boost::json::serialize(body);
  };
  const auto none = engine.call_as("", "GET", "/v1/servers");
  EXPECT_EQ(none.status, 401u);
  EXPECT_EQ(none.header("WWW-Authenticate"), "Bearer");
  EXPECT_EQ(none.header("Content-Type"), "application/problem+json");
  const std::vector<test::api_answer> others{
    engine.call_as("sky_unknown", "GET", "/v1/servers"), engine.call_as(revoked, "GET", "/v1/servers"),
    engine.call_as("", "GET", "/v1/servers?api_key=" + engine.operator_key),
    engine.call_as("", "GET", "/v1/servers", {}, {{"Authorization", "Basic " + engine.operator_key}}),
    engine.call_as(engine.operator_key, "GET", "/v1/servers", {}, {{"Authorization", "Bearer x"}})};
  for (const auto& other : others) {
    EXPECT_EQ(other.status, 401u);
    EXPECT_EQ(without_id(other), without_id(none));
  }
}

TEST_F(ApiEdge, WhateverIsWrongWithAKeyTheWorkIsTheSame) {
  const auto revoked = engine.make_key(user_id{1}, {"servers:read"});
  ASSERT_EQ(engine.call("DELETE", "/v1/api-keys/4").status, 204u);
  const auto queries_of = [&](std::string_view key, std::string_view target) {
    const auto before = engine.rig.db.counters().queries;
    EXPECT_EQ(engine.call_as(key, "GET", target).status, 401u);
    return engine.rig.db.counters().queries - before;
  };
  // Whether a key is known shows in nothing, so not in how long it takes to find out.
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(queries_of("", "/v1/servers"), 1u);
    EXPECT_EQ(queries_of("sky_unknown", "/v1/servers"), 1u);
    EXPECT_EQ(queries_of(revoked, "/v1/servers"), 1u);
    EXPECT_EQ(queries_of("", "/v1/servers?api_key=" + engine.operator_key), 1u);
  }
}

TEST_F(ApiEdge, AKeyThatAnotherNodeRevokedIsForgotten) {
  const auto key = engine.make_key(user_id{1}, {"servers:read"});
  ASSERT_EQ(engine.call_as(key, "GET", "/v1/servers").status, 200u);
  test::run_sql(database.url(), "UPDATE api_keys SET revoked_at = now() WHERE id = 4");
  EXPECT_TRUE(test::run_until(engine.rig.runtime.loop(),
                              [&] { return engine.call_as(key, "GET", "/v1/servers").status == 401; }));
}

TEST_F(ApiEdge, AMissingScopeIsNamed) {
  const auto reader = engine.make_key(user_id{1}, {"servers:read"});
  const auto refused = engine.call_as(reader, "POST", "/v1/servers", small);
  EXPECT_EQ(refused.status, 403u);
  EXPECT_THAT(refused.body, HasSubstr("servers:write"));
  const auto limited = engine.make_key(std::nullopt, {"servers:read"});
  EXPECT_EQ(engine.call_as(limited, "GET", "/v1/servers").status, 200u);
  EXPECT_THAT(engine.call_as(limited, "PUT", "/v1/plans/x", "{}").body, HasSubstr("catalogue:write"));
}

TEST_F(ApiEdge, AnOperatorsMattersAreNotForUsers) {
  for (const auto* path : {"/v1/users", "/v1/users/1", "/v1/api-keys", "/v1/audit-log"})
    EXPECT_EQ(engine.call_as(engine.user_1_key, "GET", path).status, 403u) << path;
  for (const auto* path : {"/v1/plans", "/v1/plans/small", "/v1/regions", "/v1/regions/north"})
    EXPECT_EQ(engine.call_as(engine.user_1_key, "GET", path).status, 200u) << path;
}

TEST_F(ApiEdge, IdsThatNameNothingAreNotFound) {
  for (const std::string id :
       {"0", "-1", "1e9", "9223372036854775807", "9223372036854775808", "abc", "%00", "..%2f..", "../..",
        "01", "+1", "%31%20", "1%2F", "' OR 1=1", "%F0%9F%98%80"}) {
    const auto target = id.find(' ') == std::string::npos ? id : "%27%20OR%201=1";
    for (const auto* suffix : {"", "/events", "/actions"}) {
      const auto answer = engine.call("GET", "/v1/servers/" + target + suffix);
      EXPECT_TRUE(answer.status == 404 || answer.status == 400) << target << suffix << " " << answer.status;
    }
    for (const auto* collection :
         {"/v1/actions/", "/v1/users/", "/v1/plans/", "/v1/regions/", "/v1/api-keys/"}) {
      const auto answer = engine.call("GET", collection + target);
      EXPECT_TRUE(answer.status == 404 || answer.status == 400)
        << collection << target << " " << answer.status;
    }
  }
}

TEST_F(ApiEdge, OddBodiesAreRefusedWithTheirPlaceOrField) {
  struct odd_body {
    std::string body;
    unsigned status;
    std::string says;
  };
  const std::vector<odd_body> cases{
    {"{\"planId\":", 400, "line 1"},
    {"{\"a\":1,}", 400, "column"},
    {"{\n\"a\":1,\n\"a\":2}", 400, "line 3"},
    {"{\"userId\":NaN}", 400, "line 1"},
    {"{\"userId\":1e400}", 400, "line 1"},
    {"{\"hostname\":\"\\ud800\"}", 400, "line 1"},
    {"{\"hostname\":\"\\u0000\"}", 400, "line 1"},
    {"\xEF\xBB\xBF{}", 400, "line 1"},
    {std::string("\xFF\xFE{\0}\0", 6), 400, "line 1"},
    {std::string(10'000, '['), 400, "line 1"},
    {"", 400, "line 1"},
    {"[]", 422, "object"},
    {"\"text\"", 422, "object"},
    {"{}", 422, "planId"},
    {R"({"planId":"small","region":"north","userId":1,"planID":"x"})", 422, "planID"},
    {R"({"planId":7,"region":"north","userId":1})", 422, "planId"},
    {R"({"planId":"small","region":"north","userId":1.5})", 422, "userId"},
    {R"({"planId":"small","region":"north","userId":18446744073709551615})", 422, "userId"},
    {R"({"planId":"small","region":"north","userId":"1"})", 422, "userId"},
    {R"({"planId":"small","region":"north","userId":1,"hostname":""})", 422, "hostname"},
    {R"({"planId":"small","region":"north","userId":1,"hostname":null})", 422, "hostname"},
    {R"({"planId":"small","region":"north","userId":1,"sshKeys":"ssh-ed25519 AAAA"})", 422, "sshKeys"},
    {"{\"planId\":\"" + std::string(300 * 1024, 'x') + "\"}", 413, ""}};
  for (const auto& each : cases) {
    const auto answer = engine.call("POST", "/v1/servers", each.body, {{"Content-Type", "application/json"}});
    EXPECT_EQ(answer.status, each.status) << each.body.substr(0, 80) << " " << answer.body;
    EXPECT_THAT(answer.body, HasSubstr(each.says)) << each.body.substr(0, 80);
    EXPECT_EQ(answer.header("Content-Type"), "application/problem+json");
  }
  EXPECT_EQ(engine.call("GET", "/healthz").status, 200u);
}

TEST_F(ApiEdge, MediaTypesAndMethodsAreHeldToTheRoute) {
  EXPECT_EQ(engine.call("POST", "/v1/servers", small, {{"Content-Type", "text/plain"}}).status, 415u);
  EXPECT_EQ(
    engine.call("POST", "/v1/servers", small, {{"Content-Type", "application/json; charset=utf-16"}}).status,
    415u);
  EXPECT_EQ(engine.call("GET", "/v1/servers", {}, {{"Accept", "text/html"}}).status, 406u);
  EXPECT_EQ(engine.call("GET", "/v1/servers", {}, {{"Accept", "text/html, */*;q=0.1"}}).status, 200u);
  const auto wrong = engine.call("PATCH", "/v1/servers/1", "{}");
  EXPECT_EQ(wrong.status, 405u);
  EXPECT_EQ(wrong.header("Allow"), "GET, HEAD, DELETE");
  EXPECT_EQ(wrong.at("/code").as_string(), "method_not_allowed");
  for (const auto* path : {"/v1/servers/", "/v1", "/", "/v1/servers/1/unknown", "//v1/servers"})
    EXPECT_EQ(engine.call("GET", path).status, 404u) << path;
  const auto head = engine.call("HEAD", "/v1/servers");
  EXPECT_EQ(head.status, 200u);
  EXPECT_TRUE(head.body.empty());
  EXPECT_NE(head.header("Content-Length"), "0");
}

TEST_F(ApiEdge, AnIdempotencyKeyHasOneToTwoHundredFiftyFiveCharacters) {
  for (const auto& key :
       {std::string{}, std::string(256, 'k'), std::string{"sch\xC3\xB6n"}, std::string{"\xFF"}})
    EXPECT_EQ(engine.call("POST", "/v1/servers", small, {{"Idempotency-Key", key}}).status, 400u) << key;
  EXPECT_EQ(
    engine.call("POST", "/v1/servers", small, {{"Idempotency-Key", "a"}, {"Idempotency-Key", "b"}}).status,
    400u);
  EXPECT_EQ(engine.call("POST", "/v1/servers", small, {{"Idempotency-Key", std::string(255, 'k')}}).status,
            201u);
}

TEST_F(ApiEdge, EveryAnswerHasARequestIdAndProblemsRepeatIt) {
  const auto refused = engine.call("GET", "/v1/servers/999", {}, {{"X-Request-Id", "panel-7"}});
  EXPECT_EQ(refused.header("X-Request-Id"), "panel-7");
  EXPECT_EQ(refused.at("/requestId").as_string(), "panel-7");
  EXPECT_NE(engine.call("GET", "/healthz").header("X-Request-Id"), "");
}

TEST_F(ApiEdge, WhatCouldSmuggleARequestIsRefusedAndDoesNothing) {
  const std::string body = R"({"planId":"small","region":"north","userId":1})";
  const auto head = "POST /v1/servers HTTP/1.1\r\nHost: engine\r\nAuthorization: Bearer " +
                    engine.operator_key + "\r\nContent-Type: application/json\r\n";
  const auto length = std::to_string(body.size());
  const std::vector<std::string> smuggled{
    head + "Content-Length: " + length + "\r\nContent-Length: 0\r\n\r\n" + body,
    head + "Content-Length: " + length + ", " + length + "1\r\n\r\n" + body,
    head + "Content-Length: " + length + "\r\nTransfer-Encoding: chunked\r\n\r\n" + body,
    head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + body,
    head + "Transfer-Encoding: gzip, chunked\r\n\r\n" + body,
    head + "Content-Length : " + length + "\r\n\r\n" + body,
    head + "X-Folded: a\r\n b\r\nContent-Length: " + length + "\r\n\r\n" + body,
    head + "Content-Length: +" + length + "\r\n\r\n" + body,
    head + "Host: other\r\nContent-Length: " + length + "\r\n\r\n" + body,
    "POST /v1/servers HTTP/1.1\nHost: engine\nAuthorization: Bearer " + engine.operator_key +
      "\nContent-Type: application/json\nContent-Length: " + length + "\n\n" + body};
  for (const auto& text : smuggled) {
    test::raw_connection connection{engine.rig.runtime.loop(), engine.endpoint};
    // What stands behind must not be taken for a request of its own.
    connection.send(text + "GET /healthz HTTP/1.1\r\nHost: engine\r\n\r\n");
    auto answered = connection.answer();
    ASSERT_TRUE(answered) << text;
    const test::api_answer answer{std::move(*answered)};
    EXPECT_EQ(answer.status, 400u) << text;
    EXPECT_EQ(answer.header("Content-Type"), "application/problem+json");
    EXPECT_EQ(answer.at("/code").as_string(), "invalid_request");
    EXPECT_TRUE(connection.wait_closed());
    EXPECT_EQ(connection.received(), "") << text;
  }
  EXPECT_EQ(test::run_sql(database.url(), "SELECT count(*) FROM servers"), "0");
}

TEST_F(ApiEdge, WhatTheServerRefusesIsAProblemToo) {
  test::raw_connection connection{engine.rig.runtime.loop(), engine.endpoint};
  connection.send("GET / HTTP/1.1\r\n\r\n");
  auto answered = connection.answer();
  ASSERT_TRUE(answered);
  const test::api_answer answer{std::move(*answered)};
  EXPECT_EQ(answer.status, 400u);
  EXPECT_EQ(answer.at("/code").as_string(), "invalid_request");
}

TEST_F(ApiEdge, TextsComeBackAsTheyWere) {
  const std::string reference = R"('; DROP TABLE servers; -- <script>alert(1)</script> \\ \" ü)";
  const auto created =
    engine.call("POST", "/v1/servers",
                R"({"planId":"small","region":"north","userId":1,"externalReference":")" + reference + "\"}");
  ASSERT_EQ(created.status, 201u) << created.body;
  EXPECT_EQ(created.at("/externalReference").as_string(),
            R"('; DROP TABLE servers; -- <script>alert(1)</script> \ " ü)");
  for (const auto* escape : {R"(\u001b[31m)", R"(a\r\nSet-Cookie: b)", R"(\u0085)"})
    EXPECT_EQ(engine
                .call("POST", "/v1/servers",
                      R"({"planId":"small","region":"north","userId":1,"externalReference":")" +
                        std::string{escape} + "\"}")
                .status,
              422u);
}

TEST_F(ApiEdge, ProbesSayWhatIsWrong) {
  const auto health = engine.call_as("", "GET", "/healthz");
  EXPECT_EQ(health.status, 200u);
  EXPECT_TRUE(health.at("/businessTime").is_null());
  const auto ready = engine.call_as("", "GET", "/readyz");
  EXPECT_EQ(ready.status, 200u);
  EXPECT_EQ(ready.at("/status").as_string(), "ready");
  engine.edge.set_gateway({});
  const auto degraded = engine.call_as("", "GET", "/readyz");
  EXPECT_EQ(degraded.status, 200u);
  EXPECT_EQ(degraded.at("/status").as_string(), "degraded");
  EXPECT_EQ(degraded.at("/failing/0/check").as_string(), "virtfusion");
}

TEST_F(ApiEdge, WithoutTheActorBehindItARequestIsShed) {
  engine.edge.set_provisioner({});
  const auto shed = engine.call("POST", "/v1/servers", small, {{"Idempotency-Key", "shed"}});
  EXPECT_EQ(shed.status, 503u);
  EXPECT_EQ(shed.at("/code").as_string(), "overloaded");
  EXPECT_EQ(shed.header("Retry-After"), "1");
  engine.edge.set_provisioner(engine.rig.provisioner);
  EXPECT_EQ(engine.call("POST", "/v1/servers", small, {{"Idempotency-Key", "shed"}}).status, 201u);
}

TEST_F(ApiEdge, MetricsCountByRoutePattern) {
  engine.make_server();
  engine.call("GET", "/v1/servers/1");
  engine.call("GET", "/v1/servers/2");
  engine.call("GET", "/nowhere/at/all");
  const auto metrics = engine.call_as("", "GET", "/metrics");
  EXPECT_EQ(metrics.status, 200u);
  EXPECT_THAT(
    metrics.body,
    HasSubstr(R"(skyengine_http_requests_total{method="GET",route="/v1/servers/{id}",status="200"} 1)"));
  EXPECT_THAT(
    metrics.body,
    HasSubstr(R"(skyengine_http_requests_total{method="GET",route="/v1/servers/{id}",status="404"} 1)"));
  EXPECT_THAT(metrics.body, HasSubstr(R"(route="none",status="404"} 1)"));
  EXPECT_THAT(metrics.body, HasSubstr(R"(skyengine_servers{state="active"} 1)"));
  EXPECT_THAT(metrics.body, HasSubstr(R"(skyengine_provisioning_total{outcome="succeeded"} 1)"));
  EXPECT_THAT(metrics.body,
              HasSubstr(R"(skyengine_virtfusion_requests_total{operation="POST /servers",outcome="ok"} 1)"));
  EXPECT_THAT(metrics.body, HasSubstr("skyengine_http_request_duration_seconds_bucket"));
  EXPECT_THAT(metrics.body, HasSubstr("\nprocess_resident_memory_bytes "));
  EXPECT_THAT(metrics.body, testing::Not(HasSubstr("/v1/servers/1")));
}

/// Ends on any number but 0.
caf::behavior fragile(caf::event_based_actor* self) {
  return {[self](int n) {
    if (n != 0)
      self->quit(caf::exit_reason::kill);
  }};
}

TEST_F(ApiEdge, MetricsTellOfActorsAndStatements) {
  auto& runtime = engine.rig.runtime;
  std::vector<caf::actor> started;
  actors::child_spec child{"fragile", [&] {
                             started.push_back(runtime.system().spawn(fragile));
                             return caf::actor_cast<caf::strong_actor_ptr>(started.back());
                           }};
  auto supervisor = actors::spawn_supervisor(runtime.system(), runtime.timers(), {child}, {}, {});
  engine.edge.set_supervisor(supervisor);
  ASSERT_TRUE(test::run_until(runtime.loop(), [&] { return started.size() == 1; }));
  caf::anon_send(started.back(), 1);
  ASSERT_TRUE(test::run_until(runtime.loop(), [&] { return started.size() == 2; }));
  engine.make_server();

  const auto metrics = engine.call_as("", "GET", "/metrics");
  EXPECT_THAT(metrics.body, HasSubstr("skyengine_actor_restarts_total{actor=\"fragile\"} 1\n"));
  for (const auto* actor : {"server_provisioner", "virtfusion_gateway", "supervisor"}) {
    const auto label = "{actor=\"" + std::string{actor} + "\"";
    EXPECT_THAT(metrics.body, HasSubstr("skyengine_actor_mailbox_depth" + label + "} 0\n"));
    EXPECT_THAT(metrics.body,
                HasSubstr("skyengine_actor_handling_seconds_bucket" + label + ",le=\"1e-05\"}"));
    EXPECT_THAT(metrics.body, HasSubstr("skyengine_deadline_dropped_total" + label + "} 0\n"));
  }
  EXPECT_THAT(metrics.body, HasSubstr("skyengine_db_query_duration_seconds_bucket{le=\"0.001\"}"));
  EXPECT_THAT(metrics.body, testing::Not(HasSubstr("skyengine_db_query_duration_seconds_count 0\n")));

  static_cast<void>(
    test::run(runtime.loop(), runtime.asker().ask<void>(supervisor, 10s, actors::stop_children{})));
  engine.edge.set_supervisor({});
  caf::anon_send_exit(supervisor, caf::exit_reason::user_shutdown);
}

TEST_F(ApiEdge, EveryMetricIsDocumented) {
  engine.make_server();
  std::ifstream file{SKYENGINE_METRICS_DOCUMENT};
  const std::string document{std::istreambuf_iterator<char>{file}, {}};
  const auto metrics = engine.call_as("", "GET", "/metrics");
  constexpr std::string_view help = "# HELP ";
  std::istringstream lines{metrics.body};
  auto families = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(help))
      continue;
    const auto name = line.substr(help.size(), line.find(' ', help.size()) - help.size());
    EXPECT_THAT(document, HasSubstr("`" + name));
    ++families;
  }
  EXPECT_GT(families, 15);
}

// -- what every answer carries ---------------------------------------------------------

TEST_F(ApiEdge, ASaneRequestIdIsTakenAndAnyOtherIsReplaced) {
  for (const auto* sane : {"a", "panel-7_x.y"})
    EXPECT_EQ(engine.call("GET", "/v1/plans", {}, {{"X-Request-Id", sane}}).header("X-Request-Id"), sane);
  for (const std::string& other : {std::string(300, 'x'), std::string{"a b"}, std::string{"sch\xC3\xB6n"}}) {
    const auto made = engine.call("GET", "/v1/plans", {}, {{"X-Request-Id", other}}).header("X-Request-Id");
    EXPECT_NE(made, "");
    EXPECT_NE(made, other);
  }
  for (const auto* path : {"/healthz", "/readyz", "/metrics", "/openapi.yaml", "/docs", "/nowhere"})
    EXPECT_NE(engine.call_as("", "GET", path).header("X-Request-Id"), "") << path;
}

TEST_F(ApiEdge, AUsersKeySeesItsAllowanceInEveryAnswer) {
  const auto path = "/v1/servers/" + std::to_string(engine.make_server());
  for (const auto& [method, target] :
       std::vector<std::pair<std::string, std::string>>{{"GET", path},
                                                        {"GET", "/v1/servers/999"},
                                                        {"GET", "/v1/users"},
                                                        {"GET", "/nowhere"},
                                                        {"PATCH", path},
                                                        {"DELETE", path}}) {
    const auto answer = engine.call_as(engine.user_1_key, method, target);
    EXPECT_EQ(answer.header("RateLimit-Policy"), "\"key\";q=200;w=2") << method << " " << target;
    EXPECT_THAT(answer.header("RateLimit"), testing::StartsWith("\"key\";r=")) << method << " " << target;
  }
  for (const auto* key : {"", "sky_unknown"})
    EXPECT_EQ(engine.call_as(key, "GET", path).header("RateLimit"), "");
}

TEST_F(ApiEdge, ACursorIsBase64UrlWithoutPaddingAndChecked) {
  engine.make_server();
  engine.make_server();
  const std::string cursor{engine.call("GET", "/v1/servers?limit=1").at("/nextCursor").as_string()};
  EXPECT_EQ(cursor.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            std::string::npos);
  EXPECT_EQ(engine.call("GET", "/v1/servers?cursor=" + cursor).status, 200u);
  for (std::size_t i = 0; i < cursor.size(); ++i) {
    auto forged = cursor;
    forged[i] = forged[i] == 'A' ? 'B' : 'A';
    EXPECT_EQ(engine.call("GET", "/v1/servers?cursor=" + forged).status, 400u) << i;
  }
  EXPECT_EQ(engine.call("GET", "/v1/servers?cursor=" + cursor + "=").status, 400u);
  EXPECT_EQ(engine.call("GET", "/v1/regions?cursor=" + cursor).status, 400u);
}

TEST_F(ApiEdge, TheContractAndItsPageAreServed) {
  const auto contract = engine.call_as("", "GET", "/openapi.yaml");
  EXPECT_EQ(contract.header("Content-Type"), "application/yaml");
  EXPECT_THAT(contract.body, HasSubstr("operationId: createServer"));
  const auto page = engine.call_as("", "GET", "/docs");
  EXPECT_EQ(page.status, 200u);
  EXPECT_THAT(page.header("Content-Security-Policy"), HasSubstr("default-src 'none'"));
  EXPECT_THAT(page.body, HasSubstr("<code>POST /v1/servers</code>"));
  EXPECT_THAT(page.body, HasSubstr("id=\"not_found\""));
  // Nothing is fetched from anywhere, not even by a link's preview.
  for (const auto* outside : {"http://", "https://", "src=", "@import", "url(", "<script", "<link", "<img"})
    EXPECT_THAT(page.body, testing::Not(HasSubstr(outside)));
}

class ApiEdgeLimits : public testing::Test {
protected:
  test::test_database database;
  test::simulated_panel panel{{"--build-time", "0"}};
};

TEST_F(ApiEdgeLimits, AUsersKeyHasItsRateAndAnOperatorsHasNone) {
  test::engine engine{database, panel, {.keys = {1, 3}}};
  std::vector<unsigned> statuses(4);
  for (auto& status : statuses)
    status = engine.call_as(engine.user_1_key, "GET", "/v1/plans").status;
  EXPECT_THAT(statuses, testing::ElementsAre(200u, 200u, 200u, 429u));
  const auto limited = engine.call_as(engine.user_1_key, "GET", "/nowhere");
  EXPECT_EQ(limited.status, 429u);
  EXPECT_EQ(limited.header("Retry-After"), "1");
  EXPECT_EQ(limited.header("RateLimit-Policy"), "\"key\";q=3;w=3");
  EXPECT_THAT(limited.header("RateLimit"), HasSubstr("r=0"));
  EXPECT_EQ(engine.call_as(engine.user_2_key, "GET", "/v1/plans").status, 200u);
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(engine.call("GET", "/v1/plans").status, 200u);
  EXPECT_EQ(engine.call("GET", "/v1/plans").header("RateLimit"), "");
}

TEST_F(ApiEdgeLimits, StreamsAndQuestionsAreBounded) {
  test::engine engine{database, panel, {.patience = 3s, .most_questions = 1, .most_streams = 1}};
  const auto path = "/v1/servers/" + std::to_string(engine.make_server()) + "/events";
  auto first = engine.begin(engine.operator_key, "GET", path, {}, {{"Accept", "text/event-stream"}});
  ASSERT_TRUE(first.wait_for("event: "));
  EXPECT_EQ(engine.call("GET", path, {}, {{"Accept", "text/event-stream"}}).status, 503u);
  first.close();
  EXPECT_TRUE(test::run_until(engine.rig.runtime.loop(), [&] {
    auto again = engine.begin(engine.operator_key, "GET", path, {}, {{"Accept", "text/event-stream"}});
    return again.wait_for("HTTP/1.1 200");
  }));

  panel.add_fault({{"operation", "POST /servers"}, {"kind", "delay"}, {"delayMs", 1'000}, {"count", 1}});
  auto slow = engine.begin(engine.operator_key, "POST", "/v1/servers", small);
  test::run_until(engine.rig.runtime.loop(),
                  [&] { return panel.requests().at("inFlight").to_number<int>() > 0; });
  const auto shed = engine.call("POST", "/v1/servers", small);
  EXPECT_EQ(shed.status, 503u);
  EXPECT_EQ(shed.at("/code").as_string(), "overloaded");
  EXPECT_EQ(slow.answer()->status, 201u);
}

TEST_F(ApiEdgeLimits, BusinessTimeIsShownWhenItRunsFaster) {
  test::engine engine{database, panel, {.clock_rate = 60}};
  EXPECT_TRUE(engine.call_as("", "GET", "/healthz").at("/businessTime").is_string());
}

TEST_F(ApiEdgeLimits, WithoutItsDatabaseTheEngineSaysSo) {
  test::engine engine{database, panel};
  engine.call("GET", "/v1/servers");
  test::run(engine.rig.runtime.loop(), engine.rig.db.close(1s));
  const auto away = engine.call("GET", "/v1/servers");
  EXPECT_EQ(away.status, 503u);
  EXPECT_EQ(away.at("/code").as_string(), "database_unavailable");
  EXPECT_NE(away.header("Retry-After"), "");
  EXPECT_EQ(engine.call("GET", "/readyz").at("/failing/0/check").as_string(), "database");
}

} // namespace
} // namespace skyengine::net::api
