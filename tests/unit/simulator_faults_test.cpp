#include "tests/simulator/faults.hpp"

#include <gtest/gtest.h>

namespace skyengine::simulator {
namespace {

using namespace std::chrono_literals;

constexpr const char* create = "POST /servers";

TEST(SimulatorFaults, AreDrawnInTheOrderMade) {
  fault_plan plan{1};
  plan.add({create, fault_kind::reset, 1, 1});
  plan.add({"*", fault_kind::stall, 1, 1});
  EXPECT_EQ(plan.draw(create).hit->kind, fault_kind::reset);
  EXPECT_EQ(plan.draw(create).hit->kind, fault_kind::stall);
  EXPECT_FALSE(plan.draw(create).hit);
}

TEST(SimulatorFaults, FitOnlyTheirOperation) {
  fault_plan plan{1};
  plan.add({create, fault_kind::reset});
  EXPECT_FALSE(plan.draw("GET /servers").hit);
  EXPECT_TRUE(plan.draw(create).hit);
}

TEST(SimulatorFaults, DelayLetsTheNextOnesBeDrawn) {
  fault_plan plan{1};
  plan.add({"*", fault_kind::delay, 1, {}, 500, "", 100ms});
  plan.add({create, fault_kind::delay, 1, {}, 500, "", 20ms});
  plan.add({create, fault_kind::reset});
  plan.add({create, fault_kind::delay, 1, {}, 500, "", 1s});
  const auto drawn = plan.draw(create);
  EXPECT_EQ(drawn.delay, 120ms);
  EXPECT_EQ(drawn.hit->kind, fault_kind::reset);
}

TEST(SimulatorFaults, HitAsOftenAsTheyCount) {
  fault_plan plan{1};
  plan.add({create, fault_kind::malformed, 1, 3});
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(plan.draw(create).earlier_hits, i);
  EXPECT_FALSE(plan.draw(create).hit);
}

TEST(SimulatorFaults, HitTheirShareAndTheSameWithTheSameSeed) {
  const auto draw = [](std::uint64_t seed) {
    fault_plan plan{seed};
    plan.add({create, fault_kind::reset, 0.3});
    std::string hits;
    for (int i = 0; i < 1'000; ++i)
      hits += plan.draw(create).hit ? 'x' : '.';
    return hits;
  };
  const auto hits = draw(7);
  EXPECT_EQ(hits, draw(7));
  EXPECT_NE(hits, draw(8));
  EXPECT_NEAR(static_cast<double>(std::count(hits.begin(), hits.end(), 'x')), 300, 60);
}

TEST(SimulatorFaults, LeaveInPeaceWhatTheyMeanNothingTo) {
  fault_plan plan{1};
  plan.add({"*", fault_kind::build_fails});
  plan.add({"*", fault_kind::suspend_leaves_running});
  plan.add({"*", fault_kind::stale_list});
  EXPECT_FALSE(plan.draw(create).hit);
  EXPECT_EQ(plan.draw("POST /servers/{serverId}/build").hit->kind, fault_kind::build_fails);
  EXPECT_EQ(plan.draw("POST /servers/{serverId}/suspend").hit->kind, fault_kind::suspend_leaves_running);
  EXPECT_EQ(plan.draw("GET /servers/user/{userId}").hit->kind, fault_kind::stale_list);
}

TEST(SimulatorFaults, HitTheServersOfOneHypervisor) {
  fault_plan plan{1};
  plan.add({.operation = "*", .kind = fault_kind::stall, .hypervisor = 2});
  EXPECT_FALSE(plan.draw("GET /servers/{serverId}", 1).hit);
  EXPECT_FALSE(plan.draw("GET /servers").hit);
  EXPECT_TRUE(plan.draw("GET /servers/{serverId}", 2).hit);
}

TEST(SimulatorFaults, EveryKindHasItsName) {
  for (auto kind = fault_kind::delay; kind <= fault_kind::stale_list;
       kind = static_cast<fault_kind>(static_cast<int>(kind) + 1))
    EXPECT_EQ(parse_fault_kind(to_string(kind)), kind);
}

} // namespace
} // namespace skyengine::simulator
