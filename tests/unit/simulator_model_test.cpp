#include "domain/time_format.hpp"
#include "tests/simulator/model.hpp"
#include "tests/simulator/traffic.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace skyengine::simulator {
namespace {

using namespace std::chrono_literals;

/// A model with one user (id 1), whose builds take between 7.5 and 12.5 seconds, and a clock that the test
/// moves.
class SimulatorModel : public testing::Test {
protected:
  SimulatorModel() { EXPECT_TRUE(world.create_user({"One", "one@example.org", 1, {}}, now).has_value()); }

  void pass(std::chrono::microseconds span) {
    now.real += span;
    now.business += span;
    world.advance(now);
  }

  const server& create(std::int64_t group = 1) {
    const auto made = world.create_server({1, 1, group}, false, now);
    EXPECT_TRUE(made.has_value());
    return **made;
  }

  const server& create_built() {
    const auto& made = create();
    EXPECT_TRUE(world.build(made.id, {1, "name", "host.example.org"}, false, now).has_value());
    pass(13s);
    EXPECT_EQ(made.stage, commission::complete);
    return made;
  }

  static std::string snapshot_of(const model& m) {
    std::string all;
    m.snapshot([&](std::string_view lines) { all += lines; });
    return all;
  }

  template <class T>
  static unsigned status(const outcome<T>& done) {
    return done.has_error() ? done.error().status : 200;
  }

  moment now{*parse_time("2026-03-01T10:00:00Z"), *parse_time("2026-03-01T10:00:00Z")};
  model world{{1, 10s, 1}};
};

TEST_F(SimulatorModel, BuildGoesFromAllocatedToComplete) {
  const auto& s = create();
  EXPECT_EQ(s.stage, commission::allocated);
  ASSERT_TRUE(world.build(s.id, {1, "name", "host.example.org"}, false, now).has_value());
  EXPECT_EQ(s.stage, commission::building);
  pass(7s);
  EXPECT_EQ(s.stage, commission::building);
  pass(6s);
  EXPECT_EQ(s.stage, commission::complete);
  EXPECT_TRUE(s.is_running);
  EXPECT_EQ(s.built, s.last_task);
}

TEST_F(SimulatorModel, FailedBuildCanBeRepeated) {
  const auto& s = create();
  ASSERT_TRUE(world.build(s.id, {1, "", ""}, true, now).has_value());
  pass(13s);
  EXPECT_EQ(s.stage, commission::failed);
  EXPECT_FALSE(s.built);
  ASSERT_TRUE(world.build(s.id, {1, "", ""}, false, now).has_value());
  pass(13s);
  EXPECT_EQ(s.stage, commission::complete);
  EXPECT_EQ(s.builds, 2);
}

TEST_F(SimulatorModel, OneTaskAtATime) {
  const auto& s = create();
  ASSERT_TRUE(world.build(s.id, {1, "", ""}, false, now).has_value());
  EXPECT_EQ(status(world.build(s.id, {1, "", ""}, false, now)), 423u);
  EXPECT_EQ(status(world.power(s.id, task_kind::boot, now)), 423u);
  EXPECT_EQ(status(world.suspend(s.id, false, now)), 423u);
  EXPECT_EQ(status(world.remove(s.id, 0min, now)), 423u);
  EXPECT_EQ(status(world.change_package(s.id, 2, {}, now)), 423u);
  pass(13s);
  EXPECT_EQ(status(world.power(s.id, task_kind::poweroff, now)), 200u);
}

struct build_case {
  const char* name;
  build_request wanted;
  const char* field;
};

class SimulatorModelBuild : public SimulatorModel, public testing::WithParamInterface<build_case> {};

TEST_P(SimulatorModelBuild, NamesTheFieldThatIsWrong) {
  const auto begun = world.build(create().id, GetParam().wanted, false, now);
  ASSERT_TRUE(begun.has_error());
  EXPECT_EQ(begun.error().status, 422u);
  EXPECT_EQ(begun.error().field, GetParam().field);
}

INSTANTIATE_TEST_SUITE_P(Wrong,
                         SimulatorModelBuild,
                         testing::Values(build_case{"template", {99, "", ""}, "operatingSystemId"},
                                         build_case{"hostname", {1, "", "-a..b"}, "hostname"},
                                         build_case{"key", {1, "", "", {5}}, "sshKeys"}),
                         [](const auto& test) { return std::string{test.param.name}; });

TEST_F(SimulatorModel, GroupThreeHasRoomForTen) {
  for (int i = 0; i < 10; ++i)
    create(3);
  const auto refused = world.create_server({1, 1, 3}, false, now);
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().status, 422u);
  EXPECT_EQ(refused.error().text, "no hypervisor with enough resources");
  ASSERT_TRUE(world.erase_server(1, now).has_value());
  EXPECT_EQ(create(3).id, 11);
}

TEST_F(SimulatorModel, DryRunReservesNothing) {
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(world.create_server({1, 1, 3}, true, now).has_value());
  EXPECT_TRUE(world.servers().empty());
  EXPECT_EQ(create(3).id, 1);
}

TEST_F(SimulatorModel, DryRunRefusesWhatTheRealOneWould) {
  EXPECT_EQ(world.create_server({9, 1, 1}, true, now).error().field, "packageId");
  EXPECT_EQ(world.create_server({1, 9, 1}, true, now).error().field, "userId");
  EXPECT_EQ(world.create_server({1, 1, 9}, true, now).error().field, "hypervisorId");
}

TEST_F(SimulatorModel, UsersAreUniqueByRelationAndByEmail) {
  EXPECT_EQ(world.create_user({"Two", "two@example.org", 1, {}}, now).error().field, "extRelationId");
  EXPECT_EQ(world.create_user({"Two", "one@example.org", 2, {}}, now).error().field, "email");
  ASSERT_TRUE(world.create_user({"Two", "two@example.org", {}, "two"}, now).has_value());
  EXPECT_EQ(world.create_user({"Three", "three@example.org", {}, "two"}, now).error().field, "relStr");
  EXPECT_EQ(world.find_user_by_rel_str("two")->id, 2);
}

TEST_F(SimulatorModel, SuspendedMachineStandsStillAndRefusesPower) {
  const auto& s = create_built();
  ASSERT_TRUE(world.suspend(s.id, false, now).has_value());
  EXPECT_TRUE(s.is_suspended);
  EXPECT_TRUE(s.is_running);
  pass(2s);
  EXPECT_FALSE(s.is_running);
  EXPECT_EQ(status(world.power(s.id, task_kind::boot, now)), 409u);
  EXPECT_EQ(status(world.suspend(s.id, false, now)), 409u);
  ASSERT_TRUE(world.unsuspend(s.id, now).has_value());
  EXPECT_FALSE(s.is_running);
  EXPECT_EQ(status(world.unsuspend(s.id, now)), 409u);
  EXPECT_EQ(status(world.power(s.id, task_kind::boot, now)), 200u);
}

TEST_F(SimulatorModel, DeletedServerGoesALittleLaterAndItsIdNeverComesBack) {
  const auto id = create_built().id;
  ASSERT_TRUE(world.remove(id, 0min, now).has_value());
  EXPECT_NE(world.find_server(id), nullptr);
  EXPECT_EQ(status(world.remove(id, 0min, now)), 423u);
  pass(2s);
  EXPECT_EQ(world.find_server(id), nullptr);
  EXPECT_EQ(status(world.remove(id, 0min, now)), 404u);
  ASSERT_EQ(world.gone().size(), 1u);
  EXPECT_EQ(world.gone().front().id, id);
  EXPECT_EQ(create().id, id + 1);
}

TEST_F(SimulatorModel, DelayedDeleteRunsInBusinessTime) {
  const auto id = create_built().id;
  ASSERT_TRUE(world.remove(id, 5min, now).has_value());
  now.business += 4min;
  pass(0s);
  EXPECT_NE(world.find_server(id), nullptr);
  now.business += 1min;
  pass(0s);
  EXPECT_EQ(world.find_server(id), nullptr);
}

TEST_F(SimulatorModel, ProtectedServerCannotBeDeleted) {
  const auto& s = create_built();
  server_patch guard;
  guard.is_protected = true;
  ASSERT_TRUE(world.patch_server(s.id, guard, now).has_value());
  EXPECT_EQ(status(world.remove(s.id, 0min, now)), 409u);
}

TEST_F(SimulatorModel, PackageChangeNeverShrinksADiskAndSaysSo) {
  const auto& s = create_built();
  ASSERT_TRUE(world.change_package(s.id, 3, {true, true, true, true, true}, now).has_value());
  EXPECT_EQ(s.storage_gb, 80);
  EXPECT_EQ(s.memory_mb, 4'096);
  EXPECT_EQ(s.live_memory_mb, 1'024);
  const auto back = world.change_package(s.id, 1, {false, true, true, true, false}, now);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, std::vector<std::string>{
                     "primary disk not updated. It either matches or is lower than the current value"});
  EXPECT_EQ(s.storage_gb, 80);
  EXPECT_EQ(s.traffic_gb, 4'000);
}

TEST_F(SimulatorModel, NewMemoryShowsAfterARestart) {
  const auto& s = create_built();
  ASSERT_TRUE(world.set_memory(s.id, 2'048, now).has_value());
  EXPECT_EQ(s.live_memory_mb, 1'024);
  ASSERT_TRUE(world.power(s.id, task_kind::restart, now).has_value());
  pass(2s);
  EXPECT_EQ(s.live_memory_mb, 2'048);
}

TEST_F(SimulatorModel, TrafficGrowsOnlyWhileTheMachineRuns) {
  const auto& s = create_built();
  pass(100s);
  const auto running = world.traffic(s, now).rx;
  EXPECT_GT(running, 0);
  ASSERT_TRUE(world.power(s.id, task_kind::poweroff, now).has_value());
  pass(2s);
  const auto stopped = world.traffic(s, now).rx;
  pass(1h);
  EXPECT_EQ(world.traffic(s, now).rx, stopped);
}

TEST(SimulatorTraffic, PeriodsBeginOnTheServersOwnDay) {
  auto meter = new_meter(*parse_time("2026-01-31T15:00:00Z"));
  EXPECT_EQ(format_time(meter.period_start), "2026-01-31T00:00:00Z");
  EXPECT_EQ(format_time(meter.period_end), "2026-02-28T00:00:00Z");
  count_traffic(meter, 1, 1, true, *parse_time("2026-03-05T00:00:00Z"));
  EXPECT_EQ(meter.period, 2);
  EXPECT_EQ(format_time(meter.period_start), "2026-02-28T00:00:00Z");
  EXPECT_EQ(format_time(meter.period_end), "2026-03-31T00:00:00Z");
  EXPECT_GT(meter.last_rx, meter.rx);
}

TEST_F(SimulatorModel, SeededServersAreSpreadOverPackagesAndGroupsWithRoom) {
  EXPECT_EQ(world.seed_servers(120, 3, now).created, 120);
  std::map<std::int64_t, int> packages, groups;
  for (const auto* const s : world.servers()) {
    ++packages[s->package];
    ++groups[s->group];
  }
  EXPECT_EQ(packages, (std::map<std::int64_t, int>{{1, 30}, {2, 30}, {3, 30}, {4, 30}}));
  EXPECT_EQ(groups[3], 10);
  EXPECT_NEAR(groups[1], groups[2], 4);
}

TEST_F(SimulatorModel, ComesBackFromItsSnapshotAndItsChanges) {
  world.seed_servers(5, 2, now);
  const auto snapshot = snapshot_of(world);
  world.record_changes();
  ASSERT_TRUE(world.build(create().id, {1, "name", "host.example.org"}, false, now).has_value());
  ASSERT_TRUE(world.set_owner(2, 2, now).has_value());
  ASSERT_TRUE(world.erase_server(3, now).has_value());
  const auto changes = world.take_changes();
  EXPECT_EQ(world.take_changes(), "");

  model again{{1, 10s, 1}};
  std::istringstream lines{snapshot + changes};
  for (std::string line; std::getline(lines, line);)
    EXPECT_TRUE(again.restore(line)) << line;
  EXPECT_EQ(snapshot_of(again), snapshot_of(world));
  EXPECT_EQ(again.find_user(2)->servers, world.find_user(2)->servers);
  // The build that was under way ends there as it does here.
  pass(13s);
  again.advance(now);
  EXPECT_EQ(snapshot_of(again), snapshot_of(world));
}

TEST_F(SimulatorModel, TakesNoForeignLine) {
  EXPECT_FALSE(world.restore("something"));
  EXPECT_FALSE(world.restore(R"({"planet": {"id": 1}})"));
}

} // namespace
} // namespace skyengine::simulator
