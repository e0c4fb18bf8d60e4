#include "domain/drift.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace skyengine {
namespace {

using enum drift_kind;
constexpr drift_kind all_kinds[] = {gone, owner, package, suspended, running, unknown};
constexpr drift_way all_ways[] = {drift_way::adopt, drift_way::ignore, drift_way::delete_server,
                                  drift_way::take_over};

const server_resources small{2'048, 40, 2'000, 2};
const server_resources large{4'096, 80, 4'000, 4};

/// User 7, who is 70 in VirtFusion.
drift_subject ours(bool is_suspended = false) {
  return {{7}, virtfusion_user_id{70}, is_suspended, {small}};
}

std::optional<drift_verdict>
verdict(drift_kind kind, const drift_subject& subject, const drift_sight& sight) {
  const auto all = judge(subject, sight);
  EXPECT_LE(std::count_if(all.begin(), all.end(), [&](const auto& one) { return one.kind == kind; }), 1);
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.kind == kind; });
  return found == all.end() ? std::nullopt : std::optional{*found};
}

drift_verdict right(drift_kind kind, std::string_view of = {}) {
  return {kind, true, std::string{of}};
}
drift_verdict wrong(drift_kind kind, std::string_view seen) {
  return {kind, false, std::string{seen}};
}

TEST(Drift, TextsAreReadBack) {
  for (const auto kind : all_kinds)
    EXPECT_EQ(parse_drift_kind(to_string(kind)), kind);
  for (const auto way : all_ways)
    EXPECT_EQ(parse_drift_way(to_string(way)), way);
  for (const auto state : {drift_state::open, drift_state::resolved, drift_state::vanished})
    EXPECT_EQ(parse_drift_state(to_string(state)), state);
  EXPECT_EQ(parse_drift_way("delete"), drift_way::delete_server);
  EXPECT_EQ(parse_drift_way("Delete"), std::nullopt);
  EXPECT_EQ(parse_drift_kind(""), std::nullopt);
}

TEST(Drift, WhatIsSeenElsewhereHoldsBillingButWhatCostsNothingDoesNot) {
  for (const auto kind : {gone, owner, package, suspended})
    EXPECT_TRUE(holds_billing(kind)) << to_string(kind);
  for (const auto kind : {running, unknown})
    EXPECT_FALSE(holds_billing(kind)) << to_string(kind);
}

TEST(Drift, EachKindTakesItsWays) {
  const std::set<std::pair<drift_kind, drift_way>> taken{
    {gone, drift_way::delete_server}, {package, drift_way::take_over}, {suspended, drift_way::take_over},
    {running, drift_way::take_over},  {unknown, drift_way::adopt},     {unknown, drift_way::delete_server},
    {gone, drift_way::ignore},        {owner, drift_way::ignore},      {package, drift_way::ignore},
    {suspended, drift_way::ignore},   {running, drift_way::ignore},    {unknown, drift_way::ignore}};
  for (const auto kind : all_kinds)
    for (const auto way : all_ways) {
      const auto checked = check_way(kind, way);
      EXPECT_EQ(checked.has_value(), taken.contains({kind, way})) << to_string(kind) << ' ' << to_string(way);
      if (!checked) {
        EXPECT_EQ(checked.error().code, errc::conflict);
        EXPECT_FALSE(checked.error().detail.empty());
      }
    }
}

TEST(Drift, AServerThatIsSeenIsNeitherGoneNorUnknown) {
  EXPECT_EQ(verdict(gone, ours(), {}), right(gone));
  EXPECT_EQ(verdict(unknown, ours(), {}), right(unknown));
}

TEST(Drift, WhatIsNotToldIsNotJudged) {
  for (const auto kind : {owner, package, suspended})
    EXPECT_EQ(verdict(kind, ours(), {}), std::nullopt) << to_string(kind);
  EXPECT_EQ(verdict(running, ours(true), {}), std::nullopt);
}

TEST(Drift, AListTellsTheOwnerByVirtFusionsId) {
  EXPECT_EQ(verdict(owner, ours(), {.owner = virtfusion_user_id{70}}), right(owner));
  EXPECT_EQ(verdict(owner, ours(), {.owner = virtfusion_user_id{71}}), wrong(owner, "user 71"));
  auto unlearned = ours();
  unlearned.owner.reset();
  EXPECT_EQ(verdict(owner, unlearned, {.owner = virtfusion_user_id{71}}), std::nullopt);
}

TEST(Drift, WhatTheOwnerIsToUsDecidesWhereItIsTold) {
  const auto sight = [](std::int64_t id, std::optional<user_id> relation) {
    return drift_sight{.owner = virtfusion_user_id{id}, .owner_relation = drift_sight::relation{relation}};
  };
  // Made anew in VirtFusion under another id, it is the same user to us.
  EXPECT_EQ(verdict(owner, ours(), sight(99, user_id{7})), right(owner));
  EXPECT_EQ(verdict(owner, ours(), sight(70, user_id{8})), wrong(owner, "user 70"));
  EXPECT_EQ(verdict(owner, ours(), sight(71, std::nullopt)), wrong(owner, "user 71"));
}

TEST(Drift, SuspensionIsComparedBothWays) {
  EXPECT_EQ(verdict(suspended, ours(), {.is_suspended = true}), wrong(suspended, seen_suspended));
  EXPECT_EQ(verdict(suspended, ours(), {.is_suspended = false}), right(suspended));
  EXPECT_EQ(verdict(running, ours(), {.is_suspended = false, .is_running = true}), right(running));
  EXPECT_EQ(verdict(suspended, ours(true), {.is_suspended = true}), right(suspended));
  EXPECT_EQ(verdict(running, ours(true), {.is_suspended = false}), wrong(running, seen_not_suspended));
}

TEST(Drift, WhetherAMachineRunsIsToldByALiveLookAlone) {
  EXPECT_EQ(verdict(running, ours(true), {.is_suspended = true, .is_running = true}),
            wrong(running, seen_running));
  EXPECT_EQ(verdict(running, ours(true), {.is_suspended = true, .is_running = false}), right(running));
  // A list ends what a list can see.
  EXPECT_EQ(verdict(running, ours(true), {.is_suspended = true}), right(running, seen_not_suspended));
}

TEST(Drift, ResourcesAreRightWhenTheyAreAnyOfThoseThatItMayHave) {
  EXPECT_EQ(verdict(package, ours(), {.resources = small}), right(package));
  EXPECT_EQ(verdict(package, ours(), {.resources = large}),
            wrong(package, "4096 MB, 80 GB, 4000 GB traffic, 4 cores"));
  auto either = ours();
  either.resources.push_back(large);
  EXPECT_EQ(verdict(package, either, {.resources = large}), right(package));
  auto shrunk = ours();
  shrunk.kept_storage_gb = 80;
  const server_resources small_with_large_disk{2'048, 80, 2'000, 2};
  EXPECT_EQ(verdict(package, shrunk, {.resources = small_with_large_disk}), right(package));
  EXPECT_EQ(verdict(package, shrunk, {.resources = small}), right(package));
  EXPECT_EQ(verdict(package, ours(), {.resources = small_with_large_disk})->is_right, false);
  shrunk.kept_storage_gb = 20;
  EXPECT_EQ(verdict(package, shrunk, {.resources = server_resources{2'048, 20, 2'000, 2}})->is_right, false);
  auto nothing_known = ours();
  nothing_known.resources.clear();
  EXPECT_EQ(verdict(package, nothing_known, {.resources = large}), std::nullopt);
}

} // namespace
} // namespace skyengine
