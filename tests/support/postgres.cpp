#include "tests/support/postgres.hpp"

#include "tests/support/loop.hpp"

#include <fcntl.h>
#include <libpq-fe.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>

namespace skyengine::test {

namespace {

namespace fs = std::filesystem;

/// Ends every process that works below `folder`, as a PostgreSQL's do.
void end_processes_in(const std::string& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator{"/proc", ignored}) {
    const auto name = entry.path().filename().string();
    pid_t pid = 0;
    std::from_chars(name.data(), name.data() + name.size(), pid);
    const auto where = pid > 0 ? fs::read_symlink(entry.path() / "cwd", ignored).string() : std::string{};
    if (where.starts_with(folder + '/'))
      kill(pid, SIGKILL);
  }
}

/// The keeper's life: waits until the process it was forked from is gone, then removes what is left.
[[noreturn]] void keep(int lifeline, const std::string& folder) {
  setsid();
  dup2(lifeline, 3);
  syscall(SYS_close_range, 4U, ~0U, 0U);
  // Whoever reads our creator's output must not wait for us.
  const auto nothing = open("/dev/null", O_RDWR);
  for (const auto standard : {0, 1, 2})
    dup2(nothing, standard);
  for (const auto signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE})
    std::signal(signal, SIG_IGN);
  char never = 0;
  while (read(3, &never, 1) < 0 && errno == EINTR) {
  }
  end_processes_in(folder);
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  _exit(0);
}

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

temporary_folder::temporary_folder() {
  std::string pattern = (fs::temp_directory_path() / "skyengine-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr)
    throw std::runtime_error("no temporary folder");
  path_ = fs::canonical(pattern);
  // A PostgreSQL that root starts runs under another account, which must get through.
  fs::permissions(path_, fs::perms{0711});
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0)
    throw std::runtime_error("no pipe");
  keeper_ = fork();
  if (keeper_ == 0) {
    close(ends[1]);
    keep(ends[0], path_.string());
  }
  close(ends[0]);
  lifeline_ = ends[1];
}

temporary_folder::~temporary_folder() {
  close(lifeline_);
  while (waitpid(keeper_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

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

test_database::~test_database() {
  try {
    run_sql(url_of("postgres"), "DROP DATABASE IF EXISTS " + name_ + " WITH (FORCE)");
  } catch (const std::runtime_error&) {
    // A test that ended PostgreSQL leaves nothing to drop.
  }
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
