#include "domain/money.hpp"

#include <algorithm>
#include <array>

namespace skyengine {

namespace {

constexpr std::uint64_t micros_per_unit = 1'000'000;
constexpr std::size_t decimals_max = 6;
constexpr std::size_t decimals_min = 2;

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

error no_money(const std::string& reason) {
  return {errc::invalid_request, "an amount " + reason};
}

// Currencies in circulation; neither funds, metals nor test codes. Sorted.
constexpr auto currencies = std::to_array<std::string_view>({
  "AED", "AFN", "ALL", "AMD", "AOA", "ARS", "AUD", "AWG", "AZN", "BAM", "BBD", "BDT", "BGN", "BHD", "BIF",
  "BMD", "BND", "BOB", "BRL", "BSD", "BTN", "BWP", "BYN", "BZD", "CAD", "CDF", "CHF", "CLP", "CNY", "COP",
  "CRC", "CUP", "CVE", "CZK", "DJF", "DKK", "DOP", "DZD", "EGP", "ERN", "ETB", "EUR", "FJD", "FKP", "GBP",
  "GEL", "GHS", "GIP", "GMD", "GNF", "GTQ", "GYD", "HKD", "HNL", "HTG", "HUF", "IDR", "ILS", "INR", "IQD",
  "IRR", "ISK", "JMD", "JOD", "JPY", "KES", "KGS", "KHR", "KMF", "KPW", "KRW", "KWD", "KYD", "KZT", "LAK",
  "LBP", "LKR", "LRD", "LSL", "LYD", "MAD", "MDL", "MGA", "MKD", "MMK", "MNT", "MOP", "MRU", "MUR", "MVR",
  "MWK", "MXN", "MYR", "MZN", "NAD", "NGN", "NIO", "NOK", "NPR", "NZD", "OMR", "PAB", "PEN", "PGK", "PHP",
  "PKR", "PLN", "PYG", "QAR", "RON", "RSD", "RUB", "RWF", "SAR", "SBD", "SCR", "SDG", "SEK", "SGD", "SHP",
  "SLE", "SOS", "SRD", "SSP", "STN", "SVC", "SYP", "SZL", "THB", "TJS", "TMT", "TND", "TOP", "TRY", "TTD",
  "TWD", "TZS", "UAH", "UGX", "USD", "UYU", "UZS", "VED", "VES", "VND", "VUV", "WST", "XAF", "XCD", "XCG",
  "XOF", "XPF", "YER", "ZAR", "ZMW", "ZWG",
});
static_assert(std::is_sorted(currencies.begin(), currencies.end()));

// Of those the ones whose minor unit is no hundredth, as ISO 4217 lists them. Sorted.
constexpr auto without_minor_unit = std::to_array<std::string_view>({
  "BIF",
  "CLP",
  "DJF",
  "GNF",
  "ISK",
  "JPY",
  "KMF",
  "KRW",
  "PYG",
  "RWF",
  "UGX",
  "VND",
  "VUV",
  "XAF",
  "XOF",
  "XPF",
});
constexpr auto with_thousandths =
  std::to_array<std::string_view>({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"});
static_assert(std::is_sorted(without_minor_unit.begin(), without_minor_unit.end()));
static_assert(std::is_sorted(with_thousandths.begin(), with_thousandths.end()));

} // namespace

result<money> parse_money(std::string_view text, money most) {
  const auto point = text.find('.');
  const auto units = text.substr(0, point);
  const auto decimals = point == std::string_view::npos ? std::string_view{} : text.substr(point + 1);
  if (units.empty() || !std::all_of(units.begin(), units.end(), is_digit) ||
      !std::all_of(decimals.begin(), decimals.end(), is_digit) ||
      (point != std::string_view::npos && decimals.empty()))
    return no_money("is digits with an optional point and decimals, as in 5.00");
  if (decimals.size() > decimals_max)
    return no_money("has at most six decimals");

  const auto limit = static_cast<std::uint64_t>(most.micros);
  std::uint64_t micros = 0;
  const auto append = [&](char digit) {
    const auto value = static_cast<std::uint64_t>(digit - '0');
    if (micros > (limit - std::min(limit, value)) / 10)
      return false;
    micros = micros * 10 + value;
    return micros <= limit;
  };
  auto fits = std::all_of(units.begin(), units.end(), append);
  for (std::size_t i = 0; fits && i < decimals_max; ++i)
    fits = append(i < decimals.size() ? decimals[i] : '0');
  if (!fits)
    return no_money("is at most " + to_string(most));
  return money{static_cast<std::int64_t>(micros)};
}

std::string to_string(money sum) {
  // Unsigned, since the smallest int64 has no positive counterpart.
  const auto magnitude =
    sum.micros < 0 ? ~static_cast<std::uint64_t>(sum.micros) + 1 : static_cast<std::uint64_t>(sum.micros);
  auto decimals = std::to_string(magnitude % micros_per_unit + micros_per_unit).substr(1);
  decimals.resize(std::max(decimals_min, decimals.find_last_not_of('0') + 1));
  return (sum.micros < 0 ? "-" : "") + std::to_string(magnitude / micros_per_unit) + '.' + decimals;
}

result<currency_code> parse_currency(std::string_view text) {
  if (!std::binary_search(currencies.begin(), currencies.end(), text))
    return error{errc::invalid_request, "a currency is an upper-case ISO 4217 code, as in USD"};
  return currency_code{std::string{text}};
}

int minor_digits(const currency_code& currency) noexcept {
  const std::string_view code{currency.value};
  if (std::binary_search(without_minor_unit.begin(), without_minor_unit.end(), code))
    return 0;
  return std::binary_search(with_thousandths.begin(), with_thousandths.end(), code) ? 3 : 2;
}

money round_to_minor(money sum, const currency_code& currency) noexcept {
  std::int64_t unit = micros_per_unit;
  for (int i = minor_digits(currency); i > 0; --i)
    unit /= 10;
  const auto rest = sum.micros % unit;
  const auto whole = sum.micros - rest;
  if (rest <= -unit / 2)
    return {whole - unit};
  return {rest >= unit / 2 ? whole + unit : whole};
}

std::string to_string(const amount& value) {
  return to_string(value.sum) + ' ' + value.currency.value;
}

} // namespace skyengine
