#include "tests/support/temporary_folder.hpp"

#include "tests/support/process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <system_error>

namespace skyengine::test {

namespace {

namespace fs = std::filesystem;

/// Ends in order when it is told a line. When its input ends without one, the test was killed: then it ends
/// every process that works below the folder, as a PostgreSQL's do, and removes the folder.
constexpr auto keeper_script = R"sh(
  cd /
  read -r line && exit
  for each in /proc/[0-9]*; do
    case "$(readlink "$each/cwd" 2>/dev/null)/" in
    "$1"/*) kill -9 "${each#/proc/}" ;;
    esac
  done
  rm -rf "$1")sh";

/// Spawned, not forked: other threads may hold whatever lock there is, an allocator's too.
pid_t start_keeper(int lifeline, std::string folder) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, lifeline, STDIN_FILENO);
  // Whoever reads our output must not wait for the keeper.
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  std::string shell = "/bin/sh";
  std::string option = "-c";
  std::string script = keeper_script;
  std::string name = "keeper";
  const std::array<char*, 6> words{shell.data(), option.data(), script.data(),
                                   name.data(),  folder.data(), nullptr};
  pid_t keeper = -1;
  const auto failed = posix_spawn(&keeper, shell.c_str(), &actions, &attributes, words.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0)
    throw std::system_error{failed, std::generic_category(), "no keeper of a temporary folder"};
  return keeper;
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
  lifeline_ = ends[1];
  keeper_ = start_keeper(ends[0], path_.string());
  close(ends[0]);
}

temporary_folder::~temporary_folder() {
  kill_all_in(path_);
  // What was just killed may still have made a file.
  std::error_code failed;
  for (int tries = 0; fs::remove_all(path_, failed), failed && tries < 100; ++tries) {
  }
  static_cast<void>(write(lifeline_, "\n", 1));
  close(lifeline_);
  while (waitpid(keeper_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

} // namespace skyengine::test
