#include "db/rows.hpp"
#include "db/sqlstate.hpp"
#include "db/statement.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>

namespace skyengine::db {
namespace {

using namespace std::chrono_literals;
using texts = std::vector<std::string>;
using numbers = std::vector<std::int64_t>;

TEST(RowText, IntegersAreReadWhole) {
  EXPECT_EQ(detail::to_int64("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(detail::to_int64("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  for (const auto* text : {"", "9223372036854775808", "1.0", "1 ", "+1", "x"})
    EXPECT_THROW(detail::to_int64(text), std::logic_error) << text;
}

TEST(RowText, BooleansAreOneLetter) {
  EXPECT_TRUE(detail::to_bool("t"));
  EXPECT_FALSE(detail::to_bool("f"));
  for (const auto* text : {"", "true", "1"})
    EXPECT_THROW(detail::to_bool(text), std::logic_error) << text;
}

TEST(RowText, TimesAreReadToTheMicrosecond) {
  const auto day = std::chrono::sys_days{std::chrono::year{2026} / 3 / 1};
  EXPECT_EQ(detail::to_instant("2026-03-01 10:59:30+00"), day + 10h + 59min + 30s);
  EXPECT_EQ(detail::to_instant("2026-03-01 10:59:30.5+00"), day + 10h + 59min + 30s + 500ms);
  EXPECT_EQ(detail::to_instant("2026-03-01 00:00:00.000001+00"), day + 1us);
  EXPECT_EQ(detail::to_instant("1969-12-31 23:59:59+00"), instant{-1s});
}

TEST(RowText, WhatIsNoTimeInUtcIsABug) {
  for (const auto* text :
       {"infinity", "-infinity", "", "2026-03-01", "2026-02-30 00:00:00+00", "2026-03-01 10:59:30",
        "2026-03-01 10:59:30.+00", "2026-03-01 10:59:30+01", "2026-03-01 10:59:30.1234567+00"})
    EXPECT_THROW(detail::to_instant(text), std::logic_error) << text;
}

TEST(RowText, ArraysOfTextAreUnescaped) {
  EXPECT_EQ(detail::to_text_array("{}"), texts{});
  EXPECT_EQ(detail::to_text_array("{a,b c}"), (texts{"a", "b c"}));
  EXPECT_EQ(detail::to_text_array(R"({"","a,b","a\"b","a\\b","{}","NULL"})"),
            (texts{"", "a,b", "a\"b", "a\\b", "{}", "NULL"}));
}

TEST(RowText, ArraysOfNumbersAreRead) {
  EXPECT_EQ(detail::to_int64_array("{}"), numbers{});
  EXPECT_EQ(detail::to_int64_array("{1,-2,9223372036854775807}"),
            (numbers{1, -2, std::numeric_limits<std::int64_t>::max()}));
}

TEST(RowText, AnArrayThatIsNoneOrHoldsNullIsABug) {
  for (const auto* text : {"", "{", "}", "a", "{a", "{a,}", "{,a}", "{NULL}", "{a,NULL}", "{{a},{b}}",
                           "[0:1]={a,b}", R"({"a)", R"({"a"b})", R"({"a\)", R"({"a\})", R"({a"b"})"})
    EXPECT_THROW(detail::to_text_array(text), std::logic_error) << text;
  EXPECT_THROW(detail::to_int64_array("{a}"), std::logic_error);
}

TEST(ParameterText, IsWhatPostgresqlReads) {
  const auto time = instant{std::chrono::sys_days{std::chrono::year{2026} / 3 / 1} + 10h + 1us};
  EXPECT_STREQ(parameter{time}.data(), "2026-03-01T10:00:00.000001Z");
  EXPECT_STREQ(parameter{instant{-1us}}.data(), "1969-12-31T23:59:59.999999Z");
  EXPECT_STREQ(parameter{true}.data(), "t");
  EXPECT_STREQ(parameter{std::numeric_limits<std::int64_t>::min()}.data(), "-9223372036854775808");
  EXPECT_STREQ((parameter{numbers{1, -2}}.data()), "{1,-2}");
  EXPECT_STREQ(parameter{numbers{}}.data(), "{}");
  EXPECT_STREQ((parameter{texts{"a", "b\"c\\d", "NULL", ""}}.data()), R"({"a","b\"c\\d","NULL",""})");
  EXPECT_EQ(parameter{std::nullopt}.data(), nullptr);
  EXPECT_EQ(parameter{std::optional<std::int64_t>{}}.data(), nullptr);
  EXPECT_STREQ(parameter{std::optional{std::string{"x"}}}.data(), "x");
}

TEST(ParameterText, KnowsATextThatCannotBeStored) {
  EXPECT_TRUE((parameter{std::string{"a\0b", 3}}.has_nul()));
  EXPECT_FALSE(parameter{"ab"}.has_nul());
  EXPECT_FALSE(parameter{std::nullopt}.has_nul());
}

TEST(ParameterText, ArraysComeBackAsTheyWere) {
  const texts odd{"", " ", "NULL", "{", "}", ",", "\"", "\\", "\\\"", "\n", "ü"};
  EXPECT_EQ(detail::to_text_array(parameter{odd}.data()), odd);
}

struct sqlstate_case {
  const char* sqlstate;
  errc code;
};
class SqlState : public testing::TestWithParam<sqlstate_case> {};

TEST_P(SqlState, HasItsCode) {
  const auto made = detail::to_error(GetParam().sqlstate, "some_constraint");
  EXPECT_EQ(made.code, GetParam().code);
  EXPECT_FALSE(made.detail.empty());
  EXPECT_EQ(made.retry_after.has_value(), made.code == errc::database_unavailable);
  EXPECT_EQ(made.detail == "some_constraint", made.code == errc::conflict);
}

INSTANTIATE_TEST_SUITE_P(Known,
                         SqlState,
                         testing::Values(sqlstate_case{"23505", errc::conflict},
                                         sqlstate_case{"23503", errc::conflict},
                                         sqlstate_case{"23514", errc::conflict},
                                         sqlstate_case{"23P01", errc::conflict},
                                         sqlstate_case{"23502", errc::internal},
                                         sqlstate_case{"42601", errc::internal},
                                         sqlstate_case{"22P02", errc::internal},
                                         sqlstate_case{"22021", errc::invalid_request},
                                         sqlstate_case{"25006", errc::database_unavailable},
                                         sqlstate_case{"40001", errc::database_unavailable},
                                         sqlstate_case{"40P01", errc::database_unavailable},
                                         sqlstate_case{"53100", errc::database_unavailable},
                                         sqlstate_case{"53200", errc::database_unavailable},
                                         sqlstate_case{"53300", errc::database_unavailable},
                                         sqlstate_case{"55P03", errc::database_unavailable},
                                         sqlstate_case{"57014", errc::database_unavailable},
                                         sqlstate_case{"57P01", errc::database_unavailable},
                                         sqlstate_case{"58030", errc::database_unavailable},
                                         sqlstate_case{"08006", errc::database_unavailable},
                                         sqlstate_case{"XX000", errc::database_unavailable}),
                         [](const auto& test) { return std::string{test.param.sqlstate}; });

} // namespace
} // namespace skyengine::db
