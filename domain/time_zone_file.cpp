#include "domain/time_zone_file.hpp"

#include "domain/utf8.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <string>
#include <system_error>

namespace skyengine {

namespace {

// The longest name of 2025 has 32 characters.
constexpr std::size_t most_characters = 64;
// The largest file of 2025 has 3.6 KB.
constexpr std::size_t most_bytes = 1 << 18;

constexpr bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

constexpr bool is_inner(char c) {
  return is_upper(c) || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+';
}

/// Parts that begin with a capital, with slashes between: so no path leads out of the folder, and what is no
/// zone in it, which is all in small letters, is not asked for.
bool is_name(std::string_view text) {
  if (text.empty() || text.size() > most_characters)
    return false;
  char before = '/';
  for (const char c : text) {
    if (before == '/' ? !is_upper(c) : c != '/' && !is_inner(c))
      return false;
    before = c;
  }
  return before != '/';
}

error unknown(std::string_view name) {
  if (name.empty())
    return {errc::invalid_request, "a time zone has a name, as in Europe/Berlin"};
  if (name.size() > most_characters || !is_plain_text(name))
    return {errc::invalid_request, "a time zone is an IANA name, as in Europe/Berlin"};
  return {errc::invalid_request, '"' + std::string{name} + "\" is no time zone that this system knows"};
}

} // namespace

result<time_zone> load_time_zone(std::string_view name, const std::filesystem::path& folder) {
  if (name == "UTC")
    return time_zone{};
  if (!is_name(name))
    return unknown(name);
  const auto path = folder / name;
  std::error_code failed;
  if (!std::filesystem::is_regular_file(path, failed))
    return unknown(name);
  std::ifstream file{path, std::ios::binary};
  std::string content;
  std::array<char, 4096> piece{};
  while (content.size() <= most_bytes && (file.read(piece.data(), piece.size()) || file.gcount() > 0))
    content.append(piece.data(), static_cast<std::size_t>(file.gcount()));
  auto zone = time_zone::parse(std::string{name}, content);
  if (!zone)
    return error{errc::internal, path.string() + ": " + zone.error().detail};
  return zone;
}

} // namespace skyengine
