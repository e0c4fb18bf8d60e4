#include "actors/zone_loader.hpp"

#include "domain/time_zone_file.hpp"

#include <utility>

namespace skyengine::actors {

boost::asio::awaitable<result<std::shared_ptr<const time_zone>>> load_zone(std::string name) {
  auto zone = load_time_zone(name);
  if (!zone)
    co_return zone.error();
  co_return std::make_shared<const time_zone>(std::move(*zone));
}

} // namespace skyengine::actors
