#include "config/connection_secrets.hpp"

#include <boost/url/decode_view.hpp>
#include <boost/url/pct_string_view.hpp>

#include <algorithm>

namespace skyengine::config {

namespace {

void add(std::vector<std::string>& secrets, std::string_view password) {
  if (password.empty())
    return;
  secrets.emplace_back(password);
  const auto encoded = boost::urls::make_pct_string_view(password);
  if (!encoded)
    return;
  const boost::urls::decode_view decoded{*encoded};
  std::string plain(decoded.begin(), decoded.end());
  if (plain != password)
    secrets.push_back(std::move(plain));
}

std::string_view password_in_url(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos)
    return {};
  const auto authority = url.substr(scheme + 3, url.find_first_of("/?", scheme + 3) - (scheme + 3));
  const auto at = authority.rfind('@');
  const auto colon = authority.find(':');
  return at == std::string_view::npos || colon > at ? std::string_view{}
                                                    : authority.substr(colon + 1, at - colon - 1);
}

/// In a connection string a value in quotes may hold blanks.
std::string_view password_parameter(std::string_view text) {
  constexpr std::string_view key = "password=";
  const auto found = text.find(key);
  if (found == std::string_view::npos)
    return {};
  const auto rest = text.substr(found + key.size());
  if (rest.starts_with('\''))
    return rest.substr(1, rest.find('\'', 1) - 1);
  return rest.substr(0, rest.find_first_of(" &"));
}

} // namespace

std::vector<std::string> connection_secrets(std::string_view secret) {
  std::vector<std::string> secrets{std::string{secret}};
  add(secrets, password_in_url(secret));
  add(secrets, password_parameter(secret));
  return secrets;
}

} // namespace skyengine::config
