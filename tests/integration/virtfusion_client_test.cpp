#include "actors/runtime/actor_runtime.hpp"
#include "actors/virtfusion_caller.hpp"
#include "actors/virtfusion_gateway.hpp"
#include "domain/log.hpp"
#include "net/virtfusion/calls.hpp"
#include "net/virtfusion/http_transport.hpp"
#include "tests/support/contract.hpp"
#include "tests/support/loop.hpp"
#include "tests/support/simulator.hpp"

#include <caf/send.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace skyengine::net::virtfusion {
namespace {

using namespace std::chrono_literals;
using kind = call_failure::kind;
using testing::Contains;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

/// Holds what passes it against our contract.
class held_transport final : public transport {
public:
  explicit held_transport(transport& real) : real_(real) {}

  asio::awaitable<exchange_outcome> exchange(request what, std::chrono::milliseconds timeout) override {
    const auto& traits = traits_of(what.op);
    const auto& contract = test::contract::virtfusion();
    asked.insert(what.op);
    EXPECT_THAT(contract.check_request(traits.method(), what.target, what.body), IsEmpty()) << traits.name;
    EXPECT_EQ(contract.operation_of(traits.method(), what.target),
              std::string{traits.method()} + " " + std::string{traits.path()});
    const auto target = what.target;
    auto outcome = co_await real_.exchange(std::move(what), timeout);
    if (outcome.has_value() && holds_answers) {
      EXPECT_THAT(contract.check_answer(traits.method(), target, outcome->status, outcome->body), IsEmpty())
        << traits.name << " " << outcome->status;
    }
    co_return outcome;
  }

  std::set<operation> asked;
  bool holds_answers = true;

private:
  transport& real_;
};

class kept_log final : public log::sink {
public:
  kept_log() { log::set_sink(this); }
  ~kept_log() override { log::set_sink(nullptr); }
  void
  write(log::level, std::string_view message, std::initializer_list<log::field> fields) noexcept override {
    text += message;
    for (const auto& each : fields)
      if (const auto* const value = std::get_if<std::string_view>(&each.value))
        text.append(" ").append(*value);
    text += '\n';
  }
  std::string text;
};

class VirtFusionClient : public testing::Test {
protected:
  test::simulated_panel panel{{"--build-time", "0"}};
  kept_log log_;
  actors::runtime::actor_runtime runtime;
  http_transport real{runtime.loop().get_executor(), options(test::simulated_panel::token)};
  held_transport held{real};
  actors::virtfusion_gateway_actor gateway = actors::spawn_virtfusion_gateway(
    runtime.system(), runtime.loop().get_executor(), runtime.timers(), held, actors::gateway_options{});
  actors::virtfusion_caller caller{runtime.asker(), runtime.timers(), gateway};

  void TearDown() override {
    caf::anon_send_exit(gateway, caf::exit_reason::user_shutdown);
    gateway = nullptr;
    caller.set_gateway(actors::virtfusion_gateway_actor{});
    real.close();
    runtime.shut_down();
    EXPECT_EQ(log_.text.find(test::simulated_panel::token), std::string::npos);
  }

  http_transport_options options(const char* token) const {
    http_transport_options out;
    out.base = parse_api_base(panel.url()).value();
    out.token = secret{token};
    return out;
  }

  actors::call_options within(std::chrono::seconds span) {
    return {call_class::interactive, runtime.timers().now() + span, user_id{42}, "r-1"};
  }

  template <class T>
  call_result<T> ask(call<T> what, std::chrono::seconds span = 10s) {
    return test::run(runtime.loop(), caller.call(within(span), std::move(what)));
  }
  /// The value of a call that must succeed.
  template <class T>
  T get(call<T> what) {
    auto outcome = ask(std::move(what));
    if (outcome.has_error())
      throw std::runtime_error(std::string{to_string(outcome.error().what)} + ": " + outcome.error().text);
    if constexpr (!std::is_void_v<T>)
      return std::move(*outcome);
  }
  template <class T>
  std::optional<kind> failure_of(call<T> what, std::chrono::seconds span = 10s) {
    const auto outcome = ask(std::move(what), span);
    return outcome.has_error() ? std::optional{outcome.error().what} : std::nullopt;
  }

  void hit_once(const char* operation, const char* fault, boost::json::object more = {}) const {
    more["operation"] = operation;
    more["kind"] = fault;
    more["count"] = 1;
    panel.add_fault(more);
  }

  /// The server, once `holds` does.
  server_record wait_for(virtfusion_server_id id, const std::function<bool(const server_record&)>& holds) {
    for (int looks = 0; looks < 200; ++looks)
      if (auto record = get(get_server(id)); holds(record))
        return record;
    throw std::runtime_error("the server did not come into that state");
  }

  virtfusion_user_id make_user() { return get(create_user({{42}, "Ada Lovelace", "ada@example.com"})).id; }
  virtfusion_server_id make_server() { return get(create_server({{1}, make_user(), {1}})).id; }
};

TEST_F(VirtFusionClient, DoesAllThatAServerEverNeeds) {
  get(connect());
  EXPECT_EQ(failure_of(find_user({42})), kind::not_found_user);
  const auto user = make_user();
  EXPECT_EQ(get(find_user({42})).id, user);
  EXPECT_EQ(get(find_user({42})).ext_relation_id, user_id{42});

  const auto packages = get(list_packages());
  ASSERT_FALSE(packages.empty());
  const auto groups = get(list_groups());
  ASSERT_FALSE(groups.items.empty());
  const auto rooms = get(group_resources(groups.items[0].id));
  ASSERT_FALSE(rooms.items.empty());
  EXPECT_TRUE(rooms.items[0].fits(packages[0].resources));
  const auto templates = get(list_templates(packages[0].id));
  ASSERT_FALSE(templates.empty());
  ASSERT_FALSE(templates[0].templates.empty());

  const auto key = get(add_ssh_key(
    user, "laptop", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"));
  EXPECT_THAT(get(list_ssh_keys(user)), SizeIs(1));

  const new_server wanted{packages[0].id, user, groups.items[0].id};
  get(dry_run_server(wanted));
  EXPECT_THAT(get(list_user_servers(user)), IsEmpty());
  const auto id = get(create_server(wanted)).id;
  EXPECT_THAT(get(list_user_servers(user)), SizeIs(1));
  const auto made = get(get_server(id));
  EXPECT_TRUE(made.is_untouched());
  EXPECT_EQ(made.resources, packages[0].resources);
  EXPECT_EQ(made.group, groups.items[0].id);
  EXPECT_EQ(made.owner->ext_relation_id, user_id{42});

  const auto built =
    get(build_server(id, {templates[0].templates[0].id, "vps-1", "vps-1.example.com", {key.id}, true}));
  EXPECT_FALSE(built.password.empty());
  const auto running = wait_for(id, [](const auto& record) { return record.is_built(); });
  EXPECT_FALSE(running.is_untouched());
  EXPECT_EQ(running.hostname, "vps-1.example.com");
  EXPECT_THAT(running.ipv4, SizeIs(1));
  EXPECT_THAT(running.ipv6, Not(IsEmpty()));

  EXPECT_THAT(get(list_servers(1, 1)).items, SizeIs(1));
  EXPECT_FALSE(get(get_traffic(id)).empty());
  const auto live = get(get_server(id, true));
  ASSERT_TRUE(live.remote.has_value());
  EXPECT_EQ(live.remote->is_running, true);
  EXPECT_TRUE(live.remote->cpu_percent.has_value());
  EXPECT_TRUE(live.remote->memory_total_kib.has_value());
  EXPECT_TRUE(live.remote->disk_capacity_bytes.has_value());

  const auto is_idle = [](const auto& record) { return !record.has_task(); };
  for (const auto& power : {restart_server(id), shutdown_server(id), boot_server(id), power_off_server(id)}) {
    const auto task = get(power);
    ASSERT_TRUE(task.id.has_value());
    EXPECT_EQ(get(get_queue_item(*task.id)).server, id);
    wait_for(id, is_idle);
  }
  get(suspend_server(id));
  wait_for(id, [](const auto& record) { return record.is_suspended == true && !record.has_task(); });
  get(unsuspend_server(id));
  wait_for(id, [](const auto& record) { return record.is_suspended == false && !record.has_task(); });
  get(change_package(id, packages[1].id));
  wait_for(id, is_idle);
  EXPECT_EQ(get(get_server(id)).resources.memory_mb, packages[1].resources.memory_mb);
  get(set_backup_plan(id, {1}));
  EXPECT_EQ(get(get_server(id)).backup_plan, backup_plan_id{1});
  get(list_backups(id));

  get(delete_server(id));
  EXPECT_TRUE(
    panel.wait_for_state([&](const auto&) { return !panel.server(id.value)["deletedAt"].is_null(); }));
  EXPECT_EQ(failure_of(get_server(id)), kind::not_found_server);

  for (const auto& traits : all_operations)
    EXPECT_THAT(held.asked, Contains(traits.op)) << traits.name << " was not tried";
}

TEST_F(VirtFusionClient, TellsThatAGroupIsFull) {
  const auto user = make_user();
  std::optional<call_failure> refused;
  for (int i = 0; i < 11 && !refused; ++i)
    if (const auto outcome = ask(create_server({{1}, user, {3}})); outcome.has_error())
      refused = outcome.error();
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->what, kind::rejected);
  EXPECT_EQ(refused->as_error().code, errc::capacity_exhausted);
  EXPECT_EQ(failure_of(dry_run_server({{1}, user, {3}})), kind::rejected);
}

TEST_F(VirtFusionClient, TellsADuplicateUser) {
  make_user();
  const auto again = ask(create_user({{42}, "Ada Lovelace", "other@example.com"}));
  ASSERT_TRUE(again.has_error());
  EXPECT_EQ(again.error().what, kind::rejected);
  EXPECT_FALSE(again.error().text.empty());
}

TEST_F(VirtFusionClient, TellsARefusedToken) {
  http_transport stranger{runtime.loop().get_executor(), options("another-token")};
  const auto outcome = test::run(runtime.loop(), stranger.exchange(connect().what, 5s));
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(virtfusion::failure_of(operation::connect, *outcome)->what, kind::unauthorized);
  stranger.close();
}

struct lost_case {
  const char* fault;
  kind expected;
  bool is_done;
};
class LostCreate : public VirtFusionClient, public testing::WithParamInterface<lost_case> {};
TEST_P(LostCreate, IsUnknownAndSentOnce) {
  const auto user = make_user();
  held.holds_answers = false;
  hit_once("POST /servers", GetParam().fault);
  panel.reset_requests();
  EXPECT_EQ(failure_of(create_server({{1}, user, {1}})), GetParam().expected);
  EXPECT_EQ(panel.requests().at("byOperation").at("POST /servers").to_number<int>(), 1);
  EXPECT_THAT(get(list_user_servers(user)), SizeIs(GetParam().is_done ? 1 : 0));
}
INSTANTIATE_TEST_SUITE_P(Faults,
                         LostCreate,
                         testing::Values(lost_case{"lost_answer", kind::unknown, true},
                                         lost_case{"reset", kind::unknown, false},
                                         lost_case{"truncate", kind::unknown, true},
                                         lost_case{"malformed", kind::unknown, true}),
                         [](const auto& test) { return std::string{test.param.fault}; });

struct passing_case {
  const char* name;
  const char* fault;
  boost::json::object more;
};
class PassingTrouble : public VirtFusionClient, public testing::WithParamInterface<passing_case> {};
TEST_P(PassingTrouble, IsNotNoticedByWhoOnlyLooks) {
  held.holds_answers = false;
  hit_once("GET /packages", GetParam().fault, GetParam().more);
  EXPECT_FALSE(failure_of(list_packages(), 20s).has_value());
}
INSTANTIATE_TEST_SUITE_P(Faults,
                         PassingTrouble,
                         testing::Values(passing_case{"cut", "lost_answer", {}},
                                         passing_case{"reset", "reset", {}},
                                         passing_case{"truncated", "truncate", {}},
                                         passing_case{"malformed", "malformed", {}},
                                         passing_case{"error", "status", {{"status", 500}}},
                                         passing_case{"bad_gateway", "status", {{"status", 502}}},
                                         passing_case{"busy", "status", {{"status", 423}}},
                                         passing_case{"rate_limit", "rate_limit", {}},
                                         passing_case{
                                           "rate_limit_with_a_time", "rate_limit", {{"retryAfter", 1}}}),
                         [](const auto& test) { return std::string{test.param.name}; });

TEST_F(VirtFusionClient, ReadsHowLongToWait) {
  const auto user = make_user();
  hit_once("POST /servers", "rate_limit", {{"retryAfter", 7}});
  const auto outcome = ask(create_server({{1}, user, {1}}));
  ASSERT_TRUE(outcome.has_error());
  EXPECT_EQ(outcome.error().what, kind::refused);
  EXPECT_EQ(outcome.error().retry_after, 7s);
}

TEST_F(VirtFusionClient, DoesNothingToAnotherUsersServer) {
  const auto id = make_server();
  auto stranger = within(5s);
  stranger.user = user_id{43};
  const auto refused = test::run(runtime.loop(), caller.get_own_server(stranger, id));
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().what, kind::wrong_owner);
  EXPECT_TRUE(test::run(runtime.loop(), caller.get_own_server(within(5s), id)).has_value());
}

TEST_F(VirtFusionClient, CannotReachAPanelThatIsGone) {
  panel.kill();
  EXPECT_EQ(failure_of(create_server({{1}, {1}, {1}})), kind::not_sent);
}

TEST_F(VirtFusionClient, ShowsNoPasswordInItsLog) {
  held.holds_answers = false;
  const auto id = make_server();
  const auto built = get(build_server(id, {{1}, "vps-1", "vps-1.example.com", {}}));
  hit_once("GET /servers/{serverId}", "status", {{"status", 500}});
  get(get_server(id));
  EXPECT_THAT(log_.text, testing::HasSubstr("GET /servers/{serverId}"));
  ASSERT_FALSE(built.password.empty());
  EXPECT_EQ(log_.text.find(built.password.reveal()), std::string::npos);
}

} // namespace
} // namespace skyengine::net::virtfusion
