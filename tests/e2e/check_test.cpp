#include "tests/support/engine_process.hpp"
#include "tests/support/temporary_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skyengine {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

class Check : public testing::Test {
protected:
  const test::temporary_folder folder_;
  const test::simulated_panel panel_;
  const test::engine_process engine_{panel_, test::engine_options{folder_.path()}};
};

TEST_F(Check, AnswersZeroWhereAllIsReached) {
  const auto told = engine_.run({"check"});
  EXPECT_EQ(told.code, 0) << told.output;
}

TEST_F(Check, NamesTheFamilyThatTheTokenLacks) {
  panel_.add_fault({{"operation", "GET /media/templates/fromServerPackageSpec/{serverPackageId}"},
                    {"kind", "status"},
                    {"status", 403}});
  const auto told = engine_.run({"check"});
  EXPECT_EQ(told.code, 1);
  EXPECT_THAT(told.output, HasSubstr("FAIL VirtFusion templates: forbidden (403)"));
}

TEST_F(Check, TellsOfAWrongTokenOnce) {
  test::engine_options how{folder_.path()};
  how.environment["VIRTFUSION_API_TOKEN"] = "another";
  const auto told = test::engine_process{panel_, how}.run({"check"});
  EXPECT_EQ(told.code, 1);
  EXPECT_THAT(told.output,
              EndsWith("FAIL VirtFusion connect: unauthorized (401): 401 Unauthorized\n"
                       "--   VirtFusion: not tried: packages, templates, hypervisor groups, servers, users, "
                       "SSH keys\n"));
}

} // namespace
} // namespace skyengine
