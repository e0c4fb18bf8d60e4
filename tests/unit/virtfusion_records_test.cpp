#include "domain/time_format.hpp"
#include "net/virtfusion/ownership.hpp"
#include "net/virtfusion/records.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <type_traits>

namespace skyengine::net::virtfusion {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

template <class T>
concept printable = requires(std::ostream& out, T value) { out << value; };

answer ok(std::string body) {
  return {200, std::move(body), {}};
}

constexpr const char* whole_server = R"json({"data": {
  "id": 311, "ownerId": 17, "hypervisorId": 4, "name": "vps-12", "hostname": "vps-12.example.net",
  "commissionStatus": 3, "uuid": "0f0e", "state": "complete", "rebuild": false, "suspended": false, "protected": true,
  "buildFailed": false, "built": "2026-02-03T04:05:06+00:00", "created": "2026-02-03T05:03:00+01:00",
  "settings": {"osTemplateInstallId": 49, "resources": {"memory": 2048, "storage": 40, "traffic": 0, "cpuCores": 2}},
  "backupPlan": {"id": 6, "name": "daily"},
  "network": {"interfaces": [
    {"ipv4": [{"address": "192.0.2.10"}, {"address": "192.0.2.11"}],
     "ipv6": [{"subnet": "2001:db8:1::", "cidr": 64, "addresses": []},
              {"subnet": "2001:db8:2::", "cidr": 64, "addresses": ["2001:db8:2::1", {"address": "2001:db8:2::2"}]}]},
    {"ipv4": [], "ipv6": []}]},
  "hypervisor": {"id": 4, "groupId": 2}, "owner": {"id": 17, "extRelationId": 42, "name": "Ada"},
  "tasks": {"active": false, "lastOn": "2026-02-03 04:05:06", "actions": {"pending": []}},
  "remoteState": false, "somethingNew": {"x": [1, 2]}}})json";

TEST(ReadServer, ReadsAWholeRecord) {
  const auto server = read_server(ok(whole_server));
  ASSERT_TRUE(server.has_value());
  EXPECT_EQ(server->id.value, 311);
  EXPECT_EQ(server->uuid, "0f0e");
  EXPECT_EQ(server->name, "vps-12");
  EXPECT_EQ(server->hostname, "vps-12.example.net");
  EXPECT_EQ(server->commission_status, 3);
  EXPECT_TRUE(server->is_protected);
  EXPECT_EQ(server->is_suspended, false);
  EXPECT_EQ(format_time(*server->built_at), "2026-02-03T04:05:06Z");
  EXPECT_EQ(format_time(*server->created_at), "2026-02-03T04:03:00Z");
  EXPECT_EQ(server->resources, (server_resources{2048, 40, 0, 2}));
  EXPECT_EQ(server->os_template, os_template_id{49});
  EXPECT_EQ(server->backup_plan, backup_plan_id{6});
  EXPECT_THAT(server->ipv4, ElementsAre("192.0.2.10", "192.0.2.11"));
  EXPECT_THAT(server->ipv6, ElementsAre("2001:db8:1::/64", "2001:db8:2::1", "2001:db8:2::2"));
  EXPECT_EQ(server->hypervisor, 4);
  EXPECT_EQ(server->group, hypervisor_group_id{2});
  ASSERT_TRUE(server->owner.has_value());
  EXPECT_EQ(server->owner->id, virtfusion_user_id{17});
  EXPECT_EQ(server->owner->ext_relation_id, user_id{42});
  EXPECT_FALSE(server->remote.has_value());
  EXPECT_TRUE(server->is_complete);
  EXPECT_TRUE(server->is_built());
  EXPECT_FALSE(server->has_failed());
  EXPECT_FALSE(server->has_task());
  EXPECT_FALSE(server->is_untouched());
}

TEST(ReadServer, TakesNumbersAsStringsAndFlagsAsNumbers) {
  const auto server = read_server(ok(R"({"data": {"id": "311", "state": "complete", "commissionStatus": "3",
    "suspended": 1, "protected": "0", "buildFailed": "false", "tasks": {"active": "1"},
    "settings": {"resources": {"memory": "2048", "storage": 40.0, "traffic": null}},
    "owner": {"id": "17", "extRelationId": "42"}}})"));
  ASSERT_TRUE(server.has_value());
  EXPECT_EQ(server->id.value, 311);
  EXPECT_EQ(server->commission_status, 3);
  EXPECT_EQ(server->is_suspended, true);
  EXPECT_FALSE(server->is_protected);
  EXPECT_FALSE(server->is_build_failed);
  EXPECT_TRUE(server->has_task());
  EXPECT_EQ(server->resources, (server_resources{2048, 40, 0, 0}));
  EXPECT_EQ(server->owner->ext_relation_id, user_id{42});
}

TEST(ReadServer, TellsResourcesOnlyWhereAllOfThemAreTold) {
  const auto told = [](const std::string& resources) {
    return read_server(
             ok(R"({"data": {"id": 1, "state": "complete", "settings": {"resources": )" + resources + "}}}"))
      ->told_resources();
  };
  EXPECT_EQ(told(R"({"memory": 2048, "storage": 40, "traffic": 0, "cpuCores": 2})"),
            (server_resources{2048, 40, 0, 2}));
  EXPECT_EQ(told(R"({"memory": 2048, "storage": 40, "traffic": null, "cpuCores": 2})"),
            (server_resources{2048, 40, 0, 2}));
  EXPECT_EQ(told(R"({"storage": 40, "traffic": 0, "cpuCores": 2})"), std::nullopt);
  EXPECT_EQ(told(R"({"memory": 2048, "traffic": 0, "cpuCores": 2})"), std::nullopt);
  EXPECT_EQ(told(R"({"memory": 2048, "storage": 40, "cpuCores": 2})"), std::nullopt);
  EXPECT_EQ(told(R"({"memory": 2048, "storage": 40, "traffic": "?", "cpuCores": 2})"), std::nullopt);
  EXPECT_EQ(told(R"({"memory": 2048, "storage": 40, "traffic": 0})"), std::nullopt);
}

TEST(ReadServer, NeedsNoMoreThanIdAndState) {
  const auto server =
    read_server(ok(R"({"data": {"id": 1, "state": "queued", "network": {"interfaces": [null, 3]}}})"));
  ASSERT_TRUE(server.has_value());
  EXPECT_FALSE(server->is_built());
  EXPECT_FALSE(server->has_failed());
  EXPECT_FALSE(server->owner.has_value());
  EXPECT_FALSE(server->is_suspended.has_value()) << "not told is not \"not suspended\"";
  EXPECT_FALSE(server->is_complete);
  EXPECT_FALSE(server->is_untouched());
}

class UnreadableServer : public testing::TestWithParam<const char*> {};
TEST_P(UnreadableServer, IsAnError) {
  const auto server = read_server(ok(GetParam()));
  ASSERT_TRUE(server.has_error());
  EXPECT_EQ(server.error().code, errc::virtfusion_unavailable);
}
INSTANTIATE_TEST_SUITE_P(Bodies,
                         UnreadableServer,
                         testing::Values("",
                                         "<html></html>",
                                         "null",
                                         "[]",
                                         "{}",
                                         R"({"data": null})",
                                         R"({"data": []})",
                                         R"({"data": {"id": null, "state": "complete"}})",
                                         R"({"data": {"id": 0, "state": "complete"}})",
                                         R"({"data": {"id": -1, "state": "complete"}})",
                                         R"({"data": {"id": 1.5, "state": "complete"}})",
                                         R"({"data": {"id": 1e300, "state": "complete"}})",
                                         R"({"data": {"id": "9223372036854775808", "state": "complete"}})",
                                         R"({"data": {"id": 1}})",
                                         R"({"data": {"id": 1, "state": "comp)"));

struct state_case {
  const char* name;
  const char* change;
  bool is_built;
  bool has_failed;
  bool has_task;
};
class ServerState : public testing::TestWithParam<state_case> {};
TEST_P(ServerState, IsReadOffTheRecord) {
  const auto server = read_server(ok(std::string{R"({"data": {"id": 1, )"} + GetParam().change + "}}"));
  ASSERT_TRUE(server.has_value());
  EXPECT_EQ(server->is_built(), GetParam().is_built);
  EXPECT_EQ(server->has_failed(), GetParam().has_failed);
  EXPECT_EQ(server->has_task(), GetParam().has_task);
}
INSTANTIATE_TEST_SUITE_P(
  Records,
  ServerState,
  testing::Values(
    state_case{"built", R"("state": "complete", "commissionStatus": 3)", true, false, false},
    state_case{"building", R"("state": "complete", "commissionStatus": 3, "tasks": {"active": true})", false,
               false, true},
    state_case{"pending",
               R"("state": "complete", "commissionStatus": 3, "tasks": {"actions": {"pending": [{}]}})",
               false, false, true},
    state_case{"queued", R"("state": "queued", "commissionStatus": 1)", false, false, false},
    state_case{"in_between", R"("state": "complete", "commissionStatus": 2)", false, false, false},
    state_case{"failed", R"("state": "failed", "commissionStatus": 2)", false, true, false},
    state_case{"build_failed", R"("state": "complete", "commissionStatus": 3, "buildFailed": true)", false,
               true, false}),
  [](const auto& test) { return std::string{test.param.name}; });

constexpr const char* fresh_server = R"("id": 5, "state": "allocated", "commissionStatus": 0, "built": null,
  "name": "", "hostname": null, "tasks": {"active": false, "actions": {"pending": []}})";

TEST(IsUntouched, HoldsForWhatACreateLeft) {
  const auto server = read_server(ok(std::string{"{\"data\": {"} + fresh_server + "}}"));
  ASSERT_TRUE(server.has_value());
  EXPECT_TRUE(server->is_untouched());
}

class Touched : public testing::TestWithParam<std::pair<const char*, const char*>> {};
TEST_P(Touched, IsNotUntouched) {
  auto body = std::string{"{\"data\": {"} + fresh_server + "}}";
  const auto [from, to] = GetParam();
  body.replace(body.find(from), std::string_view{from}.size(), to);
  const auto server = read_server(ok(body));
  ASSERT_TRUE(server.has_value());
  EXPECT_FALSE(server->is_untouched());
}
INSTANTIATE_TEST_SUITE_P(Records,
                         Touched,
                         testing::Values(std::pair{R"("name": "")", R"("name": "x")"},
                                         std::pair{R"("hostname": null)", R"("hostname": "x")"},
                                         std::pair{R"("built": null)",
                                                   R"("built": "2026-02-03T04:05:06+00:00")"},
                                         std::pair{R"("built": null)", R"("built": "some day")"},
                                         std::pair{R"("built": null)", R"("builtAt": null)"},
                                         std::pair{R"("name": "")", R"("label": "")"},
                                         std::pair{R"("active": false)", R"("active": true)"},
                                         std::pair{R"("active": false)", R"("busy": false)"},
                                         std::pair{R"("pending": [])", R"("pending": [1])"},
                                         std::pair{R"("commissionStatus": 0)", R"("commissionStatus": 1)"},
                                         std::pair{R"("commissionStatus": 0)", R"("commission": 0)"}));

TEST(ReadServer, ReadsRemoteStateAsHypervisorsTellIt) {
  const auto server = read_server(ok(R"({"data": {"id": 1, "state": "complete", "remoteState": {
    "running": true, "state": "running", "cpu": 12.5,
    "memory": {"memtotal": "2048000", "memavailable": "1024000", "memfree": "512000"},
    "disk": {"vda": {"capacity": "16106127360", "physical": "5", "allocation": "4294967296"},
             "vdb": {"capacity": 1, "allocation": null}}}}})"));
  ASSERT_TRUE(server.has_value() && server->remote.has_value());
  EXPECT_EQ(server->remote->is_running, true);
  EXPECT_EQ(server->remote->cpu_percent, 12.5);
  EXPECT_EQ(server->remote->memory_total_kib, 2'048'000);
  EXPECT_EQ(server->remote->memory_available_kib, 1'024'000);
  EXPECT_EQ(server->remote->disk_capacity_bytes, 16'106'127'361);
  EXPECT_EQ(server->remote->disk_allocation_bytes, 4'294'967'296);
}

TEST(ReadServer, TakesTheStateForRunningAndMissingFiguresForNone) {
  const auto server = read_server(ok(
    R"({"data": {"id": 1, "state": "complete", "remoteState": {"state": "running", "cpu": {"percent": "3"}}}})"));
  ASSERT_TRUE(server.has_value() && server->remote.has_value());
  EXPECT_EQ(server->remote->is_running, true);
  EXPECT_EQ(server->remote->cpu_percent, 3.0);
  EXPECT_FALSE(server->remote->memory_total_kib.has_value());
  EXPECT_FALSE(server->remote->disk_capacity_bytes.has_value());
}

TEST(ReadServer, DoesNotTakeAPowerThatIsNotToldForOff) {
  const auto power_in = [](const std::string& remote) {
    return read_server(ok(R"({"data": {"id": 1, "state": "complete", "remoteState": )" + remote + "}}"))
      ->remote->is_running;
  };
  EXPECT_EQ(power_in(R"({"memory": {}})"), std::nullopt);
  EXPECT_EQ(power_in(R"({"running": null, "state": null})"), std::nullopt);
  EXPECT_EQ(power_in(R"({"running": false})"), false);
  EXPECT_EQ(power_in(R"({"state": "shutoff"})"), false);
}

TEST(ReadCreatedServer, NeedsTheIdAlone) {
  const auto made = read_created_server({201, R"({"data": {"id": 70}})", {}});
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ(made->id.value, 70);
  EXPECT_TRUE(read_created_server({201, R"({"data": {}})", {}}).has_error());
}

TEST(ReadUser, KeepsBothIds) {
  const auto user = read_user(ok(
    R"({"data": {"id": 3, "extRelationId": 42, "name": "Ada", "email": "ada@example.com", "suspended": true}})"));
  ASSERT_TRUE(user.has_value());
  EXPECT_EQ(user->id.value, 3);
  EXPECT_EQ(user->ext_relation_id, user_id{42});
  EXPECT_EQ(user->email, "ada@example.com");
  EXPECT_TRUE(user->is_suspended);
}

TEST(ReadUser, KnowsNoRelationThatIsNoNumber) {
  EXPECT_FALSE(read_user(ok(R"({"data": {"id": 3, "extRelationId": null}})"))->ext_relation_id.has_value());
  EXPECT_FALSE(
    read_user(ok(R"({"data": {"id": 3, "extRelationId": "ada-1"}})"))->ext_relation_id.has_value());
}

TEST(ReadPackages, ReadsSizesAndSkipsWhatHasNoId) {
  const auto packages = read_packages(ok(R"({"data": [
    {"id": 1, "name": "S", "enabled": false, "memory": 1024, "primaryStorage": 10, "traffic": 200, "cpuCores": 1,
     "backupPlanId": 0}, {"name": "?"}, {"id": 2, "name": "M", "backupPlanId": "4"}]})"));
  ASSERT_TRUE(packages.has_value());
  ASSERT_EQ(packages->size(), 2U);
  EXPECT_EQ(packages->at(0).resources, (server_resources{1024, 10, 200, 1}));
  EXPECT_FALSE(packages->at(0).is_enabled);
  EXPECT_FALSE(packages->at(0).backup_plan.has_value());
  EXPECT_TRUE(packages->at(1).is_enabled);
  EXPECT_EQ(packages->at(1).backup_plan, backup_plan_id{4});
}

TEST(ReadServerPage, ReadsItemsAndCountsPages) {
  const auto listed =
    read_server_page(ok(R"({"current_page": 2, "last_page": "7", "total": 1301, "per_page": 200,
    "next_page_url": "https://10.0.0.1/api/v1/servers?page=3", "data": [
    {"id": 5, "uuid": "u", "name": "n", "commissioned": 3, "owner": 1, "hypervisorId": 7, "suspended": true,
     "protected": false, "created": "2026-03-30T14:41:27+00:00", "updated": "2026-04-02T10:15:10+00:00"}]})"));
  ASSERT_TRUE(listed.has_value());
  EXPECT_EQ(listed->current_page, 2);
  EXPECT_EQ(listed->last_page, 7);
  EXPECT_EQ(listed->total, 1301);
  ASSERT_EQ(listed->items.size(), 1U);
  EXPECT_EQ(listed->items[0].owner, virtfusion_user_id{1});
  EXPECT_EQ(listed->items[0].hypervisor, 7);
  EXPECT_EQ(listed->items[0].is_suspended, true);
  EXPECT_EQ(format_time(*listed->items[0].created_at), "2026-03-30T14:41:27Z");
}

TEST(ReadServerPage, KnowsNoOwnerThatIsNotTold) {
  const auto listed = read_server_page(ok(R"({"data": [{"id": 5}, {"id": 6, "owner": 0}]})"));
  ASSERT_EQ(listed->items.size(), 2U);
  for (const auto& item : listed->items) {
    EXPECT_EQ(item.owner, std::nullopt);
    EXPECT_EQ(item.is_suspended, std::nullopt);
  }
}

TEST(ReadServerPage, IsOnePageWhenPagesAreNotCounted) {
  const auto listed = read_server_page(ok(R"({"data": []})"));
  ASSERT_TRUE(listed.has_value());
  EXPECT_EQ(listed->last_page, 1);
  EXPECT_EQ(listed->total, std::nullopt) << "not told is not 0";
  EXPECT_THAT(listed->items, IsEmpty());
}

TEST(ReadUserServers, IsNoListWhenItHasGaps) {
  EXPECT_TRUE(read_user_servers(ok(R"({"data": [{"id": 9, "state": "failed"}]})")).has_value());
  EXPECT_TRUE(read_user_servers(ok(R"({"data": [{"id": 9}, {"id": null}]})")).has_error());
  EXPECT_TRUE(read_user_servers(ok(R"({"data": {}})")).has_error());
}

TEST(ReadBuild, HandsThePasswordOnWithoutShowingIt) {
  const auto built =
    read_build(ok(R"({"data": {"id": 9, "state": "queued", "settings": {"decryptedPassword": "s3cr3t"}}})"));
  ASSERT_TRUE(built.has_value());
  EXPECT_EQ(built->password.reveal(), "s3cr3t");
  EXPECT_EQ(built->state, "queued");
  static_assert(!std::is_convertible_v<secret, std::string> &&
                !std::is_convertible_v<secret, std::string_view>);
  static_assert(!printable<secret>);
}

TEST(ReadBuild, CountsAsTakenWithoutABody) {
  const auto built = read_build({202, "", {}});
  ASSERT_TRUE(built.has_value());
  EXPECT_TRUE(built->password.empty());
}

TEST(ReadGroupResources, KnowsWhatFits) {
  const auto rooms = read_group_resources(ok(R"({"current_page": 1, "last_page": 1, "data": [
    {"hypervisor": {"id": 1, "name": "a", "enabled": true, "prohibit": false, "commissioned": true},
     "resources": {"servers": {"max": 0, "allocated": 5, "free": -5}, "memory": {"max": 8000, "free": "4096"},
       "cpuCores": {"max": 8, "free": 2}, "localStorage": {"enabled": 1, "max": 90, "free": 65},
       "otherStorage": [{"enabled": 1, "max": 500, "free": 400}], "network": {"total": {"ipv4": {"free": 3}}}}},
    {"hypervisor": {"id": 2, "enabled": true, "prohibit": true, "commissioned": true}, "resources": {}},
    {"hypervisor": {"id": 3}, "resources": {"network": {"total": {"ipv4": {"free": 0}}}}},
    {"hypervisor": {"id": 4}, "resources": {"localStorage": {"enabled": 0, "max": 1, "free": 1}}}]})"));
  ASSERT_TRUE(rooms.has_value());
  ASSERT_EQ(rooms->items.size(), 4U);
  const auto& first = rooms->items[0];
  EXPECT_FALSE(first.free_servers.has_value());
  EXPECT_EQ(first.free_memory_mb, 4096);
  EXPECT_EQ(first.free_storage_gb, 400);
  EXPECT_TRUE(first.fits({4096, 400, 0, 2}));
  EXPECT_FALSE(first.fits({4097, 10, 0, 1}));
  EXPECT_FALSE(first.fits({1024, 401, 0, 1}));
  EXPECT_FALSE(first.fits({1024, 10, 0, 3}));
  EXPECT_FALSE(rooms->items[1].fits({1, 1, 0, 1}));
  EXPECT_FALSE(rooms->items[2].fits({1, 1, 0, 1}));
  EXPECT_TRUE(rooms->items[3].fits({1, 1'000, 0, 1}));
}

TEST(ReadTemplates, ReadsGroups) {
  const auto groups = read_templates(ok(R"json({"data": [{"name": "Debian", "templates": [
    {"id": 8, "name": "Debian", "version": "12 (Bookworm)", "variant": null, "eol": false}, {"id": "x"}]}, 5]})json"));
  ASSERT_TRUE(groups.has_value());
  ASSERT_EQ(groups->size(), 1U);
  ASSERT_EQ(groups->at(0).templates.size(), 1U);
  EXPECT_EQ(groups->at(0).templates[0].id.value, 8);
  EXPECT_EQ(groups->at(0).templates[0].version, "12 (Bookworm)");
}

TEST(ReadQueuedTask, NeedsNothing) {
  EXPECT_EQ(read_queued_task(ok(R"({"data": {"queueId": 171}})"))->id, queue_item_id{171});
  EXPECT_FALSE(read_queued_task({204, "", {}})->id.has_value());
}

TEST(ReadQueueItem, ReadsProgressAndErrors) {
  const auto item = read_queue_item(ok(R"({"data": {"id": 158, "action": "build_server", "serverId": 69,
    "started": "2026-01-15T15:00:26+00:00", "finished": null, "failed": 1, "progress": "45",
    "errors": {"exception": "out of space"}}})"));
  ASSERT_TRUE(item.has_value());
  EXPECT_EQ(item->action, "build_server");
  EXPECT_EQ(item->server, virtfusion_server_id{69});
  EXPECT_TRUE(item->started_at.has_value());
  EXPECT_FALSE(item->finished_at.has_value());
  EXPECT_TRUE(item->has_failed);
  EXPECT_EQ(item->progress, 45);
  EXPECT_EQ(item->errors, "exception: out of space");
}

TEST(ReadQueueItem, HasNoErrorsWhenNoneAreTold) {
  const auto item =
    read_queue_item(ok(R"({"data": {"id": 1, "errors": {"exception": null, "errors": []}}})"));
  ASSERT_TRUE(item.has_value());
  EXPECT_EQ(item->errors, "");
}

TEST(ReadTraffic, ReadsPeriodsInOrder) {
  const auto periods = read_traffic(ok(R"({"data": {"monthly": [
    {"month": 2, "start": "2026-01-06 00:00:00", "end": "2026-02-05 23:59:59", "rx": 1847110337, "tx": "1270421",
     "total": 1848380758, "limit": 20000, "blocks": []}, {"month": 1, "rx": -4}]}})"));
  ASSERT_TRUE(periods.has_value());
  ASSERT_EQ(periods->size(), 2U);
  EXPECT_EQ(format_time(*periods->at(0).begins_at), "2026-01-06T00:00:00Z");
  EXPECT_EQ(periods->at(0).received_bytes, 1'847'110'337);
  EXPECT_EQ(periods->at(0).sent_bytes, 1'270'421);
  EXPECT_EQ(periods->at(0).total_bytes, 1'848'380'758);
  EXPECT_EQ(periods->at(0).limit_gb, 20'000);
  EXPECT_EQ(periods->at(1).received_bytes, 0);
}

TEST(ReadPackageChange, TellsWhatWasNotDone) {
  const auto change = read_package_change(ok(R"({"info": ["disk not updated", 5, "memory not updated"]})"));
  EXPECT_THAT(change->info, ElementsAre("disk not updated", "memory not updated"));
  EXPECT_THAT(read_package_change(ok(""))->info, IsEmpty());
}

TEST(ReadBackups, ReadsStates) {
  const auto backups = read_backups(ok(
    R"({"data": [{"id": 42, "serverId": 202, "complete": true, "created": "2026-03-03T20:25:01+00:00"}]})"));
  ASSERT_TRUE(backups.has_value());
  ASSERT_EQ(backups->size(), 1U);
  EXPECT_TRUE(backups->at(0).is_complete);
  EXPECT_EQ(backups->at(0).server, virtfusion_server_id{202});
}

TEST(ReadSshKeys, ReadsEitherNameOfTheKey) {
  const auto keys = read_ssh_keys(ok(
    R"({"data": [{"id": 1, "name": "a", "publicKey": "ssh-rsa A"}, {"id": 2, "public": "ssh-rsa B", "enabled": 0}]})"));
  ASSERT_TRUE(keys.has_value());
  ASSERT_EQ(keys->size(), 2U);
  EXPECT_EQ(keys->at(0).public_key, "ssh-rsa A");
  EXPECT_EQ(keys->at(1).public_key, "ssh-rsa B");
  EXPECT_FALSE(keys->at(1).is_enabled);
  EXPECT_EQ(read_ssh_key({201, R"({"data": {"id": 2, "name": "Key 1", "type": "OpenSSH"}})", {}})->id.value,
            2);
}

struct time_case {
  const char* name;
  const char* text;
  const char* expected;
};
class PanelTime : public testing::TestWithParam<time_case> {};
TEST_P(PanelTime, IsOneOfThreeForms) {
  const auto at = parse_panel_time(GetParam().text);
  ASSERT_TRUE(at.has_value());
  EXPECT_EQ(format_time(*at), GetParam().expected);
}
INSTANTIATE_TEST_SUITE_P(
  Texts,
  PanelTime,
  testing::Values(time_case{"offset", "2026-01-15T15:00:49+00:00", "2026-01-15T15:00:49Z"},
                  time_case{"other_offset", "2026-01-01T00:30:00+02:00", "2025-12-31T22:30:00Z"},
                  time_case{"west", "2026-01-01T00:30:00-0530", "2026-01-01T06:00:00Z"},
                  time_case{"microseconds", "2026-02-05T23:59:59.999999Z", "2026-02-05T23:59:59.999999Z"},
                  time_case{"nanoseconds", "2026-02-05T23:59:59.1234567Z", "2026-02-05T23:59:59.123456Z"},
                  time_case{"no_zone", "2026-02-05 23:59:59", "2026-02-05T23:59:59Z"}),
  [](const auto& test) { return std::string{test.param.name}; });

TEST(ParsePanelTime, KnowsWhatIsNone) {
  for (const auto* const text :
       {"", "2026", "2026-02-30T00:00:00Z", "2026-02-01T24:00:00Z", "2026-02-01T00:00:00X",
        "2026-02-01T00:00:00.Z", "2026-02-01T00:00:00+1", "2026-02-01T00:00:00+01:0", "0000-00-00 00:00:00",
        "20260201T000000Z", "2026-02-01T00:00:00Zx"})
    EXPECT_FALSE(parse_panel_time(text).has_value()) << text;
}

TEST(CheckOwner, ComparesTheRelation) {
  auto server = *read_server(ok(whole_server));
  EXPECT_FALSE(check_owner(server, user_id{42}).has_value());
  EXPECT_EQ(check_owner(server, user_id{43})->what, call_failure::kind::wrong_owner);
  EXPECT_EQ(check_owner(server, user_id{43})->as_error().code, errc::conflict);
  server.owner->ext_relation_id.reset();
  EXPECT_EQ(check_owner(server, user_id{42})->what, call_failure::kind::wrong_owner);
}

TEST(CheckOwner, TakesSilenceForNoAnswer) {
  const auto silent = read_server(ok(R"({"data": {"id": 1, "state": "x", "owner": {"id": 3}}})"));
  EXPECT_EQ(check_owner(*silent, user_id{42})->what, call_failure::kind::unknown);
  const auto ownerless = read_server(ok(R"({"data": {"id": 1, "state": "x", "ownerId": 3}})"));
  EXPECT_EQ(check_owner(*ownerless, user_id{42})->what, call_failure::kind::unknown);
}

} // namespace
} // namespace skyengine::net::virtfusion
