#pragma once

#include "domain/ids.hpp"
#include "domain/money.hpp"

#include <cstdint>
#include <string>
#include <vector>

/// How what was charged becomes an invoice.
namespace skyengine {

/// What one server has used of one plan, as its charges say.
struct invoice_item {
  server_id server;
  plan_id plan;
  std::int64_t seconds = 0;
  money charged;
  /// Of the plan's terms: what a month of so many hours costs.
  money monthly_price;
  int hours_per_month = 730;
};

struct invoice_line {
  invoice_item item;
  /// In minor units.
  money amount;
};

/// Of one user, currency and month.
struct invoice {
  currency_code currency;
  std::vector<invoice_line> lines;
  /// Of the lines.
  money subtotal;
  int tax_basis_points = 0;
  money tax;
  money total;
  /// What the lines' rounding has added to what was charged: it goes to the account `rounding`.
  money rounding;
};

/// Each line is rounded to minor units once, and the tax on their sum once. The lines stay in the order of
/// `items`.
invoice compose_invoice(currency_code currency, std::vector<invoice_item> items, int tax_basis_points);

/// `seconds` in hours, rounded half up to two decimals: `730.00`, `10.50`.
std::string hours_text(std::int64_t seconds);

} // namespace skyengine
