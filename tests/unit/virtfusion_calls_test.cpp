#include "net/virtfusion/calls.hpp"
#include "net/virtfusion/http_transport.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <string>

namespace skyengine::net::virtfusion {
namespace {

namespace json = boost::json;

struct call_case {
  const char* name;
  request made;
  operation op;
  const char* target;
  /// JSON, or nothing.
  const char* body;
};
class VirtFusionCalls : public testing::TestWithParam<call_case> {};
TEST_P(VirtFusionCalls, AskExactlyThis) {
  const auto& c = GetParam();
  EXPECT_EQ(c.made.op, c.op);
  EXPECT_EQ(c.made.target, c.target);
  if (std::string_view{c.body}.empty())
    EXPECT_EQ(c.made.body, "");
  else
    EXPECT_EQ(json::parse(c.made.body), json::parse(c.body)) << c.made.body;
}
constexpr virtfusion_server_id server{7};
INSTANTIATE_TEST_SUITE_P(
  All,
  VirtFusionCalls,
  testing::Values(
    call_case{"connect", connect().what, operation::connect, "/connect", ""},
    call_case{"find_user", find_user({42}).what, operation::find_user, "/users/42/byExtRelation", ""},
    call_case{
      "create_user", create_user({{42}, "Ada \"L\"", "ada@example.com"}).what, operation::create_user,
      "/users",
      R"({"name": "Ada \"L\"", "email": "ada@example.com", "extRelationId": 42, "selfService": 0, "sendMail": false})"},
    call_case{"list_packages", list_packages().what, operation::list_packages, "/packages", ""},
    call_case{"list_groups", list_groups().what, operation::list_groups,
              "/compute/hypervisors/groups?results=200", ""},
    call_case{"group_resources", group_resources({3}, 2).what, operation::group_resources,
              "/compute/hypervisors/groups/3/resources?results=200&page=2", ""},
    call_case{"list_templates", list_templates({5}).what, operation::list_templates,
              "/media/templates/fromServerPackageSpec/5", ""},
    call_case{"list_servers", list_servers().what, operation::list_servers, "/servers?results=200", ""},
    call_case{"list_servers_further", list_servers(3, 50).what, operation::list_servers,
              "/servers?results=50&page=3", ""},
    call_case{"list_user_servers", list_user_servers({9}).what, operation::list_user_servers,
              "/servers/user/9", ""},
    call_case{"get_server", get_server(server).what, operation::get_server, "/servers/7", ""},
    call_case{"get_server_live", get_server(server, true).what, operation::get_server,
              "/servers/7?remoteState=true", ""},
    call_case{"create_server", create_server({{1}, {2}, {3}}).what, operation::create_server, "/servers",
              R"({"packageId": 1, "userId": 2, "hypervisorId": 3, "ipv4": 1})"},
    call_case{"dry_run_server", dry_run_server({{1}, {2}, {3}}).what, operation::dry_run_server,
              "/servers?dryRun=true", R"({"packageId": 1, "userId": 2, "hypervisorId": 3, "ipv4": 1})"},
    call_case{
      "build_server", build_server(server, {{8}, "vps-1", "vps-1.example.com", {{4}, {5}}, true}).what,
      operation::build_server, "/servers/7/build",
      R"({"operatingSystemId": 8, "name": "vps-1", "hostname": "vps-1.example.com", "sshKeys": [4, 5], "ipv6": true, "email": false})"},
    call_case{"boot_server", boot_server(server).what, operation::boot_server, "/servers/7/power/boot", ""},
    call_case{"shutdown_server", shutdown_server(server).what, operation::shutdown_server,
              "/servers/7/power/shutdown", ""},
    call_case{"restart_server", restart_server(server).what, operation::restart_server,
              "/servers/7/power/restart", ""},
    call_case{"power_off_server", power_off_server(server).what, operation::power_off_server,
              "/servers/7/power/poweroff", ""},
    call_case{"suspend_server", suspend_server(server).what, operation::suspend_server, "/servers/7/suspend",
              ""},
    call_case{"unsuspend_server", unsuspend_server(server).what, operation::unsuspend_server,
              "/servers/7/unsuspend", ""},
    call_case{"delete_server", delete_server(server).what, operation::delete_server, "/servers/7?delay=0",
              ""},
    call_case{
      "change_package", change_package(server, {2}).what, operation::change_package, "/servers/7/package/2",
      R"({"backupPlan": false, "cpu": true, "memory": true, "primaryDiskSize": true, "primaryNetworkTraffic": true})"},
    call_case{"set_backup_plan", set_backup_plan(server, {0}).what, operation::set_backup_plan,
              "/servers/7/backups/plan/0", ""},
    call_case{"list_backups", list_backups(server).what, operation::list_backups, "/backups/server/7", ""},
    call_case{"get_traffic", get_traffic(server).what, operation::get_traffic, "/servers/7/traffic", ""},
    call_case{"get_queue_item", get_queue_item({158}).what, operation::get_queue_item, "/queue/158", ""},
    call_case{"add_ssh_key", add_ssh_key({2}, "laptop", "ssh-ed25519 AAAA").what, operation::add_ssh_key,
              "/ssh_keys", R"({"userId": 2, "name": "laptop", "publicKey": "ssh-ed25519 AAAA"})"},
    call_case{"list_ssh_keys", list_ssh_keys({2}).what, operation::list_ssh_keys, "/ssh_keys/user/2", ""}),
  [](const auto& test) { return std::string{test.param.name}; });

struct base_case {
  const char* name;
  const char* url;
  const char* origin;
  const char* path;
};
class ApiBase : public testing::TestWithParam<base_case> {};
TEST_P(ApiBase, IsOriginAndPath) {
  const auto base = parse_api_base(GetParam().url);
  ASSERT_TRUE(base.has_value());
  EXPECT_EQ(base->origin, GetParam().origin);
  EXPECT_EQ(base->path, GetParam().path);
}
INSTANTIATE_TEST_SUITE_P(
  Urls,
  ApiBase,
  testing::Values(
    base_case{"bare_host", "https://panel.example.com", "https://panel.example.com", "/api/v1"},
    base_case{"root", "https://panel.example.com/", "https://panel.example.com", ""},
    base_case{"whole", "https://panel.example.com/api/v1", "https://panel.example.com", "/api/v1"},
    base_case{"slash", "https://panel.example.com/vf/api/v1/", "https://panel.example.com", "/vf/api/v1"},
    base_case{"port", "http://127.0.0.1:9100", "http://127.0.0.1:9100", "/api/v1"},
    base_case{"ipv6", "http://[::1]:9100/x", "http://[::1]:9100", "/x"},
    base_case{"capitals", "HTTPS://panel.example.com", "https://panel.example.com", "/api/v1"}),
  [](const auto& test) { return std::string{test.param.name}; });

class BadApiBase : public testing::TestWithParam<const char*> {};
TEST_P(BadApiBase, IsRefused) {
  const auto base = parse_api_base(GetParam());
  ASSERT_TRUE(base.has_error());
  EXPECT_EQ(base.error().code, errc::invalid_request);
}
INSTANTIATE_TEST_SUITE_P(Urls,
                         BadApiBase,
                         testing::Values("",
                                         "panel.example.com",
                                         "ftp://panel.example.com",
                                         "https://",
                                         "https://user:pw@panel.example.com",
                                         "https://panel.example.com/?x=1",
                                         "https://panel.example.com/#x",
                                         "https://panel example.com"));

} // namespace
} // namespace skyengine::net::virtfusion
