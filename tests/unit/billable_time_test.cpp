#include "domain/billable_time.hpp"
#include "domain/time_format.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <random>
#include <string>
#include <vector>

namespace skyengine {

void PrintTo(const time_span& one, std::ostream* out) { // NOLINT(readability-identifier-naming): gtest's
  *out << format_time(instant{one.begin}) << "/" << format_time(instant{one.end});
}

namespace {

using std::chrono::sys_days;
using std::chrono::sys_seconds;
using namespace std::chrono_literals;

constexpr sys_seconds november = sys_days{std::chrono::year{2026} / 11 / 1};

/// Of November 2026.
constexpr sys_seconds at(int day, int hour, int minute = 0, int second = 0) {
  return november + std::chrono::days{day - 1} + std::chrono::hours{hour} + std::chrono::minutes{minute} +
         std::chrono::seconds{second};
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

std::vector<time_span> paid(const server_life& life, const price_lists& list = prices()) {
  std::vector<time_span> spans;
  for (const auto& one : billable_between(life, list, at(1, 0), at(30, 0)).spans)
    spans.push_back({one.begin, one.end});
  return spans;
}

using spans = std::vector<time_span>;

TEST(BillableTime, IsWhenTheServerIsActive) {
  const server_life life{{{at(2, 9, 58), false, small},
                          {at(2, 10), true, small},
                          {at(3, 14, 20), false, small},
                          {at(4, 8), true, small},
                          {at(5, 0), false, small}},
                         {},
                         {}};
  EXPECT_EQ(paid(life), (spans{{at(2, 10), at(3, 14, 20)}, {at(4, 8), at(5, 0)}}));
}

TEST(BillableTime, GoesOnWhereNothingEndsIt) {
  EXPECT_EQ(paid({{{at(1, 0) - 90 * 24h, true, small}}, {}, {}}), (spans{{at(1, 0), at(30, 0)}}));
  EXPECT_EQ(paid({}), spans{});
}

TEST(BillableTime, LeavesOutWhatIsHeldAlsoWhereHoldsOverlap) {
  const server_life life{
    {{at(2, 0), true, small}},
    {{at(1, 0), at(2, 1)}, {at(3, 0), at(6, 0)}, {at(4, 0), at(5, 0)}, {at(29, 0), at(60, 0)}},
    {}};
  EXPECT_EQ(paid(life), (spans{{at(2, 1), at(3, 0)}, {at(6, 0), at(29, 0)}}));
}

TEST(BillableTime, AChangeOfPlanBeginsOtherTerms) {
  const server_life life{{{at(2, 0), true, small}, {at(2, 10, 30), true, large}}, {}, {}};
  const auto time = billable_between(life, prices(), at(1, 0), at(3, 0));
  ASSERT_EQ(time.spans.size(), 2U);
  EXPECT_EQ(time.plans, (std::vector<plan_id>{small, large}));
  EXPECT_EQ(time.spans[0].terms, 0U);
  EXPECT_EQ(time.spans[1].terms, 1U);
  EXPECT_EQ(time.spans[1].begin, at(2, 10, 30));
}

TEST(BillableTime, NewTermsOfAPlanHoldFromTheirHourOn) {
  auto list = prices();
  list[small].push_back({at(10, 7), terms(6'000'000)});
  list[small].push_back({at(40, 0), terms(9'000'000)});
  const server_life life{{{at(2, 0), true, small}}, {}, {}};
  const auto time = billable_between(life, list, at(1, 0), at(30, 0));
  ASSERT_EQ(time.versions, (std::vector<plan_terms>{terms(5'000'000), terms(6'000'000)}));
  EXPECT_EQ(paid(life, list), (spans{{at(2, 0), at(10, 7)}, {at(10, 7), at(30, 0)}}));
}

TEST(BillableTime, TheFirstTermsHoldFromTheBeginning) {
  price_lists list{{small, {{at(20, 0), terms(5'000'000)}}}};
  EXPECT_EQ(paid({{{at(2, 0), true, small}}, {}, {}}, list), (spans{{at(2, 0), at(30, 0)}}));
}

// -- uptime ------------------------------------------------------------------------------

/// Created at the second's 0:00 and deleted at the third's.
server_life metered_life(std::vector<power_span> power) {
  return {{{at(2, 0), true, metered}, {at(3, 0), false, metered}}, {}, std::move(power)};
}

TEST(BillableUptime, BetweenTwoLooksTheEarlierOneCounts) {
  EXPECT_EQ(paid(metered_life({{at(2, 0, 3), at(2, 9, 5), true},
                               {at(2, 10, 4), at(2, 12, 6), false},
                               {at(2, 13, 2), at(2, 23, 1), true}})),
            (spans{{at(2, 0), at(2, 10, 4)}, {at(2, 13, 2), at(3, 0)}}));
}

TEST(BillableUptime, AnHourWithoutALookIsPaidForAsAllocated) {
  // Off at 10:04, no look from 11:00 to 14:00, on again at 14:02.
  EXPECT_EQ(paid(metered_life({{at(2, 10, 4), at(2, 10, 4), false}, {at(2, 14, 2), at(2, 23, 5), true}})),
            (spans{{at(2, 0), at(2, 10, 4)}, {at(2, 11), at(2, 14)}, {at(2, 14, 2), at(3, 0)}}));
}

TEST(BillableUptime, AnEarlierLookCountsUntilTheFirstOneOfAnObservedHour) {
  EXPECT_EQ(paid(metered_life({{at(2, 10, 4), at(2, 10, 4), true}, {at(2, 14, 2), at(2, 23, 5), false}})),
            (spans{{at(2, 0), at(2, 14, 2)}}));
}

TEST(BillableUptime, WhatWasOffLastIsPaidForAgainWhenNobodyLooks) {
  EXPECT_EQ(paid(metered_life({{at(2, 0, 4), at(2, 1, 30), false}})),
            (spans{{at(2, 0), at(2, 0, 4)}, {at(2, 2), at(3, 0)}}));
}

TEST(BillableUptime, NeverCountsWhereTheServerIsNotActive) {
  EXPECT_EQ(paid(metered_life({{at(1, 20), at(4, 0), true}})), (spans{{at(2, 0), at(3, 0)}}));
}

TEST(BillableUptime, AnHourOfWhichNobodySawAnythingIsMarked) {
  const auto life = metered_life({{at(2, 10, 4), at(2, 11, 4), true}});
  EXPECT_FALSE(standing_after(life, prices(), at(2, 11)).is_estimated);
  const auto told = standing_after(life, prices(), at(2, 12));
  EXPECT_TRUE(told.is_estimated);
  EXPECT_EQ(told.basis, billing_basis::uptime);
  // Not active any more: nothing is charged that could be estimated.
  EXPECT_FALSE(standing_after(life, prices(), at(3, 5)).is_estimated);
}

// -- by the end of an hour ---------------------------------------------------------------

TEST(StandingAfter, CountsTheMonthUpToTheEndOfTheHour) {
  const server_life life{{{at(2, 0, 30), true, small}}, {}, {}};
  const auto told = standing_after(life, prices(), at(2, 0));
  EXPECT_EQ(told.seconds, 1'800);
  // 5,000,000 x 1,800 / 2,628,000 = 3,424.66
  EXPECT_EQ(told.accrued.micros, 3'425);
  EXPECT_EQ(told.plan, small);
  EXPECT_EQ(standing_after(life, prices(), at(2, 1)).seconds, 5'400);
}

TEST(StandingAfter, AMonthBeginsWithNothing) {
  const server_life life{{{at(2, 0), true, small}}, {}, {}};
  const auto december = november + 30 * 24h;
  EXPECT_EQ(standing_after(life, prices(), december).seconds, 3'600);
  EXPECT_EQ(standing_after(life, prices(), december - 1h).accrued.micros, 4'767'123);
}

TEST(StandingAfter, ToldIsThePlanThatWasPaidForLast) {
  const server_life life{
    {{at(2, 0), true, small}, {at(2, 10), true, large}, {at(2, 11), false, large}}, {}, {}};
  EXPECT_EQ(standing_after(life, prices(), at(2, 9)).plan, small);
  EXPECT_EQ(standing_after(life, prices(), at(2, 10)).plan, large);
  EXPECT_EQ(standing_after(life, prices(), at(20, 0)).plan, large);
}

// -- against a look at each minute -------------------------------------------------------

/// What is paid for in the minute that begins with `minute`, said without any arithmetic of spans; nullptr
/// for nothing. All times of `life` are whole minutes.
const plan_terms* paid_in(const server_life& life, const price_lists& list, sys_seconds minute) {
  const life_change* now = nullptr;
  for (const auto& change : life.changes)
    if (change.at <= minute)
      now = &change;
  if (now == nullptr || !now->is_active)
    return nullptr;
  for (const auto& hold : life.held)
    if (hold.begin <= minute && minute < hold.end)
      return nullptr;
  const auto* terms = &list.at(now->plan).front().terms;
  for (const auto& version : list.at(now->plan))
    if (version.valid_from <= minute)
      terms = &version.terms;
  if (terms->basis == billing_basis::allocated)
    return terms;
  if (!is_observed(life.power, std::chrono::floor<std::chrono::hours>(minute)))
    return terms;
  const power_span* seen = nullptr;
  for (const auto& one : life.power)
    if (one.first_seen <= minute)
      seen = &one;
  return seen == nullptr || seen->is_on ? terms : nullptr;
}

TEST(BillableTime, IsWhatALookAtEachMinuteFinds) {
  const auto seed = test::seed();
  SCOPED_TRACE("SKYENGINE_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random{seed};
  const auto draw = [&](int least, int most) { return std::uniform_int_distribution{least, most}(random); };
  const std::vector<plan_id> plans{small, large, metered};
  auto list = prices();
  list[small].push_back({at(2, 5), terms(6'000'000)});
  list[metered].push_back({at(2, 14), terms(4'000'000)});
  list[metered].push_back({at(2, 20), terms(8'000'000, billing_basis::uptime)});
  for (int i = 0; i < 300; ++i) {
    SCOPED_TRACE("life " + std::to_string(i));
    server_life life;
    for (auto when = at(1, 20); when < at(3, 4); when += std::chrono::minutes{draw(1, 700)})
      life.changes.push_back({when, draw(0, 3) > 0, plans[static_cast<std::size_t>(draw(0, 2))]});
    for (auto k = draw(0, 2); k > 0; --k) {
      const auto from = at(2, draw(0, 23), draw(0, 59));
      life.held.push_back({from, from + std::chrono::minutes{draw(0, 300)}});
    }
    std::sort(life.held.begin(), life.held.end(),
              [](const time_span& a, const time_span& b) { return a.begin < b.begin; });
    // As looks in hours that follow each other make them.
    for (auto when = at(1, 22, draw(0, 59)); when < at(3, 2); when += std::chrono::minutes{draw(1, 150)}) {
      const auto is_on = draw(0, 2) > 0;
      const auto hour = std::chrono::floor<std::chrono::hours>(when);
      if (!life.power.empty() && life.power.back().is_on == is_on &&
          hour <= std::chrono::floor<std::chrono::hours>(life.power.back().last_seen) + 1h)
        life.power.back().last_seen = when;
      else
        life.power.push_back({when, when, is_on});
    }
    const auto time = billable_between(life, list, at(2, 0), at(3, 0));
    for (auto minute = at(2, 0); minute < at(3, 0); minute += 1min) {
      const plan_terms* found = nullptr;
      for (const auto& span : time.spans)
        if (span.begin <= minute && minute < span.end)
          found = &time.versions[span.terms];
      const auto* expected = paid_in(life, list, minute);
      ASSERT_EQ(found != nullptr, expected != nullptr) << format_time(instant{minute});
      if (found != nullptr)
        ASSERT_EQ(*found, *expected) << format_time(instant{minute});
    }
    for (std::size_t k = 1; k < time.spans.size(); ++k)
      ASSERT_LE(time.spans[k - 1].end, time.spans[k].begin);
  }
}

} // namespace
} // namespace skyengine
