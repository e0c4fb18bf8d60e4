#include "tests/support/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

// glibc 2.36 declares it without a linkage for C++.
extern "C" {
#include <sys/pidfd.h>
}

namespace skyengine::test {
namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error{errno, std::generic_category(), what};
}

int milliseconds_until(std::chrono::steady_clock::time_point limit) {
  const auto left =
    std::chrono::ceil<std::chrono::milliseconds>(limit - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::max<std::int64_t>(0, left));
}

/// False when `fd` is not ready by `limit`.
bool is_ready(int fd, std::chrono::steady_clock::time_point limit) {
  pollfd wanted{fd, POLLIN, 0};
  for (;;) {
    const int ready = ::poll(&wanted, 1, milliseconds_until(limit));
    if (ready >= 0 || errno != EINTR)
      return ready > 0;
  }
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& added) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text{*entry};
    if (!added.contains(std::string{text.substr(0, text.find('='))}))
      all.emplace_back(text);
  }
  for (const auto& [name, value] : added) {
    auto& entry = all.emplace_back(name);
    entry += '=';
    entry += value;
  }
  return all;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (auto& text : texts)
    out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

} // namespace

void kill_all_in(const std::filesystem::path& folder) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc", ignored}) {
    const auto name = entry.path().filename().string();
    pid_t pid = 0;
    std::from_chars(name.data(), name.data() + name.size(), pid);
    if (pid <= 0)
      continue;
    const auto where = std::filesystem::read_symlink(entry.path() / "cwd", ignored).string();
    if (where == folder || where.starts_with(folder.string() + '/'))
      ::kill(pid, SIGKILL);
  }
}

std::string built_program(std::string_view name) {
  return std::filesystem::read_symlink("/proc/self/exe").replace_filename(name).string();
}

process::process(const process_options& options) {
  std::vector<std::string> arguments{options.program};
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  auto environment = environment_with(options.environment);
  const auto argv = pointers_to(arguments);
  const auto envp = pointers_to(environment);
  std::array<int, 2> output{};
  if (::pipe2(output.data(), O_CLOEXEC) != 0)
    fail("pipe2");
  int error = -1;
  if (!options.error_file.empty()) {
    error = ::open(options.error_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (error < 0)
      fail(options.error_file.c_str());
  }
  const auto parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0)
    fail("fork");
  if (pid_ == 0) {
    // Between fork and exec only what is safe after a signal.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
      ::_exit(127);
    sigset_t none;
    ::sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
    ::dup2(output[1], STDOUT_FILENO);
    if (error >= 0)
      ::dup2(error, STDERR_FILENO);
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  ::close(output[1]);
  if (error >= 0)
    ::close(error);
  output_ = output[0];
  pidfd_ = ::pidfd_open(pid_, 0);
  if (pidfd_ < 0)
    fail("pidfd_open");
}

process::~process() {
  if (!ended_)
    kill();
  ::close(pidfd_);
  ::close(output_);
}

bool process::read_some(std::chrono::steady_clock::time_point limit) {
  if (is_at_end_ || !is_ready(output_, limit))
    return false;
  std::array<char, 4096> piece{};
  const auto size = ::read(output_, piece.data(), piece.size());
  if (size <= 0) {
    is_at_end_ = true;
    return false;
  }
  unread_.append(piece.data(), static_cast<std::size_t>(size));
  return true;
}

std::optional<std::string> process::read_line(std::chrono::milliseconds patience) {
  const auto limit = std::chrono::steady_clock::now() + patience;
  for (;;) {
    if (const auto end = unread_.find('\n'); end != std::string::npos) {
      auto line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    if (!read_some(limit))
      return {};
  }
}

std::string process::read_all(std::chrono::milliseconds patience) {
  const auto limit = std::chrono::steady_clock::now() + patience;
  while (read_some(limit)) {
  }
  return std::exchange(unread_, {});
}

void process::send(int signal) const {
  if (!ended_)
    ::kill(pid_, signal);
}

void process::kill() {
  send(SIGKILL);
  wait();
}

std::optional<int> process::terminate(std::chrono::milliseconds patience) {
  send(SIGTERM);
  return wait(patience);
}

std::optional<int> process::wait(std::chrono::milliseconds patience) {
  if (ended_ || !is_ready(pidfd_, std::chrono::steady_clock::now() + patience))
    return ended_;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  ended_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return ended_;
}

long memory_kib(pid_t pid, const std::string& field) {
  std::ifstream in{"/proc/" + std::to_string(pid) + "/status"};
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(field + ':'))
      return std::atol(line.c_str() + field.size() + 1);
  return 0;
}

std::size_t open_files(pid_t pid) {
  std::error_code failed;
  std::size_t count = 0;
  for (std::filesystem::directory_iterator next{"/proc/" + std::to_string(pid) + "/fd", failed}, end;
       !failed && next != end; next.increment(failed))
    ++count;
  return count;
}

} // namespace skyengine::test
