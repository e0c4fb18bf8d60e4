#include "config/log_line.hpp"

#include "domain/time_format.hpp"
#include "domain/utf8.hpp"

#include <algorithm>
#include <array>
#include <variant>

namespace skyengine::config {

namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";
constexpr auto level_names = std::to_array<std::string_view>({"debug", "info", "warn", "error"});
constexpr auto level_words = std::to_array<std::string_view>({"DEBUG", "INFO ", "WARN ", "ERROR"});
// Dim, none, yellow, red.
constexpr auto level_colours = std::to_array<std::string_view>({"\x1b[2m", "", "\x1b[33m", "\x1b[31m"});
constexpr std::string_view colour_end = "\x1b[0m";

std::string code_point_escape(unsigned code) {
  constexpr std::string_view digits = "0123456789abcdef";
  return {'\\', 'u', '0', '0', digits[code >> 4 & 0xf], digits[code & 0xf]};
}

std::string escape_control(std::string_view sequence) {
  // The only controls of two bytes, C1, are the second byte's value.
  switch (sequence.back()) {
  case '\n':
    return "\\n";
  case '\r':
    return "\\r";
  case '\t':
    return "\\t";
  default:
    return code_point_escape(static_cast<unsigned char>(sequence.back()));
  }
}

/// Without controls and invalid UTF-8, quotes and backslashes escaped: fit to stand in quotes.
std::string escape(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size() + 2);
  while (!text.empty()) {
    const auto length = utf8_sequence(text);
    const auto sequence = text.substr(0, std::max<std::size_t>(length, 1));
    if (length == 0)
      escaped += replacement;
    else if (is_control(sequence))
      escaped += escape_control(sequence);
    else if (sequence == "\"" || sequence == "\\")
      (escaped += '\\') += sequence;
    else
      escaped += sequence;
    text.remove_prefix(sequence.size());
  }
  return escaped;
}

/// Cleaned of secrets first, since a cut could leave half of one.
std::string presentable(std::string_view text, const secret_filter& secrets) {
  auto cleaned = secrets.clean(text);
  if (cleaned.size() <= logged_string_max)
    return escape(cleaned);
  auto end = logged_string_max;
  while ((static_cast<unsigned char>(cleaned[end]) & 0xc0U) == 0x80U && end > logged_string_max - 4)
    --end;
  const auto more = cleaned.size() - end;
  cleaned.resize(end);
  return escape(cleaned) + "… (" + std::to_string(more) + " bytes more)";
}

std::string in_quotes(const std::string& escaped) {
  return '"' + escaped + '"';
}

std::string json_value(const log::field& field, const secret_filter& secrets) {
  if (const auto* text = std::get_if<std::string_view>(&field.value))
    return in_quotes(presentable(*text, secrets));
  if (const auto* flag = std::get_if<bool>(&field.value))
    return *flag ? "true" : "false";
  return std::to_string(std::get<std::int64_t>(field.value));
}

/// Quoted only where it would not read as one word.
std::string pretty_value(const log::field& field, const secret_filter& secrets) {
  const auto* text = std::get_if<std::string_view>(&field.value);
  if (text == nullptr)
    return json_value(field, secrets);
  auto escaped = presentable(*text, secrets);
  const auto is_word = !escaped.empty() && escaped.find_first_of(" =\"\\") == std::string::npos;
  return is_word ? escaped : in_quotes(escaped);
}

std::string json_line(const log_entry& entry, const secret_filter& secrets) {
  auto line = R"({"ts":")" + format_time_milliseconds(entry.at) + R"(","level":")";
  line += level_names[static_cast<std::size_t>(entry.severity)];
  line += R"(","msg":)" + in_quotes(presentable(entry.message, secrets));
  for (const auto& field : entry.fields)
    line += ',' + in_quotes(escape(field.name)) + ':' + json_value(field, secrets);
  return line + '}';
}

std::string pretty_line(const log_entry& entry, bool is_coloured, const secret_filter& secrets) {
  constexpr std::size_t date_length = sizeof("2026-11-23T") - 1;
  const auto severity = static_cast<std::size_t>(entry.severity);
  std::string line;
  if (is_coloured)
    line += level_colours[severity];
  line += format_time_milliseconds(entry.at).substr(date_length) + ' ';
  line += level_words[severity];
  line += ' ' + presentable(entry.message, secrets);
  for (const auto& field : entry.fields)
    line += ' ' + escape(field.name) + '=' + pretty_value(field, secrets);
  if (is_coloured)
    line += colour_end;
  return line;
}

} // namespace

std::string
log_line(const log_entry& entry, log_format format, bool is_coloured, const secret_filter& secrets) {
  return format == log_format::json ? json_line(entry, secrets) : pretty_line(entry, is_coloured, secrets);
}

} // namespace skyengine::config
