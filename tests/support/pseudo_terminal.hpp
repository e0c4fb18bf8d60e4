#pragma once

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

namespace skyengine::test {

/// A terminal that nobody looks at, for a program's standard error.
class pseudo_terminal {
public:
  pseudo_terminal() : keeper_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    std::array<char, 64> name{};
    if (keeper_ < 0 || ::grantpt(keeper_) != 0 || ::unlockpt(keeper_) != 0 ||
        ::ptsname_r(keeper_, name.data(), name.size()) != 0)
      throw std::system_error{errno, std::generic_category(), "pseudo terminal"};
    path_ = name.data();
  }
  ~pseudo_terminal() { ::close(keeper_); }
  pseudo_terminal(const pseudo_terminal&) = delete;
  pseudo_terminal& operator=(const pseudo_terminal&) = delete;

  const std::string& path() const noexcept { return path_; }

  /// What was written there by programs that have ended. The kernel holds some KiB for whoever reads late.
  std::string read() const {
    std::string all;
    std::array<char, 4'096> part{};
    pollfd readable{keeper_, POLLIN, 0};
    while (::poll(&readable, 1, 0) > 0) {
      const auto length = ::read(keeper_, part.data(), part.size());
      // EIO: nobody has it open any more.
      if (length <= 0)
        break;
      all.append(part.data(), static_cast<std::size_t>(length));
    }
    return all;
  }

private:
  int keeper_;
  std::string path_;
};

} // namespace skyengine::test
