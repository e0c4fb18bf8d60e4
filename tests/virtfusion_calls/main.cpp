#include "net/virtfusion/calls.hpp"
#include "net/virtfusion/failure.hpp"
#include "net/virtfusion/http_transport.hpp"
#include "tests/support/loop.hpp"

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>

/// Makes every call of net/virtfusion/calls.hpp with the real client, for scripts/check-vendor-mock:
///   virtfusion-calls story URL TOKEN   a server's whole life, at a panel that keeps state
///   virtfusion-calls each URL TOKEN    each call once, at a mock that answers with the vendor's examples
/// Prints one line a call; 1 when one failed, or an operation was not tried.
namespace skyengine::net::virtfusion {
namespace {

class caller {
public:
  caller(const std::string& url, const std::string& token)
      : transport_(loop_.get_executor(), options_of(url, token)) {}
  ~caller() { transport_.close(); }
  caller(const caller&) = delete;
  caller& operator=(const caller&) = delete;

  /// The value of a call that must succeed. Only the first of its kind is told, as a story looks often.
  template <class T>
  T get(call<T> wanted) {
    const auto& traits = traits_of(wanted.what.op);
    const auto is_new = tried_.insert(wanted.what.op).second;
    auto read = result_of(wanted);
    if (read.has_error())
      throw std::runtime_error(std::string{traits.name} + ": " + read.error().detail);
    if (is_new)
      std::printf("%s\n", std::string{traits.name}.c_str());
    if constexpr (!std::is_void_v<T>)
      return std::move(*read);
  }

  /// The same, where a failure is told and the rest goes on.
  template <class T>
  void try_once(call<T> wanted) {
    try {
      static_cast<void>(get(std::move(wanted)));
    } catch (const std::runtime_error& failed) {
      std::printf("FAILED: %s\n", failed.what());
      has_failed_ = true;
    }
  }

  int end() {
    for (const auto& traits : all_operations)
      if (!tried_.contains(traits.op)) {
        std::printf("FAILED: %s was not tried\n", std::string{traits.name}.c_str());
        has_failed_ = true;
      }
    return has_failed_ ? EXIT_FAILURE : EXIT_SUCCESS;
  }

private:
  static http_transport_options options_of(const std::string& url, const std::string& token) {
    http_transport_options options;
    options.base = parse_api_base(url).value();
    options.token = secret{token};
    return options;
  }

  template <class T>
  result<T> result_of(const call<T>& wanted) {
    const auto& traits = traits_of(wanted.what.op);
    const auto outcome = test::run(loop_, transport_.exchange(wanted.what, traits.timeout));
    if (outcome.has_error())
      return error{errc::virtfusion_unavailable, outcome.error().detail};
    if (const auto failed = failure_of(wanted.what.op, *outcome))
      return error{errc::virtfusion_rejected, std::to_string(outcome->status) + " " + failed->text};
    return wanted.read(*outcome);
  }

  asio::io_context loop_;
  http_transport transport_;
  std::set<operation> tried_;
  bool has_failed_ = false;
};

constexpr auto public_key =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

void wait_for(caller& panel,
              virtfusion_server_id id,
              const std::function<bool(const server_record&)>& holds) {
  constexpr int most_looks = 2'000;
  for (int looks = 0; looks < most_looks; ++looks)
    if (holds(panel.get(get_server(id))))
      return;
  throw std::runtime_error("the server did not come into the state that was waited for");
}

void tell_story(caller& panel) {
  panel.get(connect());
  const auto user = panel.get(create_user({{42}, "Ada Lovelace", "ada@example.com"})).id;
  panel.get(find_user({42}));
  const auto packages = panel.get(list_packages());
  const auto group = panel.get(list_groups()).items.at(0).id;
  panel.get(group_resources(group));
  const auto offered = panel.get(list_templates(packages.at(0).id));
  const auto key = panel.get(add_ssh_key(user, "laptop", public_key)).id;
  panel.get(list_ssh_keys(user));

  const new_server wanted{packages.at(0).id, user, group};
  panel.get(dry_run_server(wanted));
  const auto id = panel.get(create_server(wanted)).id;
  const auto plain = panel.get(create_server(wanted)).id;
  panel.get(list_user_servers(user));
  panel.get(list_servers(1, 1));
  panel.get(list_servers(2, 1));
  const auto system = offered.at(0).templates.at(0).id;
  const server_build full{system, "vps-1", "vps-1.example.com", {key}, true};
  const server_build bare{system, "vps-2", "vps-2", {}, false};
  panel.get(build_server(id, full));
  panel.get(build_server(plain, bare));
  const auto is_idle = [](const server_record& record) { return record.is_built() && !record.has_task(); };
  wait_for(panel, id, is_idle);
  panel.get(get_server(id, true));
  panel.get(get_traffic(id));
  for (const auto& power : {restart_server(id), shutdown_server(id), boot_server(id), power_off_server(id)}) {
    if (const auto task = panel.get(power).id)
      panel.get(get_queue_item(*task));
    wait_for(panel, id, is_idle);
  }
  panel.get(suspend_server(id));
  wait_for(panel, id, [](const auto& record) { return record.is_suspended == true && !record.has_task(); });
  panel.get(unsuspend_server(id));
  wait_for(panel, id, [](const auto& record) { return record.is_suspended == false && !record.has_task(); });
  panel.get(change_package(id, packages.at(1).id));
  wait_for(panel, id, is_idle);
  const package_parts none{false, false, false, false, true};
  panel.get(change_package(id, packages.at(1).id, none));
  wait_for(panel, id, is_idle);
  panel.get(set_backup_plan(id, {1}));
  panel.get(set_backup_plan(id, {0}));
  panel.get(list_backups(id));
  panel.get(delete_server(id));
}

void make_each(caller& panel) {
  constexpr virtfusion_server_id id{1};
  constexpr virtfusion_user_id user{1};
  const new_server wanted{{1}, user, {1}};
  const server_build build{{1}, "vps-1", "vps-1.example.com", {{1}}, true};
  panel.try_once(connect());
  panel.try_once(find_user({1}));
  panel.try_once(create_user({{42}, "Ada Lovelace", "ada@example.com"}));
  panel.try_once(list_packages());
  panel.try_once(list_groups());
  panel.try_once(group_resources({1}));
  panel.try_once(list_templates({1}));
  panel.try_once(list_servers());
  panel.try_once(list_user_servers(user));
  panel.try_once(get_server(id));
  panel.try_once(get_server(id, true));
  panel.try_once(create_server(wanted));
  panel.try_once(dry_run_server(wanted));
  panel.try_once(build_server(id, build));
  panel.try_once(boot_server(id));
  panel.try_once(shutdown_server(id));
  panel.try_once(restart_server(id));
  panel.try_once(power_off_server(id));
  panel.try_once(suspend_server(id));
  panel.try_once(unsuspend_server(id));
  panel.try_once(delete_server(id));
  panel.try_once(change_package(id, {1}));
  panel.try_once(set_backup_plan(id, {1}));
  panel.try_once(list_backups(id));
  panel.try_once(get_traffic(id));
  panel.try_once(get_queue_item({1}));
  panel.try_once(add_ssh_key(user, "laptop", public_key));
  panel.try_once(list_ssh_keys(user));
}

int run(std::string_view what, const std::string& url, const std::string& token) {
  caller panel{url, token};
  try {
    what == "each" ? make_each(panel) : tell_story(panel);
  } catch (const std::exception& failed) {
    std::printf("FAILED: %s\n", failed.what());
    return EXIT_FAILURE;
  }
  return panel.end();
}

} // namespace
} // namespace skyengine::net::virtfusion

int main(int argc, char** argv) {
  const std::string_view what = argc == 4 ? argv[1] : "";
  if (what != "story" && what != "each") {
    std::fputs("usage: virtfusion-calls story|each URL TOKEN\n", stderr);
    return 2;
  }
  return skyengine::net::virtfusion::run(what, argv[2], argv[3]);
}
