#include "domain/server_control.hpp"

namespace skyengine {

namespace {

error not_in(server_state state, std::string_view what, std::string_view needed) {
  return {errc::conflict, "the server is " + std::string{to_string(state)} + ": only one that is " +
                            std::string{needed} + " can be " + std::string{what}};
}

void note(
  std::string& text, std::string_view name, std::int64_t has, std::int64_t wanted, std::string_view unit) {
  if (has == wanted)
    return;
  const auto with_unit = [&](std::int64_t value) { return std::to_string(value) + std::string{unit}; };
  text.append(text.empty() ? "" : ", ").append(name).append(" is ").append(with_unit(has));
  text.append(" instead of ").append(with_unit(wanted));
}

} // namespace

result<bool> needs_control(action_kind kind, server_state state) {
  const auto is_active = state == server_state::active;
  const auto is_suspended = state == server_state::suspended;
  switch (kind) {
  case action_kind::suspend:
    return is_active || is_suspended ? result<bool>{is_active} : not_in(state, "suspended", "active");
  case action_kind::unsuspend:
    return is_active || is_suspended ? result<bool>{is_suspended} : not_in(state, "unsuspended", "suspended");
  case action_kind::resize:
    return is_active ? result<bool>{true} : not_in(state, "given another plan", "active");
  case action_kind::create:
  case action_kind::remove:
    break;
  }
  return error{errc::internal, "no control of a server that exists"};
}

result<bool> needs_resize(const server_resources& has, const server_resources& wanted) {
  if (wanted.storage_gb < has.storage_gb)
    return error{errc::conflict, "the server's disk has " + std::to_string(has.storage_gb) +
                                   " GB, the new plan's " + std::to_string(wanted.storage_gb) +
                                   " GB: a disk only grows"};
  return has != wanted;
}

std::string difference(const server_resources& has, const server_resources& wanted) {
  std::string text;
  note(text, "memory", has.memory_mb, wanted.memory_mb, " MB");
  note(text, "disk", has.storage_gb, wanted.storage_gb, " GB");
  note(text, "traffic", has.traffic_gb, wanted.traffic_gb, " GB");
  note(text, "number of CPU cores", has.cpu_cores, wanted.cpu_cores, "");
  return text;
}

} // namespace skyengine
