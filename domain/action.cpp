#include "domain/action.hpp"

#include <array>
#include <utility>

namespace skyengine {

namespace {

template <class E, std::size_t N>
using names = std::array<std::pair<E, std::string_view>, N>;

constexpr names<action_kind, 2> kinds{{{action_kind::create, "create"}, {action_kind::remove, "delete"}}};

constexpr names<action_state, 4> states{{{action_state::pending, "pending"},
                                         {action_state::running, "running"},
                                         {action_state::succeeded, "succeeded"},
                                         {action_state::failed, "failed"}}};

constexpr names<saga_step, 8> steps{{{saga_step::begin, "begin"},
                                     {saga_step::attempt, "attempt"},
                                     {saga_step::made, "made"},
                                     {saga_step::build, "build"},
                                     {saga_step::building, "building"},
                                     {saga_step::cleanup, "cleanup"},
                                     {saga_step::remove, "remove"},
                                     {saga_step::done, "done"}}};

template <class Names, class E>
std::string_view name_of(const Names& all, E value) noexcept {
  for (const auto& [known, name] : all)
    if (known == value)
      return name;
  return {};
}

template <class E, std::size_t N>
std::optional<E> value_of(const names<E, N>& all, std::string_view text) noexcept {
  for (const auto& [known, name] : all)
    if (name == text)
      return known;
  return std::nullopt;
}

} // namespace

std::string_view to_string(action_kind kind) noexcept {
  return name_of(kinds, kind);
}
std::optional<action_kind> parse_action_kind(std::string_view text) noexcept {
  return value_of(kinds, text);
}

std::string_view to_string(action_state state) noexcept {
  return name_of(states, state);
}
std::optional<action_state> parse_action_state(std::string_view text) noexcept {
  return value_of(states, text);
}

std::string_view to_string(saga_step step) noexcept {
  return name_of(steps, step);
}
std::optional<saga_step> parse_saga_step(std::string_view text) noexcept {
  return value_of(steps, text);
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
    return 50;
  case saga_step::done:
    return 100;
  }
  return 0;
}

} // namespace skyengine
