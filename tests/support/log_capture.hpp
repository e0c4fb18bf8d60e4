#pragma once

#include "domain/log.hpp"

#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>

namespace skyengine::test {

/// Keeps what is logged while it lives, as text.
class log_capture final : public log::sink {
public:
  log_capture() { log::set_sink(this); }
  ~log_capture() override { log::set_sink(nullptr); }
  log_capture(const log_capture&) = delete;
  log_capture& operator=(const log_capture&) = delete;

  void write(log::level severity,
             std::string_view message,
             std::initializer_list<log::field> fields) noexcept override {
    const std::lock_guard lock{mutex_};
    text_ += severity == log::level::error ? "error: " : "";
    text_ += message;
    for (const auto& f : fields) {
      text_ += ' ';
      text_ += f.name;
      text_ += '=';
      if (const auto* const text = std::get_if<std::string_view>(&f.value))
        text_ += *text;
      else if (const auto* const number = std::get_if<std::int64_t>(&f.value))
        text_ += std::to_string(*number);
      else
        text_ += std::get<bool>(f.value) ? "true" : "false";
    }
    text_ += '\n';
  }

  std::string text() const {
    const std::lock_guard lock{mutex_};
    return text_;
  }
  /// How often `what` stands in it.
  std::size_t count(std::string_view what) const {
    const auto all = text();
    std::size_t found = 0;
    for (auto at = all.find(what); at != std::string::npos; at = all.find(what, at + what.size()))
      ++found;
    return found;
  }

private:
  mutable std::mutex mutex_;
  std::string text_;
};

} // namespace skyengine::test
