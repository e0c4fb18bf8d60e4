#include "domain/adoption.hpp"

#include <gtest/gtest.h>

namespace skyengine {
namespace {

const server_resources small{2'048, 40, 2'000, 2};
const server_resources large{4'096, 80, 4'000, 4};

plan make_plan(const char* id, std::int64_t package) {
  plan one;
  one.id = {id};
  one.package = {package};
  return one;
}

adoption_catalogue catalogue() {
  return {{make_plan("a-large", 2), make_plan("b-small", 1), make_plan("c-small", 1)},
          {{{"north"}, "North", {1}}, {{"north-2"}, "North", {1}}},
          {{{1}, small}, {{2}, large}}};
}

found_server found() {
  return {{17}, user_id{7}, hypervisor_group_id{1}, small, true, false, false};
}

std::string reason(const found_server& one, std::optional<plan_id> chosen = {}) {
  const auto placed = place_of(one, catalogue(), std::move(chosen));
  return placed ? "adopted" : placed.error().detail;
}

TEST(Adoption, TakesTheFirstPlanAndRegionThatFit) {
  EXPECT_EQ(place_of(found(), catalogue()).value(), (adoption_place{{7}, {"b-small"}, {"north"}}));
  EXPECT_EQ(plan_with(catalogue(), large), plan_id{"a-large"});
  EXPECT_EQ(plan_with(catalogue(), {1, 1, 1, 1}), std::nullopt);
}

TEST(Adoption, APlanThatWasChosenStandsWhateverTheServerHas) {
  EXPECT_EQ(place_of(found(), catalogue(), plan_id{"a-large"}).value().plan, plan_id{"a-large"});
  EXPECT_EQ(reason(found(), plan_id{"none"}), "there is no plan none");
}

TEST(Adoption, SaysWhyAServerIsLeft) {
  auto one = found();
  one.owner.reset();
  EXPECT_EQ(reason(one), "its owner has no extRelationId");
  one = found();
  one.is_built = false;
  EXPECT_EQ(reason(one), "it is not built");
  one = found();
  one.has_task = true;
  EXPECT_EQ(reason(one), "it has a task running");
  one = found();
  one.is_suspended.reset();
  EXPECT_EQ(reason(one), "VirtFusion does not tell whether it is suspended");
  one = found();
  one.resources.reset();
  EXPECT_EQ(reason(one, plan_id{"a-large"}), "VirtFusion does not tell all of its resources");
  one = found();
  one.resources->memory_mb = 3;
  EXPECT_EQ(reason(one), "no plan maps to a package of 3 MB, 40 GB, 2000 GB traffic, 2 cores");
  one = found();
  one.group = hypervisor_group_id{9};
  EXPECT_EQ(reason(one), "no region maps to hypervisor group 9");
  one.group.reset();
  EXPECT_EQ(reason(one), "VirtFusion does not tell its hypervisor's group");
}

} // namespace
} // namespace skyengine
