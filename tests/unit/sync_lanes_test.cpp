#include "domain/sync_lanes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace skyengine {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr auto traffic = sync_depth::traffic;
constexpr auto live = sync_depth::live;
constexpr sync_lanes::time_point begin{1h};

due_server server(std::int64_t id, std::int64_t hypervisor) {
  return {{id}, {1'000 + id}, hypervisor};
}

class SyncLanes : public testing::Test {
protected:
  sync_lanes lanes{8};

  void add(sync_depth depth, std::int64_t hypervisor, std::int64_t first, std::int64_t count) {
    for (auto id = first; id < first + count; ++id)
      lanes.add(depth, server(id, hypervisor));
  }
  std::vector<sync_lanes::pick> take_all() {
    std::vector<sync_lanes::pick> taken;
    while (const auto one = lanes.next())
      taken.push_back(*one);
    return taken;
  }
  std::vector<std::int64_t> ids(const std::vector<sync_lanes::pick>& taken) {
    std::vector<std::int64_t> all;
    for (const auto& one : taken)
      all.push_back(one.server.id.value);
    return all;
  }
  /// All that may begin at `sent` does: the calls of `hypervisor` time out, the others are answered.
  void hang(std::int64_t hypervisor, sync_lanes::time_point sent) {
    const auto taken = take_all();
    for (const auto& one : taken)
      if (one.server.hypervisor != hypervisor)
        lanes.on_success(one, sent + 1s);
    for (const auto& one : taken)
      if (one.server.hypervisor == hypervisor)
        lanes.on_timeout(one, sent, sent + 15s);
  }
  /// So many calls after the other that are answered.
  void warm_up(sync_depth depth, std::int64_t hypervisor, int calls = 4) {
    add(depth, hypervisor, 9'000, calls);
    for (int i = 0; i < calls; ++i)
      lanes.on_success(lanes.next().value(), begin);
  }
};

TEST_F(SyncLanes, TheOldestOfALaneComesFirst) {
  warm_up(traffic, 1);
  add(traffic, 1, 1, 3);
  EXPECT_THAT(ids(take_all()), ElementsAre(1, 2, 3));
  EXPECT_EQ(lanes.under_way(), 3U);
  EXPECT_EQ(lanes.waiting(), 0U);
}

TEST_F(SyncLanes, TrafficAndLiveTakeTurns) {
  warm_up(traffic, 1);
  warm_up(live, 1);
  add(traffic, 1, 1, 2);
  add(live, 1, 11, 2);
  EXPECT_THAT(ids(take_all()), ElementsAre(1, 11, 2, 12));
}

TEST_F(SyncLanes, AHypervisorIsAskedOnceBeforeItIsAskedMore) {
  add(live, 1, 1, 5);
  const auto first = take_all();
  EXPECT_THAT(ids(first), ElementsAre(1));
  lanes.on_success(first.front(), begin);
  EXPECT_THAT(ids(take_all()), ElementsAre(2, 3));
}

TEST_F(SyncLanes, NeverMoreThanTheSlots) {
  warm_up(traffic, 1);
  add(traffic, 1, 1, 20);
  EXPECT_EQ(take_all().size(), 8U);
}

TEST_F(SyncLanes, OneHypervisorHoldsItsShareOfLiveCalls) {
  for (const auto hypervisor : {1, 2, 3, 4})
    warm_up(live, hypervisor);
  add(live, 1, 1, 10);
  add(live, 2, 11, 1);
  add(live, 3, 21, 1);
  add(live, 4, 31, 1);
  EXPECT_THAT(ids(take_all()), ElementsAre(1, 11, 21, 31, 2));
}

TEST_F(SyncLanes, AloneItHoldsHalfOfThem) {
  warm_up(live, 1);
  add(live, 1, 1, 10);
  EXPECT_EQ(take_all().size(), 4U);
}

TEST_F(SyncLanes, TheLaneWithTheFewestCallsComesFirst) {
  warm_up(traffic, 1);
  warm_up(traffic, 2);
  add(traffic, 1, 1, 3);
  add(traffic, 2, 11, 3);
  EXPECT_THAT(ids(take_all()), ElementsAre(1, 11, 2, 12, 3, 13));
}

TEST_F(SyncLanes, AfterThreeTimeOutsInARowAHypervisorIsGivenUp) {
  add(live, 1, 1, 10);
  add(live, 2, 11, 30);
  for (auto sent = begin; sent < begin + 45s; sent += 15s) {
    EXPECT_THAT(lanes.given_up(live), IsEmpty());
    hang(1, sent);
  }
  EXPECT_THAT(lanes.given_up(live), ElementsAre(1));
  add(live, 1, 101, 5);
  for (const auto& one : take_all())
    EXPECT_EQ(one.server.hypervisor, 2);
}

TEST_F(SyncLanes, AnAnswerBetweenThemSavesIt) {
  add(live, 1, 1, 10);
  add(live, 2, 11, 60);
  hang(1, begin);
  hang(1, begin + 15s);
  for (const auto& one : take_all())
    lanes.on_success(one, begin + 31s);
  hang(1, begin + 40s);
  hang(1, begin + 55s);
  EXPECT_THAT(lanes.given_up(live), IsEmpty());
}

TEST_F(SyncLanes, CallsThatHangSideBySideAreOneTimeOut) {
  for (const auto hypervisor : {1, 2})
    warm_up(live, hypervisor);
  add(live, 1, 1, 10);
  const auto hanging = take_all();
  ASSERT_EQ(hanging.size(), 4U);
  warm_up(live, 2, 1);
  for (const auto& one : hanging)
    lanes.on_timeout(one, begin, begin + 15s);
  EXPECT_THAT(lanes.given_up(live), IsEmpty());
  EXPECT_EQ(take_all().size(), 1U) << "it is asked carefully from then on";
}

TEST_F(SyncLanes, WhereNobodyIsAnsweredNoHypervisorIsToBlame) {
  add(live, 1, 1, 60);
  for (auto now = begin; now < begin + 10min; now += 15s)
    lanes.on_timeout(lanes.next().value(), now, now + 15s);
  EXPECT_THAT(lanes.given_up(live), IsEmpty());
}

TEST_F(SyncLanes, ThePanelsOwnAnswerShowsWhoIsToBlame) {
  add(live, 1, 1, 10);
  for (auto now = begin; now < begin + 45s; now += 15s) {
    EXPECT_THAT(lanes.given_up(live), IsEmpty());
    const auto one = lanes.next().value();
    lanes.on_panel_answer(now - 1s);
    EXPECT_FALSE(lanes.were_others_answered(one, now));
    lanes.on_panel_answer(now + 14s);
    EXPECT_TRUE(lanes.were_others_answered(one, now));
    lanes.on_timeout(one, now, now + 15s);
  }
  EXPECT_THAT(lanes.given_up(live), ElementsAre(1));
}

TEST_F(SyncLanes, ADepthThatIsStoppedTakesNothingMore) {
  warm_up(traffic, 1);
  add(live, 1, 1, 3);
  lanes.stop(live);
  add(live, 1, 4, 3);
  add(traffic, 1, 11, 1);
  EXPECT_THAT(ids(take_all()), ElementsAre(11));
  EXPECT_EQ(lanes.waiting(), 0U);
}

TEST_F(SyncLanes, ReadyCountsWhatCouldBegin) {
  add(live, 1, 1, 5);
  add(live, 2, 11, 5);
  EXPECT_EQ(lanes.ready(live), 2U);
  EXPECT_EQ(lanes.ready(traffic), 0U);
  take_all();
  EXPECT_EQ(lanes.ready(live), 0U);
}

} // namespace
} // namespace skyengine
