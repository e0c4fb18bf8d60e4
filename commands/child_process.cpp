#include "commands/child_process.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

namespace skyengine::commands {

result<child_process> child_process::start(const std::filesystem::path& program,
                                           const std::vector<std::string>& arguments,
                                           const std::filesystem::path& log_file) {
  std::vector<char*> words;
  auto name = program.string();
  auto copies = arguments;
  words.push_back(name.data());
  for (auto& argument : copies)
    words.push_back(argument.data());
  words.push_back(nullptr);

  int ends[2] = {-1, -1};
  const int log = ::open(log_file.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0 || ::pipe2(ends, O_CLOEXEC) != 0) {
    const auto why = std::generic_category().message(errno);
    if (log >= 0)
      ::close(log);
    return error{errc::internal, "cannot start " + name + ": " + why};
  }
  const auto parent = ::getpid();
  const auto pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    // Our terminal's Ctrl-C is for us, who then end it in order.
    ::setpgid(0, 0);
    if (::getppid() != parent)
      ::_exit(127);
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::execv(name.c_str(), words.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  ::close(log);
  if (pid < 0) {
    ::close(ends[0]);
    return error{errc::internal, "cannot start " + name + ": " + std::generic_category().message(errno)};
  }
  std::string line;
  for (char c = 0; ::read(ends[0], &c, 1) == 1 && c != '\n';)
    line.push_back(c);
  child_process child{pid, ends[0], line};
  if (line.empty())
    return error{errc::internal, name + " did not start: see " + log_file.string()};
  return child;
}

child_process::child_process(child_process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), output_(std::exchange(other.output_, -1)),
      first_line_(std::move(other.first_line_)) {}

child_process::~child_process() {
  if (pid_ > 0) {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  if (output_ >= 0)
    ::close(output_);
}

bool child_process::is_running() noexcept {
  if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_)
    pid_ = -1;
  return pid_ > 0;
}

} // namespace skyengine::commands
