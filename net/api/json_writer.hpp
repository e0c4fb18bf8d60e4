#pragma once

#include "domain/clock.hpp"
#include "domain/ids.hpp"

#include <charconv>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace skyengine::net::api {

/// Writes one JSON document straight into a string. Texts are UTF-8, as the database gives them.
class json_writer {
public:
  explicit json_writer(std::size_t expected_bytes = 512) { out_.reserve(expected_bytes); }

  void begin_object() { open('{'); }
  void end_object() { close('}'); }
  void begin_array() { open('['); }
  void end_array() { close(']'); }
  /// The name of the value that comes next; plain ASCII.
  void key(std::string_view name);

  void value(std::string_view text);
  void value(const char* text) { value(std::string_view{text}); }
  void value(const std::string& text) { value(std::string_view{text}); }
  void value(bool is_true) { raw(is_true ? "true" : "false"); }
  void value(std::nullopt_t) { raw("null"); }
  void value(instant at);
  template <std::integral I>
    requires(!std::same_as<I, bool>)
  void value(I number) {
    char digits[24];
    const auto written = std::to_chars(digits, digits + sizeof digits, number);
    raw({digits, static_cast<std::size_t>(written.ptr - digits)});
  }
  template <class Tag, class T>
  void value(const strong_id<Tag, T>& id) {
    value(id.value);
  }
  template <class T>
  void value(const std::optional<T>& maybe) {
    if (maybe)
      value(*maybe);
    else
      value(std::nullopt);
  }
  /// A value that is JSON already.
  void raw(std::string_view json) {
    separate();
    out_ += json;
  }

  template <class T>
  void member(std::string_view name, const T& content) {
    key(name);
    value(content);
  }
  /// Nothing at all when there is no content.
  template <class T>
  void optional_member(std::string_view name, const std::optional<T>& content) {
    if (content)
      member(name, *content);
  }
  /// An array of values.
  template <class Range>
  void array(std::string_view name, const Range& items) {
    key(name);
    begin_array();
    for (const auto& item : items)
      value(item);
    end_array();
  }

  std::string take() && { return std::move(out_); }

private:
  void open(char bracket) {
    separate();
    out_ += bracket;
    is_first_ = true;
  }
  void close(char bracket) {
    out_ += bracket;
    is_first_ = false;
  }
  void separate() {
    if (!is_first_)
      out_ += ',';
    is_first_ = false;
  }
  void quote(std::string_view text);

  std::string out_;
  bool is_first_ = true;
};

} // namespace skyengine::net::api
