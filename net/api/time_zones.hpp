#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

namespace skyengine::net::api {

/// The names of the time zones that this system's tzdata has.
class time_zones {
public:
  /// Reads the names, which takes some milliseconds of disk: at the start. A system without tzdata has UTC.
  time_zones();

  /// Whether `name` is one, in exactly this spelling; aliases such as `Asia/Calcutta` are.
  bool contains(std::string_view name) const { return names_.contains(name); }

private:
  std::set<std::string, std::less<>> names_;
};

} // namespace skyengine::net::api
