#include "domain/adaptive_limit.hpp"
#include "domain/backoff.hpp"
#include "domain/call_pace.hpp"
#include "domain/circuit_breaker.hpp"
#include "domain/token_bucket.hpp"

#include <gtest/gtest.h>

#include <random>

namespace skyengine {
namespace {

using namespace std::chrono_literals;
using time_point = std::chrono::steady_clock::time_point;

constexpr time_point start{1000s};

TEST(AdaptiveLimit, BeginsAtItsMaximumAndStaysThere) {
  adaptive_limit limit{2, 16};
  for (int i = 0; i < 100; ++i)
    limit.on_success();
  EXPECT_EQ(limit.value(), 16);
}

TEST(AdaptiveLimit, FallsToSevenTenthsAndNeverBelowItsMinimum) {
  adaptive_limit limit{2, 16};
  std::vector<int> values;
  for (int i = 1; i <= 6; ++i) {
    limit.on_trouble(start + i * 1s, start + i * 1s + 100ms);
    values.push_back(limit.value());
  }
  EXPECT_EQ(values, (std::vector{11, 7, 4, 2, 2, 2}));
}

TEST(AdaptiveLimit, FallsOnceForCallsThatWereUnderWayTogether) {
  adaptive_limit limit{2, 16};
  for (int i = 0; i < 16; ++i)
    limit.on_trouble(start, start + 15s);
  EXPECT_EQ(limit.value(), 11);
  limit.on_trouble(start + 15s, start + 16s);
  EXPECT_EQ(limit.value(), 7);
}

TEST(AdaptiveLimit, GrowsByOneForEachWindowOfSuccesses) {
  adaptive_limit limit{2, 16};
  limit.on_trouble(start, start);
  for (int i = 0; i < 10; ++i)
    limit.on_success();
  EXPECT_EQ(limit.value(), 11);
  limit.on_success();
  EXPECT_EQ(limit.value(), 12);
  for (int i = 0; i < 11; ++i)
    limit.on_success();
  EXPECT_EQ(limit.value(), 12);
  limit.on_success();
  EXPECT_EQ(limit.value(), 13);
}

TEST(AdaptiveLimit, BeginsItsWindowAnewAfterTrouble) {
  adaptive_limit limit{2, 4};
  limit.on_trouble(start, start);
  limit.on_success();
  limit.on_trouble(start + 1s, start + 1s);
  EXPECT_EQ(limit.value(), 2);
  limit.on_success();
  EXPECT_EQ(limit.value(), 2);
  limit.on_success();
  EXPECT_EQ(limit.value(), 3);
}

TEST(TokenBucket, LetsTheBurstThroughAndThenTheRate) {
  token_bucket tokens{10, 3};
  EXPECT_TRUE(tokens.try_take(start));
  EXPECT_TRUE(tokens.try_take(start));
  EXPECT_TRUE(tokens.try_take(start));
  EXPECT_FALSE(tokens.try_take(start));
  EXPECT_EQ(tokens.wait(1, start), 100ms);
  EXPECT_EQ(tokens.wait(5, start), 500ms);
  EXPECT_FALSE(tokens.try_take(start + 99ms));
  EXPECT_TRUE(tokens.try_take(start + 100ms));
}

TEST(TokenBucket, NeverPassesMoreThanBurstAndRateInAnySpan) {
  token_bucket tokens{7, 4};
  int passed = 0;
  for (auto now = start; now < start + 60s; now += 1ms)
    passed += tokens.try_take(now) ? 1 : 0;
  EXPECT_LE(passed, 4 + 7 * 60);
  EXPECT_GE(passed, 7 * 60);
}

TEST(TokenBucket, IsFullAgainAfterARestAndNoFuller) {
  token_bucket tokens{10, 2};
  ASSERT_TRUE(tokens.try_take(start));
  ASSERT_TRUE(tokens.try_take(start));
  EXPECT_EQ(tokens.wait(2, start + 1h), 0s);
  EXPECT_EQ(tokens.wait(3, start + 1h), 100ms);
}

TEST(TokenBucket, IsNoLimitWithoutARate) {
  token_bucket tokens{0, 0};
  for (int i = 0; i < 1000; ++i)
    ASSERT_TRUE(tokens.try_take(start));
  EXPECT_EQ(tokens.wait(1'000'000, start), 0s);
}

using breaker_state = circuit_breaker::state;

TEST(CircuitBreaker, NeedsTwentyCalls) {
  circuit_breaker breaker;
  for (int i = 0; i < 19; ++i)
    EXPECT_FALSE(breaker.on_failure(start));
  EXPECT_TRUE(breaker.is_closed());
  EXPECT_TRUE(breaker.on_failure(start));
  EXPECT_EQ(breaker.now_in(), breaker_state::open);
  EXPECT_EQ(breaker.probe_at(), start + 5s);
}

TEST(CircuitBreaker, NeedsHalfOfThemToFail) {
  circuit_breaker breaker;
  for (int i = 0; i < 11; ++i)
    breaker.on_success(start);
  for (int i = 0; i < 10; ++i)
    EXPECT_FALSE(breaker.on_failure(start + 1s));
  EXPECT_TRUE(breaker.on_failure(start + 1s));
}

TEST(CircuitBreaker, ForgetsWhatIsOlderThanItsWindow) {
  circuit_breaker breaker;
  for (int i = 0; i < 19; ++i)
    breaker.on_failure(start);
  EXPECT_FALSE(breaker.on_failure(start + 10s));
  for (int i = 0; i < 18; ++i)
    EXPECT_FALSE(breaker.on_failure(start + 11s));
  EXPECT_TRUE(breaker.on_failure(start + 11s));
}

TEST(CircuitBreaker, ClosesWithAProbeAndStartsAfresh) {
  circuit_breaker breaker;
  for (int i = 0; i < 20; ++i)
    breaker.on_failure(start);
  breaker.begin_probe();
  EXPECT_EQ(breaker.now_in(), breaker_state::half_open);
  breaker.end_probe(false, start + 6s);
  EXPECT_EQ(breaker.now_in(), breaker_state::open);
  EXPECT_EQ(breaker.probe_at(), start + 11s);
  breaker.begin_probe();
  breaker.end_probe(true, start + 12s);
  EXPECT_TRUE(breaker.is_closed());
  for (int i = 0; i < 19; ++i)
    EXPECT_FALSE(breaker.on_failure(start + 12s));
}

TEST(CircuitBreaker, OpensAtOnceWhenWeAreRefused) {
  circuit_breaker breaker;
  EXPECT_TRUE(breaker.on_refusal(start));
  EXPECT_EQ(breaker.now_in(), breaker_state::open);
}

TEST(CircuitBreaker, TakesNoNoteOfCallsThatEndWhileItIsOpen) {
  circuit_breaker breaker;
  breaker.on_refusal(start);
  breaker.on_success(start + 1s);
  EXPECT_FALSE(breaker.on_failure(start + 4s));
  EXPECT_FALSE(breaker.on_refusal(start + 4s));
  EXPECT_EQ(breaker.probe_at(), start + 5s);
}

TEST(CircuitBreaker, IsInDoubtAfterThreeFailuresWithoutAnAnswer) {
  circuit_breaker breaker;
  const auto fail_twice = [&] {
    breaker.on_failure(start);
    breaker.on_failure(start);
  };
  fail_twice();
  breaker.on_success(start);
  fail_twice();
  breaker.on_answer();
  fail_twice();
  EXPECT_FALSE(breaker.is_in_doubt());
  breaker.on_failure(start + 1h);
  EXPECT_TRUE(breaker.is_in_doubt());
  EXPECT_TRUE(breaker.is_closed());
}

TEST(CircuitBreaker, LetsAProbeDecideADoubt) {
  circuit_breaker breaker;
  for (int i = 0; i < 3; ++i)
    breaker.on_failure(start);
  EXPECT_FALSE(breaker.end_probe(true, start));
  EXPECT_FALSE(breaker.is_in_doubt());
  for (int i = 0; i < 3; ++i)
    breaker.on_failure(start);
  EXPECT_TRUE(breaker.end_probe(false, start + 1s));
  EXPECT_EQ(breaker.now_in(), breaker_state::open);
  EXPECT_EQ(breaker.probe_at(), start + 6s);
}

TEST(CircuitBreaker, AProbeInDoubtThatEndsAfterItOpenedSaysNothing) {
  circuit_breaker breaker;
  for (int i = 0; i < 20; ++i)
    breaker.on_failure(start);
  EXPECT_FALSE(breaker.end_probe(true, start + 1s));
  EXPECT_EQ(breaker.now_in(), breaker_state::open);
  EXPECT_FALSE(breaker.end_probe(false, start + 2s));
  EXPECT_EQ(breaker.probe_at(), start + 5s);
}

TEST(CircuitBreaker, AProbeInDoubtOutweighsNoWindowOfFailures) {
  circuit_breaker breaker;
  for (int i = 0; i < 19; ++i)
    breaker.on_failure(start);
  breaker.end_probe(true, start);
  EXPECT_TRUE(breaker.on_failure(start));
}

TEST(Backoff, DoublesUpToItsCap) {
  constexpr backoff waits{500ms, 15s};
  static_assert(waits.ceiling(1) == 500ms);
  static_assert(waits.ceiling(2) == 1s);
  static_assert(waits.ceiling(5) == 8s);
  static_assert(waits.ceiling(6) == 15s);
  static_assert(waits.ceiling(1'000'000) == 15s);
  EXPECT_EQ(waits.ceiling(3), 2s);
}

TEST(Backoff, DrawsFromTheWholeRange) {
  constexpr backoff waits{100ms, 1s};
  std::mt19937_64 random{7};
  auto least = 1000ms;
  auto most = 0ms;
  for (int i = 0; i < 1000; ++i) {
    const auto drawn = waits.draw(1, random);
    least = std::min(least, drawn);
    most = std::max(most, drawn);
  }
  EXPECT_LT(least, 5ms);
  EXPECT_GT(most, 95ms);
  EXPECT_LE(most, 100ms);
}

TEST(CallPace, LetsCallsGoAtOnceWhileSlotsAreFree) {
  const call_pace pace;
  EXPECT_EQ(pace.expected_wait(4, 4, 16, 10s), 0s);
}

TEST(CallPace, CountsTheTurnsThatMustPass) {
  const call_pace pace;
  ASSERT_EQ(pace.usual_hold(), 200ms);
  EXPECT_EQ(pace.expected_wait(16, 0, 16, 0s), 200ms);
  EXPECT_EQ(pace.expected_wait(160, 0, 16, 0s), 2s);
  EXPECT_EQ(pace.expected_wait(5, 4, 16, 0s), 12'500us);
}

TEST(CallPace, LearnsHowLongCallsHoldTheirSlots) {
  call_pace pace;
  for (int i = 0; i < 50; ++i)
    pace.record(4s);
  EXPECT_NEAR(static_cast<double>(pace.usual_hold().count()), 4e6, 4e4);
}

TEST(CallPace, TrustsThePastNoLongerWhenNothingComesBack) {
  const call_pace pace;
  EXPECT_EQ(pace.expected_wait(2, 0, 2, 9s), 9s);
}

TEST(CallPace, CountsSlotsThatAreOverdrawnAsNone) {
  const call_pace pace;
  EXPECT_EQ(pace.expected_wait(2, -5, 2, 0s), 200ms);
}

} // namespace
} // namespace skyengine
