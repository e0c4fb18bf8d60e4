#include "config/setting_report.hpp"

#include "config/setting_table.hpp"

namespace skyengine::config {

namespace {

std::string in_code(std::string_view text) {
  return text.empty() ? "" : "`" + std::string{text} + "`";
}

/// What separates the words of a choice would end a cell.
std::string cell(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
    text.insert(at, 1, '\\');
  return text;
}

std::string_view section_of(std::string_view name) {
  const auto dot = name.find('.');
  return dot == std::string_view::npos ? std::string_view{} : name.substr(0, dot);
}

} // namespace

std::string render_settings(const loaded_settings& loaded) {
  std::string text;
  for (const auto& row : loaded.shown)
    text += row.name + " = " + row.value + "  # " + row.origin + '\n';
  return text;
}

std::string render_markdown() {
  std::string text = R"(# Settings

Written by `skyengine settings --markdown` from the table in `config/setting_table.cpp`; a test holds it against that.

The environment wins over `.env` in the working directory, that over the TOML file (`--config FILE` or
`SKYENGINE_CONFIG`). `section.key` in the file is `SKYENGINE_SECTION_KEY` in the environment; where another name is well
known, it stands below and works too. A variable that is set to nothing is not set. Unknown keys, unknown
`SKYENGINE_*` variables and values that are not allowed stop the start; all of them are named at once.

Durations are `500ms`, `90s`, `10m`, `1h` or `0`; sizes are bytes, or `16KiB`, `1MiB`. A secret may stand as it is or be
a reference: `env:NAME` is what that variable holds, `file:/path` what that file holds without the end of its last line. Secrets
are never shown.
)";
  std::string_view section = "none yet";
  for (const auto& row : setting_table()) {
    if (section_of(row.name) != section) {
      section = section_of(row.name);
      text += "\n## " + (section.empty() ? std::string{"The process"} : std::string{section}) +
              "\n\n| setting | also | default | what | allowed |\n| --- | --- | --- | --- | --- |\n";
    }
    text += "| " + in_code(row.name) + " | " + in_code(row.alias) + " | " + in_code(row.initial) + " | " +
            cell(std::string{row.help}) + (row.is_secret ? " Secret." : "") + " | " +
            cell(allowed(row.type)) + " |\n";
  }
  return text;
}

} // namespace skyengine::config
