#include "net/http/message.hpp"

namespace skyengine::net::http {

std::string_view request::path() const noexcept {
  const std::string_view whole = target;
  return whole.substr(0, whole.find('?'));
}

std::string_view request::query() const noexcept {
  const std::string_view whole = target;
  const auto mark = whole.find('?');
  return mark == std::string_view::npos ? std::string_view{} : whole.substr(mark + 1);
}

} // namespace skyengine::net::http
