#include "actors/runtime/prepare.hpp"

#include "actors/runtime/coroutines.hpp"
#include "actors/runtime/loop_scheduler.hpp"
#include "domain/log.hpp"

#include <caf/error.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/sec.hpp>
#include <caf/system_messages.hpp>
#include <caf/type_erased_tuple.hpp>

namespace skyengine::actors::runtime {

void prepare(caf::scheduled_actor* self) {
  if (const auto* const ours = dynamic_cast<loop_scheduler*>(&self->system().scheduler())) {
    const auto& figures = ours->figures();
    figures->enter(*self);
    self->attach_functor([figures, self] { figures->leave(*self); });
  }
  self->set_exception_handler([self](std::exception_ptr& bug) -> caf::error {
    log::error("an actor failed", {{"actor", self->name()}, {"error", describe(bug)}});
    return caf::sec::runtime_error;
  });
  self->set_down_handler([self](caf::down_msg& down) {
    log::warn("an actor that nobody waits for has ended",
              {{"actor", self->name()}, {"error", caf::to_string(down.reason)}});
  });
  self->set_default_handler(
    [](caf::scheduled_actor* receiver, caf::message_view& unexpected) -> caf::result<caf::message> {
      log::error("a message that the actor does not take",
                 {{"actor", receiver->name()}, {"message", caf::to_string(unexpected.content())}});
      return caf::sec::unexpected_message;
    });
}

} // namespace skyengine::actors::runtime
