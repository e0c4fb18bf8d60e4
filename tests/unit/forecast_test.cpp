#include "domain/forecast.hpp"

#include <gtest/gtest.h>

namespace skyengine {
namespace {

using std::chrono::sys_days;
using std::chrono::sys_seconds;
using namespace std::chrono_literals;

constexpr sys_seconds november = sys_days{std::chrono::year{2026} / 11 / 1};

/// Of November 2026.
constexpr sys_seconds at(int day, int hour, int minute = 0) {
  return november + std::chrono::days{day - 1} + std::chrono::hours{hour} + std::chrono::minutes{minute};
}

plan_terms terms(std::int64_t micros, billing_basis basis = billing_basis::allocated) {
  return {{micros}, 730, basis, billing_granularity::second};
}

const plan_id small{"small"};
const plan_id large{"large"};
const plan_id metered{"metered"};

price_lists prices() {
  return {{small, {{at(1, 0), terms(5'000'000)}}},
          {large, {{at(1, 0), terms(10'000'000)}}},
          {metered, {{at(1, 0), terms(7'300'000, billing_basis::uptime)}}}};
}

std::int64_t micros(server_life life, sys_seconds from, const price_lists& list = prices()) {
  return forecast_month(std::move(life), list, from).accrued.micros;
}

TEST(Forecast, WhoIsActiveStaysSoUntilTheMonthsEnd) {
  // 10 hours of 730 of 5.00, whenever one asks.
  const server_life life{{{at(30, 14), true, small}}, {}, {}};
  EXPECT_EQ(micros(life, at(30, 15)), 68'493);
  EXPECT_EQ(micros(life, at(30, 23)), 68'493);
  EXPECT_EQ(forecast_month(life, prices(), at(30, 15)).seconds, 36'000);
}

TEST(Forecast, NeverExceedsTheMonthsPrice) {
  // December has 744 hours.
  EXPECT_EQ(micros({{{at(1, 0), true, small}}, {}, {}}, at(31, 5)), 5'000'000);
}

TEST(Forecast, WhatIsOverAddsNothing) {
  EXPECT_EQ(micros({{{at(2, 10), true, small}, {at(2, 12), false, small}}, {}, {}}, at(2, 12)), 13'699);
}

TEST(Forecast, AChangeOfPlanCountsBothAndTheNewOneGoesOn) {
  // 5,000,000 x 2 / 730 + 10,000,000 x 8 / 730 = 123,287.7
  EXPECT_EQ(micros({{{at(30, 14), true, small}, {at(30, 16), true, large}}, {}, {}}, at(30, 17)), 123'288);
}

TEST(Forecast, APriceThatIsKnownToChangeDoes) {
  auto list = prices();
  list[small].push_back({at(30, 22), terms(10'000'000)});
  // 8 hours of 5.00 and 2 of 10.00: 5,000,000 x 8 / 730 + 10,000,000 x 2 / 730 = 82,191.8
  EXPECT_EQ(micros({{{at(30, 14), true, small}}, {}, {}}, at(30, 15), list), 82'192);
}

TEST(Forecast, WhatIsHeldStaysHeld) {
  EXPECT_EQ(micros({{{at(30, 14), true, small}}, {{at(30, 16), sys_seconds::max()}}, {}}, at(30, 17)),
            13'699);
}

TEST(Forecast, PowerStaysAsItWasLastSeen) {
  const auto seen = [](sys_seconds when, bool is_on) {
    return server_life{{{at(30, 14), true, metered}}, {}, {{when, when, is_on}}};
  };
  EXPECT_EQ(micros(seen(at(30, 15), true), at(30, 16)), 100'000);
  EXPECT_EQ(micros(seen(at(30, 15), false), at(30, 16)), 10'000) << "off since then";
  EXPECT_EQ(micros(seen(at(30, 16, 30), false), at(30, 16)), 25'000) << "seen in the hour that is open";
  // Of 15:00 to 16:00 it was off; nobody looked from 16:00 to 18:00, which was paid for.
  EXPECT_EQ(micros(seen(at(30, 15), false), at(30, 18)), 30'000);
}

TEST(Forecast, ALookThatCoversManyHoursGoesOn) {
  server_life life{{{at(30, 14), true, metered}}, {}, {{at(30, 14), at(30, 17, 30), false}}};
  EXPECT_EQ(micros(life, at(30, 17)), 0);
  EXPECT_EQ(micros(life, at(30, 18)), 0);
}

} // namespace
} // namespace skyengine
