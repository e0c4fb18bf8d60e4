#pragma once

#include "domain/clock.hpp"
#include "domain/ids.hpp"
#include "domain/money.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skyengine {

/// What a plan's price is charged for: existing, or being powered on.
enum class billing_basis : std::uint8_t { allocated, uptime };
std::string_view to_string(billing_basis basis) noexcept;
std::optional<billing_basis> parse_billing_basis(std::string_view text) noexcept;

enum class billing_granularity : std::uint8_t { second, hour };
std::string_view to_string(billing_granularity granularity) noexcept;
std::optional<billing_granularity> parse_billing_granularity(std::string_view text) noexcept;

/// What a month of a user may come to, in the user's currency, before something is done about it; nullopt:
/// whatever it likes.
struct spending_limits {
  /// Somebody is told.
  std::optional<money> alert_at = {};
  /// The user's servers are to be suspended.
  std::optional<money> suspend_at = {};

  friend bool operator==(const spending_limits&, const spending_limits&) = default;
};

/// The panel's customer.
struct user {
  user_id id;
  std::string name;
  std::string email;
  currency_code currency;
  int tax_basis_points = 0;
  std::string locale = "en";
  std::string timezone = "UTC";
  std::optional<virtfusion_user_id> virtfusion_id = {};
  spending_limits limits = {};

  friend bool operator==(const user&, const user&) = default;
};

/// What a month of a plan costs, and how it is measured. One version of the plan's terms.
struct plan_terms {
  money monthly_price;
  int hours_per_month = 730;
  billing_basis basis = billing_basis::allocated;
  billing_granularity granularity = billing_granularity::second;

  friend bool operator==(const plan_terms&, const plan_terms&) = default;
};

/// What is sold, with the terms that hold for new servers.
struct plan {
  plan_id id;
  std::string name;
  /// Never changes.
  currency_code currency;
  plan_terms terms;
  package_id package;
  std::vector<std::int64_t> os_templates;
  bool ipv6 = false;
  bool active = true;

  friend bool operator==(const plan&, const plan&) = default;
};

/// Where it is sold.
struct region {
  region_id id;
  std::string name;
  hypervisor_group_id group;
  bool active = true;

  friend bool operator==(const region&, const region&) = default;
};

} // namespace skyengine
