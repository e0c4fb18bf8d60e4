#include "tests/support/engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skyengine::net::api {
namespace {

using testing::HasSubstr;

class ApiCatalogue : public testing::Test {
protected:
  test::test_database database;
  test::simulated_panel panel{{"--build-time", "0"}};
  test::engine engine{database, panel};
};

TEST_F(ApiCatalogue, APlanIsMadeChangedAndListed) {
  constexpr auto body =
    R"({"name":"Large","price":{"amount":"20.00","currency":"EUR"},"virtfusionPackageId":2})";
  const auto made = engine.call("PUT", "/v1/plans/large", body);
  ASSERT_EQ(made.status, 201u) << made.body;
  EXPECT_EQ(made.at("/price/amount").as_string(), "20.00");
  EXPECT_EQ(made.at("/hoursPerMonth").as_int64(), 730);
  EXPECT_EQ(made.at("/basis").as_string(), "allocated");
  EXPECT_EQ(engine.call("PUT", "/v1/plans/large", body).status, 200u);
  EXPECT_EQ(engine.call("GET", "/v1/plans/large").json(), made.json());
  EXPECT_EQ(engine.call("GET", "/v1/plans?limit=1").at("/items/0/id").as_string(), "large");
  const auto other =
    engine.call("PUT", "/v1/plans/large",
                R"({"name":"L","price":{"amount":"1","currency":"USD"},"virtfusionPackageId":2})");
  EXPECT_EQ(other.status, 409u);
  EXPECT_EQ(engine.call("PUT", "/v1/plans/Large", body).status, 422u);
}

TEST_F(ApiCatalogue, OddPricesAreRefusedWithTheReason) {
  for (const std::string amount : {"5.0000001", "-1", "1e3", "٥", "1000000000", "", " 5", "5.", "0x5"}) {
    const auto refused = engine.call("PUT", "/v1/plans/odd",
                                     R"({"name":"Odd","price":{"amount":")" + amount +
                                       R"(","currency":"USD"},"virtfusionPackageId":1})");
    EXPECT_EQ(refused.status, 422u) << amount;
    EXPECT_EQ(refused.at("/errors/0/field").as_string(), "price.amount") << amount;
  }
  EXPECT_EQ(
    engine
      .call("PUT", "/v1/plans/odd",
            R"({"name":"Odd","price":{"amount":5,"currency":"usd"},"virtfusionPackageId":1,"hoursPerMonth":0,
                        "basis":"x","granularity":"day","osTemplateIds":[0]})")
      .at("/errors")
      .as_array()
      .size(),
    6u);
}

TEST_F(ApiCatalogue, AnInactivePlanOrRegionIsNotSold) {
  engine.call(
    "PUT", "/v1/plans/old",
    R"({"name":"Old","price":{"amount":"5","currency":"USD"},"virtfusionPackageId":1,"active":false})");
  engine.call("PUT", "/v1/regions/west", R"({"name":"West","virtfusionHypervisorGroupId":1,"active":false})");
  const auto refused = engine.call("POST", "/v1/servers", R"({"planId":"old","region":"west","userId":1})");
  EXPECT_EQ(refused.status, 422u);
  EXPECT_EQ(refused.at("/errors").as_array().size(), 2u);
  EXPECT_THAT(refused.body, HasSubstr("not sold any more"));
}

TEST_F(ApiCatalogue, APlansTemplatesAreThoseThatCanBeOrdered) {
  engine.call(
    "PUT", "/v1/plans/fixed",
    R"({"name":"Fixed","price":{"amount":"5","currency":"USD"},"virtfusionPackageId":1,"osTemplateIds":[1]})");
  const auto order = R"({"planId":"fixed","region":"north","userId":1,"osTemplateId":2})";
  EXPECT_THAT(engine.call("POST", "/v1/servers", order).body, HasSubstr("osTemplateId"));
}

TEST_F(ApiCatalogue, AUserIsMadeAndCanOrder) {
  const auto made =
    engine.call("PUT", "/v1/users/42", R"({"name":"Ada","email":"ada@example.com","currency":"EUR"})");
  ASSERT_EQ(made.status, 201u) << made.body;
  EXPECT_EQ(made.at("/timezone").as_string(), "UTC");
  EXPECT_EQ(engine.call("GET", "/v1/users/42").json(), made.json());
  EXPECT_EQ(engine.call("GET", "/v1/users?limit=1").at("/items/0/id").as_int64(), 1);
  EXPECT_EQ(engine.make_server(R"({"planId":"small","region":"north","userId":42})"), 1);
  EXPECT_TRUE(engine.call("GET", "/v1/users/42").at("/virtfusionUserId").is_int64());
  const auto refused =
    engine.call("PUT", "/v1/users/43",
                R"({"name":"","email":"none","taxBasisPoints":10001,"locale":"-","timezone":"a b"})");
  EXPECT_EQ(refused.at("/errors").as_array().size(), 5u) << refused.body;
  EXPECT_EQ(engine.call("PUT", "/v1/users/0", R"({"name":"A","email":"a@b"})").status, 422u);
}

TEST_F(ApiCatalogue, AUsersSpendingLimitsAreSetShownAndTakenAway) {
  const std::string ada = R"({"name":"Ada","email":"ada@example.com","currency":"EUR")";
  const auto put = [&](const std::string& limits) {
    return engine.call("PUT", "/v1/users/42", ada + limits + "}");
  };
  const auto made = put(R"(,"spendingLimits":{"alertAt":{"amount":"50","currency":"EUR"}})");
  ASSERT_EQ(made.status, 201u) << made.body;
  EXPECT_EQ(made.at("/spendingLimits/alertAt/amount").as_string(), "50.00");
  EXPECT_TRUE(made.at("/spendingLimits/suspendAt").is_null());
  const auto both = put(
    R"(,"spendingLimits":{"alertAt":{"amount":"50","currency":"EUR"},"suspendAt":{"amount":"80.5","currency":"EUR"}})");
  EXPECT_EQ(both.status, 200u) << both.body;
  EXPECT_EQ(engine.call("GET", "/v1/users/42").at("/spendingLimits/suspendAt/amount").as_string(), "80.50");
  EXPECT_EQ(put("").at("/spendingLimits").as_object().size(), 0u);
}

TEST_F(ApiCatalogue, ALimitThatIsNoneIsRefusedWithItsField) {
  const auto field = [&](const std::string& limits) {
    const auto refused = engine.call(
      "PUT", "/v1/users/42", R"({"name":"Ada","email":"ada@example.com","spendingLimits":)" + limits + "}");
    EXPECT_EQ(refused.status, 422u) << limits;
    EXPECT_EQ(refused.at("/errors").as_array().size(), 1u) << refused.body;
    return std::string{refused.at("/errors/0/field").as_string()};
  };
  EXPECT_EQ(field("5"), "spendingLimits");
  EXPECT_EQ(field(R"({"alertAt":"5"})"), "spendingLimits.alertAt");
  EXPECT_EQ(field(R"({"alertAt":{"amount":"5"}})"), "spendingLimits.alertAt.currency");
  EXPECT_EQ(field(R"({"alertAt":{"amount":"0","currency":"USD"}})"), "spendingLimits.alertAt.amount");
  EXPECT_EQ(field(R"({"suspendAt":{"amount":"-1","currency":"USD"}})"), "spendingLimits.suspendAt.amount");
  EXPECT_EQ(field(R"({"suspendAt":{"amount":"5","currency":"EUR"}})"), "spendingLimits.suspendAt.currency");
  EXPECT_EQ(field(R"({"warnAt":{"amount":"5","currency":"USD"}})"), "spendingLimits.warnAt");
}

TEST_F(ApiCatalogue, AUsersTimeZoneIsOneThatTheSystemKnows) {
  const auto put = [&](const std::string& zone) {
    return engine.call("PUT", "/v1/users/42",
                       R"({"name":"Ada","email":"ada@example.com","timezone":")" + zone + "\"}");
  };
  for (const auto* known :
       {"UTC", "Etc/UTC", "Europe/Berlin", "Asia/Calcutta", "America/Argentina/Buenos_Aires"})
    EXPECT_LT(put(known).status, 300u) << known;
  for (const auto* unknown :
       {"Europe/Atlantis", "europe/berlin", "Europe", "posix/UTC", "right/UTC", "localtime", "Factory",
        "zone.tab", "../../etc/passwd", "/etc/localtime", "CET+2", "", "GMT+1"}) {
    const auto refused = put(unknown);
    EXPECT_EQ(refused.status, 422u) << unknown;
    EXPECT_EQ(refused.at("/errors/0/field").as_string(), "timezone") << unknown;
    EXPECT_EQ(refused.at("/errors").as_array().size(), 1u) << unknown;
  }
}

TEST_F(ApiCatalogue, ARegionIsMadeAndListed) {
  const auto made =
    engine.call("PUT", "/v1/regions/east", R"({"name":"East","virtfusionHypervisorGroupId":2})");
  ASSERT_EQ(made.status, 201u) << made.body;
  EXPECT_EQ(engine.call("GET", "/v1/regions/east").json(), made.json());
  EXPECT_EQ(engine.call("GET", "/v1/regions").at("/items").as_array().size(), 4u);
}

TEST_F(ApiCatalogue, AKeyIsShownOnceAndWorksUntilItIsRevoked) {
  constexpr auto body = R"({"userId":1,"scopes":["servers:read"],"name":"panel"})";
  const auto made = engine.call("POST", "/v1/api-keys", body, {{"Idempotency-Key", "key"}});
  ASSERT_EQ(made.status, 201u) << made.body;
  const std::string key{made.at("/key").as_string()};
  const auto path = "/v1/api-keys/" + std::to_string(made.at("/id").as_int64());
  EXPECT_EQ(engine.call_as(key, "GET", "/v1/servers").status, 200u);

  const auto again = engine.call("POST", "/v1/api-keys", body, {{"Idempotency-Key", "key"}});
  EXPECT_EQ(again.status, 201u);
  EXPECT_EQ(again.at("/id"), made.at("/id"));
  EXPECT_TRUE(again.at("/key").is_null());
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  EXPECT_TRUE(engine.call("GET", path).at("/key").is_null());
  EXPECT_EQ(engine.call("GET", "/v1/api-keys").at("/items").as_array().size(), 4u);

  EXPECT_EQ(engine.call("DELETE", path, {}, {{"Idempotency-Key", "revoke"}}).status, 204u);
  EXPECT_EQ(engine.call("DELETE", path, {}, {{"Idempotency-Key", "revoke"}}).header("Idempotent-Replayed"),
            "true");
  EXPECT_EQ(engine.call_as(key, "GET", "/v1/servers").status, 401u);
  EXPECT_FALSE(engine.call("GET", path).at("/revokedAt").is_null());
  EXPECT_EQ(engine.call("DELETE", "/v1/api-keys/999").status, 404u);

  const auto log = engine.call("GET", "/v1/audit-log?limit=2");
  EXPECT_EQ(log.at("/items/0/action").as_string(), "revoked");
  EXPECT_EQ(log.at("/items/1/action").as_string(), "created");
  EXPECT_EQ(test::run_sql(database.url(), "SELECT count(*) FROM api_keys WHERE position('" + key +
                                            "' IN api_keys::text) > 0"),
            "0");
}

TEST_F(ApiCatalogue, AKeyNamesOneOwnerAndKnownScopes) {
  for (const auto* body :
       {R"({"scopes":["servers:read"],"name":"a"})", R"({"userId":1,"operator":true,"scopes":[],"name":"a"})",
        R"({"userId":1,"scopes":["servers:all"],"name":"a"})",
        R"({"userId":99,"scopes":["servers:read"],"name":"a"})", R"({"userId":1,"name":"a"})",
        R"({"operator":true,"name":""})"})
    EXPECT_EQ(engine.call("POST", "/v1/api-keys", body).status, 422u) << body;
  EXPECT_EQ(engine.call("POST", "/v1/api-keys", R"({"operator":true,"name":"second"})").status, 201u);
}

TEST_F(ApiCatalogue, AKeyGivesNoRightThatItLacks) {
  const auto keeper = engine.make_key(std::nullopt, {"keys:write", "servers:read"});
  EXPECT_EQ(engine.call_as(keeper, "POST", "/v1/api-keys", R"({"operator":true,"name":"all"})").status, 403u);
  EXPECT_EQ(
    engine.call_as(keeper, "POST", "/v1/api-keys", R"({"userId":1,"scopes":["servers:write"],"name":"w"})")
      .status,
    403u);
  EXPECT_EQ(
    engine.call_as(keeper, "POST", "/v1/api-keys", R"({"userId":1,"scopes":["servers:read"],"name":"r"})")
      .status,
    201u);
}

} // namespace
} // namespace skyengine::net::api
