#include "domain/server_control.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skyengine {
namespace {

using testing::HasSubstr;
using enum server_state;

constexpr server_state all_states[] = {requested, creating,  building, active,
                                       failed,    suspended, deleting, deleted};

TEST(ServerControl, OnlyAnActiveServerIsSuspended) {
  for (const auto state : all_states) {
    const auto needed = needs_control(action_kind::suspend, state);
    if (state == active || state == suspended) {
      EXPECT_EQ(needed.value(), state == active) << to_string(state);
    } else {
      ASSERT_FALSE(needed) << to_string(state);
      EXPECT_EQ(needed.error().code, errc::conflict);
      EXPECT_THAT(needed.error().detail, HasSubstr(std::string{to_string(state)}));
    }
  }
}

TEST(ServerControl, OnlyASuspendedServerIsUnsuspended) {
  for (const auto state : all_states) {
    const auto needed = needs_control(action_kind::unsuspend, state);
    if (state == active || state == suspended)
      EXPECT_EQ(needed.value(), state == suspended) << to_string(state);
    else
      EXPECT_EQ(needed.error().code, errc::conflict) << to_string(state);
  }
}

TEST(ServerControl, OnlyAnActiveServerChangesItsPlan) {
  for (const auto state : all_states) {
    const auto needed = needs_control(action_kind::resize, state);
    if (state == active)
      EXPECT_TRUE(needed.value());
    else
      EXPECT_EQ(needed.error().code, errc::conflict) << to_string(state);
  }
  EXPECT_EQ(needs_control(action_kind::create, active).error().code, errc::internal);
}

TEST(ServerControl, WhatAServerHasNeedsNoCall) {
  const server_resources small{1'024, 20, 1'000, 1};
  EXPECT_FALSE(needs_resize(small, small).value());
  EXPECT_TRUE(needs_resize(small, {2'048, 20, 1'000, 1}).value());
  EXPECT_TRUE(needs_resize(small, {512, 40, 0, 1}).value());
}

TEST(ServerControl, ADiskNeverShrinks) {
  const auto refused = needs_resize({1'024, 40, 1'000, 1}, {4'096, 39, 1'000, 4});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::conflict);
  EXPECT_EQ(refused.error().detail, "the server's disk has 40 GB, the new plan's 39 GB: a disk only grows");
}

TEST(ServerControl, TheDifferenceNamesWhatIsLeft) {
  EXPECT_EQ(difference({1'024, 20, 1'000, 1}, {1'024, 20, 1'000, 1}), "");
  EXPECT_EQ(difference({1'024, 20, 1'000, 1}, {2'048, 20, 1'000, 2}),
            "memory is 1024 MB instead of 2048 MB, number of CPU cores is 1 instead of 2");
  EXPECT_EQ(difference({1'024, 20, 1'000, 1}, {1'024, 40, 0, 1}),
            "disk is 20 GB instead of 40 GB, traffic is 1000 GB instead of 0 GB");
}

TEST(Action, ItsNamesAreReadBack) {
  for (const auto kind : {action_kind::create, action_kind::remove, action_kind::suspend,
                          action_kind::unsuspend, action_kind::resize})
    EXPECT_EQ(parse_action_kind(to_string(kind)), kind);
  EXPECT_EQ(to_string(action_kind::resize), "resize");
  for (int i = 0; i <= static_cast<int>(saga_step::done); ++i) {
    const auto step = static_cast<saga_step>(i);
    EXPECT_EQ(parse_saga_step(to_string(step)), step);
    EXPECT_GE(progress_of(step), 0);
    EXPECT_LE(progress_of(step), 100);
  }
}

} // namespace
} // namespace skyengine
