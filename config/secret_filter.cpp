#include "config/secret_filter.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

namespace skyengine::config {

void secret_filter::add(std::string secret) {
  if (secret.size() < length_min)
    return;
  const std::unique_lock lock{mutex_};
  if (std::find(secrets_.begin(), secrets_.end(), secret) != secrets_.end())
    return;
  const auto shorter = [&secret](const std::string& known) { return known.size() < secret.size(); };
  secrets_.insert(std::find_if(secrets_.begin(), secrets_.end(), shorter), std::move(secret));
}

std::string secret_filter::clean(std::string_view text) const {
  std::string cleaned{text};
  const std::shared_lock lock{mutex_};
  for (const auto& secret : secrets_)
    for (auto at = cleaned.find(secret); at != std::string::npos; at = cleaned.find(secret, at))
      cleaned.replace(at, secret.size(), "***");
  return cleaned;
}

} // namespace skyengine::config
