#include "actors/runtime/actor_runtime.hpp"
#include "commands/commands.hpp"
#include "commands/database_session.hpp"
#include "commands/virtfusion_link.hpp"
#include "db/panel_store.hpp"
#include "net/http/server.hpp"
#include "net/virtfusion/calls.hpp"
#include "net/virtfusion/failure.hpp"
#include "net/virtfusion/http_transport.hpp"

#include <stdlib.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace skyengine::commands {

namespace {

namespace asio = boost::asio;
namespace vf = net::virtfusion;

bool say(bool holds, const std::string& what, const std::string& detail) {
  std::printf("%-4s %s: %s\n", holds ? "ok" : "FAIL", what.c_str(), detail.c_str());
  return holds;
}

constexpr db::statement server_version{"check_version",
                                       "SELECT current_setting('server_version') AS version"};
// A pooler in transaction mode gives two transactions two sessions, and loses what a session holds.
constexpr db::statement hold_lock{"check_hold_lock",
                                  "SELECT pg_advisory_lock(hashtextextended('skyengine check', 0))"};
constexpr db::statement free_lock{
  "check_free_lock", "SELECT pg_advisory_unlock(hashtextextended('skyengine check', 0)) AS was_held"};

// Where the tables are yet to be made, they must be allowed to be.
constexpr db::statement migration_rights{"check_rights", R"(SELECT current_user AS role,
  to_regclass('servers') IS NOT NULL OR has_schema_privilege(current_schema(), 'CREATE') AS may_migrate)"};

asio::awaitable<result<bool>> check_database(db::database& database) {
  const auto connected = co_await database.connect();
  if (!connected)
    co_return say(false, "database", connected.error().detail);
  const auto version = co_await database.run(server_version);
  if (!version)
    co_return say(false, "database", version.error().detail);
  const auto number = version->front().get<std::string>("version");
  if (std::atoi(number.c_str()) < 15)
    co_return say(false, "database", "PostgreSQL " + number + ": 15 or newer is needed");
  const auto rights = co_await database.run(migration_rights);
  if (!rights)
    co_return say(false, "database", rights.error().detail);
  // NULL: there is no schema to create in.
  if (!rights->front().find<bool>("may_migrate").value_or(false))
    co_return say(false, "database",
                  "the user " + rights->front().get<std::string>("role") +
                    " may not make tables: GRANT CREATE ON SCHEMA public TO it, or make it the owner");
  for (int round = 0; round < 3; ++round) {
    const auto held = co_await database.run(hold_lock);
    const auto freed = co_await database.run(free_lock);
    if (!held || !freed || !freed->front().get<bool>("was_held"))
      co_return say(false, "database", "a pooler in transaction mode stands in between: connect without it");
  }
  const auto panel = co_await db::find_panel(database);
  if (!panel)
    co_return say(false, "database", panel.error().detail);
  const auto is_demo = *panel == db::panel_kind::demo;
  co_return say(true, "database",
                "PostgreSQL " + number + (is_demo ? " (the demo's: serve refuses it)" : ""));
}

asio::awaitable<result<bool>> close(db::database& database) {
  co_await database.close(std::chrono::seconds{1});
  co_return true;
}

/// Makes a folder where the data folder is or would be made, and takes it away again.
result<> check_data_folder(const std::filesystem::path& data_dir) {
  std::error_code failed;
  auto nearest = std::filesystem::absolute(data_dir, failed).lexically_normal();
  while (!std::filesystem::exists(nearest, failed) && nearest != nearest.parent_path())
    nearest = nearest.parent_path();
  auto probe = (nearest / ".skyengine-check-XXXXXX").string();
  if (::mkdtemp(probe.data()) == nullptr)
    return error{errc::conflict,
                 "cannot write to " + data_dir.string() + ": " + std::generic_category().message(errno)};
  std::filesystem::remove(probe, failed);
  return {};
}

bool check_data_folder(const context& given) {
  const auto usable = check_data_folder(given.data_dir);
  return usable || say(false, "data folder", usable.error().detail);
}

bool check_database(const context& given, bool has_data_folder) {
  std::optional<db::private_postgres> postgres;
  db::database_options options;
  options.url = given.settings.database.url;
  options.pipelined_connections = 1;
  if (options.url.empty()) {
    if (!has_data_folder) {
      std::printf("%-4s database: not tried\n", "--");
      return false;
    }
    if (!std::filesystem::exists(given.data_dir / "postgres"))
      return say(true, "database",
                 "none set: the first start makes a private PostgreSQL in " + given.data_dir.string());
    auto started = db::private_postgres::start({given.data_dir, given.settings.postgres.bindir});
    if (!started)
      return say(false, "database", started.error().detail);
    postgres.emplace(std::move(*started));
    options.url = postgres->url();
  }
  asio::io_context loop;
  db::database database{loop.get_executor(), options};
  const auto holds = run_to_end(loop, check_database(database));
  static_cast<void>(run_to_end(loop, close(database)));
  return *holds;
}

/// One harmless call of each family that we use: which of them does the token lack?
asio::awaitable<result<bool>> check_virtfusion(vf::http_transport& transport) {
  const std::pair<const char*, vf::request> probes[] = {
    {"connect", vf::connect().what},
    {"packages", vf::list_packages().what},
    {"templates", vf::list_templates({1}).what},
    {"hypervisor groups", vf::list_groups().what},
    {"servers", vf::list_servers(1, 1).what},
    {"users", vf::find_user({1}).what},
    {"SSH keys", vf::list_ssh_keys({1}).what},
  };
  auto holds = true;
  // What makes every further call end alike is told once.
  auto ends_alike = false;
  std::string left_out;
  for (const auto& [family, request] : probes) {
    if (ends_alike) {
      left_out += (left_out.empty() ? "" : ", ") + std::string{family};
      continue;
    }
    const auto name = std::string{"VirtFusion "} + family;
    const auto exchanged = co_await transport.exchange(request, std::chrono::seconds{15});
    if (!exchanged) {
      holds = say(false, name, exchanged.error().detail);
      ends_alike = true;
      continue;
    }
    const auto failed = vf::failure_of(request.op, *exchanged);
    // A 404 of somebody else's: there is no VirtFusion at this address, or not at this path.
    const auto is_nowhere =
      failed && failed->status == 404 && failed->what == vf::call_failure::kind::refused;
    // That there is no user or package 1 is an answer too.
    const auto is_fine = !failed || (failed->status == 404 && !is_nowhere);
    holds = say(is_fine, name,
                is_fine      ? "reached"
                : is_nowhere ? "no VirtFusion answers there (404): is the path of virtfusion.api_url right?"
                             : std::string{vf::to_string(failed->what)} + " (" +
                                 std::to_string(exchanged->status) + "): " + failed->text) &&
            holds;
    ends_alike = is_nowhere || (failed && failed->what == vf::call_failure::kind::unauthorized);
  }
  if (!left_out.empty())
    std::printf("%-4s VirtFusion: not tried: %s\n", "--", left_out.c_str());
  co_return holds;
}

bool check_virtfusion(const context& given) {
  const auto& settings = given.settings.virtfusion;
  const auto options = virtfusion_transport_options(settings);
  if (!options)
    return say(false, "VirtFusion", options.error().detail);
  if (!settings.ssl_verify)
    say(true, "VirtFusion", "certificates are NOT verified (virtfusion.ssl_verify = false)");
  asio::io_context loop;
  vf::http_transport transport{loop.get_executor(), *options};
  const auto holds = run_to_end(loop, check_virtfusion(transport));
  transport.close();
  loop.restart();
  loop.poll();
  return *holds;
}

} // namespace

/// What `serve` would listen with; the port may be in use by one that runs.
bool check_http(const config::http_settings& http) {
  if (http.tls_cert.empty() && http.tls_key.empty())
    return true;
  const auto usable = net::http::check_certificate(http.tls_cert, http.tls_key);
  return say(usable.has_value(), "http", usable ? "certificate and key can be used" : usable.error().detail);
}

int check(const context& given) {
  say(true, "settings", "every value is allowed");
  const auto has_http = check_http(given.settings.http);
  const auto has_data_folder = check_data_folder(given);
  const auto has_database = check_database(given, has_data_folder);
  const auto has_virtfusion = check_virtfusion(given);
  return has_http && has_data_folder && has_database && has_virtfusion ? 0 : 1;
}

} // namespace skyengine::commands
