#include "domain/action.hpp"

#include "domain/enum_names.hpp"

namespace skyengine {

namespace {

constexpr auto kinds = names_up_to<action_kind::resize>("create", "delete", "suspend", "unsuspend", "resize");
constexpr auto states = names_up_to<action_state::failed>("pending", "running", "succeeded", "failed");
constexpr auto steps = names_up_to<saga_step::done>("begin",
                                                    "attempt",
                                                    "made",
                                                    "build",
                                                    "building",
                                                    "cleanup",
                                                    "remove",
                                                    "power_off",
                                                    "suspend",
                                                    "stop",
                                                    "unsuspend",
                                                    "boot",
                                                    "change",
                                                    "done");

} // namespace

std::string_view to_string(action_kind kind) noexcept {
  return kinds.name(kind);
}
std::optional<action_kind> parse_action_kind(std::string_view text) noexcept {
  return kinds.find(text);
}

std::string_view to_string(action_state state) noexcept {
  return states.name(state);
}
std::optional<action_state> parse_action_state(std::string_view text) noexcept {
  return states.find(text);
}

std::string_view to_string(saga_step step) noexcept {
  return steps.name(step);
}
std::optional<saga_step> parse_saga_step(std::string_view text) noexcept {
  return steps.find(text);
}

int progress_of(saga_step step) noexcept {
  switch (step) {
  case saga_step::begin:
    return 0;
  case saga_step::attempt:
    return 10;
  case saga_step::made:
    return 30;
  case saga_step::build:
    return 40;
  case saga_step::building:
    return 50;
  case saga_step::cleanup:
    return 90;
  case saga_step::remove:
  case saga_step::suspend:
  case saga_step::unsuspend:
  case saga_step::change:
    return 50;
  case saga_step::power_off:
    return 20;
  case saga_step::stop:
  case saga_step::boot:
    return 80;
  case saga_step::done:
    return 100;
  }
  return 0;
}

} // namespace skyengine
