#include "domain/invoice.hpp"

#include <utility>

namespace skyengine {

namespace {

// NOLINTNEXTLINE(readability-identifier-naming): the compiler's name; a sum times its basis points.
__extension__ using int128 = __int128;

constexpr std::int64_t basis_points_per_whole = 10'000;

/// In minor units, rounded once: micros that the tax has no need of play no part.
money tax_on(money sum, int basis_points, const currency_code& currency) {
  const auto product = static_cast<int128>(sum.micros) * basis_points;
  const auto micros = static_cast<std::int64_t>(product / basis_points_per_whole);
  return round_to_minor({micros}, currency);
}

} // namespace

invoice compose_invoice(currency_code currency, std::vector<invoice_item> items, int tax_basis_points) {
  invoice made;
  made.currency = std::move(currency);
  made.tax_basis_points = tax_basis_points;
  made.lines.reserve(items.size());
  for (auto& item : items) {
    const auto amount = round_to_minor(item.charged, made.currency);
    made.subtotal.micros += amount.micros;
    made.rounding.micros += amount.micros - item.charged.micros;
    made.lines.push_back({std::move(item), amount});
  }
  made.tax = tax_on(made.subtotal, tax_basis_points, made.currency);
  made.total = {made.subtotal.micros + made.tax.micros};
  return made;
}

std::string hours_text(std::int64_t seconds) {
  constexpr std::int64_t seconds_per_hundredth = 36;
  const auto magnitude = seconds < 0 ? -seconds : seconds;
  const auto hundredths = (magnitude + seconds_per_hundredth / 2) / seconds_per_hundredth;
  auto text = std::to_string(hundredths % 100);
  if (text.size() < 2)
    text.insert(0, 1, '0');
  return (seconds < 0 && hundredths > 0 ? "-" : "") + std::to_string(hundredths / 100) + '.' + text;
}

} // namespace skyengine
