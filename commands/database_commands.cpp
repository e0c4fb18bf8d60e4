#include "commands/commands.hpp"
#include "commands/database_session.hpp"
#include "db/api_key_store.hpp"
#include "db/audit.hpp"
#include "net/api/api_key_secret.hpp"

#include <algorithm>
#include <cstdio>

namespace skyengine::commands {

namespace {

int refuse(const error& why) {
  std::fprintf(stderr, "skyengine: %s\n", why.detail.c_str());
  return 1;
}

} // namespace

int migrate(const context& given) {
  const auto session = database_session::open(given.settings, given.data_dir);
  if (!session)
    return refuse(session.error());
  std::puts("the database is at this program's version");
  return 0;
}

int audit(const context& given) {
  if (const auto there = check_database_exists(given.settings, given.data_dir); !there)
    return refuse(there.error());
  const auto session =
    database_session::open(given.settings, given.data_dir, database_session::access::unchanged);
  if (!session)
    return refuse(session.error());
  const auto found = run_to_end((*session)->loop(), db::audit((*session)->database()));
  if (!found)
    return refuse(found.error());
  auto holds = true;
  for (const auto& one : *found) {
    std::printf("%-4s %6lld checked %4lld violated  %s\n", one.violations == 0 ? "ok" : "FAIL",
                static_cast<long long>(one.checked), static_cast<long long>(one.violations),
                one.name.c_str());
    holds = holds && one.violations == 0;
  }
  return holds ? 0 : 1;
}

int create_api_key(const context& given,
                   std::optional<std::int64_t> user,
                   std::vector<std::string> scopes,
                   const std::string& name) {
  if (user && scopes.empty())
    scopes = {"servers:read", "servers:write", "billing:read"};
  for (const auto& scope : scopes)
    if (std::find(known_scopes.begin(), known_scopes.end(), scope) == known_scopes.end()) {
      std::fprintf(stderr, "skyengine: unknown scope \"%s\": there are %s\n", scope.c_str(),
                   all_scopes().c_str());
      return 2;
    }
  const auto session = database_session::open(given.settings, given.data_dir);
  if (!session)
    return refuse(session.error());
  warn_of_place(**session, given.settings, given.data_dir);
  db::api_key_store keys{(*session)->database()};
  const auto secret = net::api::make_api_key_secret();
  const auto owner = user ? std::optional{user_id{*user}} : std::nullopt;
  const auto stored =
    run_to_end((*session)->loop(), keys.insert(net::api::sha256_hex(secret.reveal()), name, owner, scopes,
                                               "command line", std::nullopt, (*session)->business().now()));
  if (!stored && stored.error().code == errc::conflict) {
    std::fprintf(stderr, "skyengine: there is no user %lld: make it with PUT /v1/users/%lld\n",
                 static_cast<long long>(*user), static_cast<long long>(*user));
    return 1;
  }
  if (!stored)
    return refuse(stored.error());
  std::puts(secret.reveal().c_str());
  return 0;
}

} // namespace skyengine::commands
