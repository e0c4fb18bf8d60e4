#include "db/migrations.hpp"

#include "db/connection.hpp"
#include "db/sqlstate.hpp"
#include "domain/log.hpp"

#include <boost/asio/this_coro.hpp>
#include <openssl/evp.h>

#include <array>
#include <map>
#include <stdexcept>

namespace skyengine::db {

namespace {

using namespace std::chrono_literals;
using detail::answer;
using detail::connection;
using detail::fault;

/// A script may rewrite large tables while a second runner waits for the lock.
constexpr auto longest_wait_for_runner = 10min;
/// A script waits this long for a table that others use, and holds up everybody behind it meanwhile.
constexpr auto longest_wait_for_table = 10s;

std::string checksum_of(std::string_view sql) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_Digest(sql.data(), sql.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
    throw std::runtime_error("SHA-256 is not available");
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += digits[digest[i] >> 4U];
    text += digits[digest[i] & 15U];
  }
  return text;
}

std::string literal(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'')
      quoted += '\'';
    quoted += c;
  }
  return quoted + '\'';
}

error failure_of(const std::string& doing, const answer& failed) {
  if (failed.failure.code == errc::database_unavailable)
    return failed.failure;
  return {errc::internal, doing + " failed: " + (failed.message.empty() ? "" : failed.message + " ") +
                            "(SQLSTATE " + failed.sqlstate + ")"};
}

struct applied_migration {
  std::string name;
  std::string checksum;
};

/// Why `applied` cannot be what an older binary left of `migrations`.
result<> check_history(const std::map<int, applied_migration>& applied,
                       std::span<const migration> migrations) {
  const auto newest = migrations.empty() ? 0 : migrations.back().version;
  if (!applied.empty() && applied.rbegin()->first > newest)
    return error{errc::conflict, "The database is at version " + std::to_string(applied.rbegin()->first) +
                                   " (" + applied.rbegin()->second.name +
                                   "), newer than this program, which knows " + std::to_string(newest) +
                                   ": start the newer program."};
  for (const auto& m : migrations) {
    const auto found = applied.find(m.version);
    if (found != applied.end() && found->second.checksum != checksum_of(m.sql))
      return error{errc::conflict, "Migration " + std::string{m.name} +
                                     " was changed after it was applied to this database: restore its text."};
  }
  return {};
}

std::map<int, applied_migration> applied_of(const answer& listed) {
  std::map<int, applied_migration> applied;
  for (std::size_t i = 0; i < listed.value.size(); ++i) {
    const auto row = listed.value[i];
    applied.emplace(static_cast<int>(row.get<std::int64_t>("version")),
                    applied_migration{row.get<std::string>("name"), row.get<std::string>("checksum")});
  }
  return applied;
}

std::shared_ptr<connection> connection_to(const database_options& options, asio::any_io_executor loop) {
  detail::connection_settings settings;
  settings.url = options.url;
  settings.application_name = options.application_name;
  settings.connect_timeout = options.connect_timeout;
  settings.statement_timeout = 0ms;
  settings.idle_transaction_timeout = 0ms;
  return std::make_shared<connection>(std::move(loop), std::move(settings));
}

asio::awaitable<result<bool>> is_migrated_over(connection& link, std::span<const migration> migrations) {
  const auto doing = "Reading the applied migrations";
  const auto looked =
    co_await link.run_script("SELECT to_regclass('schema_migrations') IS NOT NULL AS is_there");
  if (looked.kind != fault::none)
    co_return failure_of(doing, looked);
  if (!looked.value.front().get<bool>("is_there")) {
    const auto is_nothing_missing = migrations.empty();
    co_return is_nothing_missing;
  }
  const auto listed = co_await link.run_script("SELECT version, name, checksum FROM schema_migrations");
  if (listed.kind != fault::none)
    co_return failure_of(doing, listed);
  const auto applied = applied_of(listed);
  co_return applied.size() == migrations.size() && check_history(applied, migrations).has_value();
}

asio::awaitable<result<migration_report>> migrate_over(connection& link,
                                                       std::span<const migration> migrations) {
  const auto lock_timeout = std::to_string(std::chrono::milliseconds{longest_wait_for_runner}.count());
  const auto locked =
    co_await link.run_script("SET lock_timeout TO " + lock_timeout +
                             "; SELECT pg_advisory_lock(hashtextextended('skyengine migrations', 0))");
  if (locked.kind != fault::none)
    co_return failure_of("Waiting for another migration", locked);
  const auto listed = co_await link.run_script(R"sql(
    CREATE TABLE IF NOT EXISTS schema_migrations (
      version    integer PRIMARY KEY,
      name       text NOT NULL,
      checksum   text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
    SELECT version, name, checksum FROM schema_migrations)sql");
  if (listed.kind != fault::none)
    co_return failure_of("Reading the applied migrations", listed);
  const auto applied = applied_of(listed);
  if (const auto checked = check_history(applied, migrations); !checked)
    co_return checked.error();

  migration_report report;
  for (const auto& m : migrations) {
    report.version = m.version;
    if (applied.contains(m.version))
      continue;
    const auto timeout = std::to_string(std::chrono::milliseconds{longest_wait_for_table}.count());
    const auto done = co_await link.run_script(
      "BEGIN; SET LOCAL lock_timeout TO " + timeout + ";\n" + m.sql +
      "\n;INSERT INTO schema_migrations (version, name, checksum) VALUES (" + std::to_string(m.version) +
      ", " + literal(m.name) + ", " + literal(checksum_of(m.sql)) + "); COMMIT");
    if (done.kind != fault::none)
      co_return failure_of("Migration " + std::string{m.name}, done);
    log::info("a migration was applied", {{"migration", m.name}});
    report.applied.emplace_back(m.name);
  }
  co_return report;
}

} // namespace

asio::awaitable<result<migration_report>> migrate(database_options options,
                                                  std::span<const migration> migrations) {
  const auto link = connection_to(options, co_await asio::this_coro::executor);
  if (const auto opened = co_await link->open(); !opened)
    co_return opened.error();
  auto outcome = co_await migrate_over(*link, migrations);
  link->close();
  co_return outcome;
}

asio::awaitable<result<bool>> is_migrated(database_options options, std::span<const migration> migrations) {
  const auto link = connection_to(options, co_await asio::this_coro::executor);
  if (const auto opened = co_await link->open(); !opened)
    co_return opened.error();
  auto outcome = co_await is_migrated_over(*link, migrations);
  link->close();
  co_return outcome;
}

} // namespace skyengine::db
