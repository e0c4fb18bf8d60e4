#include "domain/server.hpp"

namespace skyengine {

std::string server::effective_hostname() const {
  return order.hostname.value_or("vps-" + std::to_string(id.value));
}

} // namespace skyengine
