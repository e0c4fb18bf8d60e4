#pragma once

#include "domain/clock.hpp"

#include <boost/json/value.hpp>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

/// Reads JSON as VirtFusion writes it: numbers may be strings, flags numbers, anything null or missing.
namespace skyengine::net::virtfusion {

/// The value at `path` (names of members, from the outside in); nullptr when it is missing or null.
const boost::json::value* find(const boost::json::value& in,
                               std::initializer_list<std::string_view> path) noexcept;

/// An integer, a number without fraction, or a string of either; nothing for what is none or does not fit.
std::optional<std::int64_t> integer_at(const boost::json::value& in,
                                       std::initializer_list<std::string_view> path);
/// A finite number, or a string of one.
std::optional<double> number_at(const boost::json::value& in, std::initializer_list<std::string_view> path);
/// `true`, a number other than 0, or a string of either. Nothing for what is no flag.
std::optional<bool> flag_at(const boost::json::value& in, std::initializer_list<std::string_view> path);
/// A string, or a number as text; empty for anything else.
std::string text_at(const boost::json::value& in, std::initializer_list<std::string_view> path);
std::optional<instant> time_at(const boost::json::value& in, std::initializer_list<std::string_view> path);
/// nullptr when there is no array.
const boost::json::array* list_at(const boost::json::value& in,
                                  std::initializer_list<std::string_view> path) noexcept;

} // namespace skyengine::net::virtfusion
