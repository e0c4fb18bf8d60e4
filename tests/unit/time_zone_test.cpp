#include "domain/posix_time_rule.hpp"
#include "domain/time_zone.hpp"
#include "domain/time_zone_file.hpp"
#include "tests/support/seed.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

namespace skyengine {
namespace {

using namespace std::chrono_literals;
using std::chrono::local_days;
using std::chrono::local_seconds;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::year;

struct transition {
  std::int64_t at;
  std::uint8_t type;
};

std::string big_endian(std::int64_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i)
    text += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i) & 0xff);
  return text;
}

std::string header(std::size_t transitions, std::size_t types, std::size_t leaps = 0) {
  return "TZif2" + std::string(15, '\0') + big_endian(0, 4) + big_endian(0, 4) +
         big_endian(static_cast<std::int64_t>(leaps), 4) +
         big_endian(static_cast<std::int64_t>(transitions), 4) +
         big_endian(static_cast<std::int64_t>(types), 4) + big_endian(4, 4);
}

/// A file with these transitions, offsets and last line; its block for old programs is empty.
std::string tzif(const std::vector<transition>& transitions,
                 const std::vector<std::int32_t>& offsets,
                 const std::string& rule) {
  auto file = header(0, 0) + std::string(4, '\0') + header(transitions.size(), offsets.size());
  for (const auto& one : transitions)
    file += big_endian(one.at, 8);
  for (const auto& one : transitions)
    file += static_cast<char>(one.type);
  for (const auto offset : offsets)
    file += big_endian(offset, 4) + std::string(2, '\0');
  return file + std::string{"ABC\0", 4} + '\n' + rule + '\n';
}

sys_seconds at(int y, unsigned m, unsigned d, seconds time = 0s) {
  return sys_days{year{y} / static_cast<int>(m) / static_cast<int>(d)} + time;
}

local_seconds local(int y, unsigned m, unsigned d, seconds time = 0s) {
  return local_days{year{y} / static_cast<int>(m) / static_cast<int>(d)} + time;
}

TEST(TimeZone, IsUtcByDefault) {
  const time_zone utc;
  EXPECT_EQ(utc.name(), "UTC");
  EXPECT_TRUE(utc.is_utc());
  EXPECT_EQ(utc.span_at(at(2026, 7, 1)).offset, 0s);
  EXPECT_EQ(utc.first_unreached(at(2026, 7, 1)), local(2026, 7, 1, 1s));
  EXPECT_EQ(utc.first_reach(local(2026, 7, 1)), at(2026, 7, 1));
}

TEST(TimeZone, TellsTheSpanOfAnOffset) {
  const auto berlin = load_time_zone("Europe/Berlin").value();
  EXPECT_EQ(berlin.name(), "Europe/Berlin");
  EXPECT_FALSE(berlin.is_utc());
  const auto summer = berlin.span_at(at(2026, 7, 1));
  EXPECT_EQ(summer.begin, at(2026, 3, 29, 1h));
  EXPECT_EQ(summer.end, at(2026, 10, 25, 1h));
  EXPECT_EQ(summer.offset, 2h);
  EXPECT_EQ(berlin.span_at(at(2026, 3, 29, 1h) - 1s).offset, 1h);
  EXPECT_EQ(berlin.span_at(at(2026, 3, 29, 1h)).offset, 2h);
}

TEST(TimeZone, PassesWhatItSkips) {
  const auto berlin = load_time_zone("Europe/Berlin").value();
  EXPECT_EQ(berlin.first_reach(local(2026, 3, 29, 2h) - 1s), at(2026, 3, 29, 1h) - 1s);
  EXPECT_EQ(berlin.first_reach(local(2026, 3, 29, 2h)), at(2026, 3, 29, 1h));
  EXPECT_EQ(berlin.first_reach(local(2026, 3, 29, 3h) - 1s), at(2026, 3, 29, 1h));
  EXPECT_EQ(berlin.first_reach(local(2026, 3, 29, 3h)), at(2026, 3, 29, 1h));
  EXPECT_EQ(berlin.first_unreached(at(2026, 3, 29, 1h) - 1s), local(2026, 3, 29, 2h));
  EXPECT_EQ(berlin.first_unreached(at(2026, 3, 29, 1h)), local(2026, 3, 29, 3h) + 1s);
}

TEST(TimeZone, ReachesWhatItRepeatsOnce) {
  const auto berlin = load_time_zone("Europe/Berlin").value();
  EXPECT_EQ(berlin.first_reach(local(2026, 10, 25, 2h)), at(2026, 10, 25));
  EXPECT_EQ(berlin.first_reach(local(2026, 10, 25, 3h) - 1s), at(2026, 10, 25, 1h) - 1s);
  EXPECT_EQ(berlin.first_reach(local(2026, 10, 25, 3h)), at(2026, 10, 25, 2h));
  for (const auto within : {0s, seconds{30min}, seconds{1h} - 1s})
    EXPECT_EQ(berlin.first_unreached(at(2026, 10, 25, 1h + within)), local(2026, 10, 25, 3h));
  EXPECT_EQ(berlin.first_unreached(at(2026, 10, 25, 2h)), local(2026, 10, 25, 3h) + 1s);
}

TEST(TimeZone, RepeatsItsRuleEveryFourHundredYears) {
  const auto berlin = load_time_zone("Europe/Berlin").value();
  for (const auto y : {2038, 2040, 2437, 2440, 2441, 2842, 9998}) {
    const auto sunday = sys_days{year{y} / 3 / std::chrono::Sunday[std::chrono::last]};
    const auto span = berlin.span_at(sunday + 1h);
    EXPECT_EQ(span.begin, sunday + 1h) << y;
    EXPECT_EQ(span.end, sys_days{year{y} / 10 / std::chrono::Sunday[std::chrono::last]} + 1h) << y;
    EXPECT_EQ(span.offset, 2h) << y;
    const local_seconds skipped{sunday.time_since_epoch() + 2h + 30min};
    EXPECT_EQ(berlin.first_reach(skipped), sunday + 1h) << y;
    EXPECT_EQ(berlin.first_unreached(sunday + 1h - 1s), skipped - 30min) << y;
  }
}

TEST(TimeZone, FollowsAFooterFromTheBeginningWhereNothingIsListed) {
  const auto zone = time_zone::parse("X", tzif({}, {-18'000}, "EST5EDT,M3.2.0,M11.1.0")).value();
  EXPECT_EQ(zone.span_at(at(0, 1, 15)).offset, -5h);
  EXPECT_EQ(zone.span_at(at(0, 7, 1)).offset, -4h);
  EXPECT_EQ(zone.span_at(at(1, 7, 1)).offset, -4h);
  EXPECT_EQ(zone.span_at(at(2026, 7, 1)).offset, -4h);
  EXPECT_EQ(zone.span_at(at(2026, 3, 8, 7h)).begin, at(2026, 3, 8, 7h));
}

TEST(TimeZone, FollowsAFooterOnlyBehindWhatIsListed) {
  // The last transition that is listed changes the zone's name alone.
  const auto last = at(2000, 1, 1).time_since_epoch().count();
  const auto zone =
    time_zone::parse("X", tzif({{0, 1}, {last, 2}}, {0, 3'600, 3'600}, "AAA-1BBB,M3.5.0,M10.5.0/3")).value();
  EXPECT_EQ(zone.span_at(at(1969, 7, 1)).offset, 0s);
  EXPECT_EQ(zone.span_at(at(1990, 7, 1)).offset, 1h);
  EXPECT_EQ(zone.span_at(at(1990, 7, 1)).end, at(2000, 3, 26, 1h));
  EXPECT_EQ(zone.span_at(at(2000, 7, 1)).offset, 2h);
}

TEST(TimeZone, KeepsItsLastOffsetWithoutAFooter) {
  const auto zone = time_zone::parse("X", tzif({{0, 1}}, {0, 3'600}, "")).value();
  EXPECT_EQ(zone.span_at(at(1969, 12, 31)).offset, 0s);
  EXPECT_EQ(zone.span_at(at(9000, 1, 1)).offset, 1h);
}

TEST(TimeZone, HasDaylightSavingAllYear) {
  // RFC 8536 3.3.1: it begins with the year, and ends when it begins again.
  const auto zone = time_zone::parse("X", tzif({{0, 1}}, {-18'000, -14'400}, "EST5EDT,0/0,J365/25")).value();
  for (const auto y : {1971, 2026, 2028, 5000})
    for (const auto m : {1U, 7U, 12U})
      EXPECT_EQ(zone.span_at(at(y, m, 1, 5h)).offset, -4h) << y << '-' << m;
}

TEST(TimeZone, ReadsRulesOfEveryForm) {
  // Cairo's 24:00, Godthab's times before midnight, Jerusalem's 26:00, a whole week beyond.
  const auto cairo = time_zone::parse("X", tzif({}, {7'200}, "EET-2EEST,M4.5.5/0,M10.5.4/24")).value();
  EXPECT_EQ(cairo.span_at(at(2026, 7, 1)).begin, at(2026, 4, 23, 22h));
  EXPECT_EQ(cairo.span_at(at(2026, 7, 1)).end, at(2026, 10, 29, 21h));
  const auto nuuk = time_zone::parse("X", tzif({}, {-7'200}, "<-02>2<-01>,M3.5.0/-1,M10.5.0/0")).value();
  EXPECT_EQ(nuuk.span_at(at(2026, 7, 1)).begin, at(2026, 3, 29, 1h));
  const auto jerusalem = time_zone::parse("X", tzif({}, {7'200}, "IST-2IDT,M3.4.4/26,M10.5.0")).value();
  EXPECT_EQ(jerusalem.span_at(at(2026, 7, 1)).begin, at(2026, 3, 27));
  const auto late = time_zone::parse("X", tzif({}, {0}, "AAA0BBB,M3.1.0/167,M11.1.0/-167")).value();
  EXPECT_EQ(late.span_at(at(2026, 7, 1)).begin, at(2026, 3, 1, 167h));
  EXPECT_EQ(late.span_at(at(2026, 7, 1)).end, at(2026, 11, 1, -168h));
  const auto days = time_zone::parse("X", tzif({}, {0}, "AAA0BBB,J60,365")).value();
  EXPECT_EQ(days.span_at(at(2027, 7, 1)).begin, at(2027, 3, 1, 2h));
  EXPECT_EQ(days.span_at(at(2028, 7, 1)).begin, at(2028, 3, 1, 2h));
  EXPECT_EQ(days.span_at(at(2027, 7, 1)).end, at(2028, 1, 1, 1h));
  EXPECT_EQ(days.span_at(at(2028, 7, 1)).end, at(2028, 12, 31, 1h));
}

TEST(TimeZone, RefusesDamagedFiles) {
  const auto whole = tzif({{0, 1}, {1'000, 0}}, {0, 3'600}, "AAA0");
  ASSERT_TRUE(time_zone::parse("X", whole));
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(time_zone::parse("X", whole.substr(0, size))) << "cut at " << size;

  const auto refusal = [](const std::string& file) {
    const auto zone = time_zone::parse("X", file);
    return zone ? "read" : zone.error().detail;
  };
  EXPECT_EQ(refusal("# tzdb"), "a time zone's file begins with TZif, version 2 or later, and a header");
  EXPECT_EQ(refusal("TZif" + std::string(1, '\0') + whole.substr(5)),
            "a time zone's file begins with TZif, version 2 or later, and a header");
  EXPECT_EQ(refusal(tzif({{0, 2}}, {0, 3'600}, "AAA0")),
            "a time zone's file has a transition to a type that is not there");
  EXPECT_EQ(refusal(tzif({{0, 1}, {0, 0}}, {0, 3'600}, "AAA0")),
            "a time zone's file has transitions out of order");
  EXPECT_EQ(refusal(tzif({}, {100'000}, "AAA0")), "a time zone's file has an offset beyond a day");
  EXPECT_EQ(refusal(tzif({}, {}, "AAA0")), "a time zone's file is shorter than its header says");
  EXPECT_EQ(refusal(tzif({}, {0}, "AAA")), "a time zone's file has a last line that is no rule of POSIX");
  EXPECT_EQ(refusal(tzif({}, {0}, "AAA-1")),
            "a time zone's file has a last line that contradicts its last transition");
  EXPECT_EQ(refusal(header(0, 0) + std::string(4, '\0') + header(0, 1, 1) + std::string(100, '\0')),
            "a time zone's file counts leap seconds");
  EXPECT_EQ(refusal(header(0, 0) + std::string(4, '\0') + header(0xffffffff, 1) + std::string(100, '\0')),
            "a time zone's file is shorter than its header says");
}

struct no_rule_case {
  const char* name;
  const char* text;
  const char* reason;
};

class ParsePosixTimeRuleRefuses : public testing::TestWithParam<no_rule_case> {};

TEST_P(ParsePosixTimeRuleRefuses, WithTheReason) {
  const auto rule = parse_posix_time_rule(GetParam().text);
  ASSERT_FALSE(rule);
  EXPECT_EQ(rule.error().code, errc::invalid_request);
  EXPECT_EQ(rule.error().detail, std::string{"a time zone's rule "} + GetParam().reason);
}

constexpr auto needs_name = "begins with a name of three letters or more";
constexpr auto needs_offset = "has an offset after its name, of at most 24 hours";
constexpr auto needs_second_name = "has a second name of three letters or more";
constexpr auto needs_second_offset = "has an offset after its second name, of at most 24 hours";
constexpr auto needs_dates = "says when daylight saving begins and ends, as in M3.2.0,M11.1.0";

INSTANTIATE_TEST_SUITE_P(
  Grammar,
  ParsePosixTimeRuleRefuses,
  testing::Values(no_rule_case{"nothing", "", needs_name},
                  no_rule_case{"short_name", "AA5", needs_name},
                  no_rule_case{"open_bracket", "<+03-3", needs_name},
                  no_rule_case{"no_offset", "EST", needs_offset},
                  no_rule_case{"offset_of_25_hours", "EST25", needs_offset},
                  no_rule_case{"minutes_of_60", "EST5:60", needs_offset},
                  no_rule_case{"a_comma_too_early", "EST5,M3.2.0,M11.1.0", needs_second_name},
                  no_rule_case{"second_offset", "EST5EDT/3", needs_second_offset},
                  no_rule_case{"no_dates", "EST5EDT", needs_dates},
                  no_rule_case{"one_date", "EST5EDT,M3.2.0", needs_dates},
                  no_rule_case{"month_13", "EST5EDT,M13.2.0,M11.1.0", needs_dates},
                  no_rule_case{"week_6", "EST5EDT,M3.6.0,M11.1.0", needs_dates},
                  no_rule_case{"weekday_7", "EST5EDT,M3.2.7,M11.1.0", needs_dates},
                  no_rule_case{"julian_0", "EST5EDT,J0,M11.1.0", needs_dates},
                  no_rule_case{"day_366", "EST5EDT,366,M11.1.0", needs_dates},
                  no_rule_case{"time_of_168_hours", "EST5EDT,M3.2.0/168,M11.1.0", needs_dates},
                  no_rule_case{"no_time", "EST5EDT,M3.2.0/,M11.1.0", needs_dates},
                  no_rule_case{"more_behind", "EST5EDT,M3.2.0,M11.1.0,", needs_dates}),
  [](const auto& test) { return std::string{test.param.name}; });

struct no_zone_case {
  const char* name;
  std::string zone;
  const char* detail;
};

class LoadTimeZoneRefuses : public testing::TestWithParam<no_zone_case> {};

TEST_P(LoadTimeZoneRefuses, WithTheReason) {
  const auto zone = load_time_zone(GetParam().zone);
  ASSERT_FALSE(zone);
  EXPECT_EQ(zone.error().code, errc::invalid_request);
  EXPECT_EQ(zone.error().detail, GetParam().detail);
}

constexpr auto no_iana_name = "a time zone is an IANA name, as in Europe/Berlin";

INSTANTIATE_TEST_SUITE_P(
  Names,
  LoadTimeZoneRefuses,
  testing::Values(
    no_zone_case{"empty", "", "a time zone has a name, as in Europe/Berlin"},
    no_zone_case{"unknown", "Mars/Phobos", "\"Mars/Phobos\" is no time zone that this system knows"},
    no_zone_case{"other_case", "europe/berlin", "\"europe/berlin\" is no time zone that this system knows"},
    no_zone_case{"a_folder", "Europe", "\"Europe\" is no time zone that this system knows"},
    no_zone_case{"a_folder_with_slash", "Europe/", "\"Europe/\" is no time zone that this system knows"},
    no_zone_case{"two_slashes", "Europe//Berlin",
                 "\"Europe//Berlin\" is no time zone that this system knows"},
    no_zone_case{"absolute", "/etc/passwd", "\"/etc/passwd\" is no time zone that this system knows"},
    no_zone_case{"absolute_zone", "/usr/share/zoneinfo/UTC",
                 "\"/usr/share/zoneinfo/UTC\" is no time zone that this system knows"},
    no_zone_case{"upward", "../../../etc/passwd",
                 "\"../../../etc/passwd\" is no time zone that this system knows"},
    no_zone_case{"upward_within", "Europe/../Europe/Berlin",
                 "\"Europe/../Europe/Berlin\" is no time zone that this system knows"},
    no_zone_case{"here", "./Europe/Berlin", "\"./Europe/Berlin\" is no time zone that this system knows"},
    no_zone_case{"a_table", "zone.tab", "\"zone.tab\" is no time zone that this system knows"},
    no_zone_case{"leap_seconds", "right/UTC", "\"right/UTC\" is no time zone that this system knows"},
    no_zone_case{"copy", "posix/Europe/Berlin",
                 "\"posix/Europe/Berlin\" is no time zone that this system knows"},
    no_zone_case{"of_the_machine", "localtime", "\"localtime\" is no time zone that this system knows"},
    no_zone_case{"a_rule", "EST5EDT,M3.2.0,M11.1.0",
                 "\"EST5EDT,M3.2.0,M11.1.0\" is no time zone that this system knows"},
    no_zone_case{"a_colon", ":Europe/Berlin", "\":Europe/Berlin\" is no time zone that this system knows"},
    no_zone_case{"zero_byte", std::string{"Europe/Berlin\0.", 15}, no_iana_name},
    no_zone_case{"escape", "Europe/\x1b[2J", no_iana_name},
    no_zone_case{"no_utf8", "Europe/\xff", no_iana_name},
    no_zone_case{"long_one", std::string(5'000, 'A'), no_iana_name}),
  [](const auto& test) { return std::string{test.param.name}; });

TEST(LoadTimeZone, TellsWhichFileIsDamaged) {
  const auto folder = std::filesystem::path{testing::TempDir()} / "skyengine_zones";
  std::filesystem::create_directories(folder);
  std::ofstream{folder / "Broken"} << "TZif2";
  const auto zone = load_time_zone("Broken", folder);
  ASSERT_FALSE(zone);
  EXPECT_EQ(zone.error().code, errc::internal);
  EXPECT_EQ(zone.error().detail, (folder / "Broken").string() +
                                   ": a time zone's file begins with TZif, version 2 or later, and a header");
  std::filesystem::remove_all(folder);
}

TEST(LoadTimeZone, NeedsNoFileForUtc) {
  EXPECT_TRUE(load_time_zone("UTC", "/nowhere")->is_utc());
  EXPECT_FALSE(load_time_zone("Europe/Berlin", "/nowhere"));
}

/// Of all zones that tzdata has, each at random instants of all years, footers included.
TEST(LoadTimeZone, AgreesWithTheCLibraryInEveryZone) {
  const auto seed = test::seed();
  SCOPED_TRACE("SKYENGINE_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random{seed};
  constexpr int questions_each = 200;
  const std::filesystem::path folder{system_zones};
  int zones = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator{folder}) {
    const auto name = std::filesystem::relative(entry.path(), folder).string();
    if (!entry.is_regular_file() || name.front() < 'A' || name.front() > 'Z')
      continue;
    const auto zone = load_time_zone(name);
    ASSERT_TRUE(zone) << zone.error().detail;
    ++zones;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the one thread of this test alone tells the time.
    setenv("TZ", (':' + name).c_str(), 1);
    tzset();
    for (int i = 0; i < questions_each; ++i) {
      const auto first = at(i % 2 == 0 ? 1900 : 1, 1, 1).time_since_epoch().count();
      const auto last = at(i % 2 == 0 ? 2100 : 9998, 1, 1).time_since_epoch().count();
      const std::time_t asked = std::uniform_int_distribution{first, last}(random);
      std::tm told{};
      localtime_r(&asked, &told);
      const sys_seconds instant{seconds{asked}};
      const auto span = zone->span_at(instant);
      ASSERT_EQ(span.offset.count(), told.tm_gmtoff) << name << " at " << asked;
      ASSERT_LE(span.begin, instant) << name << " at " << asked;
      ASSERT_GT(span.end, instant) << name << " at " << asked;
    }
  }
  EXPECT_GT(zones, 300);
}

} // namespace
} // namespace skyengine
