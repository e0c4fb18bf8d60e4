#include "tests/torture/campaigns.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <functional>
#include <map>
#include <random>
#include <stdexcept>
#include <string>

namespace {

using namespace skyengine::torture;

struct arguments {
  std::string campaign;
  std::uint64_t seed = std::random_device{}();
  bool is_smoke = false;
  std::size_t kills = 0;
  std::size_t pauses = 0;
  int clients = 0;
  std::size_t creates = 0;
  int rounds = 0;
  int connections = 0;
  int parallel = 0;
  std::vector<std::string> points;
};

/// What was asked for, else the size of a full or of a small run.
template <class T>
T size(const arguments& given, T asked, T full, T smoke) {
  return asked != T{} ? asked : given.is_smoke ? smoke : full;
}

report play(const arguments& given) {
  if (given.campaign == "crash-points")
    return crash_points({given.seed, given.points, size(given, given.parallel, 4, 8), !given.is_smoke});
  if (given.campaign == "kills")
    return kills(
      {given.seed, size<std::size_t>(given, given.kills, 200, 10), size(given, given.clients, 8, 8), 1});
  if (given.campaign == "two-engines")
    return kills({given.seed, size<std::size_t>(given, given.kills, 50, 4), size(given, given.clients, 8, 8),
                  2, size<std::size_t>(given, given.pauses, 8, 1)});
  if (given.campaign == "idempotency")
    return idempotency({given.seed, size(given, given.clients, 50, 50), size(given, given.rounds, 20, 1)});
  if (given.campaign == "bills")
    return bills({given.seed, size<std::size_t>(given, given.kills, 200, 10), 1});
  if (given.campaign == "bills-two-engines")
    return bills({given.seed, size<std::size_t>(given, given.kills, 50, 6), 2});
  if (given.campaign == "crowd") {
    crowd_options how;
    how.seed = given.seed;
    how.connections = size(given, given.connections, 10'000, 10'000);
    how.span = given.is_smoke ? std::chrono::seconds{5} : std::chrono::seconds{20};
    return crowd(how);
  }
  flood_options how;
  how.seed = given.seed;
  how.creates = size<std::size_t>(given, given.creates, 2'000, 200);
  how.clients = size(given, given.clients, 64, 64);
  how.idle_connections = given.is_smoke ? 500 : 0;
  return flood(how);
}

int run(int argc, char** argv) {
  CLI::App app{"Kills, floods and confuses real engines, then holds both sides and what clients were told "
               "against each other."};
  app.name("torture");
  arguments given;
  app.add_option("--campaign", given.campaign, "What to do to them")
    ->required()
    ->check(CLI::IsMember({"crash-points", "kills", "two-engines", "idempotency", "load", "crowd", "bills",
                           "bills-two-engines"}));
  app.add_option("--seed", given.seed, "Of everything that is drawn; default: a random one");
  app.add_flag("--smoke", given.is_smoke, "The sizes of CI");
  app.add_option("--kills", given.kills, "How often an engine is killed");
  app.add_option("--pauses", given.pauses, "How often one of two engines sleeps beyond its lease");
  app.add_option("--clients", given.clients, "How many ask at a time");
  app.add_option("--creates", given.creates, "Orders of the load campaign");
  app.add_option("--rounds", given.rounds, "Orders of the idempotency campaign");
  app.add_option("--connections", given.connections, "Of the crowd campaign");
  app.add_option("--parallel", given.parallel, "Crash points at a time");
  app.add_option("--point", given.points, "Crash points; default: all");
  CLI11_PARSE(app, argc, argv);

  std::printf("campaign %s, seed %llu\n", given.campaign.c_str(),
              static_cast<unsigned long long>(given.seed));
  std::fflush(stdout);
  const auto done = play(given);
  for (const auto& [name, value] : done.figures)
    std::printf("  %-22s %s\n", name.c_str(), value.c_str());
  for (const auto& difference : done.differences)
    std::printf("DIFFERS %s\n", difference.c_str());
  std::printf("%s\n", done.differences.empty() ? "holds" : "does not hold");
  return done.differences.empty() ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& failure) {
    std::printf("DIFFERS %s\n", failure.what());
    return 1;
  }
}
