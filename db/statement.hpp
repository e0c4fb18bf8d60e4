#pragma once

#include "domain/clock.hpp"
#include "domain/ids.hpp"

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine::db {

/// One SQL statement by name. The name is the prepared statement's, the log's and the metric's label; both
/// texts live as long as the program. Prepared once per connection, on first use.
struct statement {
  const char* name;
  const char* sql;
};

/// One bound value, in PostgreSQL's text format; nullopt is NULL. The statement gives the type
/// (`$1::bigint`).
class parameter {
public:
  parameter(std::nullopt_t) {}
  parameter(bool v) : text_(v ? "t" : "f") {}
  template <std::integral I>
    requires(!std::same_as<I, bool>)
  parameter(I v) : text_(std::to_string(v)) {}
  parameter(std::string v) : text_(std::move(v)) {}
  parameter(std::string_view v) : text_(std::in_place, v) {}
  parameter(const char* v) : text_(v) {}
  /// `timestamptz`, to the microsecond.
  parameter(instant v);
  /// `bigint[]` and `text[]`.
  parameter(const std::vector<std::int64_t>& v);
  parameter(const std::vector<std::string>& v);
  template <class Tag, class T>
  parameter(const strong_id<Tag, T>& id) : parameter(id.value) {}
  template <class T>
  parameter(const std::optional<T>& v) {
    if (v)
      *this = parameter(*v);
  }

  /// nullptr for NULL; valid as long as this object.
  const char* data() const noexcept { return text_ ? text_->c_str() : nullptr; }

  /// A text with a NUL character, which PostgreSQL cannot store: such a statement is errc::invalid_request.
  bool has_nul() const noexcept;

private:
  std::optional<std::string> text_;
};

} // namespace skyengine::db
