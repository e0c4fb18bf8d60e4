#include "config/setting_sources.hpp"

#include <algorithm>
#include <optional>

namespace skyengine::config {

namespace {

constexpr std::string_view blanks = " \t\r";

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(blanks);
  return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

bool is_name(std::string_view text) {
  const auto fits = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !text.empty() && !(text.front() >= '0' && text.front() <= '9') &&
         std::all_of(text.begin(), text.end(), fits);
}

/// What stands behind a closing quote: nothing, or a comment.
bool is_end(std::string_view rest) {
  rest = trim(rest);
  return rest.empty() || rest.starts_with('#');
}

std::optional<std::string> double_quoted(std::string_view text) {
  std::string value;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"')
      return is_end(text.substr(i + 1)) ? std::optional{value} : std::nullopt;
    if (text[i] != '\\') {
      value += text[i];
      continue;
    }
    if (++i == text.size())
      return std::nullopt;
    switch (text[i]) {
    case 'n':
      value += '\n';
      break;
    case 't':
      value += '\t';
      break;
    case '"':
    case '\\':
    case '$':
      value += text[i];
      break;
    default:
      return std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<std::string> single_quoted(std::string_view text) {
  const auto end = text.find('\'', 1);
  if (end == std::string_view::npos || !is_end(text.substr(end + 1)))
    return std::nullopt;
  return std::string{text.substr(1, end - 1)};
}

std::string unquoted(std::string_view text) {
  // A `#` begins a comment only behind a blank: URLs and passwords contain it.
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] == '#' && (i == 0 || blanks.find(text[i - 1]) != std::string_view::npos))
      return std::string{trim(text.substr(0, i))};
  return std::string{text};
}

std::optional<std::string> unquote(std::string_view text) {
  if (text.starts_with('"'))
    return double_quoted(text);
  if (text.starts_with('\''))
    return single_quoted(text);
  return unquoted(text);
}

} // namespace

source read_dotenv(std::string_view text, const std::string& name) {
  source found;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const auto end = std::min(text.size(), text.find('\n'));
    auto line = trim(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
    if (line.empty() || line.starts_with('#'))
      continue;
    const auto origin = "line " + std::to_string(number) + " of " + name;
    if (line.starts_with("export "))
      line = trim(line.substr(7));
    const auto equals = std::min(line.size(), line.find('='));
    const auto key = trim(line.substr(0, equals));
    auto value = equals < line.size() && is_name(key) ? unquote(trim(line.substr(equals + 1))) : std::nullopt;
    if (!value)
      found.mistakes.push_back({name, "line " + std::to_string(number) + " is not KEY=value"});
    else if (!found.values.try_emplace(std::string{key}, written_value{std::move(*value), origin}).second)
      found.mistakes.push_back(
        {std::string{key}, "it stands twice in " + name + ", again in line " + std::to_string(number)});
  }
  return found;
}

} // namespace skyengine::config
