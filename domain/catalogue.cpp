#include "domain/catalogue.hpp"

namespace skyengine {

std::string_view to_string(billing_basis basis) noexcept {
  return basis == billing_basis::allocated ? "allocated" : "uptime";
}

std::optional<billing_basis> parse_billing_basis(std::string_view text) noexcept {
  if (text == "allocated")
    return billing_basis::allocated;
  if (text == "uptime")
    return billing_basis::uptime;
  return std::nullopt;
}

std::string_view to_string(billing_granularity granularity) noexcept {
  return granularity == billing_granularity::second ? "second" : "hour";
}

std::optional<billing_granularity> parse_billing_granularity(std::string_view text) noexcept {
  if (text == "second")
    return billing_granularity::second;
  if (text == "hour")
    return billing_granularity::hour;
  return std::nullopt;
}

} // namespace skyengine
