#include "net/api/user_gate.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace skyengine::net::api {
namespace {

TEST(UserGate, RefusesAUserThatHasEnoughAndNobodyElse) {
  user_gate gate{10, 2};
  auto first = gate.enter({1});
  const auto second = gate.enter({1});
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(gate.enter({1}));
  EXPECT_TRUE(gate.enter({2}));
  first.reset();
  EXPECT_TRUE(gate.enter({1}));
}

TEST(UserGate, RefusesEverybodyBeyondItsBound) {
  user_gate gate{2, 2};
  const auto first = gate.enter({1});
  auto second = gate.enter({2});
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(gate.enter({3}));
  second.reset();
  EXPECT_TRUE(gate.enter({3}));
}

TEST(UserGate, APlaceIsGivenBackOnceWhereverItWent) {
  user_gate gate{1, 1};
  auto place = gate.enter({1});
  ASSERT_TRUE(place);
  {
    const auto moved = std::move(*place);
    place.reset();
    EXPECT_FALSE(gate.enter({1}));
  }
  EXPECT_TRUE(gate.enter({1}));
}

} // namespace
} // namespace skyengine::net::api
