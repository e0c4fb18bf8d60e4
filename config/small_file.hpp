#pragma once

#include "domain/error.hpp"

#include <string>

namespace skyengine::config {

/// The whole of a file of at most 1 MiB. errc::not_found when there is none, errc::invalid_request when it
/// cannot be read, is larger or is no file; the detail is a sentence that names the path.
result<std::string> read_small_file(const std::string& path);

} // namespace skyengine::config
