#include "domain/invoice.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace skyengine {
namespace {

invoice_item item(std::int64_t micros, std::int64_t server = 1) {
  return {{server}, {"small"}, 3'600, {micros}, {5'000'000}, 730};
}

TEST(Invoice, RoundsEachLineOnceAndTellsWhatThatLeaves) {
  const auto made = compose_invoice({"USD"}, {item(68'493), item(5'000'000, 2), item(6'849, 3)}, 0);
  ASSERT_EQ(made.lines.size(), 3u);
  EXPECT_EQ(made.lines[0].amount.micros, 70'000);
  EXPECT_EQ(made.lines[1].amount.micros, 5'000'000);
  EXPECT_EQ(made.lines[2].amount.micros, 10'000);
  EXPECT_EQ(made.subtotal.micros, 5'080'000);
  // 5,080,000 of 5,075,342 that were charged.
  EXPECT_EQ(made.rounding.micros, 4'658);
  EXPECT_EQ(made.tax.micros, 0);
  EXPECT_EQ(made.total.micros, 5'080'000);
}

TEST(Invoice, WhatRoundsToNothingStillStandsOnIt) {
  const auto made = compose_invoice({"USD"}, {item(4'999), item(4'999, 2)}, 1'900);
  EXPECT_EQ(made.lines.size(), 2u);
  EXPECT_EQ(made.total.micros, 0);
  EXPECT_EQ(made.rounding.micros, -9'998);
}

TEST(Invoice, TheTaxIsRoundedOnceOnTheSumOfTheLines) {
  // 19 % of 0.03 are 0.0057; of each line it would be 0.0019.
  const auto made = compose_invoice({"EUR"}, {item(10'000), item(10'000, 2), item(10'000, 3)}, 1'900);
  EXPECT_EQ(made.tax.micros, 10'000);
  EXPECT_EQ(made.total.micros, 40'000);
  // 2.5 % of 0.20 are exactly half a cent.
  EXPECT_EQ(compose_invoice({"EUR"}, {item(200'000)}, 250).tax.micros, 10'000);
  EXPECT_EQ(compose_invoice({"EUR"}, {item(190'000)}, 250).tax.micros, 0);
}

TEST(Invoice, CurrenciesHaveTheirOwnMinorUnits) {
  const auto yen = compose_invoice({"JPY"}, {item(499'500'000), item(499'499'999, 2)}, 1'000);
  EXPECT_EQ(yen.lines[0].amount.micros, 500'000'000);
  EXPECT_EQ(yen.lines[1].amount.micros, 499'000'000);
  EXPECT_EQ(yen.tax.micros, 100'000'000) << "99.9 of 999";
  const auto dinar = compose_invoice({"KWD"}, {item(1'234'499)}, 0);
  EXPECT_EQ(dinar.total.micros, 1'234'000);
}

TEST(Invoice, WhatIsGivenBackIsAsMuchAsWhatWasCharged) {
  const auto made = compose_invoice({"USD"}, {item(5'000), item(-5'000)}, 0);
  EXPECT_EQ(made.lines[0].amount.micros, 10'000);
  EXPECT_EQ(made.lines[1].amount.micros, -10'000);
  EXPECT_EQ(made.total.micros, 0);
  EXPECT_EQ(made.rounding.micros, 0);
}

TEST(Invoice, NothingComesToNothing) {
  const auto made = compose_invoice({"USD"}, {}, 1'900);
  EXPECT_TRUE(made.lines.empty());
  EXPECT_EQ(made.total.micros, 0);
}

TEST(Invoice, HoursHaveTwoDecimals) {
  EXPECT_EQ(hours_text(0), "0.00");
  EXPECT_EQ(hours_text(3'600), "1.00");
  EXPECT_EQ(hours_text(37'800), "10.50");
  EXPECT_EQ(hours_text(1), "0.00");
  EXPECT_EQ(hours_text(18), "0.01");
  EXPECT_EQ(hours_text(-5'400), "-1.50");
  EXPECT_EQ(hours_text(-1), "0.00");
}

} // namespace
} // namespace skyengine
