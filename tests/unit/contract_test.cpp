#include "tests/support/contract.hpp"

#include <gtest/gtest.h>

namespace skyengine::test {
namespace {

using complaints = std::vector<std::string>;

struct request_case {
  const char* name;
  const char* method;
  const char* target;
  const char* body;
  complaints wrong;
};

class ContractRequest : public testing::TestWithParam<request_case> {};

TEST_P(ContractRequest, IsHeldAgainstItsOperation) {
  const auto& c = GetParam();
  EXPECT_EQ(contract::virtfusion().check_request(c.method, c.target, c.body), c.wrong);
}

INSTANTIATE_TEST_SUITE_P(
  VirtFusion,
  ContractRequest,
  testing::Values(
    request_case{
      "good", "POST", "/servers?dryRun=true", R"({"packageId":1,"userId":2,"hypervisorId":3})", {}},
    request_case{"good_without_body", "POST", "/servers/7/power/boot", "", {}},
    request_case{"unknown_path", "GET", "/server/1", "", {"GET /server/1 is no operation"}},
    request_case{"unknown_method", "DELETE", "/connect", "", {"DELETE /connect is no operation"}},
    request_case{
      "text_for_an_id", "GET", "/servers/x", "", {"serverId in path is string and should be integer"}},
    request_case{"unknown_query", "GET", "/servers?limit=5", "", {"limit in query is unknown"}},
    request_case{
      "page_too_large", "GET", "/servers?results=201", "", {"results in query is 201, out of range"}},
    request_case{"flag_is_a_text",
                 "GET",
                 "/servers/1?remoteState=yes",
                 "",
                 {"remoteState in query is string and should be boolean"}},
    request_case{
      "missing_field", "POST", "/servers", R"({"packageId":1,"userId":2})", {"body.hypervisorId is missing"}},
    request_case{"unknown_field",
                 "POST",
                 "/servers",
                 R"({"packageId":1,"userId":2,"hypervisorId":3,"name":"x"})",
                 {"body.name is unknown"}},
    request_case{"wrong_type",
                 "POST",
                 "/servers",
                 R"({"packageId":"1","userId":2,"hypervisorId":3})",
                 {"body.packageId is string and should be integer"}},
    request_case{"wrong_item",
                 "POST",
                 "/servers/1/build",
                 R"({"operatingSystemId":1,"sshKeys":["a"]})",
                 {"body.sshKeys[0] is string and should be integer"}},
    request_case{"wrong_choice",
                 "POST",
                 "/servers/1/vnc",
                 R"({"action":"open"})",
                 {R"(body.action is "open", which is none of ["enable","disable"])"}},
    request_case{"body_where_none_is", "POST", "/servers/1/suspend", "{}", {"there should be no body"}}),
  [](const auto& test) { return std::string{test.param.name}; });

TEST(ContractAnswer, TakesOneOfItsAlternatives) {
  const auto& rules = contract::virtfusion();
  EXPECT_EQ(rules.check_answer("POST", "/servers", 422, R"({"errors":["no room"]})"), complaints{});
  EXPECT_EQ(rules.check_answer("POST", "/servers", 422, R"({"errors":{"userId":["is wrong"]}})"),
            complaints{});
  EXPECT_EQ(rules.check_answer("POST", "/servers", 422, R"({"errors":7})"),
            (complaints{"body.errors is integer and should be array",
                        "body.errors is integer and should be object"}));
}

TEST(ContractAnswer, HoldsEveryPartOfAPage) {
  const auto& rules = contract::virtfusion();
  const auto page = [](const char* item) {
    return std::string{R"({"current_page":1,"last_page":1,"data":[)"} + item + "]}";
  };
  EXPECT_EQ(rules.check_answer("GET", "/compute/hypervisors/groups", 200, page(R"({"id":1,"name":"a"})")),
            complaints{});
  EXPECT_EQ(rules.check_answer("GET", "/compute/hypervisors/groups", 200, page(R"({"id":1})")),
            complaints{"body.data[0].name is missing"});
  EXPECT_EQ(rules.check_answer("GET", "/compute/hypervisors/groups", 200, R"({"data":[]})"),
            (complaints{"body.current_page is missing", "body.last_page is missing"}));
}

TEST(ContractAnswer, KnowsWhatMayBeNull) {
  const auto& rules = contract::virtfusion();
  EXPECT_EQ(rules.check_answer("POST", "/servers/1/power/boot", 200, R"({"data":{"queueId":null}})"),
            complaints{});
  EXPECT_EQ(rules.check_answer("GET", "/ssh_keys/1", 200, R"({"data":{"id":1,"name":null,"publicKey":"k"}})"),
            complaints{"body.data.name is null and should be string"});
}

TEST(ContractAnswer, RefusesAStatusThatIsNotWrittenDown) {
  EXPECT_EQ(contract::virtfusion().check_answer("GET", "/connect", 418, ""),
            complaints{"GET /connect does not answer 418"});
}

} // namespace
} // namespace skyengine::test
