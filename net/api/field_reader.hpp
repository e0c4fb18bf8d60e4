#pragma once

#include "domain/error.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine::net::api {

/// All that is wrong with a request, field by field; beyond `most` nothing is added.
class field_faults {
public:
  static constexpr std::size_t most = 50;

  void add(std::string field, std::string reason);
  bool empty() const noexcept { return list_.empty(); }
  /// errc::invalid_request with all of them. @pre !empty()
  error as_error() const;

private:
  std::vector<field_error> list_;
};

/// How a body is read: as its words say, or as older clients wrote them (unknown fields ignored, null is
/// absent).
enum class strictness : std::uint8_t { strict, lenient };

enum class presence : std::uint8_t { required, optional };

/// Reads the fields of one JSON object. A field that is missing or of a wrong type is noted and read as
/// nullopt; `finish` notes those that nobody asked for. `object` and `faults` must outlive it.
class field_reader {
public:
  /// `prefix` stands before each name in `faults`: `price.`
  field_reader(const boost::json::object& object,
               field_faults& faults,
               strictness how = strictness::strict,
               std::string prefix = {})
      : object_(object), faults_(faults), how_(how), prefix_(std::move(prefix)) {}

  /// Any value but null.
  const boost::json::value* value(std::string_view name, presence need);
  /// Whether it is there as null, where that clears what it stands for.
  bool is_null(std::string_view name);
  /// A string. With `check`, one that passes it; else its reason is noted.
  std::optional<std::string>
  text(std::string_view name, presence need, result<> (*check)(std::string_view) = nullptr);
  std::optional<std::int64_t> integer(std::string_view name,
                                      presence need,
                                      std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                                      std::int64_t most = std::numeric_limits<std::int64_t>::max());
  std::optional<bool> boolean(std::string_view name, presence need);
  const boost::json::object* object(std::string_view name, presence need);
  /// Of at most `most` items.
  const boost::json::array* array(std::string_view name, presence need, std::size_t most);

  void fault(std::string_view name, std::string reason) {
    faults_.add(prefix_ + std::string{name}, std::move(reason));
  }
  void finish();

private:
  const boost::json::object& object_;
  field_faults& faults_;
  strictness how_;
  std::string prefix_;
  std::vector<std::string_view> known_;
};

} // namespace skyengine::net::api
