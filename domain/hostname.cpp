#include "domain/hostname.hpp"

#include <algorithm>
#include <string>

namespace skyengine {

namespace {

constexpr std::size_t name_max = 253;
constexpr std::size_t label_max = 63;

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

error wrong(const char* reason) {
  return {errc::invalid_request, std::string{"a host name "} + reason};
}

} // namespace

result<> check_hostname(std::string_view name) {
  if (name.empty())
    return wrong("is not empty");
  if (name.size() > name_max)
    return wrong("has at most 253 characters");
  auto rest = name;
  while (true) {
    const auto dot = rest.find('.');
    const auto label = rest.substr(0, dot);
    if (label.empty())
      return wrong("has something before, between and after its dots");
    if (!std::all_of(label.begin(), label.end(),
                     [](char c) { return is_letter(c) || is_digit(c) || c == '-'; }))
      return wrong("consists of letters, digits, hyphens and dots");
    if (label.size() > label_max)
      return wrong("has at most 63 characters between two dots");
    if (label.front() == '-' || label.back() == '-')
      return wrong("has no hyphen at the start or end of a part");
    if (dot == std::string_view::npos) {
      if (std::all_of(label.begin(), label.end(), is_digit))
        return wrong("does not end in a number");
      return {};
    }
    rest.remove_prefix(dot + 1);
  }
}

} // namespace skyengine
