#include "net/virtfusion/ownership.hpp"

#include <string>

namespace skyengine::net::virtfusion {

std::optional<call_failure> check_owner(const server_record& server, user_id user) {
  if (!server.owner)
    return call_failure{call_failure::kind::unknown, 200, "the server's record does not tell its owner"};
  if (server.owner->ext_relation_id == user)
    return std::nullopt;
  const auto whose = server.owner->id ? "VirtFusion's user " + std::to_string(server.owner->id->value)
                                      : std::string{"another user of VirtFusion"};
  return call_failure{call_failure::kind::wrong_owner, 200, "the server belongs to " + whose};
}

} // namespace skyengine::net::virtfusion
