#include "domain/cron_description.hpp"
#include "domain/cron_expression.hpp"
#include "domain/time_format.hpp"
#include "domain/time_zone_file.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <new>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace skyengine {
namespace {

using namespace std::chrono_literals;
using std::chrono::sys_seconds;

/// One line of cron_conformance.tsv.
struct conformance_row {
  std::size_t line = 0;
  std::string expression = {};
  std::string zone = {};
  std::string from = {};
  /// The last may be `none`.
  std::vector<std::string> times = {};
};

std::vector<conformance_row> conformance_rows() {
  std::vector<conformance_row> all;
  std::ifstream file{SKYENGINE_CRON_CONFORMANCE};
  conformance_row row;
  for (std::string line; std::getline(file, line);) {
    ++row.line;
    if (line.starts_with('#'))
      continue;
    std::istringstream columns{line};
    std::string times;
    std::string source;
    std::getline(columns, row.expression, '\t');
    std::getline(columns, row.zone, '\t');
    std::getline(columns, row.from, '\t');
    std::getline(columns, times, '\t');
    std::getline(columns, source);
    EXPECT_FALSE(source.empty()) << "line " << row.line << " has five columns";
    row.times.clear();
    std::istringstream words{times};
    for (std::string word; words >> word;)
      row.times.push_back(word);
    all.push_back(row);
  }
  return all;
}

class CronConformance : public testing::TestWithParam<conformance_row> {};

TEST_P(CronConformance, FiresAtThePublishedTimes) {
  const auto& row = GetParam();
  SCOPED_TRACE("cron_conformance.tsv:" + std::to_string(row.line) + ": " + row.expression + " in " +
               row.zone + " from " + row.from);
  const auto expression = parse_cron(row.expression);
  ASSERT_TRUE(expression) << expression.error().detail;
  const auto zone = load_time_zone(row.zone);
  ASSERT_TRUE(zone) << zone.error().detail;
  auto at = parse_whole_seconds(row.from).value();
  ASSERT_FALSE(row.times.empty());
  for (const auto& expected : row.times) {
    const auto next = expression->next(at, *zone);
    if (expected == "none") {
      EXPECT_FALSE(next) << format_time(*next);
      break;
    }
    ASSERT_TRUE(next) << "instead of " << expected;
    EXPECT_EQ(format_time(*next), format_time(parse_whole_seconds(expected).value()));
    at = *next;
  }
}

INSTANTIATE_TEST_SUITE_P(Table, CronConformance, testing::ValuesIn(conformance_rows()), [](const auto& test) {
  return "line_" + std::to_string(test.param.line);
});

TEST(CronConformanceTable, HasThreeHundredExpressions) {
  std::set<std::string> expressions;
  for (const auto& row : conformance_rows())
    expressions.insert(row.expression);
  EXPECT_GE(expressions.size(), 300U);
}

struct refused_case {
  const char* name;
  std::string text;
  const char* detail;
};

class ParseCronRefuses : public testing::TestWithParam<refused_case> {};

TEST_P(ParseCronRefuses, NamingFieldReasonAndPlace) {
  const auto expression = parse_cron(GetParam().text);
  ASSERT_FALSE(expression) << describe(*expression);
  EXPECT_EQ(expression.error().code, errc::invalid_request);
  EXPECT_EQ(expression.error().detail, GetParam().detail);
}

constexpr auto known_macros =
  "is none of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly and "
  "@every, at character 1";
const auto unknown_macro = "macro: \"@dayly\" " + std::string{known_macros};
const auto bare_at = "macro: \"@\" " + std::string{known_macros};

INSTANTIATE_TEST_SUITE_P(
  Values,
  ParseCronRefuses,
  testing::Values(
    refused_case{"second_above", "60 * * * * *", "second: 60 is above 59, at character 1"},
    refused_case{"minute_above", "75 * * * *", "minute: 75 is above 59, at character 1"},
    refused_case{"hour_above", "0 24 * * *", "hour: 24 is above 23, at character 3"},
    refused_case{"day_above", "0 0 32 * *", "day of month: 32 is above 31, at character 5"},
    refused_case{"day_below", "0 0 0 * *", "day of month: 0 is below 1, at character 5"},
    refused_case{"month_above", "0 0 1 13 *", "month: 13 is above 12, at character 7"},
    refused_case{"month_below", "0 0 1 0 *", "month: 0 is below 1, at character 7"},
    refused_case{"weekday_above", "0 0 * * 8", "day of week: 8 is above 7, at character 9"},
    refused_case{"in_a_list", "1,2,60 * * * *", "minute: 60 is above 59, at character 5"},
    refused_case{"in_a_range", "10-60 * * * *", "minute: 60 is above 59, at character 4"},
    refused_case{"behind_blanks", "  0   24 * * *", "hour: 24 is above 23, at character 7"},
    refused_case{"more_than_an_int", "99999999999999999999 * * * *",
                 "minute: 99999999999999999999 is above 59, at character 1"},
    refused_case{"very_long", "9999999999999999999999999 * * * *",
                 "minute: \"99999999999999999999…\" is above 59, at character 1"},
    refused_case{"negative", "-5 * * * *", "minute: \"-5\" is no number from 0 to 59, at character 1"},
    refused_case{"plus", "+5 * * * *", "minute: \"+5\" is no number from 0 to 59, at character 1"},
    refused_case{"decimal", "1.5 * * * *",
                 "minute: \".5\" does not belong behind what stands before it, at character 2"},
    refused_case{"word", "a * * * *", "minute: \"a\" is no number from 0 to 59, at character 1"},
    refused_case{"month_in_day", "0 0 JAN * *",
                 "day of month: \"JAN\" is no number from 1 to 31, at character 5"},
    refused_case{"day_in_month", "0 0 * MON *",
                 "month: \"MON\" is no month: 1 to 12 or JAN to DEC, at character 7"},
    refused_case{"month_in_weekday", "0 0 * * JAN",
                 "day of week: \"JAN\" is no day of the week: 0 to 7 or SUN to SAT, at character 9"},
    refused_case{"full_name", "0 0 * january *",
                 "month: \"january\" is no month: 1 to 12 or JAN to DEC, at character 7"},
    refused_case{"two_names", "0 0 * * MONTUE",
                 "day of week: \"MONTUE\" is no day of the week: 0 to 7 or SUN to SAT, at character 9"},
    refused_case{"name_and_digit", "0 0 * JAN1 *",
                 "month: \"1\" does not belong behind what stands before it, at character 10"},
    refused_case{"digit_and_letter", "5x * * * *",
                 "minute: \"x\" does not belong behind what stands before it, at character 2"},
    refused_case{"star_and_digit", "*5 * * * *",
                 "minute: \"5\" does not belong behind what stands before it, at character 2"},
    refused_case{"long_word", "* * * * abcdefghijklmnopqrstuvwxyz",
                 "day of week: \"abcdefghijklmnopqrst…\" is no day of the week: 0 to 7 or SUN to SAT, at "
                 "character 9"},
    refused_case{"a_letter_of_two_bytes", "\xc3\xa9 * * * *",
                 "minute: \"\xc3\xa9\" is no number from 0 to 59, at character 1"},
    refused_case{"no_utf8", "\xff * * * *",
                 "minute: what stands here is no number from 0 to 59, at character 1"},
    refused_case{"escape", "\x1b[2J * * * *",
                 "minute: what stands here is no number from 0 to 59, at character 1"},
    refused_case{"zero_byte", std::string{"\0 * * * *", 9},
                 "minute: what stands here is no number from 0 to 59, at character 1"},
    refused_case{
      "line_end", "0 0 * * *\n",
      "day of week: what stands here does not belong behind what stands before it, at character 10"}),
  [](const auto& test) { return std::string{test.param.name}; });

INSTANTIATE_TEST_SUITE_P(
  ListsRangesSteps,
  ParseCronRefuses,
  testing::Values(
    refused_case{"empty_item", "1,,2 * * * *", "minute: a value is missing, at character 3"},
    refused_case{"list_ends_with_a_comma", "0 1, * * *", "hour: a value is missing, at character 5"},
    refused_case{"list_begins_with_a_comma", ",1 * * * *", "minute: a value is missing, at character 1"},
    refused_case{"range_without_end", "1- * * * *", "minute: the end of a range is missing, at character 3"},
    refused_case{"range_without_end_in_list", "1-,5 * * * *",
                 "minute: the end of a range is missing, at character 3"},
    refused_case{"range_downward", "20-10 * * * *",
                 "minute: a range runs upward, and 20 is above 10, at character 3"},
    refused_case{"range_over_new_year", "0 0 1 NOV-FEB *",
                 "month: a range runs upward, and 11 is above 2, at character 10"},
    refused_case{"range_from_seven", "0 0 * * 7-2",
                 "day of week: a range runs upward, and 7 is above 2, at character 10"},
    refused_case{"range_to_zero", "0 0 * * 5-0",
                 "day of week: a range runs upward, and 5 is above 0, at character 10"},
    refused_case{"range_of_three", "1-2-3 * * * *",
                 "minute: \"-3\" does not belong behind what stands before it, at character 4"},
    refused_case{"star_in_range", "*-5 * * * *",
                 "minute: \"-5\" does not belong behind what stands before it, at character 2"},
    refused_case{"range_to_a_word", "1-x * * * *", "minute: \"x\" is no number from 0 to 59, at character 3"},
    refused_case{"step_of_zero", "*/0 * * * *", "minute: a step is at least 1, at character 3"},
    refused_case{"step_too_wide", "*/61 * * * *",
                 "minute: a step of 61 is wider than the field, which has 60 values, at character 3"},
    refused_case{"step_too_wide_for_hours", "0 0-12/25 * * *",
                 "hour: a step of 25 is wider than the field, which has 24 values, at character 8"},
    refused_case{"step_too_wide_for_days", "0 0 */32 * *",
                 "day of month: a step of 32 is wider than the field, which has 31 values, at character 7"},
    refused_case{"step_too_wide_for_months", "0 0 1 */13 *",
                 "month: a step of 13 is wider than the field, which has 12 values, at character 9"},
    refused_case{"step_too_wide_for_weekdays", "0 0 * * */8",
                 "day of week: a step of 8 is wider than the field, which has 7 values, at character 11"},
    refused_case{"step_after_a_value", "5/10 * * * *",
                 "minute: a step needs * or a range before it, at character 2"},
    refused_case{"step_after_a_name", "0 0 * * MON/2",
                 "day of week: a step needs * or a range before it, at character 12"},
    refused_case{"step_missing", "*/ * * * *", "minute: a step is a number, at character 3"},
    refused_case{"step_negative", "*/-5 * * * *", "minute: a step is a number, at character 3"},
    refused_case{"step_of_a_word", "*/MON * * * *", "minute: a step is a number, at character 3"},
    refused_case{"two_steps", "*/5/5 * * * *",
                 "minute: \"/5\" does not belong behind what stands before it, at character 4"},
    refused_case{"step_alone", "/5 * * * *", "minute: \"/5\" is no number from 0 to 59, at character 1"}),
  [](const auto& test) { return std::string{test.param.name}; });

INSTANTIATE_TEST_SUITE_P(
  DayFields,
  ParseCronRefuses,
  testing::Values(
    refused_case{"question_in_minute", "? * * * *",
                 "minute: ? stands in day of month and day of week only, at character 1"},
    refused_case{"question_in_month", "0 0 * ? *",
                 "month: ? stands in day of month and day of week only, at character 7"},
    refused_case{"question_in_a_list_of_hours", "0 1,? * * *",
                 "hour: ? stands in day of month and day of week only, at character 5"},
    refused_case{"question_in_a_list", "0 0 1,? * *", "day of month: ? stands alone, at character 7"},
    refused_case{"question_with_step", "0 0 ?/2 * *", "day of month: ? stands alone, at character 5"},
    refused_case{"bare_last_weekday", "0 0 * * L",
                 "day of week: L needs the day before it, as in 5L or FRIL, at character 9"},
    refused_case{"bare_last_weekday_in_a_list", "0 0 * * 1,l",
                 "day of week: L needs the day before it, as in 5L or FRIL, at character 11"},
    refused_case{"bare_nearest", "0 0 W * *",
                 "day of month: W needs the day before it, as in 15W, at character 5"},
    refused_case{"last_in_minute", "L * * * *", "minute: \"L\" is no number from 0 to 59, at character 1"},
    refused_case{"last_in_month", "0 0 1 L *",
                 "month: \"L\" is no month: 1 to 12 or JAN to DEC, at character 7"},
    refused_case{"days_before_the_last", "0 0 L-3 * *",
                 "day of month: \"L\" does not stand in a range, at character 6"},
    refused_case{"range_to_last", "0 0 29-L * *",
                 "day of month: \"L\" is no number from 1 to 31, at character 8"},
    refused_case{"last_with_step", "0 0 L/2 * *", "day of month: \"L\" takes no step, at character 6"},
    refused_case{"last_weekday_with_step", "0 0 LW/2 * *",
                 "day of month: \"LW\" takes no step, at character 7"},
    refused_case{"nearest_with_step", "0 0 15W/2 * *", "day of month: \"15W\" takes no step, at character 8"},
    refused_case{"nearest_begins_range", "0 0 1W-5 * *",
                 "day of month: \"1W\" does not stand in a range, at character 7"},
    refused_case{"nearest_ends_range", "0 0 1-5W * *",
                 "day of month: \"5W\" does not stand in a range, at character 7"},
    refused_case{"last_of_weekday_in_day", "0 0 5L * *",
                 "day of month: \"L\" does not belong behind what stands before it, at character 6"},
    refused_case{"nearest_in_weekday", "0 0 * * 5W",
                 "day of week: \"W\" does not belong behind what stands before it, at character 10"},
    refused_case{"nearest_above", "0 0 32W * *", "day of month: 32 is above 31, at character 5"},
    refused_case{"last_and_more", "0 0 LX * *",
                 "day of month: \"X\" does not belong behind \"L\", at character 6"},
    refused_case{"weekday_last_in_range", "0 0 * * 1L-5",
                 "day of week: \"1L\" does not stand in a range, at character 11"},
    refused_case{"weekday_last_ends_range", "0 0 * * MON-FRIL",
                 "day of week: \"FRIL\" does not stand in a range, at character 13"},
    refused_case{"weekday_last_with_step", "0 0 * * FRIL/2",
                 "day of week: \"FRIL\" takes no step, at character 13"},
    refused_case{"nth_of_zero", "0 0 * * 5#0", "day of week: # takes 1 to 5, not 0, at character 11"},
    refused_case{"nth_of_six", "0 0 * * FRI#6", "day of week: # takes 1 to 5, not 6, at character 13"},
    refused_case{"nth_missing", "0 0 * * 5#",
                 "day of week: # needs a number from 1 to 5 behind it, at character 10"},
    refused_case{"nth_of_a_word", "0 0 * * 5#L",
                 "day of week: # needs a number from 1 to 5 behind it, at character 10"},
    refused_case{"nth_in_day", "0 0 5#2 * *",
                 "day of month: \"#2\" does not belong behind what stands before it, at character 6"},
    refused_case{"nth_in_range", "0 0 * * 1#1-3",
                 "day of week: \"1#1\" does not stand in a range, at character 12"},
    refused_case{"nth_ends_range", "0 0 * * 1-3#2",
                 "day of week: \"3#\" does not stand in a range, at character 11"},
    refused_case{"nth_with_step", "0 0 * * 1#1/2", "day of week: \"1#1\" takes no step, at character 12"},
    refused_case{"nth_alone", "0 0 * * #2",
                 "day of week: \"#2\" is no day of the week: 0 to 7 or SUN to SAT, at character 9"}),
  [](const auto& test) { return std::string{test.param.name}; });

constexpr auto never_a_date = "day of month: no month that is asked for has such a day, so this never fires";
constexpr auto never_a_weekday =
  "day of week: a day of the month that is asked for is never one of these, so this never fires";

INSTANTIATE_TEST_SUITE_P(
  NeverFires,
  ParseCronRefuses,
  testing::Values(refused_case{"february_30", "0 0 30 2 *", never_a_date},
                  refused_case{"february_30_any_weekday", "0 0 30,31 FEB ?", never_a_date},
                  refused_case{"the_31st_of_short_months", "0 0 31 4,6,9,11 *", never_a_date},
                  refused_case{"nearest_to_february_30", "0 0 30W 2 *", never_a_date},
                  refused_case{"nearest_to_the_31st", "0 0 31W 2,4 *", never_a_date},
                  refused_case{"every_second", "* * * 31 6 *", never_a_date},
                  refused_case{"both_days_of_february", "0 0 30 2 */2", never_a_date},
                  refused_case{"a_weekday_at_the_weekend", "0 0 15W * */6", never_a_weekday},
                  refused_case{"the_last_weekday_on_sunday", "0 0 LW * */7", never_a_weekday},
                  refused_case{"the_first_as_a_fifth_monday", "0 0 */31 2 1#5", never_a_weekday},
                  refused_case{"the_first_as_a_last_monday", "0 0 */31 2,4 1L", never_a_weekday},
                  refused_case{"the_first_as_a_second_monday", "0 0 */31 * 1#2", never_a_weekday}),
  [](const auto& test) { return std::string{test.param.name}; });

constexpr auto too_few =
  "expression: five fields (minute, hour, day of month, month, day of week), or six with "
  "the second in front, are needed, not 4, at character 8";
constexpr auto period_form =
  "@every: a period is hours, minutes and seconds in this order, as in 1h30m or 90s, "
  "at character 8";

INSTANTIATE_TEST_SUITE_P(
  Whole,
  ParseCronRefuses,
  testing::Values(
    refused_case{"nothing", "", "expression: it is empty"},
    refused_case{"blanks", " \t ", "expression: it is empty"},
    refused_case{"four_fields", "* * * *", too_few},
    refused_case{"a_year", "0 0 0 1 1 * 2026",
                 "year: a field for the year is not known: seven fields are one too many, at character 13"},
    refused_case{"too_long", std::string(10'000, '*'),
                 "expression: it has 10000 characters, of at most 1000"},
    refused_case{"unknown_macro", "@dayly", unknown_macro.c_str()},
    refused_case{"no_macro", "@ * * * *", bare_at.c_str()},
    refused_case{"reboot", "@reboot", "macro: @reboot names no time, at character 1"},
    refused_case{"reboot_in_capitals", " @REBOOT", "macro: @reboot names no time, at character 2"},
    refused_case{"behind_a_macro", "@daily 5", "macro: @daily takes nothing after it, at character 8"},
    refused_case{"no_period", "@every", "@every: a period is missing, as in 1h30m or 90s, at character 7"},
    refused_case{"behind_a_period", "@every 1h 30m",
                 "@every: \"30m\" does not belong behind a period, at character 11"},
    refused_case{"no_unit", "@every 90", period_form},
    refused_case{"only_a_unit", "@every s", period_form},
    refused_case{"unknown_unit", "@every 1d",
                 "@every: a period is hours, minutes and seconds in this order, as in 1h30m or 90s, at "
                 "character 9"},
    refused_case{"wrong_order", "@every 30m1h",
                 "@every: a period is hours, minutes and seconds in this order, as in 1h30m or 90s, at "
                 "character 12"},
    refused_case{"twice_a_unit", "@every 1m1m",
                 "@every: a period is hours, minutes and seconds in this order, as in 1h30m or 90s, at "
                 "character 11"},
    refused_case{"below_a_second", "@every 500ms",
                 "@every: a period is hours, minutes and seconds in this order, as in 1h30m or 90s, at "
                 "character 12"},
    refused_case{"negative_period", "@every -5s", period_form},
    refused_case{"zero", "@every 0h0m0s", "@every: a period is at least 1s, at character 8"},
    refused_case{"never_again", "@every 99999999999999999999h",
                 "@every: a period is at most 10,000 years, at character 8"}),
  [](const auto& test) { return std::string{test.param.name}; });

struct described_case {
  const char* expression;
  const char* sentence;
};

class DescribeCron : public testing::TestWithParam<described_case> {};

TEST_P(DescribeCron, IsOneSentence) {
  const auto expression = parse_cron(GetParam().expression);
  ASSERT_TRUE(expression) << expression.error().detail;
  EXPECT_EQ(describe(*expression), GetParam().sentence);
}

INSTANTIATE_TEST_SUITE_P(
  Sentences,
  DescribeCron,
  testing::Values(
    described_case{"0 3 * * *", "At 03:00, every day"},
    described_case{"* * * * *", "Every minute"},
    described_case{"* * * * * *", "Every second"},
    described_case{"*/5 * * * *", "Every 5 minutes"},
    described_case{"0,30 * * * *", "Every 30 minutes"},
    described_case{"*/7 * * * *", "At every 7th minute from 0 through 56 of every hour"},
    described_case{"*/10 * * * * *", "Every 10 seconds"},
    described_case{"30 * * * * *", "At second 30 of every minute"},
    described_case{"0 * * * *", "Every hour"},
    described_case{"@hourly", "Every hour"},
    described_case{"15 * * * *", "At minute 15 of every hour"},
    described_case{"0 */2 * * *", "Every 2 hours"},
    described_case{"15 */2 * * *", "At minute 15 of every 2nd hour"},
    described_case{"*/15 */3 * * *", "Every 15 minutes of every 3rd hour"},
    described_case{"0 9-17 * * MON-FRI", "Every hour from 09:00 through 17:00, on Monday through Friday"},
    described_case{"*/5 9-17 * * 1-5", "Every 5 minutes of hours 9 through 17, on Monday through Friday"},
    described_case{"15,45 8,20 * * *", "At 08:15, 08:45, 20:15 and 20:45, every day"},
    described_case{"5 8-22/2 * * *", "At minute 5 of every 2nd hour from 8 through 22, every day"},
    described_case{"30 0 3 * * *", "At 03:00:30, every day"},
    described_case{"* 0 3 * * *", "Every second of minute 0 of hour 3, every day"},
    described_case{"5,10 */5 3,4 * * SAT,SUN",
                   "At seconds 5 and 10 of every 5th minute of hours 3 and 4, on Saturday and Sunday"},
    described_case{"@monthly", "At 00:00, on the 1st of the month"},
    described_case{"@yearly", "At 00:00, on the 1st of January"},
    described_case{"@weekly", "At 00:00, on Sunday"},
    described_case{"0 0 2,3,11-13,22 * *",
                   "At 00:00, on the 2nd, the 3rd, the 11th through the 13th and the 22nd of the month"},
    described_case{"0 0 L * ?", "At 00:00, on the last day of the month"},
    described_case{"0 0 1,15W,LW * ?",
                   "At 00:00, on the 1st, the weekday nearest to the 15th and the last weekday of the month"},
    described_case{"0 0 ? * FRIL", "At 00:00, on the last Friday of the month"},
    described_case{"0 0 ? 3,6 5#2,MON", "At 00:00, on Monday and the second Friday of March and June"},
    described_case{"0 0 13 * 5", "At 00:00, on the 13th of the month or on Friday"},
    described_case{
      "0 0 */2 * 1,3",
      "At 00:00, on every 2nd day from the 1st through the 31st of the month if that is Monday or "
      "Wednesday"},
    described_case{"0 0 1-31 * 5", "At 00:00, every day"},
    described_case{"0 0 ? 6 FRI", "At 00:00, on Friday in June"},
    described_case{"*/5 * * 6-8 *", "Every 5 minutes, every day in June through August"},
    described_case{"0 0 29 2 *", "At 00:00, on the 29th of February"},
    described_case{"@every 1h", "Every hour"},
    described_case{"@every 90s", "Every 1 minute and 30 seconds"},
    described_case{"@every 36h", "Every 36 hours"},
    described_case{"@every 1h1m1s", "Every 1 hour, 1 minute and 1 second"}));

TEST(ParseCron, TakesLettersInAnyCase) {
  EXPECT_EQ(parse_cron("0 0 l,lw,15w jan ?").value(), parse_cron("0 0 L,LW,15W JAN ?").value());
  EXPECT_EQ(parse_cron("0 0 ? * fril,Mon#2").value(), parse_cron("0 0 ? * 5L,1#2").value());
  EXPECT_EQ(parse_cron("@Every 1H30M5S").value(), parse_cron("@every 1h30m5s").value());
}

TEST(ParseCron, ReadsSundayAsSeven) {
  EXPECT_EQ(parse_cron("0 0 * * 7").value(), parse_cron("0 0 * * 0").value());
  EXPECT_EQ(parse_cron("0 0 * * 5-7").value(), parse_cron("0 0 * * FRI-SUN").value());
  EXPECT_EQ(parse_cron("0 0 * * 7L").value(), parse_cron("0 0 * * SUNL").value());
  EXPECT_EQ(parse_cron("0 0 * * 7#1").value(), parse_cron("0 0 * * 0#1").value());
}

TEST(ParseCron, TakesAsManyCharactersAsItSays) {
  auto text = "0 0 1 1 *" + std::string(most_cron_characters - 9, ' ');
  EXPECT_TRUE(parse_cron(text));
  EXPECT_FALSE(parse_cron(text + ' '));
}

TEST(CronExpression, IsASmallValue) {
  EXPECT_TRUE(std::is_trivially_copyable_v<cron_expression>);
  EXPECT_LE(sizeof(cron_expression), 64U);
}

TEST(CronExpression, KnowsWhatIsFinerThanAMinute) {
  for (const auto* finer : {"* * * * * *", "0,30 0 3 * * *", "@every 59s"})
    EXPECT_TRUE(parse_cron(finer)->is_finer_than_a_minute()) << finer;
  for (const auto* other : {"* * * * *", "30 * * * * *", "@every 1m"})
    EXPECT_FALSE(parse_cron(other)->is_finer_than_a_minute()) << other;
}

TEST(CronExpression, KeepsToTheYearsThatCanBeWritten) {
  const time_zone utc;
  const auto every_second = parse_cron("* * * * * *").value();
  const auto first = parse_whole_seconds("0000-01-01T00:00:00Z").value();
  const auto last = parse_whole_seconds("9999-12-31T23:59:59Z").value();
  EXPECT_EQ(every_second.next(first, utc), first + 1s);
  EXPECT_FALSE(every_second.next(first - 1s, utc));
  EXPECT_EQ(every_second.next(last - 1s, utc), last);
  EXPECT_FALSE(every_second.next(last, utc));
  EXPECT_FALSE(every_second.next(sys_seconds::max(), utc));
  EXPECT_FALSE(every_second.next(sys_seconds::min(), utc));
  EXPECT_FALSE(parse_cron("@every 87000000h")->next(last - 1s, utc));

  // On the clock of a zone the years end earlier, or begin later.
  const auto east = load_time_zone("Etc/GMT-14").value();
  EXPECT_FALSE(every_second.next(last - 14h, east));
  const auto west = load_time_zone("Etc/GMT+12").value();
  EXPECT_EQ(every_second.next(first, west), first + 12h);
}

TEST(CronExpression, NeverComesWhereItsZoneAlwaysSkipsIt) {
  // A Sunday that is March 31 is the last of its month, on which Berlin has no hour 2.
  const auto berlin = load_time_zone("Europe/Berlin").value();
  const auto now = parse_whole_seconds("2026-01-01T00:00:00Z").value();
  EXPECT_FALSE(parse_cron("*/24 2 */15 3 SUN#5")->next(now, berlin));
  EXPECT_EQ(parse_cron("24 2 */15 3 SUN#5")->next(now, berlin),
            parse_whole_seconds("2030-03-31T03:00:00+02:00").value());
  EXPECT_EQ(parse_cron("*/24 2 */15 3 SUN#5")->next(now, time_zone{}),
            parse_whole_seconds("2030-03-31T02:00:00Z").value());
}

// Counts what this thread asks of the heap.
thread_local std::size_t allocations = 0;

TEST(CronExpression, AsksWithoutAllocating) {
  std::vector<cron_expression> expressions;
  for (const auto* text : {"*/5 * * * *", "30 2 * * *", "0 0 29 2 *", "0 0 LW,15W * ?", "0 0 ? * FRIL,MON#2",
                           "* * 30 12 *", "@every 90s"})
    expressions.push_back(parse_cron(text).value());
  std::vector<time_zone> zones;
  for (const auto* name : {"UTC", "Europe/Berlin", "Pacific/Apia", "Australia/Lord_Howe"})
    zones.push_back(load_time_zone(name).value());

  const auto before = allocations;
  std::size_t found = 0;
  for (const auto& zone : zones)
    for (const auto& expression : expressions) {
      auto at = sys_seconds{std::chrono::sys_days{std::chrono::year{2011} / 12 / 25}};
      for (int i = 0; i < 100; ++i, ++found)
        at = expression.next(at, zone).value();
    }
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(found, 100 * zones.size() * expressions.size());
  static_assert(noexcept(expressions.front().next(std::declval<sys_seconds&>(), zones.front())));
  // The counter does count.
  EXPECT_GT((std::vector<int>(1'000), allocations), before);
}

} // namespace
} // namespace skyengine

// The program's own, which count. Those of arrays call these, or are the sanitizer's pair.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++skyengine::allocations;
  return std::malloc(size == 0 ? 1 : size);
}

void* operator new(std::size_t size) {
  if (void* const found = operator new(size, std::nothrow))
    return found;
  throw std::bad_alloc{};
}

void operator delete(void* at) noexcept {
  std::free(at);
}

void operator delete(void* at, std::size_t) noexcept {
  std::free(at);
}

void operator delete(void* at, const std::nothrow_t&) noexcept {
  std::free(at);
}
