#include "actors/runtime/actor_figures.hpp"

#include <caf/scheduled_actor.hpp>

#include <algorithm>

namespace skyengine::actors::runtime {

void actor_figures::enter(caf::scheduled_actor& one) {
  const auto* const name = one.name();
  const auto is_known =
    std::any_of(all_.begin(), all_.end(), [name](const named& known) { return known.name == name; });
  if (!is_known)
    all_.push_back({name, {}});
  living_.push_back(&one);
}

void actor_figures::leave(caf::scheduled_actor& one) {
  std::erase(living_, &one);
}

void actor_figures::count(const char* name, std::chrono::steady_clock::duration took) {
  // A handful of names: a list is quicker than any map.
  for (auto& known : all_)
    if (known.name == name) {
      known.figures.seconds.observe(std::chrono::duration<double>(took).count());
      return;
    }
}

std::map<std::string_view, actor_figures::series> actor_figures::look() const {
  std::map<std::string_view, series> found;
  for (const auto& known : all_)
    found.emplace(known.name, known.figures);
  // An idle actor has marked its mailbox as blocked, so that the next message wakes it. Counting takes that
  // mark away, and the actor would sleep for ever.
  for (auto* const one : living_)
    if (!one->mailbox().blocked())
      found[one->name()].mailbox_depth += one->mailbox().size();
  return found;
}

} // namespace skyengine::actors::runtime
