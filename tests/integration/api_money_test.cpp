#include "tests/support/billing_rig.hpp"
#include "tests/support/engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace skyengine::net::api {
namespace {

using std::chrono::sys_seconds;

struct settable_clock final : clock {
  instant now() const noexcept override { return at; }
  instant at;
};

/// Users 1 to 3 with servers whose hours the rig closes; the engine's time is that of the clock.
class ApiMoney : public test::billing_rig {
protected:
  ApiMoney() { business.at = instant{at(15, 12)}; }

  test::api_answer get(const std::string& target) { return engine.call("GET", target); }
  test::api_answer get_as(const std::string& key, const std::string& target) {
    return engine.call_as(key, "GET", target);
  }
  static std::string text(const test::api_answer& answer, std::string_view pointer) {
    const auto found = answer.at(pointer);
    return found.is_string() ? std::string{found.as_string()} : boost::json::serialize(found);
  }
  static std::size_t size(const test::api_answer& answer, std::string_view pointer) {
    const auto found = answer.at(pointer);
    return found.is_array() ? found.as_array().size() : 0;
  }
  static std::int64_t micros(const boost::json::value& sum) {
    std::string digits{sum.as_object().at("amount").as_string()};
    const auto is_negative = digits.front() == '-';
    const auto parsed = parse_money(std::string_view{digits}.substr(is_negative ? 1 : 0)).value().micros;
    return is_negative ? -parsed : parsed;
  }
  std::string path(int server) { return "/v1/servers/" + std::to_string(server) + "/charges"; }

  settable_clock business;
  test::simulated_panel panel{{"--build-time", "0"}};
  test::engine engine{database, panel, {}, test::rig_options{.node = "node-2"}, &business};
};

// -- charges ---------------------------------------------------------------------------

TEST_F(ApiMoney, AServersChargesAreListedOldestFirst) {
  const auto server = add_active_server(1, at(2, 10));
  close_until(at(2, 13));
  const auto all = get(path(server));
  ASSERT_EQ(all.status, 200u) << all.body;
  EXPECT_EQ(
    boost::json::serialize(all.at("/items/0")),
    R"({"serverId":1,"hour":"2026-11-02T10:00:00Z","seconds":3600,"amount":{"amount":"0.006849","currency":"USD"},)"
    R"("planId":"small","basis":"allocated","estimated":false})");
  EXPECT_EQ(text(all, "/items/1/amount/amount"), "0.00685");
  EXPECT_EQ(size(all, "/items"), 3u);
  EXPECT_EQ(size(all, "/corrections"), 0u);
  EXPECT_EQ(get_as(engine.user_1_key, path(server)).json(), all.json());
}

TEST_F(ApiMoney, ChargesAreThoseOfTheHoursFromAndBefore) {
  const auto server = add_active_server(1, at(2, 10));
  close_until(at(2, 20));
  const auto some = get(path(server) + "?from=2026-11-02T12:00:00Z&to=2026-11-02T14:00:00Z");
  ASSERT_EQ(size(some, "/items"), 2u) << some.body;
  EXPECT_EQ(text(some, "/items/0/hour"), "2026-11-02T12:00:00Z");
  EXPECT_EQ(size(get(path(server) + "?from=2026-11-02T12:00:00.5Z&to=2026-11-02T14:00:00.5Z"), "/items"), 2u);
  EXPECT_EQ(size(get(path(server) + "?from=2026-11-02T15:00:00%2B02:00"), "/items"), 7u);
  EXPECT_EQ(size(get(path(server) + "?from=2026-11-02T12:00:00Z&to=2026-11-02T12:00:00Z"), "/items"), 0u);
  EXPECT_EQ(size(get(path(server) + "?from=0000-01-01T00:00:00Z&to=9999-12-31T23:59:59Z"), "/items"), 10u);
}

TEST_F(ApiMoney, CorrectionsStandBesideTheChargesAndPagesMissNothing) {
  const auto server = add_active_server(1, at(29, 0));
  close_until(at(31, 2));
  become(server, "suspended", at(30, 23));
  close_until(at(31, 3));
  // 50 hours, a charge that gives December back, and a correction of November.
  std::string hours;
  int corrections = 0;
  std::string cursor;
  do {
    const auto page = get(path(server) + "?limit=13" + (cursor.empty() ? "" : "&cursor=" + cursor));
    ASSERT_EQ(page.status, 200u) << page.body;
    EXPECT_LE(size(page, "/items") + size(page, "/corrections"), 13u);
    for (std::size_t i = 0; i < size(page, "/items"); ++i)
      hours += text(page, "/items/" + std::to_string(i) + "/hour").substr(8, 5) + " ";
    for (std::size_t i = 0; i < size(page, "/corrections"); ++i, ++corrections)
      EXPECT_EQ(boost::json::serialize(page.at("/corrections/" + std::to_string(i))),
                R"({"serverId":1,"month":"2026-11","hour":"2026-12-01T02:00:00Z","seconds":-3600,)"
                R"("amount":{"amount":"-0.006849","currency":"USD"},"planId":"small"})");
    const auto next = page.at("/nextCursor");
    cursor = next.is_string() ? std::string{next.as_string()} : "";
  } while (!cursor.empty());
  EXPECT_EQ(corrections, 1);
  EXPECT_EQ(hours.size(), 51u * 6);
  EXPECT_THAT(hours, testing::StartsWith("29T00 29T01 "));
  EXPECT_THAT(hours, testing::EndsWith("01T00 01T01 01T02 "));
  // A page may end between the charge of an hour and the correction that was posted with it.
  const auto last = get(path(server) + "?from=2026-12-01T02:00:00Z&limit=1");
  EXPECT_EQ(size(last, "/items"), 1u);
  EXPECT_EQ(size(last, "/corrections"), 0u);
  const auto rest =
    get(path(server) + "?from=2026-12-01T02:00:00Z&limit=1&cursor=" + text(last, "/nextCursor"));
  EXPECT_EQ(size(rest, "/items"), 0u);
  EXPECT_EQ(size(rest, "/corrections"), 1u);
}

TEST_F(ApiMoney, ChargesOnBothSidesOfASuspensionAreFound) {
  const auto server = add_active_server(1, at(2, 10));
  become(server, "suspended", at(2, 12));
  close_until(at(9, 6));
  const auto before = get("/v1/usage?userId=1");
  EXPECT_EQ(text(before, "/soFar/amount"), "0.013699") << before.body;
  EXPECT_EQ(text(before, "/servers/0/seconds"), "7200");
  become(server, "active", at(9, 6));
  close_until(at(9, 8));
  const auto all = get(path(server));
  ASSERT_EQ(size(all, "/items"), 4u) << all.body;
  EXPECT_EQ(text(all, "/items/1/hour"), "2026-11-02T11:00:00Z");
  EXPECT_EQ(text(all, "/items/2/hour"), "2026-11-09T06:00:00Z");
  const auto second = get(path(server) + "?limit=2");
  EXPECT_EQ(size(get(path(server) + "?limit=2&cursor=" + text(second, "/nextCursor")), "/items"), 2u);
  const auto after = get("/v1/usage?userId=1");
  EXPECT_EQ(text(after, "/soFar/amount"), "0.027397");
  EXPECT_EQ(text(after, "/servers/0/seconds"), "14400");
}

TEST_F(ApiMoney, AUserSeesChargesOfItsOwnServersAlone) {
  const auto server = add_active_server(1, at(2, 10));
  close_until(at(2, 11));
  EXPECT_EQ(get_as(engine.user_2_key, path(server)).status, 404u);
  EXPECT_EQ(get(path(999)).status, 404u);
  EXPECT_EQ(get("/v1/servers/x/charges").status, 404u);
  const auto lacking = engine.make_key(user_id{1}, {"servers:read"});
  for (const auto& target :
       std::vector<std::string>{path(server), "/v1/usage", "/v1/balance", "/v1/invoices/preview"})
    EXPECT_EQ(get_as(lacking, target).status, 403u) << target;
  const auto reader = engine.make_key(user_id{1}, {"billing:read"});
  for (const auto& target :
       std::vector<std::string>{path(server), "/v1/usage", "/v1/balance", "/v1/invoices/preview"})
    EXPECT_EQ(get_as(reader, target).status, 200u) << target;
}

TEST_F(ApiMoney, QueriesThatAreNoneAreRefusedWithTheirField) {
  const auto server = add_active_server(1, at(2, 10));
  const auto expect_field = [&](const std::string& target, unsigned status, const std::string& field) {
    const auto refused = get(target);
    EXPECT_EQ(refused.status, status) << target;
    EXPECT_EQ(text(refused, "/code"), "invalid_request") << target;
    EXPECT_EQ(text(refused, "/errors/0/field"), field) << target;
  };
  for (const auto* query : {"limit=0", "limit=201", "limit=x"})
    expect_field(path(server) + "?" + query, 400, "limit");
  expect_field(path(server) + "?cursor=made-up", 400, "cursor");
  expect_field(path(server) + "?from=2026-11-02", 400, "from");
  expect_field(path(server) + "?to=yesterday", 400, "to");
  expect_field(path(server) + "?from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z", 400, "to");
  expect_field(path(server) + "?month=2026-11", 400, "month");
  for (const auto* month : {"2026-13", "2026-00", "2026-1", "26-11", "2026-11-01", "", "2026-1a", "+026-11"})
    expect_field("/v1/usage?userId=1&month=" + std::string{month}, 400, "month");
  expect_field("/v1/usage?userId=1&month=2026-12", 422, "month");
  for (const std::string route : {"/v1/usage", "/v1/balance", "/v1/invoices/preview"}) {
    expect_field(route, 422, "userId");
    expect_field(route + "?userId=999", 422, "userId");
    expect_field(route + "?userId=x", 400, "userId");
    expect_field(route + "?userId=1&userId=2", 400, "userId");
    expect_field(route + "?userId=1&unknown=1", 400, "unknown");
    EXPECT_EQ(get_as(engine.user_1_key, route + "?userId=2").status, 403u) << route;
    EXPECT_EQ(get_as(engine.user_1_key, route + "?userId=1").status, 403u) << route;
  }
  for (const std::string route : {"/v1/usage", "/v1/invoices/preview"}) {
    expect_field(route + "?userId=1&limit=201", 400, "limit");
    expect_field(route + "?userId=1&cursor=made-up", 400, "cursor");
  }
  // A cursor of another list is none of this one.
  const auto servers = get(path(server) + "?limit=1");
  expect_field("/v1/balance?userId=1&cursor=x", 400, "cursor");
}

// -- usage -----------------------------------------------------------------------------

TEST_F(ApiMoney, UsageIsWhatTheMonthHasComeToAndWillComeTo) {
  const auto server = add_active_server(1, at(2, 10));
  add_active_server(2, at(2, 10));
  close_until(at(3, 2));
  const auto usage = get("/v1/usage?userId=1");
  ASSERT_EQ(usage.status, 200u) << usage.body;
  // 16 hours of 730 of 5.00, and from the 2nd at 10:00 to the month's end 686.
  EXPECT_EQ(
    boost::json::serialize(usage.json()),
    R"({"month":"2026-11","userId":1,"currency":"USD","soFar":{"amount":"0.109589","currency":"USD"},)"
    R"("forecast":{"amount":"4.69863","currency":"USD"},"corrections":{"amount":"0.00","currency":"USD"},)"
    R"("days":[{"day":"2026-11-02","amount":{"amount":"0.09589","currency":"USD"}},)"
    R"({"day":"2026-11-03","amount":{"amount":"0.013699","currency":"USD"}}],)"
    R"("servers":[{"serverId":)" +
      std::to_string(server) +
      R"(,"seconds":57600,"amount":{"amount":"0.109589","currency":"USD"},)"
      R"("plans":[{"planId":"small","seconds":57600,"amount":{"amount":"0.109589","currency":"USD"}}]}]})");
  EXPECT_EQ(get_as(engine.user_1_key, "/v1/usage?month=2026-11").json(), usage.json());
}

TEST_F(ApiMoney, UsageWithoutAnyIsNothingInTheUsersCurrency) {
  const auto usage = get("/v1/usage?userId=3");
  EXPECT_EQ(
    boost::json::serialize(usage.json()),
    R"({"month":"2026-11","userId":3,"currency":"USD","soFar":{"amount":"0.00","currency":"USD"},)"
    R"("forecast":{"amount":"0.00","currency":"USD"},"corrections":{"amount":"0.00","currency":"USD"},)"
    R"("days":[],"servers":[]})");
  EXPECT_EQ(get("/v1/usage?userId=3&month=0000-01").status, 200u);
}

TEST_F(ApiMoney, UsageOfAPlanThatWasChangedTellsWhatEachHasComeTo) {
  const auto server = add_active_server(1, at(2, 10));
  close_until(at(2, 12));
  change_plan(server, "large", at(2, 12));
  close_until(at(2, 14));
  const auto usage = get("/v1/usage?userId=1");
  ASSERT_EQ(size(usage, "/servers"), 1u) << usage.body;
  // 5,000,000 x 2 / 730 + 10,000,000 x 2 / 730 = 41,095.9
  EXPECT_EQ(text(usage, "/servers/0/amount/amount"), "0.041096");
  EXPECT_EQ(text(usage, "/servers/0/plans/0/planId"), "large");
  EXPECT_EQ(text(usage, "/servers/0/plans/0/amount/amount"), "0.027397");
  EXPECT_EQ(text(usage, "/servers/0/plans/1/planId"), "small");
  EXPECT_EQ(text(usage, "/servers/0/plans/1/amount/amount"), "0.013699");
  EXPECT_EQ(text(usage, "/soFar/amount"), "0.041096");
}

TEST_F(ApiMoney, UsageOfAMonthThatIsOverHasItsCorrectionsAndNoOtherForecast) {
  const auto server = add_active_server(1, at(29, 0));
  const auto held = hold(1, server, at(30, 0));
  close_until(at(31, 1));
  end_hold(held, at(31, 0), "released");
  close_until(at(31, 3));
  business.at = instant{at(31, 3)};
  const auto november = get("/v1/usage?userId=1&month=2026-11");
  // 48 hours come to 328,767, of which 24 were charged.
  EXPECT_EQ(text(november, "/soFar/amount"), "0.328767") << november.body;
  EXPECT_EQ(text(november, "/forecast/amount"), "0.328767");
  EXPECT_EQ(text(november, "/corrections/amount"), "0.164383");
  EXPECT_EQ(text(november, "/days/0/amount/amount"), "0.164384");
  EXPECT_EQ(size(november, "/days"), 1u);
  EXPECT_EQ(text(november, "/servers/0/amount/amount"), "0.328767");
  EXPECT_EQ(text(november, "/servers/0/seconds"), "172800");
  const auto december = get("/v1/usage?userId=1");
  EXPECT_EQ(text(december, "/month"), "2026-12");
  EXPECT_EQ(text(december, "/soFar/amount"), "0.020548");
  EXPECT_EQ(text(december, "/corrections/amount"), "0.00");
  EXPECT_EQ(text(december, "/forecast/amount"), "5.00") << "the cap";
}

TEST_F(ApiMoney, AMonthOfAServerThatWasOnlyCorrectedIsToldToo) {
  const auto server = add_active_server(1, at(30, 20));
  const auto held = hold(1, server, at(30, 20));
  close_until(at(31, 1));
  end_hold(held, at(31, 0), "released");
  become(server, "deleting", at(31, 1));
  close_until(at(31, 2));
  business.at = instant{at(31, 2)};
  const auto november = get("/v1/usage?userId=1&month=2026-11");
  EXPECT_EQ(text(november, "/servers/0/amount/amount"), "0.027397") << november.body;
  EXPECT_EQ(text(november, "/soFar/amount"), "0.027397");
}

TEST_F(ApiMoney, SeveralCurrenciesStandApartAndLoseNothing) {
  add_plan("euro", 7'300'000, "allocated", "second", "EUR");
  add_plan("yen", 730'000'000, "allocated", "second", "JPY");
  add_active_server(1, at(30, 20), "euro");
  add_active_server(1, at(30, 20), "yen");
  close_until(at(30, 22));
  business.at = instant{at(30, 22)};
  const auto usage = get("/v1/usage?userId=1");
  EXPECT_EQ(text(usage, "/currency"), "EUR") << "the user's own has nothing: the first there is";
  EXPECT_EQ(text(usage, "/soFar/amount"), "0.02");
  EXPECT_EQ(text(usage, "/forecast/amount"), "0.04");
  EXPECT_EQ(text(usage, "/otherCurrencies/0/currency"), "JPY");
  EXPECT_EQ(text(usage, "/otherCurrencies/0/soFar/amount"), "2.00");
  EXPECT_EQ(text(usage, "/otherCurrencies/0/forecast/amount"), "4.00");
  EXPECT_EQ(text(usage, "/otherCurrencies/0/days/0/day"), "2026-11-30");
  EXPECT_EQ(text(usage, "/servers/1/amount/currency"), "JPY");
  add_active_server(1, at(30, 22));
  const auto more = get("/v1/usage?userId=1");
  EXPECT_EQ(text(more, "/currency"), "USD") << "now it has one to come";
  EXPECT_EQ(text(more, "/soFar/amount"), "0.00");
  EXPECT_EQ(text(more, "/forecast/amount"), "0.013699");
  EXPECT_EQ(size(more, "/otherCurrencies"), 2u);
}

TEST_F(ApiMoney, UsageShowsItsServersOnPages) {
  for (int i = 0; i < 5; ++i)
    add_active_server(1, at(2, 10), i % 2 == 0 ? "small" : "large");
  change_plan(2, "small", at(2, 11));
  close_until(at(2, 12));
  EXPECT_TRUE(get("/v1/usage?userId=1").at("/nextCursor").is_null());
  std::string servers;
  std::string cursor;
  do {
    const auto page = get("/v1/usage?userId=1&limit=2" + (cursor.empty() ? "" : "&cursor=" + cursor));
    EXPECT_EQ(text(page, "/soFar/amount"), "0.089042") << "of all, whatever the page";
    for (std::size_t i = 0; i < size(page, "/servers"); ++i)
      servers += text(page, "/servers/" + std::to_string(i) + "/serverId") + " ";
    const auto next = page.at("/nextCursor");
    cursor = next.is_string() ? std::string{next.as_string()} : "";
  } while (!cursor.empty());
  EXPECT_EQ(servers, "1 2 3 4 5 ");
}

TEST_F(ApiMoney, WhatIsForecastIsWhatTheMonthComesTo) {
  add_plan("hourly", 9'000'000, "allocated", "hour");
  const auto changed = add_active_server(1, at(3, 4, 5, 6));
  add_active_server(1, at(5, 7, 30), "hourly");
  const auto gone = add_active_server(1, at(6, 1, 1, 1), "large");
  const auto held = add_active_server(1, at(7, 0));
  add_active_server(1, at(-20, 0), "large");
  sql("UPDATE billing_accounts SET closed_until = " + quoted(november));
  change_plan(changed, "large", at(8, 9, 10, 11));
  become(gone, "deleting", at(9, 10, 11, 12));
  hold(1, held, at(10, 11, 12, 13));
  add_price("large", at(20, 0), 12'000'000);
  close_until(at(15, 12));
  const auto then = get("/v1/usage?userId=1");
  close_until(at(31, 1));
  business.at = instant{at(31, 1)};
  const auto now = get("/v1/usage?userId=1&month=2026-11");
  EXPECT_EQ(text(then, "/forecast/amount"), text(now, "/soFar/amount"));
  EXPECT_NE(text(then, "/soFar/amount"), text(now, "/soFar/amount"));
  std::int64_t days = 0;
  const auto all_days = now.at("/days");
  const auto all_servers = now.at("/servers");
  for (const auto& day : all_days.as_array())
    days += micros(day.as_object().at("amount"));
  std::int64_t servers = 0;
  for (const auto& server : all_servers.as_array()) {
    const auto sum = micros(server.as_object().at("amount"));
    std::int64_t plans = 0;
    for (const auto& plan : server.as_object().at("plans").as_array())
      plans += micros(plan.as_object().at("amount"));
    EXPECT_EQ(plans, sum);
    servers += sum;
  }
  const auto so_far = micros(now.at("/soFar"));
  EXPECT_EQ(days, so_far);
  EXPECT_EQ(servers, so_far);
  // One server is older than the hours that were closed here: October is a correction.
  std::int64_t months = 0;
  for (const std::string month : {"2026-10", "2026-11", "2026-12"})
    months += micros(get("/v1/usage?userId=1&month=" + month).at("/soFar"));
  EXPECT_EQ(micros(get("/v1/balance?userId=1").at("/items/0/unbilled")), months);
}

TEST_F(ApiMoney, AForecastKnowsAllThatWasSeenOfTheMonthsPower) {
  add_plan("metered", 7'300'000, "uptime");
  const auto server = add_active_server(1, at(30, 10), "metered");
  see_power(server, at(30, 10), at(30, 11, 30), true);
  see_power(server, at(30, 12), at(30, 12), false);
  see_power(server, at(30, 14), at(30, 15, 30), true);
  close_until(at(30, 16));
  business.at = instant{at(30, 16)};
  const auto on = get("/v1/usage?userId=1");
  // Of six hours that of 12:00 was off; nobody looked in that of 13:00. Eight are to come.
  EXPECT_EQ(text(on, "/soFar/amount"), "0.05") << on.body;
  EXPECT_EQ(text(on, "/forecast/amount"), "0.13");
  see_power(server, at(30, 16, 30), at(30, 16, 30), false);
  const auto off = get("/v1/usage?userId=1");
  EXPECT_EQ(text(off, "/forecast/amount"), "0.055") << "and off since half past four";
}

// -- balance ---------------------------------------------------------------------------

TEST_F(ApiMoney, ABalanceIsToldByCurrency) {
  add_plan("euro", 7'300'000, "allocated", "second", "EUR");
  add_active_server(1, at(2, 10), "euro");
  add_active_server(1, at(2, 10));
  close_until(at(2, 11));
  sql("UPDATE user_balances SET receivable_micros = 5000000, credit_micros = -250000 WHERE currency = 'EUR'");
  const auto balance = get("/v1/balance?userId=1");
  EXPECT_EQ(boost::json::serialize(balance.json()),
            R"({"userId":1,"items":[{"currency":"EUR","unbilled":{"amount":"0.01","currency":"EUR"},)"
            R"("open":{"amount":"5.00","currency":"EUR"},"credit":{"amount":"0.25","currency":"EUR"}},)"
            R"({"currency":"USD","unbilled":{"amount":"0.006849","currency":"USD"},)"
            R"("open":{"amount":"0.00","currency":"USD"},"credit":{"amount":"0.00","currency":"USD"}}]})");
  EXPECT_EQ(get_as(engine.user_1_key, "/v1/balance").json(), balance.json());
  EXPECT_EQ(size(get("/v1/balance?userId=3"), "/items"), 0u);
}

// -- invoices --------------------------------------------------------------------------

TEST_F(ApiMoney, AnInvoiceIsPreviewedByServerAndPlan) {
  ASSERT_EQ(
    engine.call("PUT", "/v1/users/1", R"({"name":"Ada","email":"ada@example.com","taxBasisPoints":1900})")
      .status,
    200u);
  const auto first = add_active_server(1, at(2, 0));
  const auto second = add_active_server(1, at(2, 0), "large");
  close_until(at(2, 12));
  change_plan(first, "large", at(2, 12));
  close_until(at(3, 0));
  const auto preview = get("/v1/invoices/preview?userId=1");
  ASSERT_EQ(preview.status, 200u) << preview.body;
  EXPECT_EQ(text(preview, "/month"), "2026-11");
  ASSERT_EQ(size(preview, "/items"), 1u);
  ASSERT_EQ(size(preview, "/items/0/lines"), 3u);
  // 12 hours of small are 82,192 micros, the 12 of large that follow 164,383; 24 of large 328,767.
  EXPECT_EQ(
    boost::json::serialize(preview.at("/items/0/lines/0")),
    R"({"serverId":1,"planId":"large","seconds":43200,"hours":"12.00",)"
    R"("unitPrice":{"amount":"10.00","currency":"USD"},"hoursPerMonth":730,)"
    R"("charged":{"amount":"0.164383","currency":"USD"},"amount":{"amount":"0.16","currency":"USD"}})");
  EXPECT_EQ(text(preview, "/items/0/lines/1/amount/amount"), "0.08");
  EXPECT_EQ(text(preview, "/items/0/lines/2/serverId"), std::to_string(second));
  EXPECT_EQ(text(preview, "/items/0/lines/2/amount/amount"), "0.33");
  EXPECT_EQ(text(preview, "/items/0/subtotal/amount"), "0.57");
  EXPECT_EQ(text(preview, "/items/0/taxBasisPoints"), "1900");
  EXPECT_EQ(text(preview, "/items/0/tax/amount"), "0.11") << "19 % of 0.57 are 0.1083";
  EXPECT_EQ(text(preview, "/items/0/total/amount"), "0.68");
  EXPECT_EQ(text(preview, "/items/0/rounding/amount"), "-0.005342") << "0.57 of 0.575342 that were charged";
  EXPECT_EQ(get_as(engine.user_1_key, "/v1/invoices/preview").json(), preview.json());
}

TEST_F(ApiMoney, AnInvoiceIsPreviewedForEachCurrencyInItsMinorUnits) {
  add_plan("yen", 730'000'000, "allocated", "second", "JPY");
  add_plan("dinar", 7'300'000, "allocated", "second", "KWD");
  add_active_server(1, at(2, 10, 30), "yen");
  add_active_server(1, at(2, 10, 30), "dinar");
  close_until(at(2, 12));
  const auto preview = get("/v1/invoices/preview?userId=1");
  EXPECT_EQ(text(preview, "/items/0/currency"), "JPY");
  EXPECT_EQ(text(preview, "/items/0/total/amount"), "2.00") << "1.5 are 2";
  EXPECT_EQ(text(preview, "/items/1/currency"), "KWD");
  EXPECT_EQ(text(preview, "/items/1/total/amount"), "0.015");
  EXPECT_EQ(size(get("/v1/invoices/preview?userId=3"), "/items"), 0u);
}

TEST_F(ApiMoney, APreviewShowsItsLinesOnPagesAndItsSumsWhole) {
  for (int i = 0; i < 5; ++i)
    add_active_server(1, at(2, 0));
  close_until(at(3, 0));
  std::string servers;
  std::string cursor;
  do {
    const auto page =
      get("/v1/invoices/preview?userId=1&limit=2" + (cursor.empty() ? "" : "&cursor=" + cursor));
    EXPECT_EQ(text(page, "/items/0/total/amount"), "0.80");
    for (std::size_t i = 0; i < size(page, "/items/0/lines"); ++i)
      servers += text(page, "/items/0/lines/" + std::to_string(i) + "/serverId") + " ";
    const auto next = page.at("/nextCursor");
    cursor = next.is_string() ? std::string{next.as_string()} : "";
  } while (!cursor.empty());
  EXPECT_EQ(servers, "1 2 3 4 5 ");
}

TEST_F(ApiMoney, MoreServersThanAreReadAtOnceAreAllCounted) {
  add_user(1);
  sql("WITH s AS (INSERT INTO servers (user_id, plan_id, region_id, wants_ipv6, state, created_at, "
      "last_event_at) "
      "SELECT 1, 'small', 'eu', false, 'active', " +
      quoted(at(2, 0)) + ", " + quoted(at(2, 0)) +
      " FROM generate_series(1, 2050) RETURNING id) INSERT INTO server_events (server_id, at, type, "
      "to_state) SELECT "
      "id, " +
      quoted(at(2, 0)) + ", 'active', 'active' FROM s");
  close_until(at(2, 1));
  const auto preview = get("/v1/invoices/preview?userId=1");
  EXPECT_EQ(size(preview, "/items/0/lines"), 1'000u);
  EXPECT_EQ(text(preview, "/items/0/total/amount"), "20.50");
  const auto usage = get("/v1/usage?userId=1");
  EXPECT_EQ(size(usage, "/servers"), 1'000u);
  EXPECT_FALSE(usage.at("/nextCursor").is_null());
  EXPECT_EQ(text(usage, "/soFar/amount"), "14.04045") << "2,050 x 0.006849";
  // 696 hours of 730.
  EXPECT_EQ(text(usage, "/forecast/amount"), "9772.60215") << "2,050 x 4.767123";
}

} // namespace
} // namespace skyengine::net::api
