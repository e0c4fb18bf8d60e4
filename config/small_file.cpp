#include "config/small_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace skyengine::config {

namespace {

constexpr std::size_t bytes_max = 1'048'576;

struct descriptor {
  int number;
  ~descriptor() {
    if (number >= 0)
      ::close(number);
  }
};

error unreadable(const std::string& path, int code) {
  std::array<char, 128> reason{};
  return {code == ENOENT || code == ENOTDIR ? errc::not_found : errc::invalid_request,
          path + " cannot be read: " + ::strerror_r(code, reason.data(), reason.size())};
}

} // namespace

result<std::string> read_small_file(const std::string& path) {
  // Without O_NONBLOCK a pipe that nobody writes to would hold the start for ever.
  const descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.number < 0)
    return unreadable(path, errno);
  std::string text;
  std::array<char, 16'384> buffer{};
  while (true) {
    const auto count = ::read(file.number, buffer.data(), buffer.size());
    if (count == 0)
      return text;
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return unreadable(path, errno);
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() > bytes_max)
      return error{errc::invalid_request, path + " is larger than 1 MiB"};
  }
}

} // namespace skyengine::config
