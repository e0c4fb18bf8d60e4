#include "domain/rating.hpp"
#include "domain/time_format.hpp"
#include "tests/support/seed.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <ostream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine {
namespace {

using std::chrono::sys_days;
using std::chrono::sys_seconds;
using namespace std::chrono_literals;

// -- worked examples ---------------------------------------------------------------------

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (;;) {
    const auto end = text.find(at, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos)
      return parts;
    begin = end + 1;
  }
}

struct worked_example {
  std::string name;
  std::vector<plan_terms> versions;
  std::vector<billable_span> spans;
  bool names_all_hours = true;
  /// `HOUR=SECONDS:MICROS`
  std::vector<std::string> hours;
  std::vector<std::string> months;
  std::string total;
};

void PrintTo(const worked_example& one, std::ostream* out) { // NOLINT(readability-identifier-naming): gtest's
  *out << one.name;
}

plan_terms read_version(const std::string& text) {
  const auto parts = split(text, '/');
  return {parse_money(parts.at(0)).value(), std::stoi(parts.at(1)), billing_basis::allocated,
          parse_billing_granularity(parts.at(2)).value()};
}

billable_span read_span(const std::string& text) {
  const auto colon = text.find(':');
  const auto times = split(text.substr(colon + 1), '/');
  return {parse_whole_seconds(times.at(0)).value(), parse_whole_seconds(times.at(1)).value(),
          static_cast<std::size_t>(std::stoul(text.substr(0, colon)))};
}

std::vector<worked_example> worked_examples() {
  std::ifstream file{SKYENGINE_RATING_EXAMPLES};
  std::vector<worked_example> all;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#')
      continue;
    const auto columns = split(line, '\t');
    worked_example one;
    one.name = columns.at(0);
    for (const auto& version : split(columns.at(1), ';'))
      one.versions.push_back(read_version(version));
    for (const auto& span : split(columns.at(2), ';'))
      one.spans.push_back(read_span(span));
    one.hours = split(columns.at(3), ';');
    one.names_all_hours = one.hours.front() != "some";
    if (!one.names_all_hours)
      one.hours.erase(one.hours.begin());
    one.months = split(columns.at(4), ';');
    one.total = columns.at(5);
    all.push_back(std::move(one));
  }
  return all;
}

std::string told(const std::string& when, std::int64_t seconds, std::int64_t micros) {
  return when + "=" + std::to_string(seconds) + ":" + std::to_string(micros);
}

class Rating : public testing::TestWithParam<worked_example> {};

TEST_P(Rating, ComesToWhatIsWorkedOutByHand) {
  const auto& one = GetParam();
  std::vector<std::string> hours;
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> by_month;
  std::int64_t total = 0;
  for (const auto& hour : rate_hours(one.versions, one.spans)) {
    const auto when = format_time(instant{hour.hour});
    hours.push_back(told(when, hour.seconds, hour.charge.micros));
    auto& [seconds, micros] = by_month[when.substr(0, 7)];
    seconds += hour.seconds;
    micros += hour.charge.micros;
    total += hour.charge.micros;
  }
  if (one.names_all_hours)
    EXPECT_EQ(hours, one.hours);
  else
    EXPECT_THAT(hours, testing::IsSupersetOf(one.hours));
  std::vector<std::string> months;
  months.reserve(by_month.size());
  for (const auto& [month, sums] : by_month)
    months.push_back(told(month, sums.first, sums.second));
  EXPECT_EQ(months, one.months);
  EXPECT_EQ(std::to_string(total), one.total);
}

INSTANTIATE_TEST_SUITE_P(Examples, Rating, testing::ValuesIn(worked_examples()), [](const auto& one) {
  auto name = one.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// -- properties --------------------------------------------------------------------------

std::size_t lives() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing in a test changes the environment.
  const char* wanted = std::getenv("SKYENGINE_TEST_LIVES");
  return wanted != nullptr ? static_cast<std::size_t>(std::atoi(wanted)) : 1'000;
}

constexpr sys_seconds beginning = sys_days{std::chrono::year{2027} / 11 / 20};

/// A server's life at random: a few versions of terms, on and off over some weeks.
struct life {
  std::vector<plan_terms> versions;
  std::vector<billable_span> spans;
};

std::int64_t draw(std::mt19937_64& random, std::int64_t least, std::int64_t most) {
  return std::uniform_int_distribution<std::int64_t>{least, most}(random);
}

life random_life(std::mt19937_64& random) {
  constexpr std::array hours{730, 720, 744, 672, 100, 8'784, 1};
  life one;
  const auto has_hours = draw(random, 0, 3) == 0;
  for (auto i = draw(random, 1, 4); i > 0; --i)
    one.versions.push_back(
      {{draw(random, 0, draw(random, 0, 1) == 0 ? 100 : 500'000'000)},
       draw(random, 0, 2) > 0 ? 730 : hours.at(static_cast<std::size_t>(draw(random, 0, 6))),
       billing_basis::allocated,
       has_hours && draw(random, 0, 1) == 0 ? billing_granularity::hour : billing_granularity::second});
  auto at = beginning + std::chrono::seconds{draw(random, 0, 20 * 86'400)};
  for (auto i = draw(random, 1, 12); i > 0; --i) {
    const auto longest = draw(random, 0, 2) == 0 ? 20 * 86'400 : draw(random, 1, 10'000);
    const auto end = at + std::chrono::seconds{draw(random, 1, longest)};
    one.spans.push_back(
      {at, end,
       static_cast<std::size_t>(draw(random, 0, static_cast<std::int64_t>(one.versions.size()) - 1))});
    at = end + std::chrono::seconds{draw(random, 0, 3) == 0 ? draw(random, 0, 90'000) : 0};
  }
  return one;
}

class RandomLives : public testing::Test {
protected:
  void for_each_life(const std::function<void(const life&)>& check) {
    const auto seed = test::seed();
    SCOPED_TRACE("SKYENGINE_TEST_SEED=" + std::to_string(seed));
    random.seed(seed);
    for (std::size_t i = 0; i < lives() && !HasFailure(); ++i) {
      SCOPED_TRACE("life " + std::to_string(i));
      check(random_life(random));
    }
  }

  std::mt19937_64 random;
};

TEST_F(RandomLives, HoursAddUpToTheirMonthAndNoMonthIsAboveItsDearestPrice) {
  for_each_life([](const life& one) {
    std::map<sys_seconds, money> months;
    for (const auto& hour : rate_hours(one.versions, one.spans)) {
      ASSERT_GE(hour.charge.micros, 0);
      ASSERT_LE(hour.seconds, 3'600);
      months[month_of(hour.hour)].micros += hour.charge.micros;
    }
    for (const auto& [month, sum] : months) {
      const auto standing = accrue_month(one.versions, one.spans, month, month_after(month));
      ASSERT_EQ(sum, standing.accrued);
      money most;
      for (std::size_t i = 0; i < one.versions.size(); ++i)
        if (standing.seconds.at(i) > 0)
          most = std::max(most, one.versions.at(i).monthly_price);
      ASSERT_LE(sum, most);
    }
  });
}

TEST_F(RandomLives, AnHourIsWhatItAddsToItsMonth) {
  for_each_life([](const life& one) {
    const auto hours = rate_hours(one.versions, one.spans);
    const auto& last = hours.at(hours.size() / 2);
    const auto month = month_of(last.hour);
    ASSERT_EQ(last.charge.micros,
              accrue_month(one.versions, one.spans, month, last.hour + 1h).accrued.micros -
                accrue_month(one.versions, one.spans, month, last.hour).accrued.micros);
  });
}

TEST_F(RandomLives, SplittingASpanChangesNothing) {
  for_each_life([this](const life& one) {
    auto split = one;
    split.spans.clear();
    for (const auto& span : one.spans) {
      const auto length = (span.end - span.begin).count();
      const auto middle = span.begin + std::chrono::seconds{draw(random, 0, length)};
      if (span.begin < middle)
        split.spans.push_back({span.begin, middle, span.terms});
      if (middle < span.end)
        split.spans.push_back({middle, span.end, span.terms});
    }
    ASSERT_EQ(rate_hours(one.versions, one.spans), rate_hours(split.versions, split.spans));
  });
}

TEST_F(RandomLives, TheSumIsExactHalfUpWhateverTheOrderOfItsParts) {
  for_each_life([this](const life& one) {
    std::vector<rated_time> parts;
    parts.reserve(one.versions.size());
    for (const auto& version : one.versions)
      parts.push_back({version.monthly_price, version.hours_per_month, draw(random, 0, 2'678'400)});
    const auto sum = accrued(parts);
    std::shuffle(parts.begin(), parts.end(), random);
    ASSERT_EQ(accrued(parts), sum);
    // Twice the seconds of half as long a month, or in two parts.
    auto halves = parts;
    for (const auto& part : parts)
      halves.push_back({part.monthly_price, part.hours_per_month, part.seconds});
    auto doubled = parts;
    for (auto& part : doubled)
      part.seconds *= 2;
    ASSERT_EQ(accrued(halves), accrued(doubled));
  });
}

} // namespace
} // namespace skyengine
