#include "domain/token_bucket.hpp"
#include "net/api/api_key_secret.hpp"
#include "net/api/commands.hpp"
#include "net/api/cursor.hpp"
#include "net/api/json_writer.hpp"
#include "net/api/media_type.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <string>
#include <utility>

namespace skyengine::net::api {
namespace {

using namespace std::chrono_literals;

boost::json::object object(std::string_view text) {
  return boost::json::parse(text).as_object();
}

std::vector<std::string> faulty_fields(const field_faults& faults) {
  std::vector<std::string> names;
  if (!faults.empty())
    for (const auto& each : faults.as_error().fields)
      names.push_back(each.field);
  return names;
}

TEST(ParseOrder, TakesEveryField) {
  field_faults faults;
  const auto order =
    parse_order(object(R"({"planId":"p","region":"r","hostname":"a.example.com","osTemplateId":3,
    "sshKeys":[],"ipv6":true,"dryRun":true,"userId":7,"labels":{"a":"b"},"externalReference":"x"})"),
                strictness::strict, faults);
  EXPECT_TRUE(faults.empty());
  EXPECT_EQ(order.plan->value, "p");
  EXPECT_EQ(order.os_template->value, 3);
  EXPECT_EQ(order.user->value, 7);
  EXPECT_EQ(order.ipv6, true);
  EXPECT_TRUE(order.is_dry_run);
  EXPECT_EQ(order.labels.at("a"), "b");
}

TEST(ParseOrder, LeavesOpenWhatIsNotSaid) {
  field_faults faults;
  const auto order = parse_order(object(R"({"planId":"p","region":"r"})"), strictness::strict, faults);
  EXPECT_TRUE(faults.empty());
  EXPECT_FALSE(order.ipv6 || order.hostname || order.os_template || order.user || order.external_reference);
  EXPECT_FALSE(order.is_dry_run);
}

TEST(ParseOrder, OldClientsMayWriteNumbersNullsAndMore) {
  field_faults faults;
  const auto body = object(R"({"planId":12,"region":"r","hostname":null,"panel":"old"})");
  EXPECT_EQ(parse_order(body, strictness::lenient, faults).plan->value, "12");
  EXPECT_TRUE(faults.empty());
  parse_order(body, strictness::strict, faults);
  EXPECT_THAT(faulty_fields(faults), testing::UnorderedElementsAre("planId", "hostname", "panel"));
}

TEST(ParseOrder, BoundsLabelsKeysAndFaults) {
  std::string labels;
  for (int i = 0; i < 17; ++i)
    labels += (i ? ",\"l" : "\"l") + std::to_string(i) + "\":\"\"";
  field_faults faults;
  parse_order(object("{\"planId\":\"p\",\"region\":\"r\",\"labels\":{" + labels + "}}"), strictness::strict,
              faults);
  EXPECT_THAT(faulty_fields(faults), testing::ElementsAre("labels"));
  std::string unknown;
  for (int i = 0; i < 200; ++i)
    unknown += ",\"u" + std::to_string(i) + "\":1";
  parse_order(object("{\"planId\":\"p\",\"region\":\"r\"" + unknown + "}"), strictness::strict, faults);
  EXPECT_EQ(faults.as_error().fields.size(), field_faults::most);
}

TEST(ParseId, TakesPositiveNumbersInPlainDigits) {
  EXPECT_EQ(parse_id("1"), 1);
  EXPECT_EQ(parse_id("9223372036854775807"), 9223372036854775807);
  for (const auto* text :
       {"", "0", "01", "-1", "+1", "1e9", "1.0", " 1", "1 ", "9223372036854775808", "abc", "١"})
    EXPECT_FALSE(parse_id(text)) << text;
}

TEST(Cursor, ComesBackAndBelongsToItsList) {
  const auto cursor = make_cursor("servers", "17");
  EXPECT_EQ(read_cursor("servers", cursor).value(), "17");
  EXPECT_EQ(cursor.find_first_of("+/="), std::string::npos);
  EXPECT_FALSE(read_cursor("users", cursor));
  EXPECT_FALSE(read_cursor("servers", ""));
  EXPECT_FALSE(read_cursor("servers", "MTc"));
  for (std::size_t i = 0; i < cursor.size(); ++i) {
    auto damaged = cursor;
    damaged[i] = damaged[i] == 'A' ? 'B' : 'A';
    const auto read = read_cursor("servers", damaged);
    ASSERT_FALSE(read) << damaged;
    EXPECT_EQ(read.error().code, errc::malformed_request);
  }
}

TEST(ServerQuery, NamesEveryFaultAtOnce) {
  const auto refused = parse_server_query(
    "servers", {{"limit", "0"}, {"state", "gone"}, {"label", "x"}, {"stat", ""}, {"cursor", "c"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::malformed_request);
  EXPECT_EQ(refused.error().fields.size(), 5u);
  const auto query = parse_server_query("servers", {{"state", "active,failed"}, {"label", "a:b:c"}});
  ASSERT_TRUE(query);
  EXPECT_THAT(query->states, testing::ElementsAre(server_state::active, server_state::failed));
  EXPECT_EQ(query->label->second, "b:c");
  EXPECT_EQ(query->page.limit, 50);
}

TEST(ChargeQuery, ReadsHoursAndWhereThePageBegins) {
  constexpr std::chrono::sys_seconds november = std::chrono::sys_days{std::chrono::year{2026} / 11 / 1};
  const auto all = parse_charge_query("charges 1", {});
  ASSERT_TRUE(all);
  EXPECT_EQ(all->limit, 50);
  EXPECT_FALSE(all->after);
  const auto some = parse_charge_query(
    "charges 1", {{"from", "2026-11-01T00:00:00Z"},
                  {"to", "2026-11-01T01:00:00.000001Z"},
                  {"cursor", make_cursor("charges 1", charge_key(november + 1h, november))}});
  ASSERT_TRUE(some) << some.error().detail;
  EXPECT_EQ(some->from, november);
  EXPECT_EQ(some->to, november + 1h + 1s) << "hours before it include that of 01:00";
  EXPECT_EQ(some->after, std::pair(november + 1h, november));
  const auto of_charge =
    parse_charge_query("charges 1", {{"cursor", make_cursor("charges 1", charge_key(november, {}))}});
  EXPECT_EQ(of_charge->after, std::pair(november, std::chrono::sys_seconds{}));
}

TEST(ChargeQuery, ACursorThatNobodyGaveIsRefused) {
  for (const auto* key : {"", "1", "1.", ".1", "x.0", "1.x", "-1.0", "1.0.0", "9223372036854775807.0",
                          "3600.9223372036854775807", "253402300801.0"}) {
    const auto refused = parse_charge_query("charges 1", {{"cursor", make_cursor("charges 1", key)}});
    ASSERT_FALSE(refused) << key;
    EXPECT_EQ(refused.error().fields, (std::vector<field_error>{{"cursor", "is none that this list gave"}}))
      << key;
  }
  EXPECT_FALSE(parse_charge_query("charges 1", {{"cursor", make_cursor("charges 2", "3600.0")}}));
}

TEST(ReportQuery, NamesEveryFaultAtOnce) {
  const auto refused = parse_report_query(
    "usage", {{"month", "2026-13"}, {"userId", "0"}, {"limit", "1000"}, {"cursor", "x"}, {"from", "x"}},
    month_choice::given);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fields.size(), 5u);
  EXPECT_FALSE(parse_report_query("preview", {{"month", "2026-11"}}, month_choice::none));
  const auto query = parse_report_query("usage", {}, month_choice::given);
  ASSERT_TRUE(query);
  EXPECT_EQ(query->limit, 1'000);
  EXPECT_FALSE(query->month || query->user);
}

TEST(Month, IsAYearAndAMonthOfIt) {
  EXPECT_EQ(parse_month("2026-11"), std::chrono::sys_days{std::chrono::year{2026} / 11 / 1});
  EXPECT_EQ(month_text(*parse_month("0000-01")), "0000-01");
  EXPECT_EQ(month_text(*parse_month("9999-12")), "9999-12");
  for (const auto* text :
       {"", "2026", "2026-00", "2026-13", "2026-1", "2026/11", "2026-11-01", "-026-11", "2026-+1"})
    EXPECT_FALSE(parse_month(text)) << text;
}

TEST(MediaType, IsJsonInUtf8) {
  for (const auto* text : {"application/json", "Application/JSON", "application/json; charset=utf-8",
                           "application/json;charset=\"UTF-8\"", "application/json; profile=x"})
    EXPECT_TRUE(is_json(text)) << text;
  for (const auto* text : {"", "text/json", "application/json; charset=utf-16", "application/jsonx", "json"})
    EXPECT_FALSE(is_json(text)) << text;
}

TEST(MediaType, TheBestOfferedIsChosen) {
  constexpr std::array<std::string_view, 2> offers{"application/json", "text/event-stream"};
  EXPECT_EQ(negotiate("", offers), 0u);
  EXPECT_EQ(negotiate("*/*", offers), 0u);
  EXPECT_EQ(negotiate("text/event-stream", offers), 1u);
  EXPECT_EQ(negotiate("text/*", offers), 1u);
  EXPECT_EQ(negotiate("application/json;q=0.5, text/event-stream;q=0.9", offers), 1u);
  EXPECT_EQ(negotiate("*/*, application/json;q=0", offers), 1u);
  EXPECT_EQ(negotiate("TEXT/EVENT-STREAM ; q=0.001", offers), 1u);
  EXPECT_EQ(negotiate("text/html", offers), std::nullopt);
  EXPECT_EQ(negotiate("application/json;q=0", offers), std::nullopt);
}

TEST(JsonWriter, WritesWhatAParserReads) {
  json_writer out;
  out.begin_object();
  out.member("text", "a\"b\\c\n\x01ü");
  out.member("number", std::int64_t{-7});
  out.member("yes", true);
  out.member("none", std::optional<int>{});
  out.optional_member("absent", std::optional<int>{});
  out.array("list", std::vector<std::string>{"x", "y"});
  out.key("empty");
  out.begin_array();
  out.end_array();
  out.member("id", server_id{3});
  out.end_object();
  EXPECT_EQ(
    boost::json::parse(std::move(out).take()),
    boost::json::parse(R"({"text":"a\"b\\c\n\u0001ü","number":-7,"yes":true,"none":null,"list":["x","y"],
                                  "empty":[],"id":3})"));
}

TEST(ApiKeySecret, HasTwoHundredFiftySixBitsAndAKnownHash) {
  const auto one = make_api_key_secret();
  EXPECT_EQ(one.reveal().size(), 4u + 43u);
  EXPECT_NE(one.reveal(), make_api_key_secret().reveal());
  // FIPS 180-2, appendix B.1.
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(TokenBucket, KnowsWhatItHasLeft) {
  using clock = std::chrono::steady_clock;
  token_bucket bucket{10, 3};
  const clock::time_point start{1h};
  EXPECT_EQ(bucket.available(start), 3);
  EXPECT_TRUE(bucket.try_take(start));
  EXPECT_EQ(bucket.available(start), 2);
  EXPECT_TRUE(bucket.try_take(start) && bucket.try_take(start));
  EXPECT_EQ(bucket.available(start), 0);
  EXPECT_EQ(bucket.available(start + 100ms), 1);
  EXPECT_EQ(bucket.available(start + 1h), 3);
}

} // namespace
} // namespace skyengine::net::api
