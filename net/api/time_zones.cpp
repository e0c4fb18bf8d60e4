#include "net/api/time_zones.hpp"

#include "domain/log.hpp"

#include <date/tz.h>

#include <stdexcept>

namespace skyengine::net::api {

time_zones::time_zones() : names_{"UTC"} {
  try {
    for (const auto& zone : date::get_tzdb().zones)
      names_.insert(zone.name());
  } catch (const std::runtime_error& missing) {
    log::warn("the system has no tzdata: UTC is the only time zone that users can have",
              {{"error", std::string_view{missing.what()}}});
  }
  // Files of tzdata that name no place.
  for (const auto* other : {"localtime", "Factory", "posixrules"})
    names_.erase(other);
}

} // namespace skyengine::net::api
