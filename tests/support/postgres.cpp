#include "tests/support/postgres.hpp"

#include "tests/support/loop.hpp"

#include <libpq-fe.h>

#include <atomic>
#include <memory>
#include <stdexcept>

namespace skyengine::test {

namespace {

using link = std::unique_ptr<PGconn, decltype(&PQfinish)>;

std::string url_of(const std::string& name) {
  const auto& url = postgres().url();
  return url.substr(0, url.rfind('/') + 1) + name;
}

std::string next_name() {
  static std::atomic<int> last{0};
  return "test_" + std::to_string(++last);
}

void apply_migrations(const std::string& url, std::span<const db::migration> migrations) {
  asio::io_context loop{1};
  db::database_options options;
  options.url = url;
  const auto migrated = run(loop, db::migrate(options, migrations));
  if (!migrated)
    throw std::runtime_error(migrated.error().detail);
}

/// Has the program's migrations; made once in a process.
const std::string& template_database() {
  static const std::string name = [] {
    const std::string made = "migrated";
    run_sql(url_of("postgres"), "CREATE DATABASE " + made);
    apply_migrations(url_of(made), db::embedded_migrations());
    return made;
  }();
  return name;
}

} // namespace

db::private_postgres& postgres() {
  static temporary_folder folder;
  static db::private_postgres started = [] {
    auto made = db::private_postgres::start({folder.path(), {}, false});
    if (!made)
      throw std::runtime_error(made.error().detail);
    return std::move(*made);
  }();
  return started;
}

test_database::test_database() : name_(next_name()) {
  run_sql(url_of("postgres"), "CREATE DATABASE " + name_ + " TEMPLATE " + template_database());
  url_ = url_of(name_);
}

test_database::test_database(std::span<const db::migration> migrations) : name_(next_name()) {
  run_sql(url_of("postgres"), "CREATE DATABASE " + name_);
  url_ = url_of(name_);
  apply_migrations(url_, migrations);
}

db::database_options test_database::options() const {
  db::database_options options;
  options.url = url_;
  return options;
}

std::string run_sql(const std::string& url, const std::string& sql) {
  const link connection{PQconnectdb(url.c_str()), PQfinish};
  const std::unique_ptr<PGresult, decltype(&PQclear)> answer{PQexec(connection.get(), sql.c_str()), PQclear};
  const auto status = PQresultStatus(answer.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
    throw std::runtime_error(PQerrorMessage(connection.get()));
  const auto count = PQntuples(answer.get());
  return count > 0 ? PQgetvalue(answer.get(), count - 1, 0) : "";
}

} // namespace skyengine::test
