#include "net/virtfusion/transport.hpp"

#include <stdexcept>

namespace skyengine::net::virtfusion {

void throw_exception_from_error(const no_answer& e, const boost::source_location&) {
  throw std::logic_error("a failed exchange was read without a check: " + e.detail);
}

} // namespace skyengine::net::virtfusion
