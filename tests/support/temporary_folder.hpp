#pragma once

#include <filesystem>

namespace skyengine::test {

/// A folder under the system's temporary folder, gone with this object and also when the process dies.
class temporary_folder {
public:
  temporary_folder();
  ~temporary_folder();
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }

private:
  std::filesystem::path path_;
  int lifeline_ = -1;
  int keeper_ = -1;
};

} // namespace skyengine::test
