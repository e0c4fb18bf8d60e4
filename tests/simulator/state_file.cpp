#include "tests/simulator/state_file.hpp"

#include "tests/simulator/archive.hpp"

#include <boost/json.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <fstream>
#include <system_error>

namespace skyengine::simulator {
namespace {

/// A file may grow by as much as its snapshot, and at least by this, before it is written anew.
constexpr std::size_t least_growth_bytes = 64 * 1024 * 1024;

error failure(const std::string& path, const char* what) {
  return {errc::internal,
          std::string{what} + " the state file " + path + ": " + std::generic_category().message(errno)};
}

bool restore_line(const std::string& line, model& m, clock_setting& clock) {
  try {
    if (!line.starts_with("{\"clock\":"))
      return m.restore(line);
    clock = archive::parse<clock_setting>(boost::json::parse(line).at("clock"));
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

} // namespace

state_file::~state_file() {
  if (file_ >= 0)
    ::close(file_);
}

result<> state_file::load(const std::string& path, model& m, clock_setting& clock) {
  std::ifstream in{path, std::ios::binary};
  if (!in) {
    if (errno == ENOENT)
      return {};
    return failure(path, "cannot read");
  }
  std::string line;
  for (std::size_t number = 1; std::getline(in, line) && !in.eof(); ++number)
    if (!restore_line(line, m, clock))
      return error{errc::internal,
                   path + " is no state file of this simulator: line " + std::to_string(number)};
  return {};
}

result<> state_file::begin(const std::string& path, model& m, const clock_setting& clock) {
  path_ = path;
  clock_ = clock;
  const auto fresh = path + ".new";
  const int opened = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (opened < 0)
    return failure(fresh, "cannot create");
  if (file_ >= 0)
    ::close(file_);
  file_ = opened;
  m.take_changes();
  snapshot_bytes_ = appended_bytes_ = 0;
  std::string first_line;
  archive::append_line(first_line, "clock", clock);
  auto written = write(first_line);
  m.snapshot([&](std::string_view lines) {
    snapshot_bytes_ += lines.size();
    if (!written.has_error())
      written = write(lines);
  });
  if (written.has_error())
    return written;
  if (std::rename(fresh.c_str(), path.c_str()) != 0)
    return failure(path, "cannot replace");
  return {};
}

result<> state_file::append(model& m) {
  const auto text = m.take_changes();
  if (text.empty())
    return {};
  appended_bytes_ += text.size();
  if (appended_bytes_ > std::max(least_growth_bytes, snapshot_bytes_))
    return begin(path_, m, clock_);
  return write(text);
}

result<> state_file::write(std::string_view text) {
  while (!text.empty()) {
    const auto written = ::write(file_, text.data(), text.size());
    if (written < 0 && errno != EINTR)
      return failure(path_, "cannot write");
    text.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
  }
  return {};
}

} // namespace skyengine::simulator
