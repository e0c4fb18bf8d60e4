#include "domain/time_format.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <random>
#include <string>

namespace skyengine {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_days;

constexpr auto ten_o_clock = sys_days{std::chrono::year{2026} / 11 / 23} + 10h;

TEST(FormatTime, HasMicrosecondsOnlyWhereThereAreSome) {
  EXPECT_EQ(format_time(ten_o_clock), "2026-11-23T10:00:00Z");
  EXPECT_EQ(format_time(ten_o_clock + 1us), "2026-11-23T10:00:00.000001Z");
  EXPECT_EQ(format_time(ten_o_clock + 250ms), "2026-11-23T10:00:00.250000Z");
  EXPECT_EQ(format_time(instant{} - 1us), "1969-12-31T23:59:59.999999Z");
  EXPECT_EQ(format_time(sys_days{std::chrono::year{0} / 1 / 1}), "0000-01-01T00:00:00Z");
}

TEST(FormatTime, HasThePlacesClockAndItsOffsetInWholeMinutes) {
  const auto at = std::chrono::floor<std::chrono::seconds>(ten_o_clock);
  EXPECT_EQ(format_time(at, 0s), "2026-11-23T10:00:00+00:00");
  EXPECT_EQ(format_time(at, 1h), "2026-11-23T11:00:00+01:00");
  EXPECT_EQ(format_time(at, 14h), "2026-11-24T00:00:00+14:00");
  EXPECT_EQ(format_time(at, -(3h + 30min)), "2026-11-23T06:30:00-03:30");
  EXPECT_EQ(format_time(at, 53min + 28s), "2026-11-23T10:53:00+00:53");
  EXPECT_EQ(format_time(at, -(4h + 56min + 2s)), "2026-11-23T05:04:00-04:56");
}

TEST(FormatTimeMilliseconds, AlwaysHasThreeDecimals) {
  EXPECT_EQ(format_time_milliseconds(ten_o_clock), "2026-11-23T10:00:00.000Z");
  EXPECT_EQ(format_time_milliseconds(ten_o_clock + 7ms), "2026-11-23T10:00:00.007Z");
}

struct time_case {
  const char* name;
  const char* text;
  /// Since 2026-11-23T10:00:00Z.
  std::chrono::microseconds after;
};

class ParseTime : public testing::TestWithParam<time_case> {};

TEST_P(ParseTime, ReadsRfc3339) {
  const auto at = parse_time(GetParam().text);
  ASSERT_TRUE(at) << at.error().detail;
  EXPECT_EQ(*at - ten_o_clock, GetParam().after);
}

INSTANTIATE_TEST_SUITE_P(Grammar,
                         ParseTime,
                         testing::Values(time_case{"utc", "2026-11-23T10:00:00Z", 0us},
                                         time_case{"lower_case", "2026-11-23t10:00:00z", 0us},
                                         time_case{"east", "2026-11-23T11:30:00+01:30", 0us},
                                         time_case{"west", "2026-11-22T10:01:00-23:59", 0us},
                                         time_case{"unknown_offset", "2026-11-23T10:00:00-00:00", 0us},
                                         time_case{"one_decimal", "2026-11-23T10:00:00.5Z", 500ms},
                                         time_case{"six_decimals", "2026-11-23T10:00:00.000001Z", 1us},
                                         time_case{"last_second", "2026-11-23T23:59:59Z", 13h + 59min + 59s}),
                         [](const auto& test) { return std::string{test.param.name}; });

struct no_time_case {
  const char* name;
  const char* text;
  const char* reason;
};

class ParseTimeRefuses : public testing::TestWithParam<no_time_case> {};

TEST_P(ParseTimeRefuses, WithTheReason) {
  const auto at = parse_time(GetParam().text);
  ASSERT_FALSE(at);
  EXPECT_EQ(at.error().code, errc::invalid_request);
  EXPECT_NE(at.error().detail.find(GetParam().reason), std::string::npos) << at.error().detail;
}

INSTANTIATE_TEST_SUITE_P(
  Grammar,
  ParseTimeRefuses,
  testing::Values(no_time_case{"nothing", "", "RFC 3339"},
                  no_time_case{"no_offset", "2026-11-23T10:00:00", "RFC 3339"},
                  no_time_case{"date_alone", "2026-11-23", "RFC 3339"},
                  no_time_case{"space_between", "2026-11-23 10:00:00Z", "RFC 3339"},
                  no_time_case{"basic_form", "20261123T100000Z", "RFC 3339"},
                  no_time_case{"no_seconds", "2026-11-23T10:00Z", "RFC 3339"},
                  no_time_case{"short_year", "26-11-23T10:00:00Z", "RFC 3339"},
                  no_time_case{"long_year", "12026-11-23T10:00:00Z", "RFC 3339"},
                  no_time_case{"something_behind", "2026-11-23T10:00:00Zx", "RFC 3339"},
                  no_time_case{"empty_fraction", "2026-11-23T10:00:00.Z", "RFC 3339"},
                  no_time_case{"seven_decimals", "2026-11-23T10:00:00.0000001Z", "six decimals"},
                  no_time_case{"month_13", "2026-13-01T10:00:00Z", "does not exist"},
                  no_time_case{"month_0", "2026-00-01T10:00:00Z", "does not exist"},
                  no_time_case{"no_leap_day", "2026-02-29T10:00:00Z", "does not exist"},
                  no_time_case{"leap_second", "2026-12-31T23:59:60Z", "leap second"},
                  no_time_case{"hour_24", "2026-11-23T24:00:00Z", "23:59:59"},
                  no_time_case{"minute_60", "2026-11-23T10:60:00Z", "23:59:59"},
                  no_time_case{"second_61", "2026-11-23T10:00:61Z", "23:59:59"},
                  no_time_case{"offset_24", "2026-11-23T10:00:00+24:00", "offset"},
                  no_time_case{"offset_minute_60", "2026-11-23T10:00:00+01:60", "offset"},
                  no_time_case{"offset_without_colon", "2026-11-23T10:00:00+0100", "RFC 3339"},
                  no_time_case{"before_year_0", "0000-01-01T00:00:00+00:01", "years"},
                  no_time_case{"after_year_9999", "9999-12-31T23:59:59-00:01", "years"},
                  no_time_case{"signs_inside", "2026-+1-23T10:00:00Z", "RFC 3339"}),
  [](const auto& test) { return std::string{test.param.name}; });

TEST(ParseWholeSeconds, RefusesAnyFraction) {
  const auto whole = parse_whole_seconds("2026-11-23T11:00:00+01:00");
  ASSERT_TRUE(whole);
  EXPECT_EQ(*whole, ten_o_clock);
  for (const auto* text : {"2026-11-23T10:00:00.5Z", "2026-11-23T10:00:00.0Z"}) {
    const auto fraction = parse_whole_seconds(text);
    ASSERT_FALSE(fraction) << text;
    EXPECT_NE(fraction.error().detail.find("whole seconds"), std::string::npos);
  }
  EXPECT_FALSE(parse_whole_seconds("tomorrow"));
}

TEST(TimeProperty, WhatIsWrittenIsReadBack) {
  std::mt19937_64 random{1};
  const auto first = sys_days{std::chrono::year{0} / 1 / 1}.time_since_epoch();
  const std::chrono::microseconds span =
    sys_days{std::chrono::year{10'000} / 1 / 1}.time_since_epoch() - first;
  for (int i = 0; i < 10'000; ++i) {
    const instant at{first + std::chrono::microseconds{random() % static_cast<std::uint64_t>(span.count())}};
    const auto back = parse_time(format_time(at));
    ASSERT_TRUE(back) << format_time(at);
    ASSERT_EQ(*back, at);
  }
}

} // namespace
} // namespace skyengine
