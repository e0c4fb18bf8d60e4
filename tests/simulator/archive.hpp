#pragma once

#include "domain/clock.hpp"

#include <boost/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

/// Entities to JSON and back, by the `fields` function that each has.
namespace skyengine::simulator::archive {

namespace json = boost::json;

inline json::value to_value(std::int64_t x) {
  return x;
}
inline json::value to_value(bool x) {
  return x;
}
inline json::value to_value(const std::string& x) {
  return json::string{x};
}
inline json::value to_value(instant x) {
  return x.time_since_epoch().count();
}
inline json::value to_value(const std::vector<std::int64_t>& x) {
  return json::array(x.begin(), x.end());
}
template <class T>
  requires std::is_enum_v<T>
json::value to_value(T x) {
  return static_cast<std::int64_t>(x);
}
template <class T>
json::value to_value(const std::optional<T>& x) {
  return x ? to_value(*x) : json::value(nullptr);
}

inline void from_value(const json::value& v, std::int64_t& x) {
  x = v.as_int64();
}
inline void from_value(const json::value& v, bool& x) {
  x = v.as_bool();
}
inline void from_value(const json::value& v, std::string& x) {
  x = json::value_to<std::string>(v);
}
inline void from_value(const json::value& v, instant& x) {
  x = instant{std::chrono::microseconds{v.as_int64()}};
}
inline void from_value(const json::value& v, std::vector<std::int64_t>& x) {
  for (const auto& item : v.as_array())
    x.push_back(item.as_int64());
}
template <class T>
  requires std::is_enum_v<T>
void from_value(const json::value& v, T& x) {
  x = static_cast<T>(v.as_int64());
}
template <class T>
void from_value(const json::value& v, std::optional<T>& x) {
  from_value(v, x.emplace());
}

/// Members that are zero or empty are left out: most are, and the file is half as long.
struct writer {
  json::object out;
  template <class Member>
  void operator()(const char* name, const Member& member) {
    if (member != Member{})
      out[name] = to_value(member);
  }
};

struct reader {
  const json::object& in;
  template <class Member>
  void operator()(const char* name, Member& member) {
    member = Member{};
    if (const auto* const found = in.if_contains(name))
      from_value(*found, member);
  }
};

/// `{"kind": {…}}` and a line end.
template <class T>
void append_line(std::string& out, const char* kind, const T& entity) {
  writer w;
  T::fields(w, entity);
  json::object line;
  line[kind] = std::move(w.out);
  out += json::serialize(line);
  out += '\n';
}

/// Throws where a member has another type than it was written with.
template <class T>
T parse(const json::value& v) {
  T entity;
  reader r{v.as_object()};
  T::fields(r, entity);
  return entity;
}

} // namespace skyengine::simulator::archive
