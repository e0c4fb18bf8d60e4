#include "tests/support/temporary_folder.hpp"

#include "tests/support/process.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <system_error>

namespace skyengine::test {

namespace {

namespace fs = std::filesystem;

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
  kill_all_in(folder);
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  _exit(0);
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

} // namespace skyengine::test
