#include "actors/runtime/coroutines.hpp"

#include <caf/error.hpp>
#include <caf/sec.hpp>

namespace skyengine::actors::runtime {

std::string describe(const std::exception_ptr& bug) noexcept {
  try {
    std::rethrow_exception(bug);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

open_promise::~open_promise() {
  if (promise_.pending())
    promise_.deliver(caf::make_error(caf::sec::request_receiver_down));
}

} // namespace skyengine::actors::runtime
