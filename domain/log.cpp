#include "domain/log.hpp"

namespace skyengine::log {

namespace {
sink* installed = nullptr;
}

void set_sink(sink* s) noexcept {
  installed = s;
}

void write(level severity, std::string_view message, std::initializer_list<field> fields) noexcept {
  if (installed != nullptr)
    installed->write(severity, message, fields);
}

} // namespace skyengine::log
