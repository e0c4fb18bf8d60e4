#include "tests/support/postgres.hpp"

#include "tests/support/at_end.hpp"
#include "tests/support/loop.hpp"

#include <libpq-fe.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

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
    std::string made = "migrated";
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

struct connection_hog::link {
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection;
};

connection_hog::connection_hog(const test_database& cut) {
  const auto url = url_of("postgres");
  const auto cut_all = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000)) FROM pg_stat_activity "
                       "WHERE datname = '" +
                       cut.name() + "'";
  // Whoever was cut comes back at once, so it is done until nobody does.
  for (;;) {
    for (;;) {
      link one{{PQconnectdb(url.c_str()), PQfinish}};
      if (PQstatus(one.connection.get()) != CONNECTION_OK)
        break;
      held_.push_back(std::move(one));
    }
    const std::unique_ptr<PGresult, decltype(&PQclear)> answer{
      PQexec(held_.front().connection.get(), cut_all.c_str()), PQclear};
    if (PQresultStatus(answer.get()) != PGRES_TUPLES_OK)
      throw std::runtime_error(PQerrorMessage(held_.front().connection.get()));
    if (std::string_view{PQgetvalue(answer.get(), 0, 0)} == "0")
      return;
  }
}

connection_hog::~connection_hog() = default;

namespace {

/// The server and what it has forked.
std::vector<pid_t> postgres_processes() {
  const auto postmaster = static_cast<pid_t>(postgres().pid());
  std::vector<pid_t> all{postmaster};
  for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
    const auto pid = static_cast<pid_t>(std::atol(entry.path().filename().c_str()));
    std::ifstream in{entry.path() / "stat"};
    std::string line;
    if (pid == 0 || !std::getline(in, line))
      continue;
    // The name stands in brackets, and may hold any.
    std::istringstream rest{line.substr(line.rfind(')') + 1)};
    std::string state;
    pid_t parent = 0;
    rest >> state >> parent;
    if (parent == postmaster)
      all.push_back(pid);
  }
  return all;
}

/// As the account that PostgreSQL runs under: root alone needs a capability for the limits of others.
void limit_files(rlim_t bytes) {
  const auto all = postgres_processes();
  struct stat owner {};
  if (::stat(("/proc/" + std::to_string(all.front())).c_str(), &owner) != 0)
    throw std::system_error{errno, std::generic_category(), "PostgreSQL is gone"};
  const auto child = ::fork();
  if (child == 0) {
    // Other threads may hold whatever lock there is: system calls alone.
    if (::getuid() != owner.st_uid && (::setresgid(owner.st_gid, owner.st_gid, owner.st_gid) != 0 ||
                                       ::setresuid(owner.st_uid, owner.st_uid, owner.st_uid) != 0))
      ::_exit(errno);
    for (const auto pid : all) {
      rlimit limit{};
      if (::prlimit(pid, RLIMIT_FSIZE, nullptr, &limit) == 0) {
        limit.rlim_cur = std::min(bytes, limit.rlim_max);
        if (::prlimit(pid, RLIMIT_FSIZE, &limit, nullptr) == 0)
          continue;
      }
      // One that has just ended has no limit any more.
      if (errno != ESRCH)
        ::_exit(errno);
    }
    ::_exit(0);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0)
    throw std::runtime_error{"PostgreSQL's limit cannot be set: " +
                             std::generic_category().message(WEXITSTATUS(status))};
}

void set_read_only(const char* value) {
  run_sql(url_of("postgres"), std::string{"ALTER SYSTEM SET default_transaction_read_only = "} + value);
  run_sql(url_of("postgres"), "SELECT pg_reload_conf()");
}

} // namespace

small_files::small_files(std::size_t bytes) {
  limit_files(bytes);
}

small_files::~small_files() {
  at_end([] { limit_files(RLIM_INFINITY); });
}

read_only_postgres::read_only_postgres() {
  set_read_only("on");
}

read_only_postgres::~read_only_postgres() {
  at_end([] { set_read_only("off"); });
}

} // namespace skyengine::test
