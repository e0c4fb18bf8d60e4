// The settings file and `.env`: whatever stands in them, they are read or refused, and what was read has its
// place.
#include "config/setting_sources.hpp"
#include "config/setting_table.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

using namespace skyengine::config;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(bytes), size};

  for (const auto& [name, written] : read_toml(text, "skyengine.toml").values) {
    const auto* const row = find_setting(name);
    if (row == nullptr)
      std::abort();
    settings target;
    if (const auto parsed = parse_value(row->type, written.text))
      row->assign(target, *parsed);
  }

  for (const auto& [name, written] : read_dotenv(text, ".env").values) {
    if (name.empty() || name.find_first_of("=\n ") != std::string::npos)
      std::abort();
    const auto* const row = find_setting_in_environment(name);
    settings target;
    if (row != nullptr)
      if (const auto parsed = parse_value(row->type, written.text))
        row->assign(target, *parsed);
  }
  return 0;
}
