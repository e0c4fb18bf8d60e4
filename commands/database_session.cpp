#include "commands/database_session.hpp"

#include "db/clock_store.hpp"
#include "db/migrations.hpp"
#include "domain/log.hpp"

#include <cstdio>
#include <exception>

namespace skyengine::commands {

namespace {

namespace asio = boost::asio;

struct prepared {
  scaled_clock business;
};

asio::awaitable<result<prepared>> prepare(db::database& database, std::int64_t rate) {
  const auto migrated = co_await db::migrate(database.options());
  if (!migrated)
    co_return migrated.error();
  const auto connected = co_await database.connect();
  if (!connected)
    co_return connected.error();
  const auto now = std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  const auto business = co_await db::load_clock(database, rate, now);
  if (!business)
    co_return business.error();
  co_return prepared{*business};
}

asio::awaitable<result<>> connect_unchanged(db::database& database) {
  const auto is_migrated = co_await db::is_migrated(database.options());
  if (!is_migrated)
    co_return is_migrated.error();
  if (!*is_migrated)
    co_return error{errc::conflict, "the database is not at this program's version: run `skyengine migrate`"};
  co_return co_await database.connect();
}

asio::awaitable<result<>> close(db::database& database) {
  co_await database.close(std::chrono::seconds{2});
  co_return result<>{};
}

} // namespace

result<std::unique_ptr<database_session>>
database_session::open(const config::settings& settings, const std::filesystem::path& data_dir, access how) {
  std::unique_ptr<database_session> session{new database_session};
  db::database_options options;
  options.url = settings.database.url;
  if (options.url.empty()) {
    session->is_new_ = !std::filesystem::exists(data_dir / "postgres");
    auto postgres = db::private_postgres::start({data_dir, settings.postgres.bindir});
    if (!postgres)
      return postgres.error();
    session->postgres_.emplace(std::move(*postgres));
    options.url = session->postgres_->url();
  }
  session->runtime_ = std::make_unique<actors::runtime::actor_runtime>();
  session->database_ = std::make_unique<db::database>(session->loop().get_executor(), options);
  if (how == access::unchanged) {
    const auto connected = run_to_end(session->loop(), connect_unchanged(*session->database_));
    if (!connected)
      return connected.error();
    return session;
  }
  const auto ready =
    run_to_end(session->loop(), prepare(*session->database_, static_cast<std::int64_t>(settings.clock.rate)));
  if (!ready)
    return ready.error();
  session->business_ = ready->business;
  return session;
}

result<> database_session::ensure_running() {
  return postgres_ ? postgres_->ensure_running() : result<>{};
}

database_session::~database_session() {
  try {
    if (database_ && runtime_)
      static_cast<void>(run_to_end(loop(), close(*database_)));
    if (runtime_)
      runtime_->shut_down();
  } catch (const std::exception& failure) {
    log::error("the database session did not end in order", {{"error", failure.what()}});
  }
  database_.reset();
  runtime_.reset();
}

result<> check_database_exists(const config::settings& settings, const std::filesystem::path& data_dir) {
  if (settings.database.url.empty() && !std::filesystem::exists(data_dir / "postgres"))
    return error{errc::not_found, "there is no database in " + data_dir.string() + ": is --data-dir right?"};
  return {};
}

result<> claim_panel(database_session& session,
                     const config::settings& settings,
                     const std::filesystem::path& data_dir,
                     db::panel_kind wanted) {
  auto claimed = run_to_end(session.loop(), db::claim_panel(session.database(), wanted));
  if (claimed || claimed.error().code != errc::conflict)
    return claimed;
  return error{errc::conflict, claimed.error().detail + ": use another " +
                                 (settings.database.url.empty() ? "--data-dir than " + data_dir.string()
                                                                : "database.url (DATABASE_URL)")};
}

void warn_of_place(database_session& session,
                   const config::settings& settings,
                   const std::filesystem::path& data_dir) {
  const auto folder = data_dir.is_relative() ? "." / data_dir.lexically_normal() : data_dir;
  const auto place = settings.database.url.empty() ? folder.string() : std::string{"database.url"};
  if (session.is_new()) {
    std::fprintf(stderr, "skyengine: a new private PostgreSQL was made in %s\n", place.c_str());
    return;
  }
  const auto panel = run_to_end(session.loop(), db::find_panel(session.database()));
  if (panel && *panel == db::panel_kind::demo)
    std::fprintf(stderr, "skyengine: this is the demo's database (%s)\n", place.c_str());
}

} // namespace skyengine::commands
