#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace skyengine::config {

/// A secret and the passwords inside of it, which libraries print without the rest: of a URL
/// `user:password@host`, of `password=…` in a query or connection string, each as it stands and decoded.
std::vector<std::string> connection_secrets(std::string_view secret);

} // namespace skyengine::config
