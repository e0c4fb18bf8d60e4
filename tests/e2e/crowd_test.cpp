#include "tests/support/process.hpp"
#include "tests/support/seed.hpp"
#include "tests/torture/campaigns.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace skyengine::torture {

TEST(Crowd, OfTenThousandConnectionsIsBoundedAndOthersAreAnswered) {
  const auto seed = test::seed();
  SCOPED_TRACE("SKYENGINE_TEST_SEED=" + std::to_string(seed));
  crowd_options how;
  how.seed = seed;
  how.span = std::chrono::seconds{3};
  // What others notice of it is a figure of the campaign.
  how.most_ratio = 0;
  if (!test::memory_counts)
    how.peak_growth = 0;
  EXPECT_THAT(crowd(how).differences, testing::IsEmpty());
}

} // namespace skyengine::torture
