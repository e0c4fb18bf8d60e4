// What does it cost to ask a cron expression when it fires next, and to read one? Beside it: one localtime_r
// and one mktime, the least that asks the C library for a time on a zone's clock and back.
//
// The instants asked from are spread over a year at random, so that no branch is learned by heart; a figure
// is the mean of all of them, the median over rounds.

#include "bench/bench_support.hpp"
#include "domain/cron_expression.hpp"
#include "domain/time_zone_file.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <vector>

namespace {

namespace bench = skyengine::bench;
using skyengine::parse_cron;
using skyengine::time_zone;
using steady = std::chrono::steady_clock;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::year;

constexpr auto zone_name = "Europe/Berlin";

std::vector<sys_seconds> instants(std::size_t count) {
  const auto begin = sys_seconds{sys_days{year{2026} / 1 / 1}};
  const auto end = sys_seconds{sys_days{year{2027} / 1 / 1}};
  std::mt19937_64 random{2026};
  std::uniform_int_distribution<std::int64_t> any{0, (end - begin).count() - 1};
  std::vector<sys_seconds> all;
  for (std::size_t i = 0; i < count; ++i)
    all.push_back(begin + seconds{any(random)});
  return all;
}

struct measured {
  double nanoseconds = 0;
  /// Over all answers: that the work was done, and the same in each round.
  std::uint64_t sum = 0;
};

template <class Question, class Ask>
measured measure(const std::vector<Question>& questions, Ask ask) {
  measured all;
  const auto begun = steady::now();
  for (const auto& question : questions)
    all.sum += ask(question);
  all.nanoseconds = std::chrono::duration<double, std::nano>(steady::now() - begun).count() /
                    static_cast<double>(questions.size());
  return all;
}

measured ask_next(const std::vector<sys_seconds>& from, const char* text, const time_zone& zone) {
  const auto expression = parse_cron(text).value();
  return measure(from, [&](sys_seconds at) {
    return static_cast<std::uint64_t>(expression.next(at, zone)->time_since_epoch().count());
  });
}

/// The next multiple of five minutes on the clock of TZ.
measured ask_c_library(const std::vector<sys_seconds>& from) {
  return measure(from, [](sys_seconds at) {
    const std::time_t time = at.time_since_epoch().count();
    std::tm told{};
    localtime_r(&time, &told);
    told.tm_min += 5 - told.tm_min % 5;
    told.tm_sec = 0;
    return static_cast<std::uint64_t>(std::mktime(&told));
  });
}

measured read(const std::vector<const char*>& texts) {
  return measure(texts, [](const char* text) { return parse_cron(text).value().fields().minutes; });
}

struct figure {
  const char* name;
  const char* told;
  double aim;
  std::vector<double> rounds = {};
  std::uint64_t sum = 0;

  void add(const measured& one) {
    if (!rounds.empty() && sum != one.sum)
      std::abort();
    sum = one.sum;
    rounds.push_back(one.nanoseconds);
  }
};

int run(const bench::options& how) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before any other thread could be there.
  setenv("TZ", (std::string{":"} + zone_name).c_str(), 1);
  tzset();
  const time_zone utc;
  const auto berlin = skyengine::load_time_zone(zone_name).value();
  const auto from = instants(how.is_smoke ? 2'000 : 200'000);
  constexpr auto expressions = std::to_array<const char*>(
    {"*/5 * * * *", "30 2 * * *", "0 9-17 * * MON-FRI", "0 0 29 2 *", "0 0 1,15 * ?", "*/20 30 8 L JAN-JUN *",
     "@hourly", "@every 1h30m", "0 0 LW */3 *", "15,45 8,20 ? * FRIL"});
  std::mt19937_64 random{2026};
  std::vector<const char*> texts;
  for (std::size_t i = 0; i < from.size(); ++i)
    texts.push_back(expressions[random() % expressions.size()]);

  figure in_utc{"next_utc", "next of */5 * * * * in UTC", 60};
  figure in_zone{"next_zone", "next of */5 * * * * in Berlin", 250};
  figure fixed{"next_fixed", "next of 30 2 * * * in Berlin", 250};
  figure leap_day{"next_leap_day", "next of 0 0 29 2 * in UTC", 1'000};
  figure leap_day_in_zone{"next_leap_day_zone", "next of 0 0 29 2 * in Berlin", 1'000};
  figure reading{"parse", "reading one of ten", 1'000};
  figure c_library{"c_library", "localtime_r and mktime in Berlin", 0};
  for (int round = 0; round < how.rounds; ++round) {
    in_utc.add(ask_next(from, "*/5 * * * *", utc));
    in_zone.add(ask_next(from, "*/5 * * * *", berlin));
    c_library.add(ask_c_library(from));
    fixed.add(ask_next(from, "30 2 * * *", berlin));
    leap_day.add(ask_next(from, "0 0 29 2 *", utc));
    leap_day_in_zone.add(ask_next(from, "0 0 29 2 *", berlin));
    reading.add(read(texts));
  }

  bench::summary all{"cron"};
  all.add("rounds", how.rounds);
  for (const auto* one : {&in_utc, &in_zone, &fixed, &leap_day, &leap_day_in_zone, &reading, &c_library}) {
    const auto told = bench::summarise(one->rounds);
    std::printf("%-34s %7.1f ns (deviation %.1f)", one->told, told.median, told.deviation);
    std::printf(one->aim > 0 ? ", aim %.0f ns\n" : "\n", one->aim);
    all.add(std::string{one->name} + "_ns", told, 1);
  }
  const auto ratio = bench::summarise(in_zone.rounds).median / bench::summarise(c_library.rounds).median;
  std::printf("ratio of the zone's clock to the C library: %.3f\n", ratio);
  all.add("ratio", ratio, 3);
  all.print();
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  return bench::run(argc, argv, 9, run);
}
