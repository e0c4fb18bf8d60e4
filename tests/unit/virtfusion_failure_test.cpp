#include "net/virtfusion/failure.hpp"

#include <gtest/gtest.h>

#include <string>

namespace skyengine::net::virtfusion {
namespace {

using namespace std::chrono_literals;
using kind = call_failure::kind;

struct kind_case {
  const char* name;
  operation op;
  unsigned status;
  const char* body;
  kind expected;
  errc code;
};
class FailureKind : public testing::TestWithParam<kind_case> {};
TEST_P(FailureKind, FollowsStatusAndWords) {
  const auto& c = GetParam();
  const auto failure = failure_of(c.op, {c.status, c.body, 3s});
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->what, c.expected);
  EXPECT_EQ(failure->status, c.status);
  EXPECT_EQ(failure->retry_after, 3s);
  EXPECT_EQ(failure->as_error().code, c.code);
}
INSTANTIATE_TEST_SUITE_P(
  Answers,
  FailureKind,
  testing::Values(
    kind_case{"server_gone", operation::get_server, 404, R"({"msg": "server not found"})",
              kind::not_found_server, errc::virtfusion_rejected},
    kind_case{"server_gone_in_capitals", operation::delete_server, 404, R"({"message": "Server Not Found"})",
              kind::not_found_server, errc::virtfusion_rejected},
    kind_case{"page_of_a_proxy", operation::get_server, 404, "<h1>Server not found</h1>", kind::refused,
              errc::virtfusion_unavailable},
    kind_case{"nothing_of_a_proxy", operation::create_server, 404, "", kind::refused,
              errc::virtfusion_unavailable},
    kind_case{"no_virtfusion_there", operation::connect, 404, R"({"message": "Not found."})", kind::refused,
              errc::virtfusion_unavailable},
    kind_case{"wrong_path", operation::get_server, 404, R"({"message": "The route could not be found."})",
              kind::rejected, errc::virtfusion_rejected},
    kind_case{"user_unknown", operation::find_user, 404, R"({"msg": "ext_relation_id not found"})",
              kind::not_found_user, errc::virtfusion_rejected},
    kind_case{"user_or_path", operation::find_user, 404, R"({"msg": "not found"})", kind::rejected,
              errc::virtfusion_rejected},
    kind_case{"no_server_where_a_user_was_asked_for", operation::find_user, 404,
              R"({"msg": "server not found"})", kind::rejected, errc::virtfusion_rejected},
    kind_case{"bad_token", operation::connect, 401, "401 Unauthorized", kind::unauthorized,
              errc::virtfusion_unavailable},
    kind_case{"no_permission", operation::list_groups, 403, "", kind::forbidden, errc::virtfusion_rejected},
    kind_case{"wrong_state", operation::suspend_server, 409, "", kind::conflict, errc::virtfusion_rejected},
    kind_case{"task_running", operation::suspend_server, 423, "", kind::busy, errc::virtfusion_busy},
    kind_case{"rate_limit", operation::create_server, 429, "", kind::refused, errc::virtfusion_unavailable},
    kind_case{"maintenance", operation::create_server, 503, "", kind::refused, errc::virtfusion_unavailable},
    kind_case{"validation", operation::create_server, 422, R"({"errors": ["bad"]})", kind::rejected,
              errc::virtfusion_rejected},
    kind_case{"full", operation::create_server, 422, R"({"errors": ["No hypervisor with enough resources"]})",
              kind::rejected, errc::capacity_exhausted},
    kind_case{"crash", operation::create_server, 500, "", kind::unknown, errc::virtfusion_unavailable},
    kind_case{"bad_gateway", operation::create_server, 502, "", kind::unknown, errc::virtfusion_unavailable},
    kind_case{"gateway_timeout", operation::create_server, 504, "", kind::unknown,
              errc::virtfusion_unavailable},
    kind_case{"redirect", operation::create_server, 302, "", kind::unknown, errc::virtfusion_unavailable}),
  [](const auto& test) { return std::string{test.param.name}; });

TEST(FailureOf, ShowsNobodyThePageOfAProxy) {
  const auto failure = failure_of(operation::create_server, {400, "<html>bad request</html>", {}});
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->text, "<html>bad request</html>");
  EXPECT_EQ(failure->as_error().detail, "VirtFusion refused (status 400).");
}

TEST(FailureOf, FindsNoneInASuccess) {
  EXPECT_FALSE(failure_of(operation::suspend_server, {204, "", {}}).has_value());
  EXPECT_FALSE(failure_of(operation::create_server, {201, "nonsense", {}}).has_value());
}

struct text_case {
  const char* name;
  const char* body;
  const char* text;
};
class FailureText : public testing::TestWithParam<text_case> {};
TEST_P(FailureText, IsTheFirstThatSaysSomething) {
  EXPECT_EQ(text_of(GetParam().body), GetParam().text);
}
INSTANTIATE_TEST_SUITE_P(
  Bodies,
  FailureText,
  testing::Values(text_case{"list", R"({"errors": ["one", "two"], "msg": "three"})", "one; two"},
                  text_case{"by_field", R"({"errors": {"email": ["taken", "odd"], "name": ["short"]}})",
                            "email: taken; odd; name: short"},
                  text_case{"empty_errors", R"({"errors": [], "msg": "three"})", "three"},
                  text_case{"null_errors", R"({"errors": null, "message": "four"})", "four"},
                  text_case{"msg_before_message", R"({"message": "b", "msg": "a"})", "a"},
                  text_case{"error", R"({"error": "no"})", "no"},
                  text_case{"nested_error", R"({"error": {"code": 12, "detail": "no"}})",
                            "code: 12; detail: no"},
                  text_case{"plain", "401 Unauthorized", "401 Unauthorized"},
                  text_case{"html", "<html>\n  <h1>502</h1>\r\n</html>", "<html> <h1>502</h1> </html>"},
                  text_case{"nothing", "", ""},
                  text_case{"other_json", R"({"x": 1})", R"({"x": 1})"}),
  [](const auto& test) { return std::string{test.param.name}; });

TEST(Cleaned, CutsAtCharactersAndNotAtBytes) {
  std::string long_text;
  for (int i = 0; i < 600; ++i)
    long_text += "\u20ac";
  const auto cut = cleaned(long_text);
  EXPECT_EQ(cut.size(), 1'500U);
  EXPECT_EQ(cleaned("abcdef", 3), "abc");
  EXPECT_EQ(cleaned("ab  cd", 3), "ab");
}

TEST(Cleaned, HasNoControlCharactersAndNoBrokenUtf8) {
  EXPECT_EQ(cleaned("a\x1b[31mb\n\t c\x7f"), "a [31mb c");
  EXPECT_EQ(cleaned("\xc2\x9b"
                    "31mx"),
            "31mx");
  EXPECT_EQ(cleaned("a\xff\xc3(\xe2\x82"), "a?"
                                           "?(?"
                                           "?");
  EXPECT_EQ(cleaned(std::string_view{"a\0b", 3}), "a b");
}

class SecretText : public testing::TestWithParam<const char*> {};
TEST_P(SecretText, ShowsNoSecret) {
  EXPECT_EQ(cleaned(GetParam()).find("s3cr3t"), std::string::npos) << cleaned(GetParam());
}
INSTANTIATE_TEST_SUITE_P(Texts,
                         SecretText,
                         testing::Values(R"({"decryptedPassword": "s3cr3t", "id": 1})",
                                         R"({"data":{"expectedPassword":"s3cr3t"}})",
                                         R"({\"password\":\"s3cr3t\"})",
                                         "password=s3cr3t&user=x",
                                         "PASSWORD: s3cr3t",
                                         "{\"password\":\n   \"s3cr3t\"\n}",
                                         "password\n=\ns3cr3t",
                                         "Authorization: Bearer s3cr3t",
                                         "the header 'authorization' => 'Bearer s3cr3t' is wrong",
                                         "Bearer s3cr3t",
                                         "api_token : s3cr3t",
                                         R"({"encryptedPassword": "s3 s3cr3t"})"));

TEST(Cleaned, LeavesSentencesAboutPasswordsAlone) {
  EXPECT_EQ(cleaned("The password is too short."), "The password is too short.");
}

TEST(RetryAfter, IsSecondsOrADate) {
  const auto now = *parse_http_date("Sun, 06 Nov 1994 08:49:30 GMT");
  EXPECT_EQ(parse_retry_after("7", now), 7s);
  EXPECT_EQ(parse_retry_after(" 7 ", now), 7s);
  EXPECT_EQ(parse_retry_after("0", now), 0s);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), 7s);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:00 GMT", now), 0s);
}

TEST(RetryAfter, IsAtMostAnHour) {
  const auto now = *parse_http_date("Sun, 06 Nov 1994 08:49:30 GMT");
  EXPECT_EQ(parse_retry_after("86400", now), 1h);
  EXPECT_EQ(parse_retry_after("99999999999999999999999", now), 1h);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 2094 08:49:30 GMT", now), 1h);
}

TEST(RetryAfter, IsNothingWhenItSaysNothing) {
  const auto now = std::chrono::sys_seconds{};
  for (const auto* const text :
       {"", "soon", "-1", "1.5", "Sun, 32 Nov 1994 08:49:30 GMT", "Sun, 06 Nov 1994 08:49:30"})
    EXPECT_FALSE(parse_retry_after(text, now).has_value()) << text;
}

TEST(CallFailure, SaysWhyInItsError) {
  const call_failure failure{kind::rejected, 422, "email: taken"};
  EXPECT_EQ(failure.as_error().detail, "VirtFusion refused: email: taken");
  const call_failure wordless{kind::rejected, 418, ""};
  EXPECT_EQ(wordless.as_error().detail, "VirtFusion refused (status 418).");
}

TEST(Operations, RepeatNothingThatMakesOrBuilds) {
  for (const auto op : {operation::create_server, operation::build_server, operation::create_user,
                        operation::add_ssh_key, operation::restart_server})
    EXPECT_FALSE(traits_of(op).is_safe_to_repeat) << traits_of(op).name;
  for (const auto& traits : all_operations)
    if (traits.method() == "GET") {
      EXPECT_TRUE(traits.is_safe_to_repeat) << traits.name;
    }
}

TEST(Operations, GiveACreateItsTimeAndAFreshConnection) {
  EXPECT_EQ(traits_of(operation::create_server).timeout, 60s);
  EXPECT_EQ(traits_of(operation::create_server).freshness, 2s);
  EXPECT_EQ(traits_of(operation::build_server).timeout, 15s);
  EXPECT_EQ(traits_of(operation::build_server).freshness, 2s);
  EXPECT_FALSE(traits_of(operation::get_server).freshness.has_value());
}

TEST(Operations, KnowMethodAndPath) {
  EXPECT_EQ(traits_of(operation::dry_run_server).method(), "POST");
  EXPECT_EQ(traits_of(operation::dry_run_server).path(), "/servers");
  EXPECT_EQ(traits_of(operation::build_server).path(), "/servers/{serverId}/build");
}

} // namespace
} // namespace skyengine::net::virtfusion
