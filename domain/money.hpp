#pragma once

#include "domain/error.hpp"
#include "domain/ids.hpp"

#include <compare>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace skyengine {

/// A sum in micros, 10⁻⁶ of the currency's unit. It converts to and from nothing.
struct money {
  std::int64_t micros = 0;

  friend constexpr auto operator<=>(money, money) = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, money& x) {
    return f(x.micros);
  }
};

inline constexpr money most_money{std::numeric_limits<std::int64_t>::max()};

/// Reads `5`, `5.00` or `0.006849`: ASCII digits, at most six of them after the point, no sign, no exponent,
/// at most `most`. errc::invalid_request with the reason otherwise.
result<money> parse_money(std::string_view text, money most = most_money);

/// With at least two and at most six decimals: `5.00`, `0.006849`, `-0.50`.
std::string to_string(money sum);

/// An upper-case ISO 4217 code of a currency in use: `USD`.
using currency_code = strong_id<struct currency_tag, std::string>;

/// errc::invalid_request when `text` is no such code.
result<currency_code> parse_currency(std::string_view text);

/// How many decimals the minor unit of a currency has, by ISO 4217: 2 of USD, none of JPY, 3 of KWD.
int minor_digits(const currency_code& currency) noexcept;

/// In whole minor units. Half of one goes away from zero, so that giving a sum back undoes charging it.
/// @pre the rounded sum fits
money round_to_minor(money sum, const currency_code& currency) noexcept;

/// A sum of a currency.
struct amount {
  money sum;
  currency_code currency;

  friend bool operator==(const amount&, const amount&) = default;

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, amount& x) {
    return f(x.sum, x.currency);
  }
};

/// `5.00 USD`, for people; in JSON the two stand apart.
std::string to_string(const amount& value);

} // namespace skyengine
