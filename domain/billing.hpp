#pragma once

#include "domain/billable_time.hpp"
#include "domain/ids.hpp"
#include "domain/money.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

/// What closing an hour charges for a server: by how much its month, as it is known now, differs from what
/// was charged for it. So a fact that comes late corrects itself.
namespace skyengine {

/// What was charged for one month of one server so far.
struct charged_month {
  money sum;
  std::int64_t seconds = 0;

  friend bool operator==(const charged_month&, const charged_month&) = default;
};

/// A month that was over when a fact about it came.
struct past_month {
  std::chrono::sys_seconds month;
  /// Corrections included.
  charged_month charged;
  int corrections = 0;
};

/// A server when one of its hours is closed.
struct billed_server {
  server_id id;
  user_id user;
  server_life life;
  /// Of the month of that hour.
  charged_month charged;
  std::vector<past_month> to_correct;
};

/// One row of `charges`.
struct hour_charge {
  server_id server;
  plan_id plan;
  billing_basis basis = billing_basis::allocated;
  bool is_estimated = false;
  std::int64_t seconds = 0;
  money amount;
  /// With it.
  charged_month month;
};

/// nullopt when the hour adds no second and no micro.
std::optional<hour_charge>
charge_of(const billed_server& one, const price_lists& prices, std::chrono::sys_seconds hour);

/// One row of `charge_corrections`.
struct month_correction {
  server_id server;
  std::chrono::sys_seconds month;
  int sequence = 1;
  plan_id plan;
  std::int64_t seconds = 0;
  money amount;
  /// With it.
  charged_month after;
};

/// nullopt when the month has come to what was charged for it.
std::optional<month_correction>
correction_of(const billed_server& one, const price_lists& prices, const past_month& past);

} // namespace skyengine
