#pragma once

#include "domain/clock.hpp"
#include "domain/ids.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct pg_result;

namespace skyengine::db {

namespace detail {
/// Readers of PostgreSQL's text format. A text that does not fit is a bug in the statement:
/// `std::logic_error`.
std::int64_t to_int64(std::string_view text);
bool to_bool(std::string_view text);
instant to_instant(std::string_view text);
std::vector<std::string> to_text_array(std::string_view text);
std::vector<std::int64_t> to_int64_array(std::string_view text);

template <class T>
struct reader;
template <>
struct reader<std::int64_t> {
  static std::int64_t read(std::string_view text) { return to_int64(text); }
};
template <>
struct reader<bool> {
  static bool read(std::string_view text) { return to_bool(text); }
};
template <>
struct reader<std::string> {
  static std::string read(std::string_view text) { return std::string{text}; }
};
template <>
struct reader<std::string_view> {
  static std::string_view read(std::string_view text) { return text; }
};
template <>
struct reader<instant> {
  static instant read(std::string_view text) { return to_instant(text); }
};
template <>
struct reader<std::vector<std::string>> {
  static std::vector<std::string> read(std::string_view text) { return to_text_array(text); }
};
template <>
struct reader<std::vector<std::int64_t>> {
  static std::vector<std::int64_t> read(std::string_view text) { return to_int64_array(text); }
};
template <class Tag, class T>
struct reader<strong_id<Tag, T>> {
  static strong_id<Tag, T> read(std::string_view text) { return {reader<T>::read(text)}; }
};
} // namespace detail

/// One row of a `rows`, which must outlive it.
class row {
public:
  row(const pg_result* result, int index) : result_(result), index_(index) {}

  /// The column's text, nullopt for NULL. An unknown column is a bug: `std::logic_error`.
  std::optional<std::string_view> text(std::string_view column) const;

  /// The column as T: int64, bool, string, string_view (of the rows), instant, vector of string or int64, a
  /// strong id. NULL for a T that is no optional is a bug: `std::logic_error`.
  template <class T>
  T get(std::string_view column) const {
    const auto value = text(column);
    if (!value)
      throw_null(column);
    return detail::reader<T>::read(*value);
  }

  /// The same, nullopt for NULL.
  template <class T>
  std::optional<T> find(std::string_view column) const {
    const auto value = text(column);
    return value ? std::optional<T>{detail::reader<T>::read(*value)} : std::nullopt;
  }

private:
  [[noreturn]] static void throw_null(std::string_view column);

  const pg_result* result_;
  int index_;
  /// Where the search for a column begins.
  mutable int next_ = 0;
};

/// What one statement answered: rows by index, columns by name.
class rows {
public:
  rows() = default;
  /// Takes over `result`.
  explicit rows(pg_result* result);

  std::size_t size() const noexcept;
  bool empty() const noexcept { return size() == 0; }
  /// How many rows an INSERT, UPDATE or DELETE touched.
  std::int64_t affected() const noexcept;
  /// What PostgreSQL says was done: `INSERT 0 1`, `COMMIT`.
  std::string_view command() const noexcept;
  /// @pre index < size()
  row operator[](std::size_t index) const { return {result_.get(), static_cast<int>(index)}; }
  row front() const { return (*this)[0]; }

private:
  std::shared_ptr<pg_result> result_;
};

} // namespace skyengine::db
