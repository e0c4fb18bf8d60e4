#include "config/secret_reference.hpp"

#include "config/small_file.hpp"

#include <sys/stat.h>

namespace skyengine::config {

namespace {

error wrong(std::string reason) {
  return {errc::invalid_request, std::move(reason)};
}

result<resolved_secret> from_file(const std::string& path) {
  if (!path.starts_with('/'))
    return wrong("file: is followed by an absolute path");
  auto text = read_small_file(path);
  if (!text)
    return text.error();
  resolved_secret secret{std::move(*text), {}};
  if (secret.value.ends_with('\n'))
    secret.value.pop_back();
  if (secret.value.ends_with('\r'))
    secret.value.pop_back();
  if (secret.value.empty())
    return wrong(path + " is empty");
  struct stat about = {};
  if (::stat(path.c_str(), &about) == 0 && (about.st_mode & S_IROTH) != 0)
    secret.warning = path + " holds a secret and everybody on this machine can read it";
  return secret;
}

} // namespace

result<resolved_secret> resolve_secret(std::string_view text, const variable_lookup& variable) {
  if (text.starts_with("env:")) {
    const std::string name{text.substr(4)};
    auto value = variable(name);
    if (!value || value->empty())
      return wrong("the variable " + name + " that env: names is not set");
    return resolved_secret{std::move(*value), {}};
  }
  if (text.starts_with("file:"))
    return from_file(std::string{text.substr(5)});
  if (text.starts_with("vault:"))
    return wrong("secrets in Vault are not supported; use env:NAME or file:/path");
  return resolved_secret{std::string{text}, {}};
}

} // namespace skyengine::config
