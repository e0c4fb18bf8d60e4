#include "domain/catalogue.hpp"

#include "domain/enum_names.hpp"

namespace skyengine {

namespace {

constexpr auto bases = names_up_to<billing_basis::uptime>("allocated", "uptime");
constexpr auto granularities = names_up_to<billing_granularity::hour>("second", "hour");

} // namespace

std::string_view to_string(billing_basis basis) noexcept {
  return bases.name(basis);
}

std::optional<billing_basis> parse_billing_basis(std::string_view text) noexcept {
  return bases.find(text);
}

std::string_view to_string(billing_granularity granularity) noexcept {
  return granularities.name(granularity);
}

std::optional<billing_granularity> parse_billing_granularity(std::string_view text) noexcept {
  return granularities.find(text);
}

} // namespace skyengine
