#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <variant>

/// Where every room says what happened. It knows no library: `main` installs the sink (spdlog, one JSON
/// object a line). Field names are the log's own vocabulary: `request_id, actor, server_id, action_id,
/// user_id, operation, error, …`.
namespace skyengine::log {

enum class level : std::uint8_t { debug, info, warn, error };

struct field {
  std::string_view name;
  std::variant<std::string_view, std::int64_t, bool> value;

  field(std::string_view n, std::string_view v) : name(n), value(v) {}
  field(std::string_view n, const char* v) : name(n), value(std::string_view{v}) {}
  field(std::string_view n, bool v) : name(n), value(v) {}
  template <std::integral I>
    requires(!std::same_as<I, bool>)
  field(std::string_view n, I v) : name(n), value(static_cast<std::int64_t>(v)) {}
};

/// Takes entries from any thread; must not throw and must not block for long.
class sink {
public:
  virtual ~sink() = default;
  virtual void
  write(level severity, std::string_view message, std::initializer_list<field> fields) noexcept = 0;
};

/// Installs `s`, which must outlive its use; nullptr drops entries (the default). Not for use while others
/// log.
void set_sink(sink* s) noexcept;

void write(level severity, std::string_view message, std::initializer_list<field> fields) noexcept;

inline void debug(std::string_view message, std::initializer_list<field> fields = {}) noexcept {
  write(level::debug, message, fields);
}
inline void info(std::string_view message, std::initializer_list<field> fields = {}) noexcept {
  write(level::info, message, fields);
}
inline void warn(std::string_view message, std::initializer_list<field> fields = {}) noexcept {
  write(level::warn, message, fields);
}
inline void error(std::string_view message, std::initializer_list<field> fields = {}) noexcept {
  write(level::error, message, fields);
}

} // namespace skyengine::log
