#include "domain/cron_description.hpp"
#include "domain/cron_expression.hpp"
#include "domain/time_zone_file.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/cron_oracle.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <vector>

namespace skyengine {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

/// SKYENGINE_TEST_CRON_EXPRESSIONS, else what fits into CI.
int wanted_expressions() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing else reads or writes it meanwhile.
  const char* given = std::getenv("SKYENGINE_TEST_CRON_EXPRESSIONS");
  return given != nullptr ? std::atoi(given) : 2'000;
}

constexpr int fires_each = 3;

// An hour, half an hour, two hours, three, a day; from the footer, by Ramadan, one minute after midnight, at
// 24:00, winter as the exception.
const std::vector<std::string> zones{"UTC",
                                     "Europe/Berlin",
                                     "America/New_York",
                                     "Australia/Lord_Howe",
                                     "Pacific/Apia",
                                     "Pacific/Kwajalein",
                                     "Pacific/Chatham",
                                     "America/Santiago",
                                     "America/St_Johns",
                                     "America/Caracas",
                                     "America/Nuuk",
                                     "America/Scoresbysund",
                                     "Africa/Casablanca",
                                     "Africa/Cairo",
                                     "Antarctica/Troll",
                                     "Asia/Gaza",
                                     "Asia/Kathmandu",
                                     "Asia/Pyongyang",
                                     "Asia/Ust-Nera",
                                     "Europe/Dublin"};

TEST(CronProperty, FiresWhenASecondOpinionSaysSo) {
  const auto seed = test::seed();
  SCOPED_TRACE("SKYENGINE_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random{seed};
  std::map<std::string, time_zone> known;
  for (const auto& name : zones)
    known.emplace(name, load_time_zone(name).value());

  const auto count = wanted_expressions();
  int refused = 0;
  int rare = 0;
  for (int i = 0; i < count && !HasFailure(); ++i) {
    const auto made = test::make_up(random);
    const auto expression = parse_cron(made.text);
    if (!expression) {
      ++refused;
      EXPECT_TRUE(expression.error().detail.ends_with("so this never fires"))
        << made.text << ": " << expression.error().detail;
      EXPECT_TRUE(test::cron_oracle::is_never(made)) << made.text;
      continue;
    }
    EXPECT_FALSE(describe(*expression).empty());

    const auto& name = zones[std::uniform_int_distribution<std::size_t>{0, zones.size() - 1}(random)];
    const test::cron_oracle oracle{name};
    auto at = test::make_up_instant(random, name);
    for (int fire = 0; fire < fires_each; ++fire) {
      const auto expected = oracle.next(made, at);
      const auto next = expression->next(sys_seconds{seconds{at}}, known.at(name));
      ASSERT_EQ(next.has_value(), expected.has_value()) << made.text << " in " << name << " after " << at;
      if (!expected)
        break;
      ASSERT_EQ(next->time_since_epoch().count(), *expected)
        << made.text << " in " << name << " after " << at;
      rare += *expected - at > 400 * 86'400;
      // What comes next does not depend on when it is asked, as between the two passes of an hour.
      const auto between = std::uniform_int_distribution{at, *expected - 1}(random);
      const auto again = expression->next(sys_seconds{seconds{between}}, known.at(name));
      ASSERT_TRUE(again) << made.text << " in " << name << " after " << between;
      ASSERT_EQ(again->time_since_epoch().count(), *expected)
        << made.text << " in " << name << " after " << between;
      at = *expected + (fire % 2 == 0 ? std::uniform_int_distribution{0, 7'200}(random) : 0);
    }
  }
  std::cout << "SKYENGINE_TEST_SEED=" << seed << ": " << count << " expressions, of which " << refused
            << " never fire; " << rare << " times came after more than 400 days\n";
}

} // namespace
} // namespace skyengine
