#include "db/statement.hpp"

#include <array>
#include <cstdio>

namespace skyengine::db {

parameter::parameter(instant v) {
  const auto day = std::chrono::floor<std::chrono::days>(v);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{v - day};
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(time.hours().count()),
                static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()),
                static_cast<int>(time.subseconds().count()));
  text_ = text.data();
}

parameter::parameter(const std::vector<std::int64_t>& v) {
  std::string text = "{";
  for (const auto element : v) {
    if (text.size() > 1)
      text += ',';
    text += std::to_string(element);
  }
  text += '}';
  text_ = std::move(text);
}

parameter::parameter(const std::vector<std::string>& v) {
  std::string text = "{";
  for (const auto& element : v) {
    if (text.size() > 1)
      text += ',';
    text += '"';
    for (const char c : element) {
      if (c == '"' || c == '\\')
        text += '\\';
      text += c;
    }
    text += '"';
  }
  text += '}';
  text_ = std::move(text);
}

bool parameter::has_nul() const noexcept {
  return text_ && text_->find('\0') != std::string::npos;
}

} // namespace skyengine::db
