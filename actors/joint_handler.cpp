#include "actors/joint_handler.hpp"

#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/errors.hpp"
#include "actors/runtime/prepare.hpp"
#include "domain/error.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace skyengine::actors {

namespace {

/// A tick that not every part has answered.
struct joint_tick {
  joint_tick(caf::response_promise to, std::size_t parts) : promise(std::move(to)), outcomes(parts) {}

  runtime::open_promise promise;
  std::vector<std::optional<result<cron_outcome>>> outcomes;

  bool is_complete() const {
    return std::all_of(outcomes.begin(), outcomes.end(), [](const auto& one) { return one.has_value(); });
  }
};

struct joint_handler_state {
  static constexpr const char* name = "joint_handler";

  void note(const std::shared_ptr<joint_tick>& tick, std::size_t part, result<cron_outcome> outcome) const {
    tick->outcomes[part] = std::move(outcome);
    if (!tick->is_complete())
      return;
    std::string figures;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto& one = *tick->outcomes[i];
      if (!one) {
        tick->promise.fail(one.error());
        return;
      }
      figures += (i == 0 ? "{\"" : ",\"") + parts[i].name + "\":" + one->figures;
    }
    tick->promise.deliver(cron_outcome{figures + '}'});
  }

  std::vector<handler_part> parts;
};

cron_handler_actor::behavior_type
joint_handler(cron_handler_actor::stateful_pointer<joint_handler_state> self,
              std::vector<handler_part> parts) {
  runtime::prepare(self);
  self->state.parts = std::move(parts);
  return {
    [self](const cron_tick& tick) -> caf::result<cron_outcome> {
      auto promise = self->make_response_promise<cron_outcome>();
      const auto& all = self->state.parts;
      const auto joint = std::make_shared<joint_tick>(promise, all.size());
      for (std::size_t i = 0; i < all.size(); ++i)
        // The schedule's own time-out ends a run that hangs; a part that goes answers with an error.
        self->request(all[i].actor(), caf::infinite, tick)
          .then(
            [self, joint, i](const cron_outcome& outcome) { self->state.note(joint, i, outcome); },
            [self, joint, i](const caf::error& why) { self->state.note(joint, i, runtime::from_caf(why)); });
      return promise;
    },
    [self](const cron_cancel& cancelled) {
      for (const auto& part : self->state.parts)
        self->send(part.actor(), cancelled);
    },
  };
}

} // namespace

cron_handler_actor spawn_joint_handler(caf::actor_system& system, std::vector<handler_part> parts) {
  return system.spawn(joint_handler, std::move(parts));
}

} // namespace skyengine::actors
