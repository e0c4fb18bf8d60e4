#include "db/private_postgres.hpp"
#include "tests/support/log_capture.hpp"
#include "tests/support/postgres.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <optional>
#include <stdexcept>

namespace skyengine::db {
namespace {

namespace fs = std::filesystem;

bool runs(int pid, const fs::path& folder) {
  std::error_code ignored;
  return fs::read_symlink("/proc/" + std::to_string(pid) + "/cwd", ignored) == folder / "data";
}

/// Another process that uses the PostgreSQL of `data_dir`, until it is told to leave or killed.
class other_user {
public:
  explicit other_user(const private_postgres_options& options) {
    std::array<int, 2> told{};
    std::array<int, 2> heard{};
    if (pipe2(told.data(), O_CLOEXEC) != 0 || pipe2(heard.data(), O_CLOEXEC) != 0)
      throw std::runtime_error("no pipe");
    process_ = fork();
    if (process_ == 0) {
      close(heard[1]);
      auto started = private_postgres::start(options);
      const int pid = started ? started->pid() : 0;
      char go = 0;
      if (write(told[1], &pid, sizeof pid) == sizeof pid && read(heard[0], &go, 1) == 1 && started)
        started->leave();
      _exit(0);
    }
    close(told[1]);
    close(heard[0]);
    told_ = told[0];
    heard_ = heard[1];
  }
  ~other_user() {
    if (process_ > 0)
      end(SIGKILL);
    close(told_);
    close(heard_);
  }
  other_user(const other_user&) = delete;
  other_user& operator=(const other_user&) = delete;

  /// The server's process id as it sees it, 0 when it could not start.
  int server() const {
    int pid = 0;
    return read(told_, &pid, sizeof pid) == sizeof pid ? pid : 0;
  }
  void leave() {
    EXPECT_EQ(write(heard_, "x", 1), 1);
    end(0);
  }
  void end(int signal) {
    if (signal != 0)
      kill(process_, signal);
    while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
    process_ = -1;
  }

private:
  pid_t process_ = -1;
  int told_ = -1;
  int heard_ = -1;
};

private_postgres started(const private_postgres_options& options) {
  auto server = private_postgres::start(options);
  if (!server)
    throw std::runtime_error(server.error().detail);
  return std::move(*server);
}

struct PrivatePostgres : testing::Test {
  private_postgres_options options() const { return {folder.path() / "data", {}, false}; }
  test::temporary_folder folder;
};

TEST_F(PrivatePostgres, IsMadeStartedStoppedAndKeepsWhatItHolds) {
  std::optional<private_postgres> server = started(options());
  const auto pid = server->pid();
  const auto where = server->folder();
  test::run_sql(server->url(), "CREATE TABLE kept (id int)");
  EXPECT_EQ(test::run_sql(server->url(), "SHOW listen_addresses"), "");
  EXPECT_EQ(test::run_sql(server->url(), "SHOW server_encoding"), "UTF8");
  struct stat socket_folder {};
  ASSERT_EQ(
    stat(test::run_sql(server->url(), "SELECT trim('\"' FROM current_setting('unix_socket_directories'))")
           .c_str(),
         &socket_folder),
    0);
  EXPECT_EQ(socket_folder.st_mode & 0777U, 0700U);
  EXPECT_NE(getpgid(pid), getpgid(0));
  server.reset();
  EXPECT_FALSE(runs(pid, where));

  server = started(options());
  EXPECT_EQ(test::run_sql(server->url(), "SELECT count(*) FROM kept"), "0");
}

TEST_F(PrivatePostgres, IsDurableUnlessATestSaysOtherwise) {
  auto durable = options();
  durable.is_durable = true;
  const auto server = private_postgres::start(durable);
  ASSERT_TRUE(server) << server.error().detail;
  EXPECT_EQ(test::run_sql(server->url(), "SHOW fsync"), "on");
  EXPECT_EQ(test::run_sql(server->url(), "SHOW full_page_writes"), "on");
}

TEST_F(PrivatePostgres, ProcessesThatStartAtOnceShareOneAndTheLastStopsIt) {
  other_user first{options()};
  other_user second{options()};
  const auto pid = first.server();
  ASSERT_GT(pid, 0);
  EXPECT_EQ(second.server(), pid);
  first.leave();
  const auto where = folder.path() / "data" / "postgres";
  EXPECT_TRUE(runs(pid, where));
  second.leave();
  EXPECT_FALSE(runs(pid, where));
}

TEST_F(PrivatePostgres, IsTakenOverAfterItsStarterWasKilled) {
  other_user starter{options()};
  const auto pid = starter.server();
  ASSERT_GT(pid, 0);
  starter.end(SIGKILL);
  std::optional<private_postgres> server = started(options());
  EXPECT_EQ(server->pid(), pid);
  const auto where = server->folder();
  server.reset();
  EXPECT_FALSE(runs(pid, where));
}

TEST_F(PrivatePostgres, StartsOverTheFilesOfAKilledOneWhoseNumberIsAStrangers) {
  std::optional<private_postgres> server = started(options());
  const auto where = server->folder();
  const auto url = server->url();
  server.reset();
  // The number is ours: alive, and no PostgreSQL.
  const auto stranger = std::to_string(getpid());
  std::ofstream{where / "data" / "postmaster.pid"} << stranger << '\n'
                                                   << (where / "data").string() << "\n0\n5432\n";
  std::ofstream{where / "socket" / ".s.PGSQL.5432.lock"} << stranger << '\n';
  auto again = private_postgres::start(options());
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_EQ(again->url(), url);
  EXPECT_EQ(test::run_sql(again->url(), "SELECT 1"), "1");
}

TEST_F(PrivatePostgres, IsStartedAgainWhenItDied) {
  auto server = started(options());
  const auto url = server.url();
  const auto pid = server.pid();
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  const auto up = server.ensure_running();
  ASSERT_TRUE(up) << up.error().detail;
  EXPECT_NE(server.pid(), pid);
  EXPECT_EQ(server.url(), url);
  EXPECT_EQ(test::run_sql(url, "SELECT 1"), "1");
}

TEST_F(PrivatePostgres, AHalfMadeOneIsMadeAnew) {
  fs::create_directories(folder.path() / "data" / "postgres" / "data.new" / "base");
  const auto server = private_postgres::start(options());
  ASSERT_TRUE(server) << server.error().detail;
  EXPECT_FALSE(fs::exists(server->folder() / "data.new"));
}

TEST_F(PrivatePostgres, AFolderOfAnotherVersionIsRefusedWithTheWayOut) {
  fs::create_directories(folder.path() / "data" / "postgres" / "data");
  std::ofstream{folder.path() / "data" / "postgres" / "data" / "PG_VERSION"} << "9\n";
  const auto refused = private_postgres::start(options());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::database_unavailable);
  EXPECT_NE(refused.error().detail.find("PostgreSQL 9"), std::string::npos) << refused.error().detail;
  EXPECT_NE(refused.error().detail.find("pg_upgrade"), std::string::npos);
}

TEST_F(PrivatePostgres, WithoutItsProgramsItSaysWhatToInstall) {
  auto without = options();
  without.bindir = folder.path();
  const auto refused = private_postgres::start(without);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().detail.find("install PostgreSQL"), std::string::npos) << refused.error().detail;
}

TEST_F(PrivatePostgres, ASocketPathThatIsTooLongGoesElsewhere) {
  auto far = options();
  far.data_dir = folder.path() / std::string(60, 'a') / "it's a \"far\" way" / std::string(60, 'b');
  fs::create_directories(far.data_dir.parent_path());
  std::optional<private_postgres> server = started(far);
  EXPECT_EQ(server->folder(), fs::canonical(far.data_dir) / "postgres");
  EXPECT_EQ(test::run_sql(server->url(), "SELECT 1"), "1");
  const fs::path socket_folder =
    test::run_sql(server->url(), "SELECT trim('\"' FROM current_setting('unix_socket_directories'))");
  EXPECT_TRUE(socket_folder.parent_path() == "/run" || socket_folder.parent_path() == "/tmp")
    << socket_folder;
  struct stat state {};
  ASSERT_EQ(stat(socket_folder.c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 0777U, 0700U);
  server.reset();
  fs::remove_all(socket_folder);
}

TEST_F(PrivatePostgres, AFolderInTheWayIsNamed) {
  fs::create_directories(folder.path() / "data");
  std::ofstream{folder.path() / "data" / "postgres"} << "a file";
  const auto refused = private_postgres::start(options());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().detail.find("is no folder"), std::string::npos) << refused.error().detail;
}

// Only root runs it under another account; for others the folder is their own, and it lies there.
TEST_F(PrivatePostgres, AFolderThatItsAccountCannotReachMakesItLieElsewhereAndSaySo) {
  const auto is_root = geteuid() == 0;
  fs::create_directories(folder.path() / "home");
  fs::permissions(folder.path() / "home", fs::perms{0700});
  auto hidden = options();
  hidden.data_dir = folder.path() / "home" / "data";
  test::log_capture log;
  std::optional<private_postgres> server = started(hidden);
  const auto where = server->folder();
  EXPECT_EQ(where.parent_path(), is_root ? fs::path{"/var/lib/skyengine"} : fs::canonical(hidden.data_dir));
  EXPECT_EQ(log.text().find(where.string()) != std::string::npos, is_root);
  test::run_sql(server->url(), "CREATE TABLE kept (id int)");
  server.reset();
  // The same folder again, also when it has become reachable.
  fs::permissions(folder.path() / "home", fs::perms{0711});
  server = started(hidden);
  EXPECT_EQ(server->folder(), where);
  EXPECT_EQ(test::run_sql(server->url(), "SELECT count(*) FROM kept"), "0");
  server.reset();
  fs::remove_all(where);
}

TEST_F(PrivatePostgres, RunsAsTheAccountWhoseFolderItIsAndLeavesItTheFolder) {
  const uid_t owner = geteuid() == 0 ? 65534 : geteuid();
  const gid_t group = geteuid() == 0 ? 65534 : getegid();
  fs::create_directories(folder.path() / "data");
  const auto mine = folder.path() / "data" / "postgres";
  fs::create_directory(mine);
  ASSERT_EQ(chown(mine.parent_path().c_str(), owner, group), 0);
  ASSERT_EQ(chown(mine.c_str(), owner, group), 0);
  started(options()).leave();
  struct stat state {};
  for (const auto& entry : fs::recursive_directory_iterator{mine}) {
    ASSERT_EQ(lstat(entry.path().c_str(), &state), 0);
    EXPECT_EQ(state.st_uid, owner) << entry.path();
  }
}

} // namespace
} // namespace skyengine::db
