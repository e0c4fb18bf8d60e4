#include "domain/api_key.hpp"

#include <algorithm>

namespace skyengine {

bool api_key::allows(std::string_view scope) const noexcept {
  if (is_operator() && scopes.empty())
    return true;
  return std::find(scopes.begin(), scopes.end(), scope) != scopes.end();
}

std::string api_key::caller() const {
  return user ? "user:" + std::to_string(user->value) : "operator";
}

std::string all_scopes() {
  std::string all;
  for (const auto scope : known_scopes)
    all.append(all.empty() ? "" : ", ").append(scope);
  return all;
}

} // namespace skyengine
