#include "domain/money.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <string>

namespace skyengine {
namespace {

constexpr auto int64_max = std::numeric_limits<std::int64_t>::max();

struct money_case {
  const char* name;
  std::string text;
  std::int64_t micros;
};

class ParseMoney : public testing::TestWithParam<money_case> {};

TEST_P(ParseMoney, ReadsMicros) {
  const auto sum = parse_money(GetParam().text);
  ASSERT_TRUE(sum) << sum.error().detail;
  EXPECT_EQ(sum->micros, GetParam().micros);
}

INSTANTIATE_TEST_SUITE_P(Grammar,
                         ParseMoney,
                         testing::Values(money_case{"units", "5", 5'000'000},
                                         money_case{"cents", "5.00", 5'000'000},
                                         money_case{"one_decimal", "0.1", 100'000},
                                         money_case{"micros", "0.006849", 6'849},
                                         money_case{"zero", "0", 0},
                                         money_case{"leading_zeros", "0005.50", 5'500'000},
                                         money_case{"most", "9223372036854.775807", int64_max},
                                         money_case{"many_zeros", std::string(40, '0') + "1", 1'000'000}),
                         [](const auto& test) { return std::string{test.param.name}; });

struct no_money_case {
  const char* name;
  std::string text;
  const char* reason;
};

class ParseMoneyRefuses : public testing::TestWithParam<no_money_case> {};

TEST_P(ParseMoneyRefuses, WithTheReason) {
  const auto sum = parse_money(GetParam().text);
  ASSERT_FALSE(sum);
  EXPECT_EQ(sum.error().code, errc::invalid_request);
  EXPECT_NE(sum.error().detail.find(GetParam().reason), std::string::npos) << sum.error().detail;
}

INSTANTIATE_TEST_SUITE_P(Grammar,
                         ParseMoneyRefuses,
                         testing::Values(no_money_case{"nothing", "", "digits"},
                                         no_money_case{"seven_decimals", "5.0000001", "six decimals"},
                                         no_money_case{"seven_zero_decimals", "5.0000000", "six decimals"},
                                         no_money_case{"minus", "-1", "digits"},
                                         no_money_case{"plus", "+1", "digits"},
                                         no_money_case{"exponent", "1e3", "digits"},
                                         no_money_case{"no_units", ".5", "digits"},
                                         no_money_case{"no_decimals", "5.", "digits"},
                                         no_money_case{"two_points", "1.2.3", "digits"},
                                         no_money_case{"comma", "1,5", "digits"},
                                         no_money_case{"space", " 1", "digits"},
                                         no_money_case{"trailing_newline", "1\n", "digits"},
                                         no_money_case{"hexadecimal", "0x1", "digits"},
                                         no_money_case{"arabic_digit", "\xd9\xa5", "digits"},
                                         no_money_case{"nul", std::string("1\0", 2), "digits"},
                                         no_money_case{"one_too_many", "9223372036854.775808",
                                                       "at most 9223372036854.775807"},
                                         no_money_case{"far_too_many", std::string(400, '9'), "at most"}),
                         [](const auto& test) { return std::string{test.param.name}; });

TEST(ParseMoney, KeepsTheCallersLimit) {
  EXPECT_TRUE(parse_money("999999.999999", money{999'999'999'999}));
  const auto over = parse_money("1000000", money{999'999'999'999});
  ASSERT_FALSE(over);
  EXPECT_NE(over.error().detail.find("at most 999999.999999"), std::string::npos) << over.error().detail;
}

TEST(MoneyText, HasTwoToSixDecimals) {
  EXPECT_EQ(to_string(money{0}), "0.00");
  EXPECT_EQ(to_string(money{5'000'000}), "5.00");
  EXPECT_EQ(to_string(money{5'500'000}), "5.50");
  EXPECT_EQ(to_string(money{6'849}), "0.006849");
  EXPECT_EQ(to_string(money{1'001'000}), "1.001");
  EXPECT_EQ(to_string(money{-500'000}), "-0.50");
  EXPECT_EQ(to_string(money{-1}), "-0.000001");
  EXPECT_EQ(to_string(most_money), "9223372036854.775807");
  EXPECT_EQ(to_string(money{std::numeric_limits<std::int64_t>::min()}), "-9223372036854.775808");
}

TEST(MoneyProperty, WhatIsWrittenIsReadBack) {
  std::mt19937_64 random{1};
  for (int i = 0; i < 10'000; ++i) {
    const money sum{static_cast<std::int64_t>(random() >> (1 + random() % 63))};
    const auto back = parse_money(to_string(sum));
    ASSERT_TRUE(back) << to_string(sum);
    ASSERT_EQ(*back, sum);
  }
}

TEST(Currency, IsAnUpperCaseIsoCode) {
  for (const auto* code : {"AED", "EUR", "USD", "JPY", "KWD", "ZWG"}) {
    const auto currency = parse_currency(code);
    ASSERT_TRUE(currency) << code;
    EXPECT_EQ(currency->value, code);
  }
  for (const auto* code : {"", "usd", "Usd", "US", "USDT", "ABC", "XXX", "DEM", " USD", "US$"})
    EXPECT_FALSE(parse_currency(code)) << code;
  EXPECT_EQ(parse_currency("eur").error().code, errc::invalid_request);
}

TEST(Currency, HasTheMinorUnitOfIso4217) {
  for (const auto* code : {"USD", "EUR", "MGA", "MRU", "HUF"})
    EXPECT_EQ(minor_digits({code}), 2) << code;
  for (const auto* code : {"JPY", "KRW", "ISK", "XAF", "XPF", "CLP", "BIF"})
    EXPECT_EQ(minor_digits({code}), 0) << code;
  for (const auto* code : {"KWD", "BHD", "TND", "OMR"})
    EXPECT_EQ(minor_digits({code}), 3) << code;
}

TEST(MoneyRounding, GoesToWholeMinorUnitsHalfAwayFromZero) {
  const auto cents = [](std::int64_t micros) { return round_to_minor({micros}, {"USD"}).micros; };
  EXPECT_EQ(cents(0), 0);
  EXPECT_EQ(cents(4'999), 0);
  EXPECT_EQ(cents(5'000), 10'000);
  EXPECT_EQ(cents(14'999), 10'000);
  EXPECT_EQ(cents(20'000), 20'000);
  EXPECT_EQ(cents(-4'999), 0);
  EXPECT_EQ(cents(-5'000), -10'000);
  EXPECT_EQ(cents(-15'000), -20'000);
  EXPECT_EQ(round_to_minor({1'500'000}, {"JPY"}).micros, 2'000'000);
  EXPECT_EQ(round_to_minor({1'499'999}, {"JPY"}).micros, 1'000'000);
  EXPECT_EQ(round_to_minor({1'234'500}, {"KWD"}).micros, 1'235'000);
}

TEST(Amount, ReadsWithItsCurrency) {
  EXPECT_EQ(to_string(amount{{5'000'000}, {"EUR"}}), "5.00 EUR");
}

} // namespace
} // namespace skyengine
