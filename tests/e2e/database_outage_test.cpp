#include "tests/support/process.hpp"
#include "tests/support/seed.hpp"
#include "tests/torture/checks.hpp"
#include "tests/torture/clients.hpp"
#include "tests/torture/history.hpp"
#include "tests/torture/world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skyengine::torture {

namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;

/// Waits until `/readyz` says so; false when it does not in time.
bool is_degraded(world& on, bool wanted) {
  const auto limit = std::chrono::steady_clock::now() + 60s;
  while (std::chrono::steady_clock::now() < limit) {
    const auto probe = on.engine().call("GET", "/readyz", {});
    if (probe.status == 200 && (probe.body.find("\"database\"") != std::string::npos) == wanted)
      return true;
    if (on.engine().child().wait(5ms))
      return false;
  }
  return false;
}

} // namespace

TEST(PrivatePostgres, KilledUnderLoadComesBackAndLosesNothing) {
  const auto seed = test::seed();
  SCOPED_TRACE("SKYENGINE_TEST_SEED=" + std::to_string(seed));
  world_options how;
  how.seed = seed;
  how.has_private_database = true;
  world on{how};
  history told;
  load_options clients;
  clients.seed = seed;
  load running{on, told, clients};
  const auto data_dir = on.engine().options().data_dir;
  for (int outage = 0; outage < 2; ++outage) {
    ASSERT_TRUE(told.wait_for_answers(20, 60s)) << "no answers in outage " << outage;
    test::kill_all_in(data_dir / "postgres" / "data");
    ASSERT_TRUE(is_degraded(on, true));
    ASSERT_TRUE(is_degraded(on, false)) << "outage " << outage << " does not end";
  }
  ASSERT_TRUE(told.wait_for_answers(20, 60s));
  EXPECT_TRUE(on.engine().child().is_running());
  running.stop();
  running.join();
  EXPECT_THAT(differences(on, told), IsEmpty());
}

} // namespace skyengine::torture
